"""Planes of maxima in exact rational arithmetic, and the windows of max pooling."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from decomon.bounds import Gathered, Interval
from decomon.graph import from_keras
from decomon.models import SLOPES
from decomon.ops.max_pooling import MaxPooling, Windows
from decomon.ops.maxima import Max
from tests.decomon.helpers import Array, keras, layers, rng_of, tf

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
COUNTS = pytest.mark.parametrize("count", [1, 2, 3, 4])
RULE = SLOPES["volume-slope"]
SIDES = [0, 1e-30, 1e-12, -1e-12, 1, -1, 1 + 1e-7, 0.3, -0.7, -3, 0.5, 1e4, -1e4, 1e4 + 1]


def windows(count: int, dtype: str, size: int = 150) -> tuple[Array, Array]:
    """Degenerate, tiny, huge, one-sided, tied, disjoint and overlapping; shape ``(n, count)``."""
    rng = rng_of(count)
    special = rng.choice(SIDES, size=(2, size, count))
    center, radius = rng.normal(size=(size, count)), rng.exponential(size=(size, count))
    usual = np.stack([center - radius, center + radius])
    both = np.concatenate([special, usual], axis=1).astype(dtype)
    return both.min(axis=0), both.max(axis=0)


def as_interval(low: Array, high: Array) -> Interval:
    return Interval(tf.constant(low[None]), tf.constant(high[None]))


def start(op: Max, low: Array, high: Array) -> tuple[Any, ...]:
    return op.initial([as_interval(low, high)], RULE)


def planes(op: Max, low: Array, high: Array, parameters: tuple[Any, ...]) -> Gathered:
    projected = op.project(tuple(value[:, None] for value in parameters))
    return op.relax([as_interval(low, high)], projected)


def exact(found: Gathered) -> list[tuple[list[Fraction], Fraction, list[Fraction], Fraction]]:
    """Per window: lower slopes and offset, upper slopes and offset."""
    return [
        (
            [Fraction(v) for v in np.asarray(found.lower_slope)[0, 0][i].tolist()],
            Fraction(float(found.lower_offset[0, 0, i])),
            [Fraction(v) for v in np.asarray(found.upper_slope)[0, 0][i].tolist()],
            Fraction(float(found.upper_offset[0, 0, i])),
        )
        for i in range(found.upper_offset.shape[2])
    ]


def vertices(low: Array, high: Array) -> list[tuple[Fraction, ...]]:
    pairs = zip(map(Fraction, low.tolist()), map(Fraction, high.tolist()), strict=True)
    return list(itertools.product(*pairs))


def plane(slopes: list[Fraction], offset: Fraction, point: tuple[Fraction, ...]) -> Fraction:
    return sum((a * z for a, z in zip(slopes, point, strict=True)), offset)


def check_valid(low: Array, high: Array, found: Gathered) -> None:
    """No tolerance at all: rounding is part of the offsets.

    The maximum minus an upper plane is convex, hence largest at a vertex.  The lower plane is
    checked at the vertices, at the centre and where as many entries as possible are equal.
    """
    for i, (a, b, c, d) in enumerate(exact(found)):
        corners = vertices(low[i], high[i])
        for point in corners:
            assert plane(c, d, point) >= max(point), (low[i], high[i])
        box = list(zip(corners[0], corners[-1], strict=True))
        levels = [v for side in box for v in side]
        inner = [tuple(min(max(level, p), q) for p, q in box) for level in levels]
        inner.append(tuple((p + q) / 2 for p, q in box))
        for point in corners + inner:
            assert plane(a, b, point) <= max(point), (low[i], high[i])


@DTYPES
@COUNTS
def test_starting_planes_are_valid(count: int, dtype: str) -> None:
    low, high = windows(count, dtype)
    check_valid(low, high, planes(Max(), low, high, start(Max(), low, high)))


@DTYPES
@COUNTS
@pytest.mark.parametrize("scale", [0.3, 1.0, 1e6])
def test_planes_are_valid_for_every_parameter(count: int, dtype: str, scale: float) -> None:
    low, high = windows(count, dtype)
    rng = rng_of(3)
    weights = tf.constant((scale * rng.normal(size=(1, *low.shape))).astype(dtype))
    position = tf.constant((0.5 + scale * rng.normal(size=(1, len(low)))).astype(dtype))
    check_valid(low, high, planes(Max(), low, high, (weights, position)))


@DTYPES
def test_entries_that_do_not_count_never_win(dtype: str) -> None:
    low, high = windows(4, dtype)
    valid = np.array([True, False, True, False])
    op, rng = Max(valid), rng_of(4)
    some = tf.constant(rng.normal(size=(1, *low.shape)).astype(dtype))
    for parameters in (start(op, low, high), (some, some[..., 0])):
        found = planes(op, low, high, parameters)
        for slopes in (found.lower_slope, found.upper_slope):
            assert not np.asarray(slopes)[0, 0][:, ~valid].any()
        kept = Gathered(
            found.lower_slope[..., ::2],
            found.lower_offset,
            found.upper_slope[..., ::2],
            found.upper_offset,
        )
        check_valid(low[:, valid], high[:, valid], kept)
    image = op.interval(as_interval(low, high))
    np.testing.assert_array_equal(image.upper[0], high[:, valid].max(axis=1))
    np.testing.assert_array_equal(image.lower[0], low[:, valid].max(axis=1))
    assert not op.unstable(as_interval(low, high))[0].numpy()[0][:, ~valid].any()


@DTYPES
@COUNTS
def test_an_entry_that_always_wins_is_both_planes(count: int, dtype: str) -> None:
    low, high = windows(count, dtype)
    winner = np.arange(len(low)) % count
    top = high.max(axis=1)
    rows = np.arange(len(low))
    low[rows, winner] = top
    high[rows, winner] = top + 1
    found = planes(Max(), low, high, start(Max(), low, high))
    one_hot = np.eye(count)[winner]
    for slopes in (found.lower_slope, found.upper_slope):
        np.testing.assert_array_equal(np.asarray(slopes)[0, 0], one_hot)
    for offset in (found.lower_offset, found.upper_offset):
        np.testing.assert_array_equal(np.asarray(offset)[0, 0], 0)
    assert not Max().unstable(as_interval(low, high))[0].numpy().any()


@COUNTS
def test_no_pair_of_planes_leaves_a_smaller_volume(count: int) -> None:
    """Above, against a linear program over the vertices; below, against the centre's value.

    The maximum is convex, so no valid plane is above it anywhere.
    """
    rng = rng_of(count)
    center, radius = rng.normal(size=(30, count)), rng.uniform(0.1, 1.5, size=(30, count))
    low, high = center - radius, center + radius
    found = exact(planes(Max(), low, high, start(Max(), low, high)))
    for i, (a, b, c, d) in enumerate(found):
        middle = tuple(map(Fraction, ((low[i] + high[i]) / 2).tolist()))
        points = np.array(vertices(low[i], high[i]), float)
        matrix = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        solved = linprog(
            matrix.mean(axis=0),
            A_ub=-matrix,
            b_ub=-points.max(axis=1),
            bounds=[(None, None)] * (count + 1),
            method="highs",
        )
        best = solved.fun - float(max(middle))
        volume = float(plane(c, d, middle) - plane(a, b, middle))
        assert best - 1e-6 <= volume <= best * (1 + 1e-6) + 1e-6


@COUNTS
def test_thresholds_are_the_concave_envelope(count: int) -> None:
    """At any point, some threshold's plane is as low as any valid plane."""
    rng = rng_of(10 + count)
    center, radius = rng.normal(size=(6, count)), rng.uniform(0.1, 1.5, size=(6, count))
    low, high = center - radius, center + radius
    weights = start(Max(), low, high)[0]
    found = [
        exact(planes(Max(), low, high, (weights, tf.fill([1, len(low)], np.float64(position)))))
        for position in np.linspace(0, 1, 401)
    ]
    for i in range(len(low)):
        points = np.array(vertices(low[i], high[i]), float)
        matrix = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        for ratio in rng.uniform(size=(4, count)):
            inner = low[i] + ratio * (high[i] - low[i])
            solved = linprog(
                np.append(inner, 1),
                A_ub=-matrix,
                b_ub=-points.max(axis=1),
                bounds=[(None, None)] * (count + 1),
                method="highs",
            )
            place = tuple(map(Fraction, inner.tolist()))
            lowest = float(min(plane(entry[i][2], entry[i][3], place) for entry in found))
            span = float((high[i] - low[i]).max())
            assert solved.fun - 1e-6 <= lowest <= solved.fun + count * span / 400 + 1e-6


def test_projected_weights_are_the_nearest_of_the_simplex() -> None:
    """The nearest point is the one whose distance no step towards a vertex shortens."""
    rng = rng_of(5)
    wanted = np.concatenate([rng.normal(size=(40, 5)), 30 * rng.normal(size=(10, 5)), np.eye(5)])
    weights, _ = Max().project((tf.constant(wanted), tf.zeros([55], tf.float64)))
    found = weights.numpy()
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    for vertex in np.eye(5):
        assert (((wanted - found) * (vertex - found)).sum(axis=1) <= 1e-10).all()
    np.testing.assert_array_equal(found[-5:], np.eye(5))


def test_gradients_reach_the_parameters() -> None:
    low, high = windows(4, "float64")
    low, high = low[-40:], high[-40:]
    weights, position = (value[:, None] for value in start(Max(), low, high))
    parameters = (0.5 * weights + 0.125, 0.5 * position)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        found = Max().relax([as_interval(low, high)], Max().project(parameters))
        value = sum(
            tf.reduce_sum(tf.square(tensor))
            for tensor in (found.lower_slope, found.upper_slope, found.upper_offset)
        )
    for gradient in tape.gradient(value, parameters):
        assert np.isfinite(gradient.numpy()).all()
        assert (np.abs(gradient.numpy()) > 0).any()


def pooling(layer: Any, shape: tuple[int, ...]) -> MaxPooling:
    """The op of a layer, found by its rule."""
    x = keras.Input(shape)
    ops = [node.op for node in from_keras(keras.Model(x, layer(x))).nodes]
    (found,) = [op for op in ops if isinstance(op, MaxPooling)]
    return found


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_pooling_bounds_are_those_of_every_single_window(order: str) -> None:
    """Windows that overlap and reach beyond the image: rows come back to the right pixels."""
    shape = (5, 4, 2) if order == "channels_last" else (2, 5, 4)
    layer = layers.MaxPooling2D(
        (3, 2), strides=(2, 1), padding="same", data_format=order, dtype="float64"
    )
    op = pooling(layer, shape)
    rng = rng_of(6)
    center = rng.normal(size=(3, *shape)) - 3  # all negative: zeros around would win
    box = Interval(tf.constant(center - 0.4), tf.constant(center + 0.4))
    image = op.interval(box)
    for end, pixels in ((image.lower, box.lower), (image.upper, box.upper)):
        np.testing.assert_array_equal(end, layer(pixels))
    start_ = tuple(value[:, None] for value in op.initial([box], RULE))
    rows = rng.normal(size=(3, 4, *image.lower.shape[1:]))
    (sent,), offset = op.relax([box], start_).substitute(tf.constant(rows))
    assert sent.shape == (3, 4, *shape)
    for ratio in (0.0, 0.5, 1.0, rng.uniform(size=center.shape), rng.uniform(size=center.shape)):
        point = center + (2 * ratio - 1) * 0.4
        value = (rows * layer(tf.constant(point)).numpy()[:, None]).reshape(3, 4, -1).sum(axis=2)
        bound = (sent.numpy() * point[:, None]).reshape(3, 4, -1).sum(axis=2) + offset.numpy()
        assert (bound >= value - 1e-12).all()
    (mask,) = op.unstable(box)
    (copied,) = op.maximum.unstable(op.windows.interval(box))
    assert mask.shape == box.lower.shape
    assert mask.numpy().any() == copied.numpy().any()


def test_windows_copy_pixels_and_their_transpose_adds_up() -> None:
    tables = (np.array([[0, 1, 2], [2, 3, -1]]), np.array([[0], [1]]))
    for first in (False, True):
        shape = (3, 4, 2) if first else (4, 2, 3)
        op = Windows(tables, first)
        rng = rng_of(7)
        x = rng.normal(size=(2, *shape))
        got = op(tf.constant(x)).numpy()
        last = np.moveaxis(x, 1, -1) if first else x
        for i, j, c, k in itertools.product(range(2), range(2), range(3), range(3)):
            if tables[0][i, k] >= 0:
                entry = got[:, c, i, j, k] if first else got[:, i, j, c, k]
                np.testing.assert_array_equal(entry, last[:, tables[0][i, k], j, c])
        inside = op.inside
        assert inside is not None
        assert np.broadcast_to(inside, got.shape[1:]).sum() == 5 * 2 * 3
        rows = rng.normal(size=got.shape)
        (sent,) = op.transpose(tf.constant(rows), [shape])
        assert sent is not None
        np.testing.assert_allclose((sent.numpy() * x).sum(), (rows * got).sum(), atol=1e-12)
