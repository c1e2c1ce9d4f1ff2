"""How much to treat at once, so that memory stays bounded whatever the question.

Limits cut the work into pieces and never change a bound.  They are counts of numbers that have to
be in memory at the same time, with a factor for what TensorFlow keeps of one operation while it
computes the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import final

import psutil

from decomon.methods.local import optimised_views, views
from decomon.methods.windows import View
from decomon.nodes import Graph

_PARAMETER_BYTES = 8 * 2**20
_MOST_PAIRS = 256
# More at once is not faster: what lies in a processor's cache is computed several times as fast.
_ROW_BYTES = 64 * 2**20
_TURN_BYTES = 16 * 2**20
_BATCH_BYTES = 512 * 2**20
# How many tensors of the size of the coefficients there are while one node is passed.
_COPIES = 4
# What the gradient keeps of one substitution, in tensors of the size of the largest coefficients.
_TAPE_FACTOR = 4


def free_memory() -> int:
    """Return how many bytes are free, for the machine or the container that this runs in."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        most = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no such files, or "max": there is no limit
        return free
    return max(0, min(free, most - used))


@final
@dataclass(frozen=True)
class Budget:
    """Limits for one graph.

    Parameters
    ----------
    graph : the network
    item : bytes of a number
    optimised : whether gradients are kept
    forward : whether affine bounds of neurons are kept
    memory : how many bytes may be used
    """

    graph: Graph
    item: int
    optimised: bool
    forward: bool
    memory: int = field(default_factory=lambda: free_memory() // 4)

    @cached_property
    def row_limit(self) -> int:
        """How many rows of each sample fit into memory at once."""
        room = min(_ROW_BYTES, self.memory // 16)
        return int(max(1, room // (2 * self._widest * self.item)))

    @cached_property
    def rows(self) -> int:
        """How many rows of each sample to substitute at once."""
        most = self._asked
        if self.forward:
            most = max([most, *(self.graph.nodes[i].size for i in self._inner)])
        return min(most, self.row_limit)

    def pairs(self, start: int) -> int:
        """How many pairs of a sample and one of its neurons to substitute at once."""
        room = min(_TURN_BYTES, self.memory // 16)
        return int(max(1, room // (2 * self._reach(start) * self.item)))

    @cached_property
    def samples(self) -> int:
        """How many samples to treat at once."""
        numbers = _COPIES * self.rows * self._widest + self._stored
        if self.optimised:
            numbers += self._kept_of_rows + (self._kept_of_nodes if self.inner else 0)
        return int(max(1, min(_BATCH_BYTES, self.memory // 2) // (2 * self.item * numbers)))

    @cached_property
    def inner(self) -> bool:
        """Whether there is room for the gradients of the bounds of inner nodes."""
        kept = self._kept_of_rows + self._kept_of_nodes
        return 2 * self.item * kept <= self.memory // 2

    def sets(self, start: int, index: int) -> int | None:
        """Return how many sets of parameters a relaxation has, None for one per row asked for.

        Every neuron of an inner node has its own, for either side, if memory allows.
        """
        nodes = self.graph.nodes
        if start == self.graph.output:
            return None
        own = 2 * nodes[start].size
        return own if own * self.own_size(start, index) * self.item <= _PARAMETER_BYTES else 1

    def own_size(self, start: int, index: int) -> int:
        """Return how many numbers a line of every neuron of a node has, for neurons of another."""
        view = self._optimised_views[start].get(index)
        return self.size(index) if view is None else view.size

    def in_common(self, pairs: int) -> bool:
        """Whether there are too many relaxations on the way for parameters of their own."""
        return pairs > _MOST_PAIRS

    def size(self, index: int) -> int:
        """Return how many numbers a line of every neuron of a node has."""
        node = self.graph.nodes[index]
        sources = [self.graph.nodes[i] for i in node.inputs]
        size = max(node.size, *(source.size for source in sources))
        mixes = len(sources) == 1 and sources[0].shape == node.shape
        if mixes and node.shape and not node.evaluate.diagonal:
            return size * node.shape[-1]  # every output depends on the whole last axis
        return size

    @property
    def _asked(self) -> int:
        """How many rows of the output are asked for: of either sign, and margins are fewer."""
        return 2 * self.graph.nodes[-1].size

    @cached_property
    def _stored(self) -> int:
        """How many numbers are kept of a sample: intervals, lines and windows of both."""
        nodes = self.graph.nodes
        stored = sum(node.size for node in nodes) + 2 * sum(map(self.size, self.graph.nonlinear))
        if self.forward:
            stored += sum(nodes[i].size for i in self._inner) * nodes[0].size
        for start in self._inner:
            seen = self._views[start].items()
            cut = sum(view.size for i, view in seen if i == 0 or i in self.graph.nonlinear)
            stored += 2 * cut * (nodes[start].size // nodes[start].shape[-1] if cut else 0)
        return stored

    @cached_property
    def _kept_of_nodes(self) -> int:
        """How many numbers the optimisation of inner nodes' bounds keeps of a sample."""
        pairs = list(self._pairs())
        if len(pairs) > _MOST_PAIRS:
            sets = [self.size(index) for index in self.graph.nonlinear]
        else:
            sets = [(self.sets(*pair) or 0) * self.own_size(*pair) for pair in pairs]
        nodes = self.graph.nodes
        reached = sum(nodes[i].size * self._reach(i, optimised=True) for i in self._inner)
        # Gradients and both moments are as large as the parameters themselves.
        return _TAPE_FACTOR * reached + 2 * sum(sets)

    @cached_property
    def _kept_of_rows(self) -> int:
        """How many numbers the optimisation of bounds of the output keeps of a sample."""
        lines = [self.size(index) for index in self.graph.nonlinear]
        rows = min(self._asked, self.rows)
        return rows * (_TAPE_FACTOR * max([self._widest, *lines]) + 2 * sum(lines))

    def _pairs(self) -> Iterator[tuple[int, int]]:
        for start in self._inner:
            for index in self.graph.nonlinear:
                if index < start:
                    yield start, index

    def _reach(self, start: int, *, optimised: bool = False) -> int:
        """Return the size of the largest row on the way from a node to the input."""
        seen = (self._optimised_views if optimised else self._views).get(start, {})
        return max(
            seen[i].size if i in seen else max(self.graph.nodes[i].size, self._line(i, optimised))
            for i in self.graph.ancestors(start)
        )

    def _line(self, index: int, optimised: bool) -> int:
        return self.size(index) if optimised and index in self.graph.nonlinear else 0

    @cached_property
    def _views(self) -> Mapping[int, Mapping[int, View]]:
        return {start: views(self.graph, start) for start in self._inner}

    @cached_property
    def _optimised_views(self) -> Mapping[int, Mapping[int, View]]:
        return {start: optimised_views(self.graph, start) for start in self._inner}

    @property
    def _inner(self) -> list[int]:
        return [i for i in self.graph.relaxed if i not in self.graph.exact]

    @property
    def _widest(self) -> int:
        return max(node.size for node in self.graph.nodes)
