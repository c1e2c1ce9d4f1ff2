"""Backward substitution: the one traversal that every affine method shares.

Starting from rows ``A`` at a node, ``A . z`` is rewritten node by node in terms of earlier nodes:
through an affine op by its transpose, through a nonlinear op by the line that is valid for the
sign of each coefficient (Zhang et al. 2018, CROWN, theorem 3.2).  Which nodes the substitution
stops at is what makes a method: the input (CROWN), the nonlinear nodes (interval arithmetic) or the
nodes whose affine bounds are known already (forward).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from decomon._backend import Shape, Tensor, tf
from decomon.methods.passages import Passage
from decomon.nodes import Graph

_SHORTEST_STRETCH = 8

Passages: TypeAlias = Callable[[int], Passage]
"""How rows pass each node, by index."""


@final
@dataclass(frozen=True)
class Substituted:
    """``A . z <= sum over nodes of coefficients[i] . z_i + offset``.

    Coefficients are ``(batch or 1, spec, *node shape)`` and the offset ``(batch or 1, spec)``.
    """

    coefficients: dict[int, Tensor]
    offset: Tensor


def substitute(
    graph: Graph,
    start: int,
    rows: Tensor,
    passages: Passages,
    ends: Collection[int],
    *,
    two_sided: bool = False,
    stretches: Stretches | None = None,
) -> Substituted:
    """Rewrite ``rows . z_start`` in terms of the input and the nodes in ``ends``.

    Parameters
    ----------
    rows : tensor of shape ``(batch or 1, spec, *shape of start)``, with at least one row
    ends : nodes to stop at, besides the input
    two_sided : stack the negated rows below the rows; as affine ops treat both alike, that
        happens only once the first nonlinear node is reached
    stretches : what is shared with other substitutions that have the same passages and no ends

    Notes
    -----
    Affine ops are substituted exactly and relaxations from above, so the result is an upper bound
    of ``rows . z_start``.
    """
    walk = _Walk(graph, {start: rows})
    found: dict[int, Tensor] = {}
    stacked = not two_sided
    while walk.pending:
        index = max(walk.pending)
        if index == 0 or index in ends:
            found[index] = walk.pending.pop(index)
            continue
        if stacked and stretches is not None and stretches.number(index) < stretches.number(start):
            stretches.cross(walk, passages)
            continue
        passage = passages(index)
        if not (stacked or passage.exact):
            found = {i: _both_signs(a) for i, a in found.items()}
            walk, stacked = walk.both_signs(), True
        walk.through(index, passage)
    if not stacked:
        found = {i: _both_signs(a) for i, a in found.items()}
        walk = walk.both_signs()
    return Substituted(found, tf.squeeze(walk.offset, axis=2))


def passed(graph: Graph, start: int, ends: Collection[int]) -> tuple[int, ...]:
    """Return the nonlinear nodes that a substitution may pass, in descending order."""
    reached = {start}
    for index in range(start, 0, -1):
        if index in reached and index not in ends:
            reached.update(graph.nodes[index].inputs)
    nonlinear = reached.difference(ends).intersection(graph.nonlinear)
    return tuple(sorted(nonlinear, reverse=True))


@final
class _Walk:
    """The state of one substitution: rows at the nodes that are still to be passed.

    The offset is ``(batch or 1, spec, 1)``.
    """

    def __init__(
        self, graph: Graph, pending: Mapping[int, Tensor], offset: Tensor | None = None
    ) -> None:
        rows: Any = next(iter(pending.values()), offset)
        self.graph = graph
        self.pending = dict(pending)
        self.spec = _Spec(_row_count(rows))
        self.offset = tf.zeros([1, self.spec.count, 1], rows.dtype) if offset is None else offset

    def through(self, index: int, passage: Passage) -> None:
        """Move the rows of one node to its inputs."""
        sent, term = passage.send(self.pending.pop(index), self.spec.unfold)
        for source, part in zip(self.graph.nodes[index].inputs, sent, strict=True):
            if part is not None:
                self.receive(source, part)
        if term is not None:
            self.offset = self.offset + term

    def receive(self, index: int, rows: Tensor) -> None:
        """Add rows to those that a node has."""
        known = self.pending.get(index)
        self.pending[index] = rows if known is None else known + rows

    def both_signs(self) -> _Walk:
        """Return the same walk with all rows' negatives stacked below."""
        pending = {i: _both_signs(rows) for i, rows in self.pending.items()}
        return _Walk(self.graph, pending, _both_signs(self.offset))


@final
@dataclass(frozen=True)
class _Crossing:
    """A compiled stretch: rows at some of its nodes in, rows at ``targets`` and an offset out."""

    function: Any
    targets: tuple[int, ...]


@final
@dataclass
class Stretches:
    """Stretches of a graph's nodes that many substitutions cross, each compiled once.

    A substitution from every node of a long graph passes a number of nodes that is quadratic in
    its length; with about as many stretches as a stretch has nodes, what is traced
    for one substitution falls to the square root of the length.
    """

    graph: Graph
    crossings: dict[tuple[int, ...], _Crossing | None] = field(
        default_factory=dict[tuple[int, ...], "_Crossing | None"]
    )

    def number(self, index: int) -> int:
        """Return the number of the stretch that a node belongs to."""
        return (index - 1) // self._length

    def cross(self, walk: _Walk, passages: Passages) -> None:
        """Take all rows of the last stretch that has any to earlier stretches, or the input."""
        last = self.number(max(walk.pending))
        entries = tuple(sorted(i for i in walk.pending if i > 0 and self.number(i) == last))
        if entries not in self.crossings:  # perhaps nobody else comes this way
            self.crossings[entries] = None
            self._walk(walk, last, passages)
            return
        crossing = self.crossings[entries]
        if crossing is None:
            crossing = self._compile(entries, last, passages, walk.offset.dtype)
            self.crossings[entries] = crossing
        offset, *parts = crossing.function(*(walk.pending.pop(i) for i in entries))
        walk.offset = walk.offset + offset
        for target, part in zip(crossing.targets, parts, strict=True):
            walk.receive(target, part)

    def _walk(self, walk: _Walk, number: int, passages: Passages) -> None:
        while walk.pending and self.number(index := max(walk.pending)) >= number and index > 0:
            walk.through(index, passages(index))

    @property
    def _length(self) -> int:
        return max(_SHORTEST_STRETCH, math.isqrt(len(self.graph.nodes)))

    def _compile(
        self, entries: tuple[int, ...], number: int, passages: Passages, dtype: Any
    ) -> _Crossing:
        targets: list[int] = []

        def run(*rows: Tensor) -> list[Tensor]:
            walk = _Walk(self.graph, dict(zip(entries, rows, strict=True)))
            self._walk(walk, number, passages)
            targets.extend(walk.pending)
            return [walk.offset, *walk.pending.values()]

        specs = [tf.TensorSpec([None, None, *self.graph.nodes[i].shape], dtype) for i in entries]
        # Inlined again, nothing would be gained.
        compiled = tf.function(run, autograph=False, experimental_attributes={"_noinline": True})
        return _Crossing(compiled.get_concrete_function(*specs), tuple(targets))


@final
@dataclass(frozen=True)
class _Spec:
    """The number of rows of a substitution, and the target shapes it was asked for before."""

    count: Any
    targets: dict[Shape, Any] = field(default_factory=dict[Shape, Any])

    def unfold(self, values: Tensor, shape: Shape) -> Tensor:
        """``(n, ...)`` to ``(-1, spec, *shape)``."""
        if shape not in self.targets:
            self.targets[shape] = tf.stack([-1, self.count, *shape])
        unfolded = tf.reshape(values, self.targets[shape])
        unfolded.set_shape([None, None, *shape])
        return unfolded


def _row_count(rows: Tensor) -> Any:
    """Return the number of rows, as a number if it is known."""
    known = rows.shape[1]
    return tf.shape(rows)[1] if known is None else known


def _both_signs(rows: Tensor) -> Tensor:
    """Stack rows and their negatives on the spec axis: upper bounds of ``z`` and of ``-z``."""
    return tf.concat([rows, -rows], axis=1)
