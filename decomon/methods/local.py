"""How windows pass the nodes of a network, and which nodes they can pass."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias, final

from decomon._backend import Shape, Tensor, tf
from decomon.bounds import Interval, Lines
from decomon.methods.passages import Passage, Straight, Transposed, Units
from decomon.methods.windows import View, Windows
from decomon.nodes import Graph
from decomon.ops._base import AffineOp, ElementwiseOp, NonlinearOp, Stencil

# A window that covers most of a node costs more than whole rows do.
_LARGEST_PART = 0.5

Sent: TypeAlias = tuple[tuple[Windows, ...], Tensor | None]
"""Windows on each input, and the offset, ``(batch or 1, spec, 1)``."""


class LocalPassage(abc.ABC):
    """One node, as windows pass it: what does not depend on the rows is computed once."""

    @property
    def exact(self) -> bool:
        """Whether rows and their negatives are treated alike: the node is affine."""
        return True

    def begin(self, neurons: Units) -> Sent:
        """Return :meth:`send` for the rows that select some neurons of a local op."""
        raise TypeError(f"Windows do not begin at {self!r}")

    @abc.abstractmethod
    def send(self, rows: Windows) -> Sent:
        """Bound ``rows . y`` from above by windows on the inputs."""

    def send_both(self, rows: Windows) -> Sent:
        """Do the same for rows and, stacked below, their negatives."""
        return self.send(rows.both_signs())


@final
@dataclass(frozen=True)
class LocalStencil(LocalPassage):
    """A local affine op.

    ``offset`` is None, a patch ``(size, 1)`` or ``(1, windows, size)``.  ``frame`` is one within
    the op's output and zero around it, ``(1, windows, size)``, and None if no window reaches
    outside: what padding put there is no output of the op.
    """

    stencil: Stencil
    target: View
    units: Tensor
    column: Tensor | None
    offset: Tensor | None
    frame: Tensor | None

    def begin(self, neurons: Units) -> Sent:
        channels = neurons.shape[-1]
        values = tf.gather(self.units, neurons.places % channels)
        rows = Windows(self.target, neurons.places // channels, values)
        return (rows,), None if self.column is None else tf.gather(self.column, neurons.places)

    def send(self, rows: Windows) -> Sent:
        view = rows.view
        if self.frame is not None:
            rows = rows.times(self.frame)
        folded = tf.reshape(rows.values, [-1, *view.sides, view.channels])
        spread = self.stencil.spread(folded)
        shape = tf.shape(rows.values)
        sent = rows.at(tf.reshape(spread, [shape[0], shape[1], self.target.size]), self.target)
        return (sent,), inner(rows, self.offset)


@final
@dataclass(frozen=True)
class LocalFactors(LocalPassage):
    """An affine op that acts on each entry alone; factors are None where they are one."""

    factors: tuple[Tensor | None, ...]
    offset: Tensor | None

    def send(self, rows: Windows) -> Sent:
        sent = tuple(rows if factor is None else rows.times(factor) for factor in self.factors)
        return sent, inner(rows, self.offset)


@final
@dataclass(frozen=True)
class OwnLines(LocalPassage):
    """A function of each entry between two lines that every row has for itself.

    Slopes and offsets are ``(batch, 1 or 2, n, size)``: both signs of a row apart.
    """

    lines: Lines

    @property
    def exact(self) -> bool:
        return False

    def send(self, rows: Windows) -> Sent:
        lines = self.lines
        gap = lines.upper_slope - lines.lower_slope
        return _between(rows, lines.lower_slope, gap, lines.lower_offset, lines.upper_offset)


@final
@dataclass(frozen=True)
class LocalLines(LocalPassage):
    """A function of each entry between two lines that all rows share; see :class:`Straight`."""

    lower: Tensor
    gap: Tensor
    lower_offset: Tensor | None
    upper_offset: Tensor

    @property
    def exact(self) -> bool:
        return False

    def send(self, rows: Windows) -> Sent:
        patches = (self.lower, self.gap, self.lower_offset, self.upper_offset)
        return _between(rows, *(None if p is None else rows.own(p)[:, None] for p in patches))

    def send_both(self, rows: Windows) -> Sent:
        values = rows.values
        positive = tf.nn.relu(values)
        negative = positive - values
        gap, above = rows.own(self.gap), rows.own(self.upper_offset)
        level = values * rows.own(self.lower)
        sent = tf.concat([level + positive * gap, negative * gap - level], axis=1)
        upper, negated = positive * above, negative * above
        if self.lower_offset is not None:
            below = rows.own(self.lower_offset)
            upper, negated = upper - negative * below, negated - positive * below
        terms = [tf.reduce_sum(part, axis=2, keepdims=True) for part in (upper, negated)]
        return (rows.at(sent),), tf.concat(terms, axis=1)


def inner(rows: Windows, patches: Tensor | None) -> Tensor | None:
    """Multiply rows by what all windows, or each one, have in their places."""
    if patches is None:
        return None
    if len(patches.shape) == 2:
        return tf.matmul(rows.values, patches)
    return rows.summed(rows.paired() * rows.own(patches)[:, None])


def _between(
    rows: Windows,
    lower: Tensor,
    gap: Tensor,
    lower_offset: Tensor | None,
    upper_offset: Tensor,
) -> Sent:
    """Substitute lines whose parts are ``(batch, 1 or 2, n, size)``; see :class:`Straight`."""
    values = rows.paired()
    positive = tf.nn.relu(values)
    term = positive * upper_offset
    if lower_offset is not None:
        term += (values - positive) * lower_offset
    return (rows.stacked(values * lower + positive * gap),), rows.summed(term)


@final
@dataclass(frozen=True)
class Local:
    """Which nodes a substitution passes with windows, and how, by index."""

    views: Mapping[int, View]
    passages: Callable[[int], LocalPassage]


def _nowhere(index: int) -> LocalPassage:
    raise KeyError(index)


NOT_LOCAL = Local(MappingProxyType({}), _nowhere)
"""No node is passed with windows."""


def localize(passage: Passage, view: View, shapes: Sequence[Shape]) -> LocalPassage:
    """Prepare how windows pass a node, which :func:`views` says they do.

    ``shapes`` are those of the node's inputs.
    """
    if isinstance(passage, Straight):
        below = passage.lower_offset
        return LocalLines(
            view.patches(passage.lower[:, 0]),
            view.patches(passage.gap[:, 0]),
            None if below is None else view.patches(below),
            view.patches(passage.upper_offset),
        )
    if not isinstance(passage, Transposed):
        raise TypeError(f"Windows cannot pass {passage!r}")
    column, dtype = passage.column, passage.dtype
    offset = None if column is None else view.patches(column[None])
    stencil = passage.op.stencil(shapes)
    if stencil is None:
        factors = passage.op.factors(shapes, passage.shape, dtype)
        cut = (None if factor is None else view.patches(factor) for factor in factors)
        return LocalFactors(tuple(cut), offset)
    channels = view.channels
    eye = tf.reshape(tf.eye(channels, dtype=dtype), [channels, *[1] * len(view.sides), channels])
    target = view.before(stencil, shapes[0])
    units = tf.reshape(stencil.spread(eye), [channels, math.prod(stencil.sides) * shapes[0][-1]])
    if offset is not None and view.inside:
        # Offsets of a local op are the same everywhere.
        offset = offset[0, 0, :, None]
    frame = None if view.inside else view.patches(tf.ones([1, *view.frame], dtype))
    return LocalStencil(stencil, target, units, column, offset, frame)


def own_lines(
    op: NonlinearOp, ends: tuple[Tensor, Tensor], parameters: tuple[Tensor, ...]
) -> OwnLines:
    """Relax a function for each row.

    Parameters
    ----------
    ends : of the intervals in the windows of the rows, ``(batch, n, size)``
    parameters : ``(batch, 2 n, size)``
    """
    shape = tf.shape(ends[0])
    apart = tf.stack([shape[0], 2, shape[1], shape[2]])
    paired = tuple(tf.reshape(value, apart) for value in parameters)
    lines = op.relax([Interval(*ends)], paired)
    if not isinstance(lines, Lines):
        raise TypeError(f"Rows cannot have lines of their own: {op!r}")
    return OwnLines(lines)


def optimised_views(graph: Graph, start: int) -> Mapping[int, View]:
    """Say the same where relaxations have parameters of their own for every row."""
    found = views(graph, start)
    ops = [graph.nodes[i].op for i in found]
    uniform = all(op.uniform for op in ops if isinstance(op, ElementwiseOp))
    return found if uniform else {}


def views(graph: Graph, start: int) -> Mapping[int, View]:
    """Say which nodes the substitution of neurons of ``start`` passes with windows, and which.

    Only a node all of whose consumers on the way have windows is passed with windows; they may be
    larger than what arrives.
    """
    found: dict[int, View] = {}
    node = graph.nodes[start]
    shapes = [graph.nodes[i].shape for i in node.inputs]
    if len(node.shape) < 2 or not isinstance(node.op, AffineOp) or not node.op.stencil(shapes):
        return found
    arriving: dict[int, list[View | None]] = {start: [View.start(node.shape)]}
    for index in range(start, -1, -1):
        view = _joined(arriving.get(index, [None]))
        if view is None or (index != start and _covers(view)):
            if index in arriving:
                for source in graph.nodes[index].inputs:
                    arriving.setdefault(source, []).append(None)
            continue
        found[index] = view
        if index == 0:
            break
        node = graph.nodes[index]
        for source, before in zip(node.inputs, _before(graph, index, view), strict=True):
            arriving.setdefault(source, []).append(before)
    # What windows do not pass has to be whole when it is reached.
    passed = {i for i in found if i == 0 or all(_before(graph, i, found[i]))}
    return {i: view for i, view in found.items() if i in passed}


def _joined(parts: Sequence[View | None]) -> View | None:
    view = parts[0]
    for other in parts[1:]:
        view = None if view is None or other is None else view.joined(other)
    return view


def _covers(view: View) -> bool:
    return view.size > _LARGEST_PART * math.prod(view.frame)


def _before(graph: Graph, index: int, view: View) -> list[View | None]:
    """Return the windows on each input of a node, None where they cannot pass it."""
    node = graph.nodes[index]
    shapes = [graph.nodes[i].shape for i in node.inputs]
    if isinstance(node.op, ElementwiseOp):
        return [view]
    if isinstance(node.op, AffineOp):
        stencil = node.op.stencil(shapes)
        if stencil is not None:
            fits = node.shape == view.frame and len(shapes[0]) == len(node.shape)
            return [view.before(stencil, shapes[0]) if fits else None]
        if node.op.aligned(shapes, node.shape):
            return [view] * len(shapes)
    return [None] * len(shapes)
