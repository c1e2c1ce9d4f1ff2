"""How much to treat at once, so that memory stays bounded whatever the question."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

from decomon.nodes import Graph

_PARAMETER_BYTES = 8 * 2**20
_ROW_BYTES = 64 * 2**20
_BATCH_BYTES = 512 * 2**20
_MOST_PAIRS = 256
# What the gradient keeps of one substitution, in tensors of the size of the largest coefficients.
_TAPE_FACTOR = 2


@final
@dataclass(frozen=True)
class Budget:
    """Limits for one graph.

    Parameters
    ----------
    graph : the network
    item : bytes of a number
    optimised : whether gradients are kept
    """

    graph: Graph
    item: int
    optimised: bool

    @cached_property
    def rows(self) -> int:
        """How many rows to substitute at once."""
        nodes = self.graph.nodes
        most = max([*(nodes[i].size for i in self._inner), nodes[-1].size])
        return int(max(1, min(most, _ROW_BYTES // (2 * self._widest * self.item))))

    @cached_property
    def samples(self) -> int:
        """How many samples to treat at once."""
        graph = self.graph
        # Affine bounds of neurons, and two lines of each with slopes and offsets.
        lines = [self.size(index) for index in graph.nonlinear]
        relaxed = sum(graph.nodes[i].size for i in self._inner)
        stored = relaxed * graph.nodes[0].size + 2 * sum(lines)
        sample = 2 * self.item * (self.rows * self._widest + stored)
        if self.optimised:
            pairs = [
                (start, index)
                for start in self._inner
                for index in graph.nonlinear
                if index < start
            ]
            if len(pairs) > _MOST_PAIRS:
                sets = lines
            else:
                sets = [(self.sets(*pair) or 0) * self.size(pair[1]) for pair in pairs]
            # Gradients and both moments are as large as the parameters themselves.
            kept = _TAPE_FACTOR * (max(1, relaxed) * max([self._widest, *lines]) + stored)
            sample = 2 * self.item * (kept + 2 * sum(sets))
        return int(max(1, _BATCH_BYTES // sample))

    def sets(self, start: int, index: int) -> int | None:
        """Return how many sets of parameters a relaxation has, None for one per row asked for.

        Every neuron of an inner node has its own, for either side, if memory allows.
        """
        nodes = self.graph.nodes
        if start == self.graph.output:
            return None
        own = 2 * nodes[start].size
        return own if own * self.size(index) * self.item <= _PARAMETER_BYTES else 1

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
    def _inner(self) -> list[int]:
        return [i for i in self.graph.relaxed if i not in self.graph.exact]

    @property
    def _widest(self) -> int:
        return max(node.size for node in self.graph.nodes)
