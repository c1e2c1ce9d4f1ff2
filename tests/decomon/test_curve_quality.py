"""One-dimensional functions: tight lines, exact images, gradients, and whole networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.bounds import Interval
from decomon.ops.elementwise.curves import CURVES
from tests.decomon.curve_checks import (
    DTYPES,
    EACH,
    PARTIAL,
    both,
    overflows,
    relax,
    report,
    samples_of,
    start,
)
from tests.decomon.curve_oracles import INF, ORACLES, Oracle, k
from tests.decomon.helpers import (
    METHODS,
    Array,
    ascend,
    boxes,
    evaluate,
    keras,
    layers,
    precision,
    randomise,
    rng_of,
    sample,
    tf,
)

# --- tightness -----------------------------------------------------------------------------------


def usual(oracle: Oracle) -> tuple[Array, Array]:
    """Intervals of ordinary size, on either side of and across everything special."""
    rng = rng_of(9)
    pairs = [(-5.0, 50.0), (-50.0, 5.0), (0.0, 5.0), (-5.0, 0.0), (-8.0, 8.0), (0.0, 50.0)]
    for center in {0.0, *oracle.points, max(oracle.domain[0], -3.0)}:
        for scale in (0.03, 0.3, 1.0, 3.0, 10.0):
            s, t = scale * rng.uniform(0.2, 1, 2)
            pairs += [(center, center + s), (center - s, center), (center - s, center + t)]
            pairs += [(center - s, center + 8 * t), (center - 8 * s, center + t)]
            pairs += [(center + s, center + s + t), (center - s - t, center - s)]
    low, high = np.array(pairs).T
    inside = oracle.defined(low, high)
    return low[inside], high[inside]


def envelope_at_middle(points: Array, values: Array) -> Array:
    """The concave envelope of graphs, ``(n, count)`` each, at the middle of every grid.

    It is the least height there of all lines above the graph, which is convex in the line's slope:
    golden section.
    """
    middle = 0.5 * (points[:, :1] + points[:, -1:])
    shift = points - middle

    def height(slope: Array) -> Array:
        return (values - slope[:, None] * shift).max(axis=1)

    steep = np.abs(np.diff(values, axis=1) / np.diff(points, axis=1)).max(axis=1) + 1e-300
    left, right = -steep, steep
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(90):
        a, b = right - ratio * (right - left), left + ratio * (right - left)
        lower = height(a) < height(b)
        left, right = np.where(lower, left, a), np.where(lower, b, right)
    return np.minimum(height(left), height(right))


@EACH
def test_no_pair_of_lines_leaves_a_much_smaller_area(name: str) -> None:
    """The area between two lines is their distance at the middle times the width.

    The best upper line is therefore as high there as the concave envelope.  Graphs are taken on
    a grid, so the optimum is never overrated.
    """
    op, oracle = CURVES[name], ORACLES["float64"][name]
    low, high = usual(oracle)
    interval = Interval(tf.constant(low[None]), tf.constant(high[None]))
    lower_slope, lower_offset, upper_slope, upper_offset = both(
        relax(name, interval, start(name, interval))
    )
    middle = 0.5 * (low + high)
    gap = ((upper_slope - lower_slope) * middle + upper_offset - lower_offset)[0]
    points = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 2001)
    points = np.sort(np.concatenate([points, special(oracle, low, high)], axis=1), axis=1)
    points[:, -1] = high
    values = np.asarray(op(tf.constant(points)))
    keep = spread(points)
    best = envelope_at_middle(keep, values) + envelope_at_middle(keep, -values)
    size = 1 + np.abs(values).max(axis=1) + np.abs(points).max(axis=1)
    wrong = [
        f"[{low[i]!r}, {high[i]!r}]: {gap[i] / best[i]:.4f} times the least area"
        for i in np.nonzero(~(gap <= 1.02 * best + 1e-13 * size))[0]
    ]
    assert not wrong, report(wrong)


def spread(points: Array) -> Array:
    """Positions at which equal points count as different by next to nothing."""
    return points + 1e-15 * np.abs(points).max(axis=1, keepdims=True) * np.arange(points.shape[1])


def special(oracle: Oracle, low: Array, high: Array) -> Array:
    """All special points and both their neighbours, moved to an end if they lie outside."""
    near = [n for p in (0.0, *oracle.points) for n in (p, *np.nextafter(p, [-INF, INF]))]
    return np.clip(np.array(near)[None], low[:, None], high[:, None])


@EACH
@DTYPES
def test_the_image_is_exact_up_to_rounding(name: str, dtype: str) -> None:
    op, oracle = CURVES[name], ORACLES[dtype][name]
    low, high = (side.astype(dtype) for side in usual(oracle))
    inside = oracle.defined(low, high)
    low, high = low[inside], high[inside]
    image = op.interval(Interval(tf.constant(low[None]), tf.constant(high[None])))
    low, high = low.astype(np.float64), high.astype(np.float64)
    points = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 801)
    points = np.concatenate([points, special(oracle, low, high), high[:, None]], axis=1)
    if oracle.periodic:
        turn = np.round(points / (np.pi / 2)) * np.pi / 2
        points = np.concatenate([points, np.clip(turn, low[:, None], high[:, None])], axis=1)
    # a jump lies where the dtype has it
    points = points.astype(dtype) if oracle.jumps else points
    values = np.asarray(op(tf.constant(points)), np.float64)
    unit = float(np.finfo(dtype).eps) / 2
    size = 1 + np.maximum(np.abs(values).max(axis=1), np.abs(points).max(axis=1))
    room = 24 * unit * size
    top, bottom = values.max(axis=1), values.min(axis=1)
    got_top, got_bottom = np.asarray(image.upper)[0], np.asarray(image.lower)[0]
    wrong = [
        f"[{low[i]!r}, {high[i]!r}]: [{got_bottom[i]!r}, {got_top[i]!r}]"
        f" instead of [{bottom[i]!r}, {top[i]!r}]"
        for i in np.nonzero(~((got_top <= top + room) & (got_bottom >= bottom - room)))[0]
    ]
    assert not wrong, report(wrong)


# --- gradients -----------------------------------------------------------------------------------


@EACH
@DTYPES
def test_gradients_are_finite_and_lines_follow_their_parameters(name: str, dtype: str) -> None:
    found = samples_of(name, dtype)
    found = found.only(~overflows(ORACLES[dtype][name], found))
    if name in PARTIAL:  # second derivatives near a pole overflow long before values
        found = found.only(np.minimum(np.abs(found.low), np.abs(found.high)) > 1e-9)
    op = CURVES[name]
    parameters = start(name, found.interval)
    if not parameters:
        pytest.skip("nothing to optimise")
    moved, wrong = False, set[str]()
    for share in (0.0, 0.4, 1.0):
        tried = op.project(tuple(tf.fill(p.shape, tf.cast(share, p.dtype)) for p in parameters))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tried)
            lines = relax(name, found.interval, tried)
        parts = (lines.lower_slope, lines.lower_offset, lines.upper_slope, lines.upper_offset)
        for part in parts:
            if part is None:
                continue
            for gradient in tape.gradient(
                part, tried, unconnected_gradients=tf.UnconnectedGradients.ZERO
            ):
                gradient = np.asarray(tf.convert_to_tensor(gradient)).reshape(-1)
                wrong |= {
                    f"[{found.low[i]!r}, {found.high[i]!r}] at {share}"
                    for i in np.nonzero(~np.isfinite(gradient))[0]
                }
                moved |= bool((gradient != 0).any())
    assert not wrong, report(sorted(wrong))
    assert moved


# --- inside networks -----------------------------------------------------------------------------

QUICK = {("sigmoid", "crown"), ("gelu", "forward-hybrid"), ("relu6", "crown"), ("log", "crown")}
NETWORK_METHODS = [
    (name, method)
    if (name, method) in QUICK
    else pytest.param(name, method, marks=pytest.mark.slow)
    for name in CURVES
    for method in METHODS
]


def network(name: str) -> Any:
    """Two dense layers with the function between them; partial functions get positive numbers."""
    with precision("float64"):
        x = keras.Input((3,))
        y = layers.Dense(5)(x)
        if name in PARTIAL:
            y = k.add(k.square(y), 0.1)
        function = ORACLES["float64"][name].keras
        # Not all activations can be called on symbolic tensors.
        known = function in vars(keras.activations).values()
        y = layers.Activation(function)(y) if known else function(y)
        return randomise(keras.Model(x, layers.Dense(2)(y)), seed=4, scale=1.5)


@pytest.mark.parametrize(("name", "method"), NETWORK_METHODS)
def test_no_point_of_a_network_beats_a_bound(name: str, method: str) -> None:
    """Nor does optimising the lines loosen anything; if there is anything to gain, it gains."""
    model = network(name)
    corners = [boxes(model, 2, size, seed, "float64") for seed, size in enumerate((0.02, 0.3, 2))]
    x_min, x_max = (np.concatenate(side) for side in zip(*corners, strict=True))
    plain = decomon.clone(model, method=method)
    tuned = decomon.clone(model, method=method, finetune=True, finetune_steps=8)
    values = evaluate(model, sample(x_min, x_max, 300))
    most, least = values.max(axis=0), values.min(axis=0)
    for j, row in enumerate(np.eye(2)):
        if name == "floor":  # TensorFlow has no gradient for it
            break
        rows = np.tile(row, (len(x_min), 1))
        most[:, j] = np.maximum(most[:, j], ascend(model, x_min, x_max, rows, steps=20)[0])
        least[:, j] = np.minimum(least[:, j], -ascend(model, x_min, x_max, -rows, steps=20)[0])
    found = [decomon.get_range_box(verified, x_min, x_max) for verified in (plain, tuned)]
    for high, low in found:
        # rounding of the dense layers only: five products each, of numbers of the bounds' size
        slack = 200 * np.finfo(np.float64).eps * (1 + np.abs(high) + np.abs(low))
        assert np.isfinite(high).all()
        assert np.isfinite(low).all()
        assert (most <= high + slack).all()
        assert (least >= low - slack).all()
    (high, low), (tuned_high, tuned_low) = found
    assert (tuned_high <= high).all()
    assert (tuned_low >= low).all()
    if method != "forward-ibp":
        assert (tuned_high - tuned_low < high - low - 1e-6).any()
