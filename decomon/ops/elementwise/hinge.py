"""Convex functions of two linear pieces that meet at zero: ReLU, leaky ReLU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import Interval, Lines
from decomon.ops._base import ElementwiseOp, SlopeRule
from decomon.rounding import units


@final
@dataclass(frozen=True)
class Hinge(ElementwiseOp):
    """``f(z) = left * z`` for ``z < 0`` and ``right * z`` for ``z >= 0``, with ``left <= right``.

    ReLU is ``Hinge(0, 1)``.
    """

    left: float = 0.0
    right: float = 1.0

    def __post_init__(self) -> None:
        if not self.left <= self.right:
            raise ValueError(
                "A hinge is convex: its left slope must not exceed its right slope. "
                f"Received: left={self.left}, right={self.right}"
            )

    @property
    def uniform(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (z,) = inputs
        if (self.left, self.right) == (0.0, 1.0):
            return tf.nn.relu(z)
        return tf.where(z < 0, self.left * z, self.right * z)

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image: a convex function is largest at an end of the interval.

        It is smallest at an end too, or at the kink, where its value is zero, if the kink lies
        inside.  Unless all slopes are 0 or one in size, the ends are moved outward by the
        rounding of the slope and of the product.
        """
        (z,) = inputs
        low, high = self(z.lower), self(z.upper)
        least, most = tf.minimum(low, high), tf.maximum(low, high)
        if not self._exact:
            unit, tiny = units(least)
            least = least - (3 * unit * tf.abs(least) + tiny)
            most = most + (3 * unit * tf.abs(most) + tiny)
        if self.left < 0 < self.right:
            least = tf.where(self._inside(z), tf.zeros_like(least), tf.maximum(least, 0.0))
        return Interval(least, most)

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        return (self._inside(intervals[0]),)

    def cut(self, interval: Interval) -> Tensor:
        return tf.zeros_like(interval.lower)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        return (rule.choose(intervals[0], self.left, self.right),)

    def project(self, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (tf.clip_by_value(parameters[0], self.left, self.right),)

    @property
    def _exact(self) -> bool:
        """Whether the function's values are not rounded."""
        return {self.left, self.right} <= {-1.0, 0.0, 1.0}

    def _inside(self, interval: Interval) -> Tensor:
        return (interval.lower < 0) & (interval.upper > 0)

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Lines:
        """Bound the hinge from below by a line through its kink and from above by its chord.

        Where the interval does not contain zero inside, the function is linear there and both
        lines are that piece.  Otherwise: any line through the kink with a slope between the
        two pieces' slopes lies below a convex function, so every admissible parameter is
        sound (Zhang et al. 2018, section 3.2).  A convex function lies below its chord; the
        chord's slope is rounded, so its offset is the larger of those that pass
        through either end: at both ends the line is then not below the function, hence, by
        convexity, nowhere in between (whatever the slope is, even if the division underflowed).
        """
        return self.relaxer(intervals)(parameters)

    def relaxer(self, intervals: Sequence[Interval]) -> Callable[[tuple[Tensor, ...]], Lines]:
        (interval,) = intervals
        lower, upper = interval.lower, interval.upper
        inside = self._inside(interval)
        width = upper - lower
        slope = tf.math.divide_no_nan(self.right * upper - self.left * lower, width)
        slope = tf.clip_by_value(slope, self.left, self.right)
        offset = tf.maximum(self(lower) - slope * lower, self(upper) - slope * upper)
        unit, tiny = units(lower)
        products = tf.maximum(tf.abs(slope * lower), tf.abs(slope * upper))
        # Slopes of pieces are rounded to the compute type, and each piece's value once more.
        pieces = 2 * max(abs(self.left), abs(self.right)) * tf.maximum(-lower, upper)
        if self._exact:
            pieces = tf.zeros_like(lower)
        error = unit * (pieces + products + tf.abs(offset)) + 4 * tiny
        offset = offset + tf.stop_gradient(error)
        inside = inside[:, None]
        piece = tf.where(
            lower >= 0, self.right * tf.ones_like(lower), self.left * tf.ones_like(lower)
        )[:, None]
        upper_slope = tf.where(inside, slope[:, None], piece)
        upper_offset = tf.where(inside, offset[:, None], tf.zeros_like(piece))

        def relax(parameters: tuple[Tensor, ...]) -> Lines:
            (parameter,) = parameters
            lower_slope = tf.where(inside, parameter, piece)
            return Lines(lower_slope, None, upper_slope, upper_offset)

        return relax
