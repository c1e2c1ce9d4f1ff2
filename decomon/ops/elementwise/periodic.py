"""Sine and cosine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import Interval, Lines
from decomon.ops._base import ElementwiseOp, SlopeRule
from decomon.ops.elementwise.envelope import Function, Line, Wave, upper_lines
from decomon.rounding import units

_PERIOD = 2 * math.pi
_VALUE_ERROR = 4.0  # of the function, in units of the last place of 1


@final
@dataclass(frozen=True)
class Sinusoid(ElementwiseOp):
    """A sine wave whose largest values are at ``crest`` plus multiples of ``2 pi``.

    Between two crests it is concave, convex and concave again, and the slopes before the valley are
    below those after it.  An upper line is either the constant 1 between the first and the
    last crest inside the interval, or one over the part of the interval before the
    first, or after the last crest: it reaches the crest with a slope that points to it, so it
    stays above 1 beyond.  A lower line is minus an upper line of the wave moved by half a
    period.

    Rounding: besides the errors of the function and of the line, those of the places of
    inflections count.  A tangent that touches a distance d beyond an inflection has a slope that
    is off by at most d^2 / 2, over less than a period: less than 4 d^2.
    """

    name: str
    value: Function
    slope: Function
    crest: float

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.value(inputs[0])

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image, up to rounding."""
        (z,) = inputs
        error = _VALUE_ERROR * units(z.lower)[0]
        places = _place_error(z.lower, z.upper)
        at_low, at_high = self.value(z.lower), self.value(z.upper)
        most = tf.minimum(tf.maximum(at_low, at_high) + error, 1.0)
        least = tf.maximum(tf.minimum(at_low, at_high) - error, -1.0)
        one = tf.ones_like(z.lower)
        return Interval(
            tf.where(_contains(z, self.crest + math.pi, places), -one, least),
            tf.where(_contains(z, self.crest, places), one, most),
        )

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        return (intervals[0].lower < intervals[0].upper,)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        middle = 0.5 * tf.ones_like(intervals[0].lower)
        return middle, middle

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Lines:
        """Bound the wave by lines; see the class, and ``upper_lines`` for one part of it."""
        (z,) = intervals
        low, high = z.lower[:, None], z.upper[:, None]
        points = [low * (1 - share) + high * share for share in parameters]
        upper = _over(self.value, self.slope, self.crest, low, high, points[0])
        lower = _over(
            lambda z: -self.value(z),
            lambda z: -self.slope(z),
            self.crest + math.pi,
            low,
            high,
            points[1],
        )
        return Lines(-lower.slope, -lower.offset, upper.slope, upper.offset)


def _over(
    value: Function, slope: Function, crest: float, low: Tensor, high: Tensor, point: Tensor
) -> Line:
    """Return the line above a wave that supports its envelope near a point."""
    first = crest + _PERIOD * tf.math.ceil((low - crest) / _PERIOD)
    last = crest + _PERIOD * tf.math.floor((high - crest) / _PERIOD)
    first, last = tf.stop_gradient(first), tf.stop_gradient(last)
    crested = first <= last
    before, after = crested & (point < first), crested & (point > last)
    begin = tf.where(after, tf.clip_by_value(last, low, high), low)
    end = tf.where(before, tf.clip_by_value(first, low, high), high)
    # The crest to the left of the part that is looked at.
    start = tf.where(after, last, first - _PERIOD)
    wave = Wave(
        value,
        first=start + 0.25 * _PERIOD,
        last=start + 0.75 * _PERIOD,
        inner=slope,
        outer=slope,
    )
    found = upper_lines(wave, begin, end)(tf.clip_by_value(point, begin, end))
    # Slopes point towards the crest, or the line would come down beyond it.
    towards = tf.where(before, tf.maximum(found.slope, 0.0), tf.minimum(found.slope, 0.0))
    sloped = tf.where(before | after, towards, found.slope)
    flat = crested & ~before & ~after
    chosen = tf.where(flat, tf.zeros_like(sloped), sloped)
    offset = tf.zeros_like(chosen)
    for place in (begin, end, found.touch):
        here = value(place) - chosen * place
        offset = here if place is begin else tf.maximum(offset, here)
    ones = tf.ones_like(chosen)
    # Over a crest the line is at least 1, whatever rounding made of the crest's place.
    offset = tf.where(before, tf.maximum(offset, 1 - chosen * end), offset)
    offset = tf.where(after, tf.maximum(offset, 1 - chosen * begin), offset)
    offset = tf.where(flat, ones, offset)
    unit, _ = units(low)
    size = tf.maximum(tf.abs(low), tf.abs(high))
    rounded = _VALUE_ERROR + 4 * tf.abs(chosen) * size + 2 * tf.abs(offset) + 8 * (end - begin)
    extra = unit * rounded + 4 * tf.square(_place_error(low, high))
    return Line(chosen, offset + tf.stop_gradient(extra), found.touch)


def _contains(z: Interval, place: float, error: Tensor) -> Tensor:
    """Say whether an interval may contain a place or one that is multiples of a period away."""
    first = place + _PERIOD * tf.math.ceil((z.lower - place - error) / _PERIOD)
    return first <= z.upper + error


def _place_error(low: Tensor, high: Tensor) -> Tensor:
    """Bound the errors of the places of crests and inflections in an interval."""
    return 4 * units(low)[0] * (8 + tf.maximum(tf.abs(low), tf.abs(high)))


SIN = Sinusoid("sin", tf.sin, tf.cos, 0.5 * math.pi)
COS = Sinusoid("cos", tf.cos, lambda z: -tf.sin(z), 0.0)
