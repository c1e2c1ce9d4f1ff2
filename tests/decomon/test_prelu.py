"""The lines of a rectifier with trained slopes, in exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from decomon.bounds import Interval, Lines
from decomon.models import SLOPES
from decomon.ops.elementwise.prelu import ParametricHinge
from tests.decomon.helpers import Array, keras, layers, rng_of, tf

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
ALPHAS = (-50.0, -1.0, -0.2, 0.0, 0.25, 0.1, 1.0, 1.5, 40.0)


def cases(dtype: str) -> tuple[Array, Array, Array]:
    """Slopes and intervals: degenerate, tiny, huge, one-sided, zero-crossing, lopsided."""
    tiny = float(np.finfo(dtype).tiny)
    pairs = [(0.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (tiny, 1.0), (-1.0, tiny), (-tiny, tiny)]
    scales = [1e-30, 1e-12, 1e-3, 1.0, 1e4, 1e30]
    for a in scales:
        pairs += [(0.3 * a, 0.3 * a), (-a, -a), (0.3 * a, a), (-a, -0.7 * a)]
        pairs += [(-0.4 * a, 0.9 * b) for b in scales]
    combined = np.array([(alpha, *pair) for alpha in ALPHAS for pair in pairs])
    alpha, low, high = combined.T.astype(dtype)
    return alpha, low, high


def as_interval(low: Array, high: Array) -> Interval:
    return Interval(tf.constant(low[None]), tf.constant(high[None]))


def lines(alpha: Array, low: Array, high: Array, position: float | None, rule: str) -> Lines:
    op = ParametricHinge(tf.Variable(alpha))
    interval = as_interval(low, high)
    if position is None:
        (parameter,) = op.initial([interval], SLOPES[rule])
    else:
        parameter = tf.fill([1, len(low)], tf.constant(position, low.dtype))
    return op.relax([interval], op.project((parameter[:, None],)))


def columns(found: Lines) -> list[Array]:
    """Lower slope and offset, upper slope and offset."""
    tensors = (found.lower_slope, found.lower_offset, found.upper_slope, found.upper_offset)
    return [np.asarray(t)[0, 0] for t in tensors]


@DTYPES
@pytest.mark.parametrize("position", [None, -1.0, 0.0, 0.3, 1.0, 9.0])
@pytest.mark.parametrize("rule", SLOPES)
def test_lines_are_valid(dtype: str, position: float | None, rule: str) -> None:
    """At both ends and at the kink, where a piecewise linear function minus a line is extreme.

    The only tolerance: an end too small to be a normal number may be read as zero, so that the
    other piece is taken for it.
    """
    if position is not None and rule != "volume-slope":
        return
    alpha, low, high = cases(dtype)
    parts = [column.tolist() for column in columns(lines(alpha, low, high, position, rule))]
    entries = zip(alpha.tolist(), low.tolist(), high.tolist(), *parts, strict=True)
    for slope, left, right, *line in entries:
        a, b, c, d = map(Fraction, line)
        for z in (Fraction(left), Fraction(right), *([Fraction(0)] if left < 0 < right else [])):
            value = z if z >= 0 else Fraction(slope) * z
            assert a * z + b <= value <= c * z + d, (slope, left, right, float(z))


@DTYPES
def test_the_image_is_exact(dtype: str) -> None:
    alpha, low, high = cases(dtype)
    got = ParametricHinge(tf.Variable(alpha)).interval(as_interval(low, high))
    eps, tiny = (Fraction(float(v)) for v in (np.finfo(dtype).eps, np.finfo(dtype).tiny))
    ends = np.asarray(got.lower)[0].tolist(), np.asarray(got.upper)[0].tolist()
    entries = zip(alpha.tolist(), low.tolist(), high.tolist(), *ends, strict=True)
    for slope, left, right, least, most in entries:
        points = [Fraction(left), Fraction(right), *([Fraction(0)] if left < 0 < right else [])]
        values = [z if z >= 0 else Fraction(slope) * z for z in points]
        for outward, value in (
            (min(values) - Fraction(least), min(values)),
            (Fraction(most) - max(values), max(values)),
        ):
            assert 0 <= outward <= 3 * eps * abs(value) + 5 * tiny * (1 + abs(Fraction(slope)))


def test_no_pair_of_lines_leaves_a_smaller_area() -> None:
    """Against all slopes of the line through the kink and the chord, in closed form."""
    rng = rng_of(0)
    alpha = rng.choice(ALPHAS, 300)
    low, high = -rng.uniform(0.01, 3, 300), rng.uniform(0.01, 3, 300)
    a, b, c, d = columns(lines(alpha, low, high, None, "volume-slope"))
    middle = 0.5 * (low + high)
    area = (c - a) * middle + d - b
    slope = (high - alpha * low) / (high - low)
    chord = slope * middle + high - slope * high
    through = alpha + np.linspace(0, 1, 101)[:, None] * (1 - alpha)
    best = np.abs(chord - through * middle).min(axis=0)
    assert (np.abs(area - best) <= 1e-12 * (1 + np.abs(alpha)) * 6).all()


def test_lines_are_the_function_where_it_is_linear() -> None:
    alpha = np.array([-2.0, 0.3, 1.0, 4.0, 4.0, -2.0])
    low = np.array([1.0, -2.0, 0.0, -1.0, 3.0, -3.0])
    high = np.array([2.0, -1.0, 1.0, 0.0, 3.0, -3.0])
    a, b, c, d = columns(lines(alpha, low, high, None, "volume-slope"))
    for z in (low, 0.5 * (low + high), high):
        value = np.where(z < 0, alpha * z, z)
        np.testing.assert_array_equal(a * z + b, value)
        np.testing.assert_array_equal(c * z + d, value)


def test_gradients_reach_the_slope_on_either_side() -> None:
    """Below a convex function, above a concave one."""
    op = ParametricHinge(tf.Variable([0.25, 3.0], dtype=tf.float64))
    interval = as_interval(np.array([-1.0, -1.0]), np.array([1.0, 2.0]))
    position = tf.constant([[[0.5, 0.5]]], tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(position)
        found = op.relax([interval], op.project((position,)))
    assert tape.gradient(found.lower_slope, position).numpy().tolist() == [[[0.75, 0.0]]]
    assert tape.gradient(found.upper_slope, position).numpy().tolist() == [[[0.0, -2.0]]]


def test_slopes_are_read_when_bounds_are_asked_for() -> None:
    layer = layers.PReLU(shared_axes=[1])
    model: Any = keras.Sequential([keras.Input((3, 2)), layer])
    op = ParametricHinge(layer.alpha)
    x = rng_of(1).normal(size=(4, 3, 2)).astype("float32")
    for value in (-1.0, 2.0):
        layer.alpha.assign(np.full(layer.alpha.shape, value))
        np.testing.assert_array_equal(op(tf.constant(x)), model(x))
        box = Interval(tf.constant(x - 0.5), tf.constant(x + 0.5))
        inside = np.clip(x + rng_of(2).uniform(-0.5, 0.5, x.shape), box.lower, box.upper)
        got, out = op.interval(box), np.asarray(op(tf.constant(inside.astype("float32"))))
        assert (got.lower.numpy() <= out).all()
        assert (out <= got.upper.numpy()).all()
