"""Tight lines above and below functions that are concave, then convex, then concave again.

The line that leaves the least area to one side of a function on an interval supports the
function's concave (or convex) envelope at the interval's midpoint; lines that support the
envelope elsewhere are the other candidates for an optimised relaxation.  Convex, concave, S-shaped
and one-dip functions are all concave on ``z <= first``, convex on ``[first, last]`` and concave on
``z >= last``, with the two inflections anywhere on the extended real line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

from decomon._backend import Tensor, tf

Function: TypeAlias = Callable[[Tensor], Tensor]
Pick: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_STEPS = 40


@final
@dataclass(frozen=True)
class Wave:
    """A concave-convex-concave function on a batch of intervals.

    Attributes
    ----------
    value, slope : the function and its derivative
    first, last : floats, or tensors that broadcast: its inflections; floats may be infinite
    inner : the derivative inside ``[first, last]``, one-sided at its ends
    outer : the derivative outside, one-sided at the inflections
    kinked : whether the derivative jumps at the first, and at the last inflection
    """

    value: Function
    first: Tensor
    last: Tensor
    inner: Function
    outer: Function
    kinked: tuple[bool, bool] = (False, False)

    @property
    def convex(self) -> bool:
        """Whether there are no concave parts at all."""
        return _is(self.first, -math.inf) and _is(self.last, math.inf)

    @property
    def concave(self) -> bool:
        """Whether there is no convex part at all."""
        return _is(self.first, math.inf) or _is(self.last, -math.inf)


@final
@dataclass(frozen=True)
class Line:
    """``slope * z + offset``, and a point where it touches the function, all elementwise."""

    slope: Tensor
    offset: Tensor
    touch: Tensor


Choice: TypeAlias = Callable[[Tensor], Line]
"""Maps a point of the interval to a line that is near to the function's envelope there."""


def slope_range(wave: Wave, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest derivative on the interval.

    The derivative falls, rises and falls again, so it is extremal at ends and inflections.
    """
    low_outside = (low < wave.first) | (low >= wave.last)
    high_outside = (high <= wave.first) | (high > wave.last)
    at_low = tf.where(low_outside, wave.outer(low), wave.inner(low))
    at_high = tf.where(high_outside, wave.outer(high), wave.inner(high))
    first = tf.clip_by_value(wave.first + tf.zeros_like(low), low, high)
    last = tf.clip_by_value(wave.last + tf.zeros_like(low), low, high)
    inside_first = (low < wave.first) & (wave.first < high)
    inside_last = (low < wave.last) & (wave.last < high)
    least = tf.minimum(at_low, at_high)
    most = tf.maximum(at_low, at_high)
    least = tf.where(inside_first, tf.minimum(least, wave.inner(first)), least)
    most = tf.where(inside_last, tf.maximum(most, wave.inner(last)), most)
    return least, most


def chord_slope(wave: Wave, low: Tensor, high: Tensor) -> Tensor:
    """Return the slope between both ends, kept where the derivative can be.

    By the mean value theorem that is where it belongs; the clip only removes what rounding does
    on tiny intervals.
    """
    slope = tf.math.divide_no_nan(wave.value(high) - wave.value(low), high - low)
    return tf.clip_by_value(slope, *slope_range(wave, low, high))


def upper_lines(wave: Wave, low: Tensor, high: Tensor) -> Choice:
    """Return, for any point, the line above that supports the concave envelope near it.

    Soundness.  Let ``v(z) = f(z) - s z``.  A chord is taken only if its slope ``s`` is at least the
    derivative at ``low`` (if that lies in the first concave part) and at most the one at ``high``
    (if that lies in the last): then ``v`` falls on the first concave part, is convex in the
    middle, rises on the last, so its maximum is at an end.  Otherwise the line's slope is the
    derivative at a point q of one concave part, and the offset is the largest of ``v(low)``,
    ``v(q)`` and ``v(high)``.  On q's own part ``v`` is concave with its maximum at q.  On the
    convex part it is largest at the ends of that part, one of which belongs to q's part, the other
    to the other concave part or to the interval's end.  On the other concave part, derivatives lie
    all on one side of those of q's part (a property that every function here has: the
    first part's derivatives are at most the last part's), so ``v`` is monotone there, with
    its maximum at the interval's end.  This holds for *every* q, so how far a bisection got
    matters for tightness only.
    """
    if wave.concave:
        return _tangents(wave, wave.outer, low, high, tf.maximum)
    chord = chord_slope(wave, low, high)
    if wave.convex:
        return _chord(wave, chord, low, high, tf.maximum)
    zero = tf.zeros_like(low)
    first, last = wave.first + zero, wave.last + zero
    infinite = tf.constant(float("inf"), low.dtype)
    at_low, at_high = -infinite, infinite
    # Functions are never evaluated at infinity: gradients there would be NaN.
    if not _is(wave.first, -math.inf):
        at_low = tf.where(low < first, wave.outer(tf.minimum(low, first)), -infinite)
    if not _is(wave.last, math.inf):
        at_high = tf.where(high > last, wave.outer(tf.maximum(high, last)), infinite)
    on_last = chord > at_high
    straight = (chord >= at_low) & (chord <= at_high)
    # Where a kink lies inside, a unit of q is spent on the slopes between its two sides.
    left_room = tf.where(high > first, tf.ones_like(low), zero) if wave.kinked[0] else zero
    right_room = tf.where(low < last, tf.ones_like(low), zero) if wave.kinked[1] else zero
    begin = tf.where(on_last, tf.clip_by_value(last, low, high) - right_room, low)
    end = tf.where(on_last, high, tf.clip_by_value(first, low, high) + left_room)

    def touch_and_slope(q: Tensor) -> tuple[Tensor, Tensor]:
        touch = tf.where(on_last, tf.maximum(q, begin + right_room), tf.minimum(q, end - left_room))
        slope = wave.outer(touch)
        if wave.kinked[0]:
            beyond = tf.clip_by_value(q - (end - left_room), 0.0, 1.0)
            steeper = slope + beyond * (wave.inner(tf.maximum(touch, first)) - slope)
            slope = tf.where(~on_last & (beyond > 0), steeper, slope)
        if wave.kinked[1]:
            beyond = tf.clip_by_value(begin + right_room - q, 0.0, 1.0)
            steeper = slope + beyond * (wave.inner(tf.minimum(touch, last)) - slope)
            slope = tf.where(on_last & (beyond > 0), steeper, slope)
        return touch, slope

    value_low, value_high = wave.value(low), wave.value(high)

    def wins(q: Tensor) -> tuple[Tensor, Tensor]:
        touch, slope = touch_and_slope(q)
        at_touch = wave.value(touch) - slope * touch
        at_left, at_right = value_low - slope * low, value_high - slope * high
        return (at_left > at_touch) & (at_left > at_right), (at_right > at_touch) & (
            at_right > at_left
        )

    least, most = _bracket(wins, begin, end)

    def choose(point: Tensor) -> Line:
        # A point on the far side of a kink means the steepest line through the kink.
        if wave.kinked[0]:
            point = tf.where(~on_last & (point > first), tf.stop_gradient(end), point)
        if wave.kinked[1]:
            point = tf.where(on_last & (point < last), tf.stop_gradient(begin), point)
        touch, slope = touch_and_slope(_clip(point, least, most))
        slope = tf.where(straight, chord, slope)
        return _close(wave, slope, low, tf.where(straight, low, touch), high, tf.maximum)

    return choose


def lower_lines(wave: Wave, low: Tensor, high: Tensor) -> Choice:
    """Return, for any point, the line below that supports the convex envelope near it.

    Soundness.  Let ``v(z) = f(z) - s z``, with ``s`` the derivative at a point q of the convex
    part, if there is one.  On that part ``v`` is smallest at q; on each concave part, ``v`` is
    concave, so smallest at an end, which is an end of the interval or belongs to the convex
    part.  So the smallest of ``v(low)``, ``v(q)`` and ``v(high)`` is a valid offset, for *every*
    q.  A chord is taken if there is no convex part, or if even its largest derivative leaves
    ``v(low)`` the smallest (or the least derivative leaves ``v(high)`` the smallest): ``v`` is
    then monotone on the convex part and beyond, so smallest at an end of the interval.
    """
    if wave.convex:
        return _tangents(wave, wave.inner, low, high, tf.minimum)
    chord = chord_slope(wave, low, high)
    if wave.concave:
        return _chord(wave, chord, low, high, tf.minimum)
    zero = tf.zeros_like(low)
    begin = tf.clip_by_value(wave.first + zero, low, high)
    end = tf.clip_by_value(wave.last + zero, low, high)

    value_low, value_high = wave.value(low), wave.value(high)

    def wins(q: Tensor) -> tuple[Tensor, Tensor]:
        slope = wave.inner(q)
        at_touch = wave.value(q) - slope * q
        at_left, at_right = value_low - slope * low, value_high - slope * high
        return (at_left < at_touch) & (at_left < at_right), (at_right < at_touch) & (
            at_right < at_left
        )

    straight = (begin >= end) | wins(end)[0] | wins(begin)[1]
    least, most = _bracket(wins, begin, end)

    def choose(point: Tensor) -> Line:
        touch = _clip(point, least, most)
        slope = tf.where(straight, chord, wave.inner(touch))
        return _close(wave, slope, low, tf.where(straight, low, touch), high, tf.minimum)

    return choose


def _is(inflection: Tensor, value: float) -> bool:
    return isinstance(inflection, float) and inflection == value


def _tangents(wave: Wave, derivative: Function, low: Tensor, high: Tensor, pick: Pick) -> Choice:
    """Return the tangents: they lie to one side of a convex or concave function."""

    def choose(point: Tensor) -> Line:
        touch = tf.clip_by_value(point, low, high)
        return _close(wave, derivative(touch), low, touch, high, pick)

    return choose


def _chord(wave: Wave, slope: Tensor, low: Tensor, high: Tensor, pick: Pick) -> Choice:
    """Return the line through both ends, or, if rounding gave it another slope, beyond them."""
    line = _close(wave, slope, low, low, high, pick)
    return lambda _: line


def _close(wave: Wave, slope: Tensor, low: Tensor, touch: Tensor, high: Tensor, pick: Pick) -> Line:
    """Return the line whose offset is picked among both ends and the touching point."""
    offset = pick(wave.value(low) - slope * low, wave.value(high) - slope * high)
    return Line(slope, pick(offset, wave.value(touch) - slope * touch), touch)


def _bracket(
    wins: Callable[[Tensor], tuple[Tensor, Tensor]], begin: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """Return between which points of ``[begin, end]`` neither end of the interval spoils the line.

    ``wins`` says for a touching point whether the interval's lower end, or its upper end, alone
    decides the offset: then the point should move up, or down.  Both change once along the way, so
    bisection finds where.
    """
    begin, end = tf.stop_gradient(begin), tf.stop_gradient(end)
    half = tf.constant(0.5, begin.dtype)

    def advance(step: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, ...]:
        left, right = half * a + half * b, half * c + half * d
        up, down = wins(left)[0], wins(right)[1]
        return (
            step + 1,
            tf.where(up, left, a),
            tf.where(up, b, left),
            tf.where(down, c, right),
            tf.where(down, right, d),
        )

    state = (tf.constant(0), begin, end, begin, end)

    def unfinished(step: Tensor, *_: Tensor) -> Tensor:
        return step < _STEPS

    found = tf.while_loop(unfinished, advance, state)
    least, most = tf.stop_gradient(found[2]), tf.stop_gradient(found[3])
    return least, tf.maximum(least, most)


def _clip(wanted: Tensor, least: Tensor, most: Tensor) -> Tensor:
    """Clip a point, but let the gradient pass: a parameter that starts outside could not come in.

    What is added to the clipped point is zero, so it stays where it was clipped to.
    """
    clipped = tf.stop_gradient(tf.clip_by_value(wanted, least, most))
    return clipped + (wanted - tf.stop_gradient(wanted))
