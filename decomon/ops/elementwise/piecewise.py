"""Functions made of linear pieces, with or without jumps between them."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import Interval, Lines
from decomon.ops._base import ElementwiseOp, SlopeRule
from decomon.ops.elementwise.envelope import Function
from decomon.rounding import units

_STEEPEST = 1e3


@final
@dataclass(frozen=True)
class Corners:
    """Points of a graph between which it is linear, on the last axis, from left to right.

    Attributes
    ----------
    place, height : ``(..., count)``; points that lie outside the interval repeat its ends
    least, most : slopes that no good line goes beyond
    error : what rounding can do to the heights
    """

    place: Tensor
    height: Tensor
    least: Tensor
    most: Tensor
    error: Tensor


class HullOp(ElementwiseOp):
    """A function that is linear between finitely many corners, jumps being two of them.

    On any interval, such a function minus a line is extremal at a corner; so for *any* slope ``s``
    the largest ``f(z) - s z`` over the corners gives a line above the function, and the
    smallest one a line below it.  The tight slopes lie between those of the first and the last
    edge of the corners' hull; where between them is the optimisable parameter of either
    line (0: the last edge's, 1: the first edge's).  It starts with the edge over the middle of the
    interval, which leaves the least area.
    """

    @abc.abstractmethod
    def corners(self, interval: Interval) -> Corners:
        """Return all corners of the function on the interval, ends included."""

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image, up to rounding: a linear piece is extremal at its ends."""
        found = self.corners(inputs[0])
        return Interval(
            tf.reduce_min(found.height, axis=-1) - found.error,
            tf.reduce_max(found.height, axis=-1) + found.error,
        )

    def cut(self, interval: Interval) -> Tensor:
        """Return the corner inside the interval that is nearest to its middle, or its lower end."""
        place = self.corners(interval).place
        inside = (place > interval.lower[..., None]) & (place < interval.upper[..., None])
        away = tf.abs(place - interval.center[..., None])
        away = tf.where(inside, away, tf.constant(math.inf, place.dtype))
        nearest = tf.argmin(away, axis=-1)
        found = tf.gather(place, nearest, axis=-1, batch_dims=len(place.shape) - 1)
        return tf.where(tf.reduce_any(inside, axis=-1), found, interval.lower)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        found = self.corners(intervals[0])
        middle = 0.5 * intervals[0].lower + 0.5 * intervals[0].upper
        shares: list[Tensor] = []
        for sign in (1.0, -1.0):
            height = sign * found.height
            first, last = _edges(found, height, sign)
            wanted = _edge_over(middle, found, height, sign)
            share = tf.math.divide_no_nan(wanted - last, first - last)
            shares.append(tf.clip_by_value(share, 0.0, 1.0))
        return tuple(shares)

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Lines:
        """Bound the function by lines of the parameters' slopes; see the class for soundness.

        The offsets are moved outward by the errors of the heights, the products and differences.
        """
        found = self.corners(intervals[0])
        unit, tiny = units(found.place)
        slopes: list[Tensor] = []
        offsets: list[Tensor] = []
        for sign, share in zip((1.0, -1.0), parameters, strict=True):
            height = sign * found.height
            first, last = (value[:, None] for value in _edges(found, height, sign))
            slope = last + share * (first - last)
            products = slope[..., None] * found.place[:, None]
            offset = tf.reduce_max(height[:, None] - products, axis=-1)
            size = tf.reduce_max(tf.abs(products), axis=-1) + tf.abs(offset)
            error = found.error[:, None] + 2 * unit * size + 4 * tiny
            slopes.append(sign * slope)
            offsets.append(sign * (offset + tf.stop_gradient(error)))
        return Lines(slopes[1], offsets[1], slopes[0], offsets[0])


def _differences(found: Corners, height: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slopes between all pairs of corners, and which of them are not vertical."""
    run = found.place[..., None, :] - found.place[..., :, None]
    rise = height[..., None, :] - height[..., :, None]
    return tf.math.divide_no_nan(rise, run), run > 0


def _limits(found: Corners, sign: float) -> tuple[Tensor, Tensor]:
    if sign > 0:
        return found.least, found.most
    return -found.most, -found.least


def _edges(found: Corners, height: Tensor, sign: float) -> tuple[Tensor, Tensor]:
    """Return the slopes of the first and of the last edge of the upper hull."""
    slopes, usable = _differences(found, height)
    least, most = _limits(found, sign)
    infinite = tf.constant(math.inf, height.dtype)
    # Edges at an end of the interval start from its highest corner there.
    top_start = _highest(found.place == found.place[..., :1], height)
    top_end = _highest(found.place == found.place[..., -1:], height)
    first = tf.reduce_max(
        tf.where(usable & top_start[..., :, None], slopes, -infinite), axis=[-2, -1]
    )
    last = tf.reduce_min(tf.where(usable & top_end[..., None, :], slopes, infinite), axis=[-2, -1])
    first = tf.clip_by_value(first, least, most)
    last = tf.clip_by_value(last, least, most)
    return tf.maximum(first, last), tf.minimum(first, last)


def _highest(among: Tensor, height: Tensor) -> Tensor:
    """Say which corners, of those among which to look, are highest."""
    lowest = tf.constant(-math.inf, height.dtype)
    return among & (
        height >= tf.reduce_max(tf.where(among, height, lowest), axis=-1, keepdims=True)
    )


def _edge_over(middle: Tensor, found: Corners, height: Tensor, sign: float) -> Tensor:
    """Return the slope of the edge of the upper hull that passes over a place.

    Among the slopes of all pairs, it is the one whose line above all corners is lowest there.
    """
    slopes, usable = _differences(found, height)
    least, most = _limits(found, sign)
    count = height.shape[-1]
    flat = tf.reshape(slopes, tf.concat([tf.shape(slopes)[:-2], [count * count]], axis=0))
    flat = tf.clip_by_value(flat, least[..., None], most[..., None])
    known = tf.reshape(usable, tf.shape(flat))
    reach = middle[..., None] - found.place
    above = tf.reduce_max(height[..., None, :] + flat[..., :, None] * reach[..., None, :], axis=-1)
    above = tf.where(known, above, tf.constant(math.inf, height.dtype))
    best = tf.argmin(above, axis=-1)
    return tf.gather(flat, best, axis=-1, batch_dims=len(flat.shape) - 1)


@final
@dataclass(frozen=True)
class Jump:
    """A place where pieces meet, and the limits of the function from the left and the right."""

    place: float
    left: float
    right: float


@final
@dataclass(frozen=True)
class PiecewiseLinear(HullOp):
    """A function of finitely many linear pieces.

    Parameters
    ----------
    name : what errors call it
    value : the function, evaluated as the layer does
    jumps : where pieces meet, from left to right; both limits are equal where it is continuous
    slopes : of the pieces, one more than jumps
    rounding : the size of terms, other than the value, that ``value`` is computed from
    """

    name: str
    value: Function
    jumps: tuple[Jump, ...]
    slopes: tuple[float, ...]
    rounding: float = 0.0

    def __post_init__(self) -> None:
        places = [jump.place for jump in self.jumps]
        if len(self.slopes) != len(places) + 1 or places != sorted(places):
            raise ValueError(
                "A piecewise-linear function needs jumps from left to right, and one slope more. "
                f"Received: jumps at {places}, slopes={self.slopes}"
            )

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.value(inputs[0])

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        (z,) = intervals
        found = tf.zeros_like(z.lower, dtype=tf.bool)
        for jump in self.jumps:
            found = found | ((z.lower <= jump.place) & (z.upper >= jump.place))
        return (found & (z.lower < z.upper),)

    def corners(self, interval: Interval) -> Corners:
        low, high = interval.lower, interval.upper
        value_low, value_high = self.value(low), self.value(high)
        places, heights = [low], [value_low]
        for jump in self.jumps:
            place = tf.constant(jump.place, low.dtype)
            continuous = jump.left == jump.right
            sides: list[tuple[Tensor, Tensor]] = [
                (self.value(place), (low <= place) & (place <= high))
            ]
            if not continuous:
                left, right = (tf.constant(h, low.dtype) for h in (jump.left, jump.right))
                sides.insert(0, (left, (low < place) & (place <= high)))
                sides.append((right, (low <= place) & (place < high)))
            for height, inside in sides:
                before = place > high
                outside = tf.where(before, value_high, value_low)
                places.append(tf.where(inside, place, tf.where(before, high, low)))
                heights.append(tf.where(inside, height, outside))
        places.append(high)
        heights.append(value_high)
        place, height = tf.stack(places, axis=-1), tf.stack(heights, axis=-1)
        least, most = self._slopes(low, high)
        unit, tiny = units(low)
        largest = tf.reduce_max(tf.abs(height), axis=-1) + self.rounding
        exact = self.rounding == 0 and all(slope in (0.0, 1.0, -1.0) for slope in self.slopes)
        error = tf.zeros_like(low) if exact else 4 * unit * largest + 4 * tiny
        return Corners(place, height, least, most, tf.stop_gradient(error))

    def _slopes(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least and the largest slope of good lines on the interval."""
        ends = [-math.inf, *(jump.place for jump in self.jumps), math.inf]
        infinite = tf.constant(math.inf, low.dtype)
        least, most = infinite + tf.zeros_like(low), -infinite + tf.zeros_like(low)
        for slope, begin, end in zip(self.slopes, ends[:-1], ends[1:], strict=True):
            overlaps = (low < end) & (high > begin)
            touched = overlaps | ((low == high) & (low <= end) & (high >= begin))
            least = tf.where(touched, tf.minimum(least, slope), least)
            most = tf.where(touched, tf.maximum(most, slope), most)
        for jump in self.jumps:
            if jump.left == jump.right:
                continue
            crossed = (low <= jump.place) & (high >= jump.place) & (low < high)
            height = abs(jump.right - jump.left)
            steep = tf.math.divide_no_nan(_STEEPEST * height * tf.ones_like(low), high - low)
            least = tf.where(crossed, least - steep, least)
            most = tf.where(crossed, most + steep, most)
        return least, most


@final
@dataclass(frozen=True)
class Floor(HullOp):
    """The largest integer that is not above the argument.

    It lies between ``z - 1`` and ``z``; its upper hull touches ``z`` at all integers inside the
    interval, its lower hull the limits ``z - 1`` from their left.
    """

    @property
    def name(self) -> str:
        """What errors call it."""
        return "floor"

    def __call__(self, *inputs: Tensor) -> Tensor:
        return tf.floor(inputs[0])

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        (z,) = intervals
        return (tf.floor(z.lower) < tf.floor(z.upper),)

    def corners(self, interval: Interval) -> Corners:
        low, high = interval.lower, interval.upper
        value_low, value_high = tf.floor(low), tf.floor(high)
        # The first integer above the lower end and the last one up to the upper end.
        first, last = value_low + 1, value_high
        crossed = last >= first
        inner = [
            (first, first - 1),
            (first, first),
            (last, last - 1),
            (last, last),
        ]
        places = [low, *(tf.where(crossed, place, low) for place, _ in inner), high]
        heights = [
            value_low,
            *(tf.where(crossed, height, value_low) for _, height in inner),
            value_high,
        ]
        steep = tf.math.divide_no_nan(_STEEPEST * tf.ones_like(low), high - low)
        limit = tf.where(crossed, tf.maximum(steep, 2.0), tf.zeros_like(low))
        zero = tf.zeros_like(low)
        return Corners(tf.stack(places, axis=-1), tf.stack(heights, axis=-1), zero, limit, zero)
