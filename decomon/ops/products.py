"""Products of two perturbed tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import sum_to
from decomon.bounds import Interval, Planes
from decomon.ops._base import NonlinearOp, SlopeRule
from decomon.ops._registry import Builder, Call, Value
from decomon.rounding import precision


def multiply(call: Call | Builder, x: Value, y: Value) -> Value:
    """Add the product of two values; of a value with itself it is the square."""
    if x.index == y.index and x.shape == y.shape:
        from decomon.ops.elementwise.curves import SQUARE

        return call.apply(SQUARE, x)
    return call.apply(Product(), x, y)


@final
@dataclass(frozen=True)
class Product(NonlinearOp):
    """``z = x * y``; the inputs broadcast against each other, shorter shapes from the left.

    Parameters: two positions in [0, 1], of the output's shape, between the two lower and between
    the two upper planes.
    """

    def __call__(self, *inputs: Tensor) -> Tensor:
        x, y = align(inputs)
        return x * y

    def interval(self, *intervals: Interval) -> Interval:
        """Return the exact image, rounded outward: a bilinear function is extreme at corners.

        A product is off by at most ``u`` times its size, and so is the step outward; an underflow
        or an operand that is flushed to zero costs ``tiny`` times the other operand more.  The
        signs of the ends say the sign of an end of the image exactly, so rounding never crosses
        zero.
        """
        x, y = _pair(intervals)
        corners = [x.lower * y.lower, x.lower * y.upper, x.upper * y.lower, x.upper * y.upper]
        least = tf.minimum(tf.minimum(corners[0], corners[1]), tf.minimum(corners[2], corners[3]))
        most = tf.maximum(tf.maximum(corners[0], corners[1]), tf.maximum(corners[2], corners[3]))
        eps, tiny = precision(least)
        flushed = 2 * tiny * (1 + x.reach + y.reach)
        lower = least - (2 * eps * tf.abs(least) + flushed)
        upper = most + (2 * eps * tf.abs(most) + flushed)
        zero = ((x.lower == 0) & (x.upper == 0)) | ((y.lower == 0) & (y.upper == 0))
        same = zero | ((x.lower >= 0) & (y.lower >= 0)) | ((x.upper <= 0) & (y.upper <= 0))
        other = zero | ((x.lower >= 0) & (y.upper <= 0)) | ((x.upper <= 0) & (y.lower >= 0))
        return Interval(
            tf.where(same, tf.nn.relu(lower), lower), tf.where(other, -tf.nn.relu(-upper), upper)
        )

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        """Say where both operands vary: with one of them fixed the product is affine."""
        x, y = _pair(intervals)
        both = tf.cast((x.lower < x.upper) & (y.lower < y.upper), x.lower.dtype)[:, None]
        return tuple(sum_to(both, tuple(i.lower.shape[1:]))[:, 0] > 0 for i in intervals)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        """Return the positions whose planes have the tightest range on the box.

        With centres c and radii r, the lower plane at position ``(1 + s) / 2`` has the slopes ``c_y
        + s r_y`` and ``c_x + s r_x`` and the value ``c_x c_y - r_x r_y`` at the centre, so the
        volume below it does not depend on s.  Its least value does: the smaller
        ``|c_y / r_y + s| + |c_x / r_x + s|``, the tighter, hence any s between ``-c_y / r_y`` and
        ``-c_x / r_x``; then its range is exactly the interval image.  Among those, the one nearest
        to 0 has the least largest error.  The upper plane is minus the lower one of ``-x * y``.
        """
        x, y = _pair(intervals)
        at_x, at_y = _relative_center(x), _relative_center(y)
        return 0.5 + 0.5 * _nearest_to_zero(-at_x, -at_y), 0.5 + 0.5 * _nearest_to_zero(at_x, -at_y)

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Planes:
        """Bound the product by mixtures of its McCormick planes.

        ``(x - l_x)(y - l_y) >= 0`` and ``(u_x - x)(u_y - y) >= 0`` give two lower planes,
        ``(u_x - x)(y - l_y) >= 0`` and ``(x - l_x)(u_y - y) >= 0`` two upper ones (McCormick 1976);
        together they are the convex hull of the product on the box (Al-Khayyal and Falk 1983).  A
        mixture of valid planes is valid, whatever the weights.

        Rounding: with ``m`` the largest size of each operand, a slope is a mixture of two ends,
        off by at most ``3 u m``; the offset, a mixture of two products, by ``4 u m_x m_y``, and the
        step outward by ``u m_x m_y``.  On the box that is at most ``11 u m_x m_y``.  Underflows
        and ends flushed to zero add at most ``6 tiny (1 + m_x + m_y)``.
        """
        x, y = (Interval(i.lower[:, None], i.upper[:, None]) for i in _pair(intervals))
        low, high = parameters
        eps, tiny = precision(low)
        largest = x.reach, y.reach
        error = 6 * eps * largest[0] * largest[1]
        error = error + 8 * tiny * (1 + largest[0] + largest[1])
        return Planes(
            shapes=_shapes(intervals),
            lower_slopes=(_mix(y.lower, y.upper, low), _mix(x.lower, x.upper, low)),
            lower_offset=-_mix(x.lower * y.lower, x.upper * y.upper, low) - error,
            upper_slopes=(_mix(y.lower, y.upper, high), _mix(x.upper, x.lower, high)),
            upper_offset=-_mix(x.upper * y.lower, x.lower * y.upper, high) + error,
        )


def align(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Give tensors ``(batch, *shape)`` the same rank by new axes after the batch axis."""
    rank = max(len(t.shape) for t in tensors)
    return tuple(
        t[(slice(None), *[None] * (rank - len(t.shape)))] if len(t.shape) < rank else t
        for t in tensors
    )


def _pair(intervals: Sequence[Interval]) -> tuple[Interval, Interval]:
    """Return both operands, aligned."""
    lower, upper = align([i.lower for i in intervals]), align([i.upper for i in intervals])
    return Interval(lower[0], upper[0]), Interval(lower[1], upper[1])


def _shapes(intervals: Sequence[Interval]) -> tuple[Shape, ...]:
    return tuple(tuple(i.lower.shape[1:]) for i in intervals)


def _mix(first: Tensor, second: Tensor, position: Tensor) -> Tensor:
    return (1 - position) * first + position * second


def _relative_center(interval: Interval) -> Tensor:
    """Return centre over radius, cut to [-1, 1]; zero where there is no radius."""
    return tf.clip_by_value(tf.math.divide_no_nan(interval.center, interval.radius), -1.0, 1.0)


def _nearest_to_zero(first: Tensor, second: Tensor) -> Tensor:
    """Return the number between both that is nearest to zero."""
    return tf.maximum(tf.minimum(first, second), tf.minimum(tf.maximum(first, second), 0.0))
