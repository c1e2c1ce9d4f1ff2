"""The lines of ReLU, leaky ReLU and the absolute value, in exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from decomon.bounds import Interval, Lines
from decomon.models import SLOPES
from decomon.ops.elementwise.hinge import Hinge
from tests.decomon.helpers import Array, rng_of, tf

HINGES = {
    "relu": Hinge(),
    "leaky": Hinge(0.2, 1.0),
    "abs": Hinge(-1.0, 1.0),
    "negative": Hinge(-2.0, -0.5),
    "linear": Hinge(0.7, 0.7),
    "steep": Hinge(-0.3, 50.0),
}
EACH = pytest.mark.parametrize("hinge", HINGES.values(), ids=HINGES.keys())
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def exact(hinge: Hinge, z: Fraction, dtype: str) -> Fraction:
    """The function itself; its slopes are the numbers that the op computes with."""
    slope = np.dtype(dtype).type(hinge.right if z >= 0 else hinge.left)
    return Fraction(float(slope)) * z


def intervals(dtype: str) -> tuple[Array, Array]:
    """Degenerate, tiny, huge, one-sided, zero-crossing, lopsided and touching zero."""
    info = np.finfo(dtype)
    rng = rng_of(0)
    scales = np.array([1e-30, 1e-10, 1e-3, 1.0, 1e3, 1e10, 1e30])
    pairs: list[tuple[float, float]] = [(0.0, 0.0), (-0.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    pairs += [(float(info.tiny), 1.0), (-1.0, float(info.tiny)), (-float(info.tiny), 1.0)]
    pairs += [(-float(info.tiny), float(info.tiny)), (-1e30, 1e-30), (-1e-30, 1e30)]
    for a in scales:
        x, y = rng.uniform(0.1, 1, size=2)
        pairs += [(a * x, a * x), (-a * x, -a * x), (-a * x, a * y), (a * x, a * (x + y))]
        pairs += [(-a * (x + y), -a * x), (a, float(np.nextafter(a, np.inf)))]
        pairs += [(-a * x, b * y) for b in scales]
    low, high = np.array(pairs).T.astype(dtype)
    return np.minimum(low, high), np.maximum(low, high)


def lines(hinge: Hinge, low: Array, high: Array, parameter: Array | None, slope: str) -> Lines:
    interval = Interval(tf.constant(low[None]), tf.constant(high[None]))
    (start,) = hinge.initial([interval], SLOPES[slope])
    chosen = start[:, None] if parameter is None else tf.constant(parameter)
    return hinge.relax([interval], hinge.project((chosen,)))


def arrays(found: Lines) -> tuple[Array, Array, Array, Array]:
    """Lower slope and offset, upper slope and offset; no lower offset means zero."""
    lower, upper = np.asarray(found.lower_slope)[0, 0], np.asarray(found.upper_slope)[0, 0]
    offset = found.lower_offset
    offset = np.zeros_like(lower) if offset is None else np.asarray(offset)[0, 0]
    return lower, offset, upper, np.asarray(found.upper_offset)[0, 0]


def check_valid(hinge: Hinge, low: Array, high: Array, found: Lines) -> None:
    """No tolerance for the lines themselves: the upper one is moved outward by its rounding.

    TensorFlow's threads, but not all others, read a subnormal end as zero, and so may take the
    other piece between it and zero: both pieces differ there by at most (right - left) tiny.
    """
    dtype = str(low.dtype)
    tiny = Fraction(float(np.finfo(dtype).tiny))
    parts = arrays(found)
    for i, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        lower_slope, lower_offset, upper_slope, upper_offset = (
            Fraction(float(p[i])) for p in parts
        )
        ends = (Fraction(a), Fraction(b))
        inner = [ends[0] + (ends[1] - ends[0]) * Fraction(k, 7) for k in range(8)]
        kink = [Fraction(0)] if a <= 0 <= b else []
        room = (Fraction(hinge.right) - Fraction(hinge.left)) * tiny
        for z in (*inner, *kink):
            value = exact(hinge, z, dtype)
            assert lower_slope * z + lower_offset <= value, (a, b, float(z))
            assert upper_slope * z + upper_offset >= value - room, (a, b, float(z))


@EACH
@DTYPES
@pytest.mark.parametrize("slope", SLOPES)
def test_lines_are_valid(hinge: Hinge, dtype: str, slope: str) -> None:
    low, high = intervals(dtype)
    check_valid(hinge, low, high, lines(hinge, low, high, None, slope))


@EACH
@DTYPES
def test_lines_are_valid_for_every_parameter(hinge: Hinge, dtype: str) -> None:
    low, high = intervals(dtype)
    for wanted in (-1e6, hinge.left, 0.5 * hinge.left + 0.5 * hinge.right, hinge.right, 1e6):
        parameter = np.full((1, 1, len(low)), wanted, dtype)
        check_valid(hinge, low, high, lines(hinge, low, high, parameter, "same-slope"))


ends = st.floats(-1e100, 1e100, allow_nan=False)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(a=ends, b=ends, ratio=st.floats(0, 1))
@example(a=-5e-324, b=5e-324, ratio=0.5)
@example(a=-1e100, b=5e-324, ratio=1.0)
def test_lines_are_valid_on_any_interval(a: float, b: float, ratio: float) -> None:
    low, high = np.array([min(a, b)]), np.array([max(a, b)])
    for hinge in HINGES.values():
        wanted = np.full((1, 1, 1), hinge.left + ratio * (hinge.right - hinge.left))
        check_valid(hinge, low, high, lines(hinge, low, high, wanted, "same-slope"))


@EACH
@DTYPES
def test_the_image_of_an_interval_is_exact(hinge: Hinge, dtype: str) -> None:
    low, high = intervals(dtype)
    got = hinge.interval(Interval(tf.constant(low), tf.constant(high)))
    unit = float(np.finfo(dtype).eps) / 2
    tiny = float(np.finfo(dtype).tiny)
    for i, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        points = [a, b, *([0.0] if a < 0 < b else [])]
        values = [float(exact(hinge, Fraction(p), dtype)) for p in points]
        for end, value in ((got.lower[i], min(values)), (got.upper[i], max(values))):
            assert abs(float(end) - value) <= 6 * unit * abs(value) + 2 * tiny


@EACH
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_no_pair_of_lines_leaves_a_smaller_area(hinge: Hinge, scale: float) -> None:
    """Between the lines of the volume slope lies the least area of all valid pairs.

    The least upper line is the chord; a lower line through the kink is best, and its area is linear
    in the slope, so the best slope is at an end: the grid of slopes contains both.
    """
    rng = rng_of(1)
    low, high = -scale * rng.uniform(0.01, 1, 200), scale * rng.uniform(0.01, 1, 200)
    found = lines(hinge, low, high, None, "volume-slope")
    area = area_between(found, low, high)
    chord = (hinge.right * high - hinge.left * low) / (high - low)
    offset = hinge.left * low - chord * low
    best = np.full(len(low), np.inf)
    for slope in np.linspace(hinge.left, hinge.right, 21):
        middle = 0.5 * (low + high)
        best = np.minimum(best, (high - low) * ((chord - slope) * middle + offset))
    error = 1e-14 * (high - low) * (abs(hinge.left) + abs(hinge.right)) * (high - low)
    assert (np.abs(area - best) <= error).all()


def area_between(found: Lines, low: Array, high: Array) -> Array:
    """The integral over the interval of the upper minus the lower line."""
    middle = 0.5 * (low + high)
    lower_slope, lower_offset, upper_slope, upper_offset = arrays(found)
    return (high - low) * ((upper_slope - lower_slope) * middle + upper_offset - lower_offset)


@EACH
def test_lines_are_the_function_where_it_is_linear(hinge: Hinge) -> None:
    low = np.array([1.0, -2.0, 0.0, -1.0, 3.0, -3.0])
    high = np.array([2.0, -1.0, 1.0, 0.0, 3.0, -3.0])
    found = lines(hinge, low, high, None, "volume-slope")
    for z in (low, 0.5 * (low + high), high):
        value = np.where(z < 0, hinge.left * z, hinge.right * z)
        lower_slope, lower_offset, upper_slope, upper_offset = arrays(found)
        np.testing.assert_array_equal(lower_slope * z + lower_offset, value)
        np.testing.assert_array_equal(upper_slope * z + upper_offset, value)


def test_a_concave_hinge_is_refused() -> None:
    bad: Any = {"left": 1.0, "right": 0.0}
    with pytest.raises(ValueError, match="Received: left=1.0, right=0.0"):
        Hinge(**bad)
