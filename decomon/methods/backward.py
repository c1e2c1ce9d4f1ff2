"""Backward substitution: the one traversal that every affine method shares.

Starting from rows ``A`` at a node, ``A . z`` is rewritten node by node in terms of earlier nodes:
through an affine op by its transpose, through a nonlinear op by the line that is valid for the
sign of each coefficient (Zhang et al. 2018, CROWN, theorem 3.2).  Which nodes the substitution
stops at is what makes a method: the input (CROWN), the nonlinear nodes (interval arithmetic) or the
nodes whose affine bounds are known already (forward).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from decomon._backend import Shape, Tensor, tf
from decomon.methods.local import NOT_LOCAL, Local, LocalPassage
from decomon.methods.passages import Passage, Units, both_signs
from decomon.methods.windows import Windows
from decomon.nodes import Graph

_SHORTEST_STRETCH = 8

Passages: TypeAlias = Callable[[int], Passage]
"""How rows pass each node, by index."""

AtCorner: TypeAlias = Callable[[int, Any], Tensor]
"""Values ``(batch or 1, spec, 1)`` of rows of a node at a corner of the input."""

Rows: TypeAlias = Any
"""A tensor ``(batch or 1, spec, *node shape)``, or :class:`Windows`."""


@final
@dataclass(frozen=True)
class Substituted:
    """``A . z <= sum over nodes of coefficients[i] . z_i + offset``.

    Coefficients are ``(batch or 1, spec, *node shape)``, or windows on the input, and the offset
    is ``(batch or 1, spec)``.  ``relaxed`` holds the rows that arrived at each nonlinear node that
    was passed.
    """

    coefficients: dict[int, Rows]
    offset: Tensor
    relaxed: dict[int, Rows]


def substitute(
    graph: Graph,
    start: int,
    rows: Tensor | Units,
    passages: Passages,
    ends: Collection[int],
    *,
    stretches: Stretches | None = None,
    local: Local = NOT_LOCAL,
    at_corner: AtCorner | None = None,
    also: Mapping[int, Tensor] | None = None,
) -> Substituted:
    """Rewrite ``rows . z_start`` in terms of the input and the nodes in ``ends``.

    Parameters
    ----------
    rows : tensor of shape ``(batch or 1, spec, *shape of start)``, with at least one row; or
        neurons of the node, which are bounded from both sides: the negated rows are stacked
        below the rows, once the first nonlinear node is reached, because affine ops treat both
        alike
    ends : nodes to stop at, besides the input
    stretches : what is shared with other substitutions that have the same passages and no ends
    local : how windows pass nodes, if neurons of the start have windows
    at_corner : evaluates rows of nodes that are affine in the input where the input is smallest;
        the offset is then the value of the bound there, instead of its value at zero, which spares
        the product of the widest rows with the input
    also : rows of earlier nodes, ``(batch, spec, *node shape)``, to add to those of the start

    Notes
    -----
    Affine ops are substituted exactly and relaxations from above, so the result is an upper bound
    of ``rows . z_start``.
    """
    found: dict[int, Rows] = {}
    relaxed: dict[int, Rows] = {}
    stacked = not isinstance(rows, Units)
    walk = _Walk(graph, also or {}, local, _zeros(rows), at_corner, start)
    if not isinstance(rows, Units):
        walk.pending[start] = rows
    elif start == 0 or start in ends or not passages(start).exact:
        walk.pending[start] = rows.rows()
    else:
        # The first step from neurons that are affine in others takes no unit rows.
        passage = local.passages(start) if start in local.views else passages(start)
        walk.add(start, passage.begin(rows))
    while walk.pending:
        index = max(walk.pending)
        if index == 0 or index in ends:
            found[index] = walk.pending.pop(index)
            continue
        if stretches is not None and stacked and stretches.crossed(walk, start):
            stretches.cross(walk, passages)
            continue
        passage = walk.passage(index, passages)
        if not passage.exact:
            relaxed[index] = walk.pending[index]
        if stacked or passage.exact:
            walk.through(index, passage)
            continue
        found = {i: _both_signs(a) for i, a in found.items()}
        walk, stacked = walk.split(index, passage), True
    if not stacked:
        found = {i: _both_signs(a) for i, a in found.items()}
        walk = walk.both_signs()
    return Substituted(found, tf.squeeze(walk.offset, axis=2), relaxed)


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
        self,
        graph: Graph,
        pending: Mapping[int, Rows],
        local: Local,
        offset: Tensor,
        at_corner: AtCorner | None = None,
        start: int = -1,
    ) -> None:
        self.graph = graph
        self.start = start
        self.at_corner = at_corner
        self.pending = dict(pending)
        self.local = local
        self.spec = _Spec(_row_count(offset))
        self.offset = offset

    @property
    def windowed(self) -> bool:
        """Whether some rows are windows."""
        return any(isinstance(rows, Windows) for rows in self.pending.values())

    def passage(self, index: int, passages: Passages) -> Passage | LocalPassage:
        """Return how the rows of one node pass it."""
        windowed = isinstance(self.pending[index], Windows)
        return self.local.passages(index) if windowed else passages(index)

    def through(self, index: int, passage: Passage | LocalPassage) -> None:
        """Move the rows of one node to its inputs."""
        rows = self.pending.pop(index)
        if isinstance(passage, LocalPassage):
            self.add(index, passage.send(rows))
        else:
            self.add(index, passage.send(rows, self.spec.unfold))

    def split(self, index: int, passage: Passage | LocalPassage) -> _Walk:
        """Return the same walk with all rows' negatives stacked below, moved past a node."""
        rows = self.pending.pop(index)
        walk = self.both_signs()
        if isinstance(passage, LocalPassage):
            walk.add(index, passage.send_both(rows))
        else:
            walk.add(index, passage.send_both(rows, self.spec.unfold, walk.spec.unfold))
        return walk

    def add(self, index: int, sent: tuple[Sequence[Rows | None], Tensor | None]) -> None:
        """Take what the rows of a node become."""
        parts, term = sent
        # Rows of such a node came here with their value, unless they began here.
        counted = self.at_corner is not None and index in self.graph.linear and index != self.start
        for source, part in zip(self.graph.nodes[index].inputs, parts, strict=True):
            if part is not None:
                self.receive(source, part, counted)
        if term is not None and not counted:
            self.offset = self.offset + term

    def _fitting(self, index: int, rows: Rows) -> Rows:
        """Return windows as the node is passed with, or whole rows."""
        if not isinstance(rows, Windows):
            return rows
        view = self.local.views.get(index)
        return rows.widened(view) if view else rows.dense(self.graph.nodes[index].shape)

    def receive(self, index: int, rows: Rows, counted: bool = False) -> None:
        """Add rows to those that a node has.

        ``counted`` says that their value at the corner is a part of the offset already.
        """
        rows = self._fitting(index, rows)
        if self.at_corner is not None and index in self.graph.linear and not counted:
            self.offset = self.offset + self.at_corner(index, rows)
        known = self.pending.get(index)
        self.pending[index] = rows if known is None else known + rows

    def both_signs(self) -> _Walk:
        """Return the same walk with all rows' negatives stacked below."""
        pending = {i: _both_signs(rows) for i, rows in self.pending.items()}
        offset = both_signs(self.offset)
        return _Walk(self.graph, pending, self.local, offset, self.at_corner, self.start)


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

    def crossed(self, walk: _Walk, start: int) -> bool:
        """Say whether rows are about to cross a stretch that lies before the start's own.

        A stretch with nodes that are affine in the input is not shared where their values at a
        corner are counted.
        """
        number = self.number(max(walk.pending))
        if number >= self.number(start) or walk.windowed:
            return False
        linear = walk.at_corner is not None and any(
            self.number(i) == number for i in self.graph.linear if i > 0
        )
        return not linear

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
            pending = dict(zip(entries, rows, strict=True))
            walk = _Walk(self.graph, pending, NOT_LOCAL, _zeros(rows[0]))
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


def _zeros(rows: Tensor | Units) -> Tensor:
    """Return offsets of zero, ``(batch or 1, spec, 1)``."""
    if isinstance(rows, Units):
        return rows.nothing()
    return tf.zeros([1, _row_count(rows), 1], rows.dtype)


def _both_signs(rows: Rows) -> Rows:
    return rows.both_signs() if isinstance(rows, Windows) else both_signs(rows)


def _row_count(rows: Tensor) -> Any:
    """Return the number of rows, as a number if it is known."""
    known = rows.shape[1]
    return tf.shape(rows)[1] if known is None else known
