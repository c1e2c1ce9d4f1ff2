"""The rectifier with a trained slope for each neuron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Tensor, keras, tf
from decomon.bounds import Interval, Lines
from decomon.ops._base import ElementwiseOp, Op, SlopeRule
from decomon.ops._registry import Call, read, register
from decomon.rounding import precision


@final
@dataclass(frozen=True, eq=False)
class ParametricHinge(ElementwiseOp):
    """``f(z) = alpha z`` for ``z < 0`` and ``z`` for ``z >= 0``; convex if ``alpha <= 1``.

    Parameter: where the slope of the line through the kink lies between both pieces' slopes, 0
    being the left one's.

    Attributes
    ----------
    alpha : variable
        Read at run time; of any sign; broadcasts against one sample.
    """

    alpha: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (z,) = inputs
        return tf.where(z < 0, read(self.alpha, z.dtype) * z, z)

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image, rounded outward: extremal are the ends, and the kink inside.

        The product on the left is off by at most ``u`` times itself, or by an underflow; the step
        outward rounds too.  Its sign is known, so rounding never crosses zero.
        """
        (z,) = inputs
        alpha = read(self.alpha, z.lower.dtype)
        first, second = self._image(z.lower, alpha), self._image(z.upper, alpha)
        least = tf.minimum(first.lower, second.lower)
        inside = (alpha < 0) & (z.lower < 0) & (z.upper > 0)
        least = tf.where(inside, tf.zeros_like(least), least)
        return Interval(least, tf.maximum(first.upper, second.upper))

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        return (_inside(intervals[0]),)

    def cut(self, interval: Interval) -> Tensor:
        return tf.zeros_like(interval.lower)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        """Return what the rule chooses for ReLU.

        Subtracting a line and scaling turns the function into ReLU or minus ReLU, and the rules
        commute with both.
        """
        return (rule.choose(intervals[0], 0.0, 1.0),)

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Lines:
        """Bound the function by a line through its kink from one side, by its chord from the other.

        Where the interval does not contain zero inside, both lines are the piece.  Otherwise, a
        convex function is above any line through the kink whose slope lies between those of
        the pieces (Zhang et al. 2018, section 3.2), and below its chord; a concave one the other
        way round.  Whatever the chord's slope s was rounded to, the line is valid if it is at both
        ends; its offset ``f(e) - s e`` there is off by at most ``2 u (|f(e)| + |s e|)`` and three
        underflows or flushed operands, and moved outward by as much.
        """
        (interval,), (position,) = intervals, parameters
        lower, upper = interval.lower, interval.upper
        eps, tiny = precision(lower)
        alpha = read(self.alpha, lower.dtype)
        convex = (alpha <= 1) & tf.ones_like(lower, tf.bool)
        flattest, steepest = tf.minimum(alpha, 1.0), tf.maximum(alpha, 1.0)

        chord = tf.math.divide_no_nan(upper - alpha * lower, upper - lower)
        chord = tf.clip_by_value(chord, flattest, steepest)
        left, right = alpha * lower - chord * lower, upper - chord * upper
        sizes = tf.maximum(
            (tf.abs(alpha) + tf.abs(chord)) * tf.abs(lower), (1 + tf.abs(chord)) * tf.abs(upper)
        )
        error = 2 * eps * sizes + 4 * tiny * (1 + tf.abs(alpha))
        offset = tf.where(convex, tf.maximum(left, right) + error, tf.minimum(left, right) - error)

        through = (1 - position) * alpha + position
        through = tf.clip_by_value(through, flattest, steepest)
        piece = tf.where(lower >= 0, tf.ones_like(lower), alpha * tf.ones_like(lower))[:, None]
        inside, convex = _inside(interval)[:, None], convex[:, None]
        chord, offset, zero = chord[:, None], offset[:, None], tf.zeros_like(piece)
        return Lines(
            lower_slope=tf.where(inside, tf.where(convex, through, chord), piece),
            lower_offset=tf.where(inside & ~convex, offset, zero),
            upper_slope=tf.where(inside, tf.where(convex, chord, through), piece),
            upper_offset=tf.where(inside & convex, offset, zero),
        )

    def _image(self, end: Tensor, alpha: Tensor) -> Interval:
        """Return an interval around the value at one end."""
        eps, tiny = precision(end)
        value = alpha * end
        error = eps * tf.abs(value) + 2 * tiny * (1 + tf.abs(alpha))
        lower, upper = value - error, value + error
        rising = alpha >= 0  # left of zero
        lower = tf.where(rising, lower, tf.nn.relu(lower))
        upper = tf.where(rising, -tf.nn.relu(-upper), upper)
        exact = (end >= 0) | (alpha == 0)
        value = tf.maximum(end, 0.0)
        return Interval(tf.where(exact, value, lower), tf.where(exact, value, upper))


def _inside(interval: Interval) -> Tensor:
    return (interval.lower < 0) & (interval.upper > 0)


@register(keras.layers.PReLU)
def prelu(call: Call) -> Sequence[Op]:
    """Slopes of shared axes broadcast."""
    return [ParametricHinge(call.layer.alpha)]
