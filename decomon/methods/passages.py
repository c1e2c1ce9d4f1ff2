"""How rows at one node become rows at its inputs, prepared once for all substitutions.

A relaxation without parameters of its own, and the offset of an affine op, do not depend on where a
substitution starts.  As every nonlinear node of a deep network is passed by the
substitutions of all nodes behind it, what does not depend on the rows is computed once here.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import column_product, size_of, sum_to
from decomon.bounds import Lines, Planes, Relaxation
from decomon.ops._base import AffineOp

Unfold: TypeAlias = Callable[[Tensor, Shape], Tensor]
"""Gives a tensor of rows ``(n, ...)`` the shape ``(-1, spec, *shape)``."""

Sent: TypeAlias = tuple[tuple[Tensor | None, ...], Tensor | None]
"""Rows at each input, ``(batch or 1, spec, *input shape)``, and the offset, ``(..., spec, 1)``."""


@final
@dataclass(frozen=True)
class Units:
    """Neurons of a node of some shape, by position: as rows, they are one-hot.

    ``places`` is ``(batch or 1, spec)``.
    """

    places: Tensor
    shape: Shape
    dtype: Any

    def rows(self) -> Tensor:
        """Return the rows that select these neurons: ``(batch or 1, spec, *shape)``."""
        rows = tf.one_hot(self.places, size_of(self.shape), dtype=self.dtype)
        return self.unfold(rows, self.shape)

    def nothing(self) -> Tensor:
        """Return offsets of zero, ``(batch or 1, spec, 1)``."""
        return tf.zeros_like(self.places, dtype=self.dtype)[..., None]

    def unfold(self, values: Tensor, shape: Shape) -> Tensor:
        """Give a tensor of rows ``(n, ...)`` the shape ``(batch or 1, spec, *shape)``."""
        unfolded = tf.reshape(values, tf.concat([tf.shape(self.places), shape], axis=0))
        unfolded.set_shape([*self.places.shape, *shape])
        return unfolded


class Passage(abc.ABC):
    """One node, as backward substitution sees it."""

    @property
    @abc.abstractmethod
    def exact(self) -> bool:
        """Whether rows and their negatives are treated alike: the node is affine."""

    @abc.abstractmethod
    def send(self, rows: Tensor, unfold: Unfold) -> Sent:
        """Bound ``rows . y`` from above by ``sum_i sent_i . x_i + offset``.

        Parameters
        ----------
        rows : tensor of shape ``(batch or 1, spec, *output shape)``
        """

    def send_both(self, rows: Tensor, unfold: Unfold, unfold_both: Unfold) -> Sent:
        """Bound ``rows . y`` and, stacked below, ``-rows . y`` from above.

        ``unfold`` is for as many rows as there are without their negatives.
        """
        return self.send(both_signs(rows), unfold_both)

    def begin(self, neurons: Units) -> Sent:
        """Return :meth:`send` for the rows that select some neurons."""
        return self.send(neurons.rows(), neurons.unfold)


@final
@dataclass(frozen=True)
class Transposed(Passage):
    """An affine op: the spec axis is folded into the batch axis around its transpose.

    ``shapes`` are those of the inputs, ``shape`` that of the output, and ``column`` is the offset
    as a matrix ``(n, 1)``, or None if it is zero.
    """

    op: AffineOp
    shapes: tuple[Shape, ...]
    shape: Shape
    column: Tensor | None
    dtype: Any

    @property
    def exact(self) -> bool:
        return True

    def send(self, rows: Tensor, unfold: Unfold) -> Sent:
        shape = tuple(rows.shape[2:])
        folded = tf.reshape(rows, [-1, *shape])
        parts = self.op.transpose(folded, self.shapes)
        # An op that hands on what it got need not be unfolded.
        sent = tuple(
            None if part is None else rows if part is folded else unfold(part, source)
            for part, source in zip(parts, self.shapes, strict=True)
        )
        if self.column is None:
            return sent, None
        return sent, tf.matmul(as_matrix(rows, unfold), self.column)

    def begin(self, neurons: Units) -> Sent:
        places = tf.reshape(neurons.places, [-1])
        parts = self.op.select(places, neurons.shape, self.shapes, neurons.dtype)
        if parts is None:
            return super().begin(neurons)
        sent = tuple(
            neurons.unfold(part, shape) for part, shape in zip(parts, self.shapes, strict=True)
        )
        return sent, None if self.column is None else tf.gather(self.column, neurons.places)


@final
@dataclass(frozen=True)
class Straight(Passage):
    """An elementwise function between two lines that all rows share.

    ``lower`` and ``gap`` are ``(batch, 1, *shape)``: the lower slope and how much larger the upper
    one is; the offsets are matrices ``(batch, n, 1)``, the lower one None if it is zero.
    """

    lower: Tensor
    gap: Tensor
    lower_offset: Tensor | None
    upper_offset: Tensor

    @property
    def exact(self) -> bool:
        return False

    def send(self, rows: Tensor, unfold: Unfold) -> Sent:
        # Positive rows take the upper line, others the lower one, in as few passes as possible.
        positive = tf.nn.relu(rows)
        sent = rows * self.lower + positive * self.gap
        offset = column_product(as_matrix(positive, unfold), self.upper_offset)
        if self.lower_offset is not None:
            offset += column_product(as_matrix(rows - positive, unfold), self.lower_offset)
        return (sent,), offset

    def send_both(self, rows: Tensor, unfold: Unfold, unfold_both: Unfold) -> Sent:
        # Both signs share the parts of either sign, and what is shared by all rows.
        positive = tf.nn.relu(rows)
        negative = positive - rows
        lower, gap = _halves(self.lower), _halves(self.gap)
        levels = [rows * part for part in lower[: 1 if lower[0] is lower[1] else 2]]
        sent = tf.concat([levels[0] + positive * gap[0], negative * gap[1] - levels[-1]], axis=1)
        positive, negative = as_matrix(positive, unfold), as_matrix(negative, unfold)
        above = [column_product(part, self.upper_offset) for part in (positive, negative)]
        if self.lower_offset is not None:
            below = [column_product(part, self.lower_offset) for part in (positive, negative)]
            above = [above[0] - below[1], above[1] - below[0]]
        return (sent,), tf.concat(above, axis=1)


@final
@dataclass(frozen=True)
class Flat(Passage):
    """An elementwise function of several tensors between two planes that all rows share.

    ``lower`` and ``upper`` slopes are ``(batch, 1, *shape)``, one per input; offsets are matrices
    ``(batch, n, 1)``; ``shapes`` are the inputs' own.
    """

    shapes: tuple[Shape, ...]
    lower: tuple[Tensor, ...]
    upper: tuple[Tensor, ...]
    lower_offset: Tensor
    upper_offset: Tensor

    @property
    def exact(self) -> bool:
        return False

    def send(self, rows: Tensor, unfold: Unfold) -> Sent:
        positive = tf.nn.relu(rows)
        negative = rows - positive
        sent: list[Tensor] = []
        for upper, lower, shape in zip(self.upper, self.lower, self.shapes, strict=True):
            part = positive * upper + negative * lower
            sent.append(part if tuple(part.shape[2:]) == shape else sum_to(part, shape))
        offset = tf.matmul(as_matrix(positive, unfold), self.upper_offset)
        offset += tf.matmul(as_matrix(negative, unfold), self.lower_offset)
        return tuple(sent), offset


@final
@dataclass(frozen=True)
class Relaxed(Passage):
    """Any other relaxation."""

    relaxation: Relaxation

    @property
    def exact(self) -> bool:
        return False

    def send(self, rows: Tensor, unfold: Unfold) -> Sent:
        sent, offset = self.relaxation.substitute(rows)
        return sent, offset[..., None]


def both_signs(rows: Tensor) -> Tensor:
    """Stack rows and their negatives on the spec axis: upper bounds of ``z`` and of ``-z``."""
    return tf.concat([rows, -rows], axis=1)


def _halves(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return what holds for rows and for their negatives."""
    if values.shape[1] == 1:
        return values, values
    above, below = tf.split(values, 2, axis=1)
    return above, below


def through_affine(
    op: AffineOp, shapes: Sequence[Shape], shape: Shape, dtype: Tensor
) -> Transposed:
    """Prepare an affine op."""
    offset = op.offset(shapes, dtype)
    column = None if offset is None else tf.reshape(offset, [size_of(offset.shape[1:]), 1])
    return Transposed(op, tuple(shapes), shape, column, dtype)


def through_relaxation(relaxation: Relaxation) -> Passage:
    """Prepare the relaxation of a nonlinear op."""
    if isinstance(relaxation, Lines) and _shared(relaxation.upper_offset, relaxation.lower_offset):
        lower = relaxation.lower_offset
        return Straight(
            relaxation.lower_slope,
            relaxation.upper_slope - relaxation.lower_slope,
            None if lower is None else _column(lower),
            _column(relaxation.upper_offset),
        )
    if isinstance(relaxation, Planes) and _shared(relaxation.upper_offset, relaxation.lower_offset):
        return Flat(
            relaxation.shapes,
            relaxation.lower_slopes,
            relaxation.upper_slopes,
            _column(relaxation.lower_offset),
            _column(relaxation.upper_offset),
        )
    return Relaxed(relaxation)


def as_matrix(rows: Tensor, unfold: Unfold) -> Tensor:
    """``(batch, spec, *shape)`` to ``(batch, spec, n)``."""
    if len(rows.shape) == 3:
        return rows
    return unfold(rows, (size_of(rows.shape[2:]),))


def _shared(*offsets: Tensor | None) -> bool:
    """Say whether all rows have the same offsets: parameters may be shared on one side only."""
    return all(values is None or values.shape[1] == 1 for values in offsets)


def _column(values: Tensor) -> Tensor:
    """``(batch, 1, *shape)`` to ``(batch, n, 1)``."""
    return tf.reshape(values, [-1, size_of(values.shape[2:]), 1])
