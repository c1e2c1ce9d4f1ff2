"""Smooth functions of one variable, given as data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import Interval, Lines
from decomon.ops._base import ElementwiseOp, SlopeRule
from decomon.ops.elementwise.envelope import Function, Line, Wave, lower_lines, upper_lines
from decomon.rounding import units

_HALF = 0.5


@final
@dataclass(frozen=True)
class Smooth(ElementwiseOp):
    """A function that is concave up to ``first``, convex up to ``last``, and concave after it.

    That covers convex functions (the defaults), concave ones (``first=inf``), S-shaped ones
    (``last`` is the inflection), their mirror images (``first`` is), and those with one dip (both).
    Derivatives on the first part must nowhere exceed those on the last part.

    Parameters
    ----------
    name : what errors call it
    value : the function, evaluated as the layer does, on tensors of either precision
    slope : its derivative
    first, last : the inflections
    kinks : at each inflection, the derivatives before and after it, if they differ
    turns : the points where the function changes between falling and rising
    image : the function's range, as far as rounding must not leave it
    domain : the arguments that it is defined for
    open : whether the ends of the domain are excluded
    pole : an argument in the domain that it is not defined for
    floor : arguments are known to be at least this, whatever their bounds say
    ulps : the error of ``value`` and ``slope`` in units of the last place of their terms
    terms : the size of the terms that ``value`` is computed from, if larger than the value
    slope_terms : how much larger than the derivative the terms are that it is computed from

    Notes
    -----
    The upper (lower) line supports the concave (convex) envelope at a point of the interval, at
    first its midpoint, where that leaves the least area; see
    :func:`decomon.ops.elementwise.envelope.upper_lines`.  The position of that point, between 0
    and 1, is the optimisable parameter of each line that is not a chord.

    Rounding: lines are moved outward by the errors of evaluating the function at the points that
    determine the offset (``ulps * u * terms``), of the products and differences in it, and of
    the slope times the width; intervals by that of the function at their ends.
    """

    name: str
    value: Function
    slope: Function
    first: float = -math.inf
    last: float = math.inf
    kinks: tuple[tuple[float, float] | None, tuple[float, float] | None] = (None, None)
    turns: tuple[float, ...] = ()
    image: tuple[float, float] = (-math.inf, math.inf)
    domain: tuple[float, float] = (-math.inf, math.inf)
    open: bool = False
    pole: float | None = None
    floor: float | None = None
    ulps: float = 8.0
    terms: Function | None = None
    slope_terms: float = 0.0

    def known_above(self, floor: float) -> Smooth:
        """Return the same function of an argument that is known to be at least ``floor``."""
        return replace(self, floor=floor)

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.value(inputs[0])

    @property
    def requirement(self) -> str:
        low, high = self.domain
        if self.pole is not None:
            return f"values on one side of {self.pole:g}"
        words = [f"{'above' if self.open else 'of at least'} {low:g}"] if low > -math.inf else []
        words += [f"{'below' if self.open else 'of at most'} {high:g}"] if high < math.inf else []
        return f"values {' and '.join(words)}" if words else ""

    def outside(self, interval: Interval) -> Tensor:
        low, high = self.domain
        lower, upper = self._known(interval).lower, interval.upper
        if self.open:
            bad = ~((lower > low) & (upper < high))
        else:
            bad = ~((lower >= low) & (upper <= high))
        if self.pole is not None:
            bad = bad | ((lower <= self.pole) & (upper >= self.pole))
        return bad

    def interval(self, *inputs: Interval) -> Interval:
        """Return the exact image, up to rounding: extremes lie at ends and turning points."""
        z = self._known(inputs[0])
        low, high = self._outward(z.lower), self._outward(z.upper)
        least, most = tf.minimum(low[0], high[0]), tf.maximum(low[1], high[1])
        for turn in self.turns:
            at = self._outward(tf.constant(turn, z.lower.dtype))
            inside = (z.lower < turn) & (z.upper > turn)
            least = tf.where(inside, tf.minimum(least, at[0]), least)
            most = tf.where(inside, tf.maximum(most, at[1]), most)
        least = tf.clip_by_value(least, *self.image)
        most = tf.clip_by_value(most, *self.image)
        undefined = self._undefined(inputs[0])
        return Interval(least + undefined, most + undefined)

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        return (intervals[0].lower < intervals[0].upper,)

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        middle = tf.fill(tf.shape(intervals[0].lower), tf.constant(_HALF, intervals[0].lower.dtype))
        wave = self._wave
        return (middle,) if wave.convex or wave.concave else (middle, middle)

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Lines:
        """Bound the function by lines that support its envelopes.

        Both are sound for every parameter: see
        :func:`~decomon.ops.elementwise.envelope.upper_lines` and
        :func:`~decomon.ops.elementwise.envelope.lower_lines`, which hold in exact arithmetic for
        any touching point; ``_error`` bounds what rounding adds.
        """
        return self.relaxer(intervals)(parameters)

    def relaxer(self, intervals: Sequence[Interval]) -> Callable[[tuple[Tensor, ...]], Lines]:
        z = self._known(intervals[0])
        low, high = z.lower[:, None], z.upper[:, None]
        undefined = self._undefined(intervals[0])[:, None]
        wave = self._wave
        uppers, lowers = upper_lines(wave, low, high), lower_lines(wave, low, high)
        terms = tf.maximum(self._magnitude(low), self._magnitude(high))

        def relax(parameters: tuple[Tensor, ...]) -> Lines:
            # The same parameter twice if only one line has a choice.
            upper = uppers(self._point(low, high, parameters[0]))
            lower = lowers(self._point(low, high, parameters[-1]))
            return Lines(
                lower_slope=lower.slope,
                lower_offset=lower.offset - self._error(lower, low, high, terms) + undefined,
                upper_slope=upper.slope,
                upper_offset=upper.offset + self._error(upper, low, high, terms) + undefined,
            )

        return relax

    @property
    def _wave(self) -> Wave:
        first, last = self.kinks

        def inner(z: Tensor) -> Tensor:
            slope = self.slope(z)
            if first is not None:
                slope = tf.where(z <= self.first, tf.constant(first[1], z.dtype), slope)
            if last is not None:
                slope = tf.where(z >= self.last, tf.constant(last[0], z.dtype), slope)
            return slope

        def outer(z: Tensor) -> Tensor:
            slope = self.slope(z)
            if first is not None:
                slope = tf.where(z == self.first, tf.constant(first[0], z.dtype), slope)
            if last is not None:
                slope = tf.where(z == self.last, tf.constant(last[1], z.dtype), slope)
            return slope

        kinked = (first is not None, last is not None)
        return Wave(self.value, self.first, self.last, inner, outer, kinked)

    def _point(self, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
        """Return the point at a share of the interval, away from where derivatives are infinite."""
        if self.domain != (-math.inf, math.inf):
            share = 1e-3 + (1 - 2e-3) * share
        return tf.clip_by_value(low * (1 - share) + high * share, low, high)

    def _known(self, interval: Interval) -> Interval:
        if self.floor is None:
            return interval
        return Interval(
            tf.maximum(interval.lower, self.floor), tf.maximum(interval.upper, self.floor)
        )

    def _undefined(self, interval: Interval) -> Tensor:
        """Return NaN where an interval leaves the domain, zero elsewhere."""
        nan = tf.constant(math.nan, interval.lower.dtype)
        return tf.where(self.outside(interval), nan, tf.zeros_like(nan))

    def _magnitude(self, z: Tensor) -> Tensor:
        return tf.abs(self.value(z)) if self.terms is None else self.terms(z)

    def _outward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return a lower and an upper bound of the exact value at a point."""
        value = self.value(z)
        unit, tiny = units(z)
        error = (self.ulps + 1) * unit * self._magnitude(z) + tiny
        return value - error, value + error

    def _error(self, line: Line, low: Tensor, high: Tensor, terms: Tensor) -> Tensor:
        """Bound the rounding error of a line, as the class describes it."""
        unit, tiny = units(low)
        terms = tf.maximum(terms, self._magnitude(line.touch))
        farthest = tf.maximum(tf.abs(low), tf.abs(high))
        rest = 2 * tf.abs(line.slope) * farthest + 2 * tf.abs(line.offset)
        steepness = (self.ulps + 1) * (tf.abs(line.slope) + self.slope_terms)
        error = unit * ((self.ulps + 1) * terms + rest + steepness * (high - low)) + 8 * tiny
        return tf.stop_gradient(error)
