"""Value types for bounds.

Conventions: a batch axis comes first; coefficients have axes ``[batch, spec, *node shape]``;
everything is an *upper* bound of ``A . z`` (a lower bound is minus the upper bound of ``-A . z``).
"""

from __future__ import annotations

from dataclasses import dataclass

from decomon._backend import Tensor, tf


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

    def intersect(self, other: Interval) -> Interval:
        """Return the tighter of both on each side.

        Both contain the exact range, so their intersection does too; rounding may leave the
        sides crossed by a few ulp on degenerate intervals, and then both keep the looser order.
        """
        lower = tf.maximum(self.lower, other.lower)
        upper = tf.minimum(self.upper, other.upper)
        return Interval(tf.minimum(lower, upper), tf.maximum(lower, upper))


@dataclass(frozen=True)
class Lines:
    """A lower and an upper line of an elementwise function, valid on an interval.

    ``lower_slope * z + lower_offset <= f(z) <= upper_slope * z + upper_offset``, each of shape
    ``(batch, 1 or spec, *node shape)``: an optimised relaxation has its own lines per spec row.
    ``lower_offset`` is None if all lower lines pass through the origin.
    """

    lower_slope: Tensor
    lower_offset: Tensor | None
    upper_slope: Tensor
    upper_offset: Tensor


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
