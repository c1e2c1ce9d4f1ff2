"""Value types for bounds.

Conventions: a batch axis comes first; coefficients have axes ``[batch, spec, *node shape]``;
everything is an *upper* bound of ``A . z`` (a lower bound is minus the upper bound of ``-A . z``).
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import final

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import dot, sum_to


@dataclass(frozen=True)
class Interval:
    """Elementwise bounds ``lower <= z <= upper``, both of shape ``(batch, *node shape)``."""

    lower: Tensor
    upper: Tensor

    @property
    def center(self) -> Tensor:
        """Midpoint; halves are added so that the sum cannot overflow."""
        return 0.5 * self.lower + 0.5 * self.upper

    @property
    def radius(self) -> Tensor:
        """Half the width."""
        return 0.5 * self.upper - 0.5 * self.lower

    @property
    def reach(self) -> Tensor:
        """Largest absolute value."""
        return tf.maximum(tf.abs(self.lower), tf.abs(self.upper))

    def intersect(self, other: Interval) -> Interval:
        """Return the tighter of both on each side.

        Both contain the exact range, so their intersection does too; rounding may leave the
        sides crossed by a few ulp on degenerate intervals, and then both keep the looser order.
        """
        lower = tf.maximum(self.lower, other.lower)
        upper = tf.minimum(self.upper, other.upper)
        return Interval(tf.minimum(lower, upper), tf.maximum(lower, upper))


class Relaxation(abc.ABC):
    """A lower and an upper bound of an op's outputs, both affine in the op's inputs."""

    @abc.abstractmethod
    def substitute(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Bound ``rows . f(z)`` from above by ``sum_i new_i . z_i + offset``.

        Where a coefficient is nonnegative, the output is replaced by its upper bound, elsewhere
        by its lower one; each replacement can only increase the row.

        Parameters
        ----------
        rows : tensor of shape ``(batch or 1, spec, *output shape)``

        Returns
        -------
        new rows, one tensor ``(batch, spec, *input shape)`` per input, and the offset, of shape
        ``(batch, spec)``
        """


@final
@dataclass(frozen=True)
class Lines(Relaxation):
    """A lower and an upper line of an elementwise function, valid on an interval.

    ``lower_slope * z + lower_offset <= f(z) <= upper_slope * z + upper_offset``, each of shape
    ``(batch, 1 or spec, *node shape)``: an optimised relaxation has its own lines per spec row.
    ``lower_offset`` is None if all lower lines pass through the origin.
    """

    lower_slope: Tensor
    lower_offset: Tensor | None
    upper_slope: Tensor
    upper_offset: Tensor

    def substitute(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        positive = tf.nn.relu(rows)
        # Positive rows take the upper line, others the lower one, in as few passes as possible.
        sent = rows * self.lower_slope + positive * (self.upper_slope - self.lower_slope)
        offset = dot(positive, self.upper_offset)
        if self.lower_offset is not None:
            offset = offset + dot(rows - positive, self.lower_offset)
        return (sent,), offset


@final
@dataclass(frozen=True)
class Planes(Relaxation):
    """Bounds of an elementwise function of several tensors that broadcast against each other.

    Slopes: one tensor per input, ``(batch, 1 or spec, *output shape)``; offsets the same shape.
    ``shapes`` are the inputs' own shapes, without batch axis.
    """

    shapes: tuple[Shape, ...]
    lower_slopes: tuple[Tensor, ...]
    lower_offset: Tensor
    upper_slopes: tuple[Tensor, ...]
    upper_offset: Tensor

    def substitute(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        positive = tf.nn.relu(rows)
        negative = rows - positive
        sent = tuple(
            sum_to(positive * upper + negative * lower, shape)
            for upper, lower, shape in zip(
                self.upper_slopes, self.lower_slopes, self.shapes, strict=True
            )
        )
        return sent, dot(positive, self.upper_offset) + dot(negative, self.lower_offset)


@final
@dataclass(frozen=True)
class Gathered(Relaxation):
    """Bounds of a function of all entries along the last axis, which it sums up to one value.

    Slopes: ``(batch, 1 or spec, *output shape, n)``, offsets ``(batch, 1 or spec, *output
    shape)``; the input has the shape ``(*output shape, n)``.
    """

    lower_slope: Tensor
    lower_offset: Tensor
    upper_slope: Tensor
    upper_offset: Tensor

    def substitute(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        positive = tf.nn.relu(rows)
        negative = rows - positive
        sent = positive[..., None] * self.upper_slope + negative[..., None] * self.lower_slope
        return (sent,), dot(positive, self.upper_offset) + dot(negative, self.lower_offset)


@final
@dataclass(frozen=True)
class Mixed(Relaxation):
    """Bounds of outputs that each depend on all entries along the last axis.

    Slopes: ``(batch, 1 or spec, *outer, n_out, n_in)``, offsets ``(batch, 1 or spec, *outer,
    n_out)``; the input has the shape ``(*outer, n_in)``.
    """

    lower_slope: Tensor
    lower_offset: Tensor
    upper_slope: Tensor
    upper_offset: Tensor

    def substitute(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        positive = tf.nn.relu(rows)
        negative = rows - positive
        sent = tf.einsum("...i,...ik->...k", positive, self.upper_slope) + tf.einsum(
            "...i,...ik->...k", negative, self.lower_slope
        )
        return (sent,), dot(positive, self.upper_offset) + dot(negative, self.lower_offset)


@dataclass(frozen=True)
class AffineBound:
    """An upper bound ``weights . x + offset`` that is affine in the input of the network.

    ``weights``: ``(batch or 1, spec, *input shape)``; ``offset``: ``(batch or 1, spec)``.
    """

    weights: Tensor
    offset: Tensor


@dataclass(frozen=True)
class AffineBounds:
    """Affine bounds of every neuron of a node: of ``z`` (upper) and of ``-z`` (negated).

    In both, the spec axis runs over the flattened neurons.
    """

    upper: AffineBound
    negated: AffineBound
