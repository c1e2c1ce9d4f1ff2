"""One-dimensional functions: values, images and lines against ball arithmetic, no tolerance.

A line or an image is compared with the function itself, exactly: whatever rounding there is, the
op has to have made up for it.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from decomon.bounds import Interval
from decomon.ops.elementwise.curves import CURVES
from decomon.ops.elementwise.smooth import Smooth
from tests.decomon.curve_checks import (
    DTYPES,
    EACH,
    PARTIAL,
    both,
    failures,
    overflows,
    relax,
    report,
    sample,
    samples_of,
    start,
    violations,
)
from tests.decomon.curve_oracles import ORACLES, Oracle, arb, bits
from tests.decomon.helpers import Array, rng_of, tf

SLOW = pytest.mark.slow
SMOOTH = {name: curve for name, curve in CURVES.items() if isinstance(curve, Smooth)}


# --- soundness -----------------------------------------------------------------------------------


def test_every_curve_has_an_oracle() -> None:
    assert set(CURVES) <= set(ORACLES["float64"])


@EACH
@DTYPES
def test_the_starting_lines_are_valid(name: str, dtype: str) -> None:
    found = samples_of(name, dtype)
    lines = relax(name, found.interval, start(name, found.interval))
    wrong = failures(ORACLES[dtype][name], found, lines)
    assert not wrong, report(wrong)


@EACH
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "float64"])
def test_the_lines_are_valid_for_every_parameter(name: str, dtype: str) -> None:
    """Several parameters at once, along the axis of rows, admissible or not before projection."""
    found = samples_of(name, dtype)
    op = CURVES[name]
    first = start(name, found.interval)
    rng = rng_of(5)
    rows = []
    for value in first:
        shape = (1, 2, *value.shape[2:])
        ends = rng.choice([0.0, 1.0, -1e6, 1e6, 1e-9], size=shape)
        between = rng.uniform(-0.2, 1.2, size=shape)
        rows.append(tf.constant(np.concatenate([ends, between], axis=1).astype(dtype)))
    lines = relax(name, found.interval, op.project(tuple(rows)))
    assert all(part.shape[1] in (1, 4) for part in (lines.lower_slope, lines.upper_slope))
    wrong = failures(ORACLES[dtype][name], found, lines)
    assert not wrong, report(wrong)


@EACH
@DTYPES
def test_the_image_contains_all_values(name: str, dtype: str) -> None:
    found = samples_of(name, dtype)
    oracle = ORACLES[dtype][name]
    image = CURVES[name].interval(found.interval)
    low, high = np.asarray(image.lower)[0], np.asarray(image.upper)[0]
    # An infinite or missing image makes all bounds NaN: allowed only where numbers overflow.
    finite = np.isfinite(low) & np.isfinite(high)
    assert (finite | overflows(oracle, found)).all()
    kept = found.only(finite)
    zero = np.zeros_like(kept.low)
    wrong = violations(oracle, kept, -1, zero, low[finite])
    wrong += violations(oracle, kept, 1, zero, high[finite])
    assert not wrong, report(wrong)


# --- accuracy ------------------------------------------------------------------------------------


def arguments(oracle: Oracle, dtype: str) -> Array:
    """Floats of all sizes, and many around everything special."""
    rng = rng_of(3)
    sizes = 10.0 ** rng.uniform(-35, 4.5, 300)
    parts = [sizes, -sizes, rng.uniform(-20, 20, 400), np.linspace(-9, 9, 73)]
    for point in {0.0, *oracle.points, max(oracle.domain[0], -1e4)}:
        parts += [point + rng.normal(size=40), point + 1e-4 * rng.normal(size=20), [point]]
    x = np.unique(np.concatenate(parts).astype(dtype))
    return x[oracle.defined(x, x)]


@EACH
@DTYPES
def test_evaluates_as_keras_does(name: str, dtype: str) -> None:
    """The very same number: bounds are of the model that runs."""
    x = tf.constant(arguments(ORACLES[dtype][name], dtype))
    got, wanted = CURVES[name](x), ORACLES[dtype][name].keras(x)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.asarray(wanted))


@pytest.mark.parametrize("name", SMOOTH)
@DTYPES
def test_values_are_as_accurate_as_stated(name: str, dtype: str) -> None:
    op, oracle = SMOOTH[name], ORACLES[dtype][name]
    x = arguments(oracle, dtype)
    unit, tiny = float(np.finfo(dtype).eps) / 2, float(np.finfo(dtype).tiny)
    values = np.asarray(op.value(tf.constant(x)), np.float64)
    with bits(256):
        wanted = [oracle.value(arb(float(z))) for z in x]
        error = [abs(arb(float(v)) - w) for v, w in zip(values, wanted, strict=True)]
        terms = np.asarray((op.terms or op.value)(tf.constant(x)), np.float64)
        wrong = [
            f"value({z!r}) = {v!r} is not {float(w.mid())!r}: {float(e / unit / t):.1f} u"
            for z, v, w, e, t in zip(x, values, wanted, error, abs(terms), strict=True)
            if math.isfinite(v) and not e <= op.ulps * unit * t + tiny
        ]
    assert not wrong, report(wrong)


@pytest.mark.parametrize("name", SMOOTH)
@DTYPES
def test_slopes_are_as_accurate_as_stated(name: str, dtype: str) -> None:
    op, oracle = SMOOTH[name], ORACLES[dtype][name]
    x = arguments(oracle, dtype)
    x = x[~np.isin(x, np.array([0.0, *oracle.points], dtype))]
    unit, tiny = float(np.finfo(dtype).eps) / 2, float(np.finfo(dtype).tiny)
    slopes = np.asarray(op.slope(tf.constant(x)), np.float64)
    wanted = [oracle.slope(arb(float(z))) for z in x]
    terms = (
        np.asarray(op(tf.constant(x)))
        if op.terms is None
        else np.asarray(op.terms(tf.constant(x)), np.float64)
    )
    # an error of the slope counts by its product with a distance
    size = np.maximum(1, np.abs(x.astype(np.float64)))
    room = op.ulps * unit * ((np.abs(slopes) + op.slope_terms) * size + np.abs(terms)) + 8 * tiny
    wrong = [
        f"slope({z!r}) = {s!r} is not {float(w.mid())!r}"
        for z, s, w, h, r in zip(x, slopes, wanted, size, room, strict=True)
        if math.isfinite(s) and not abs(arb(float(s)) - w) * h <= r
    ]
    assert not wrong, report(wrong)


# --- any interval --------------------------------------------------------------------------------

numbers = st.one_of(
    st.floats(-60, 60),
    st.floats(-1e5, 1e5),
    st.floats(-1e-3, 1e-3),
    st.sampled_from([0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 0.5, -0.5, 1e4, -1e4]),
)


@pytest.mark.parametrize(
    "name",
    [
        name
        if name in ("sigmoid", "gelu", "relu6", "sin", "log")
        else pytest.param(name, marks=SLOW)
        for name in CURVES
    ],
)
@settings(derandomize=True, max_examples=10, deadline=None)
@given(
    ends=st.lists(st.tuples(numbers, numbers), min_size=8, max_size=8),
    shares=st.lists(st.floats(0, 1), min_size=2, max_size=2),
)
@example(ends=[(-5e-324, 5e-324), (-1e4, 5e-324)], shares=[0.0, 1.0])
def test_lines_and_images_are_valid_on_any_interval(
    name: str, ends: list[tuple[float, float]], shares: list[float]
) -> None:
    op, oracle = CURVES[name], ORACLES["float64"][name]
    low, high = np.sort(np.array(ends), axis=1).T
    inside = oracle.defined(low, high)
    if not inside.any():
        return
    found = sample(oracle, low[inside], high[inside])
    image = op.interval(found.interval)
    zero = np.zeros_like(found.low)
    wrong = violations(oracle, found, -1, zero, np.asarray(image.lower)[0])
    wrong += violations(oracle, found, 1, zero, np.asarray(image.upper)[0])
    first = start(name, found.interval)
    chosen = tuple(
        tf.fill(v.shape, tf.cast(s, v.dtype)) for v, s in zip(first, shares, strict=False)
    )
    for parameters in (first, op.project(chosen)):
        wrong += failures(oracle, found, relax(name, found.interval, parameters))
    assert not wrong, report(wrong)


# --- domains -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARTIAL)
@DTYPES
def test_outside_the_domain_nothing_is_claimed(name: str, dtype: str) -> None:
    """NaN on every side: never a bound that looks like one."""
    op, oracle = CURVES[name], ORACLES[dtype][name]
    edge = oracle.pole if oracle.pole is not None else oracle.domain[0]
    pairs = [(edge - 1, edge + 1), (edge - 1e-6, edge + 1e4)]
    if oracle.pole is None:
        pairs += [(edge - 2, edge - 1), (edge - 1, edge)]
    if oracle.open_ends or oracle.pole is not None:
        pairs += [(edge, edge), (edge, edge + 1)]
    low, high = np.array(pairs).T.astype(dtype)
    interval = Interval(tf.constant(low[None]), tf.constant(high[None]))
    image = op.interval(interval)
    assert np.isnan(image.lower).all()
    assert np.isnan(image.upper).all()
    lines = relax(name, interval, start(name, interval))
    for i, part in enumerate(both(lines)):
        assert i % 2 == 0 or np.isnan(part).all()
