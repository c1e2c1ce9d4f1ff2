"""McCormick planes in exact rational arithmetic, and networks that multiply."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from decomon.bounds import Interval, Planes
from decomon.graph import from_keras
from decomon.models import SLOPES
from decomon.ops.elementwise.curves import SQUARE
from decomon.ops.products import Product
from tests.decomon.helpers import Array, keras, layers, rng_of, tf

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
RULE = SLOPES["volume-slope"]
Box = tuple[Array, Array]


def ends_of(dtype: str) -> list[tuple[float, float]]:
    """Degenerate, tiny, huge, one-sided, zero-crossing, lopsided and touching zero."""
    scales = [1e-30, 1e-12, 1e-3, 1.0, 1e4]
    next_one = float(np.nextafter(np.ones([], dtype), np.asarray(2, dtype)))
    pairs = [(0.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (1.0, next_one), (-next_one, -1.0)]
    pairs += [(1.0, 1.0 + 1e-12), (-1e4, 1e-12), (1e4, 1e4), (-1e4, -1e4 + 1)]
    for a in scales:
        pairs += [(-a, a), (0.3 * a, a), (-a, -0.7 * a), (0.9 * a, 0.9 * a), (-0.1 * a, a)]
    return pairs


def boxes_of(dtype: str) -> tuple[Box, Box]:
    """All pairs of two such intervals, shape ``(n,)``."""
    pairs = np.array(list(itertools.product(ends_of(dtype), repeat=2))).astype(dtype)
    return (pairs[:, 0, 0], pairs[:, 0, 1]), (pairs[:, 1, 0], pairs[:, 1, 1])


def as_interval(box: Box) -> Interval:
    return Interval(tf.constant(box[0][None]), tf.constant(box[1][None]))


def planes(x: Box, y: Box, position: float | None) -> Planes:
    """The planes of one sample; the starting ones if there is no position."""
    intervals = [as_interval(x), as_interval(y)]
    op = Product()
    if position is None:
        parameters = op.initial(intervals, RULE)
    else:
        parameters = (tf.fill([1, len(x[0])], tf.constant(position, x[0].dtype)),) * 2
    return op.relax(intervals, op.project(tuple(value[:, None] for value in parameters)))


def rows(found: Planes) -> list[tuple[Any, ...]]:
    """Per entry: both lower slopes and the offset, both upper slopes and the offset, exactly."""
    tensors = (
        *found.lower_slopes,
        found.lower_offset,
        *found.upper_slopes,
        found.upper_offset,
    )
    arrays = [np.asarray(t)[0, 0].tolist() for t in tensors]
    return [tuple(map(Fraction, entry)) for entry in zip(*arrays, strict=True)]


def corners(x: Box, y: Box) -> list[list[tuple[Fraction, Fraction]]]:
    """The four corners of every box; a bilinear function minus a plane is extreme there."""
    ends = zip(*(side.tolist() for side in (*x, *y)), strict=True)
    return [[(Fraction(p), Fraction(q)) for p in entry[:2] for q in entry[2:]] for entry in ends]


def largest(box: list[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction]:
    return max(abs(p) for p, _ in box), max(abs(q) for _, q in box)


@DTYPES
@pytest.mark.parametrize("position", [None, -3.0, 0.0, 0.3, 0.5, 1.0, 7.0])
def test_planes_are_valid(dtype: str, position: float | None) -> None:
    """Without any tolerance: the rounding term is part of the offset."""
    x, y = boxes_of(dtype)
    for box, (a, b, c, d, e, f) in zip(corners(x, y), rows(planes(x, y, position)), strict=True):
        for p, q in box:
            assert a * p + b * q + c <= p * q <= d * p + e * q + f, (box, float(p), float(q))


@DTYPES
def test_the_image_is_exact(dtype: str) -> None:
    """Outward, by at most three roundings of the end itself and two flushed operands."""
    x, y = boxes_of(dtype)
    got = Product().interval(as_interval(x), as_interval(y))
    eps, tiny = (Fraction(float(v)) for v in (np.finfo(dtype).eps, np.finfo(dtype).tiny))
    ends = zip(np.asarray(got.lower)[0].tolist(), np.asarray(got.upper)[0].tolist(), strict=True)
    for box, (low, high) in zip(corners(x, y), ends, strict=True):
        values = [p * q for p, q in box]
        m, n = largest(box)
        for outward, value in (
            (min(values) - Fraction(low), min(values)),
            (Fraction(high) - max(values), max(values)),
        ):
            assert 0 <= outward <= 4 * eps * abs(value) + 5 * tiny * (1 + m + n)
        assert not (min(values) >= 0 > low)
        assert not (max(values) <= 0 < high)


@DTYPES
def test_starting_planes_have_the_range_of_the_image(dtype: str) -> None:
    x, y = boxes_of(dtype)
    eps, tiny = (Fraction(float(v)) for v in (np.finfo(dtype).eps, np.finfo(dtype).tiny))
    for box, (a, b, c, d, e, f) in zip(corners(x, y), rows(planes(x, y, None)), strict=True):
        values = [p * q for p, q in box]
        m, n = largest(box)
        room = 20 * eps * m * n + 20 * tiny * (1 + m + n)
        assert min(a * p + b * q + c for p, q in box) >= min(values) - room
        assert max(d * p + e * q + f for p, q in box) <= max(values) + room


def test_no_pair_of_planes_leaves_a_smaller_volume() -> None:
    """Against linear programs: the highest valid plane at the centre, and the lowest."""
    rng = rng_of(0)
    x = np.sort(rng.normal(size=(2, 25)) * 3, axis=0)
    y = np.sort(rng.normal(size=(2, 25)) * 3, axis=0)
    boxes = corners((x[0], x[1]), (y[0], y[1]))
    for position in (None, 0.0, 0.4):
        found = rows(planes((x[0], x[1]), (y[0], y[1]), position))
        for box, (a, b, c, d, e, f) in zip(boxes, found, strict=True):
            points = np.array(box, float)
            matrix = np.concatenate([points, np.ones((4, 1))], axis=1)
            values, goal = points.prod(axis=1), matrix.mean(axis=0)
            free = [(None, None)] * 3
            below = linprog(-goal, A_ub=matrix, b_ub=values, bounds=free, method="highs")
            above = linprog(goal, A_ub=-matrix, b_ub=-values, bounds=free, method="highs")
            optimum = above.fun + below.fun
            volume = float(sum(s * g for s, g in zip((d - a, e - b, f - c), goal, strict=True)))
            assert optimum * (1 - 1e-6) <= volume <= optimum * (1 + 1e-6)


def test_inputs_broadcast_and_their_rows_are_summed() -> None:
    rng = rng_of(1)
    shapes = ((3, 1), (2, 1, 4), (4,))
    for first, second in itertools.permutations(shapes, 2):
        centers = [rng.normal(size=(5, *shape)) for shape in (first, second)]
        points = [Interval(tf.constant(c - 0.3), tf.constant(c + 0.3)) for c in centers]
        op = Product()
        start = tuple(value[:, None] for value in op.initial(points, RULE))
        values = op(*(tf.constant(c) for c in centers))
        weights = rng.normal(size=(5, 2, *values.shape[1:]))
        sent, offset = op.relax(points, start).substitute(tf.constant(weights))
        assert [tuple(s.shape) for s in sent] == [(5, 2, *first), (5, 2, *second)]
        bound = offset.numpy()
        for part, center in zip(sent, centers, strict=True):
            bound = bound + (part.numpy() * center[:, None]).reshape(5, 2, -1).sum(axis=2)
        exact = (weights * values.numpy()[:, None]).reshape(5, 2, -1).sum(axis=2)
        assert (bound >= exact).all()
        masks = op.unstable(*points)
        assert [tuple(m.shape[1:]) for m in masks] == [first, second]


def test_only_products_of_two_varying_operands_are_open() -> None:
    x = Interval(tf.constant([[0.0, 1.0, 1.0]]), tf.constant([[1.0, 1.0, 2.0]]))
    y = Interval(tf.constant([[0.0, 0.0, 2.0]]), tf.constant([[1.0, 5.0, 2.0]]))
    for mask in Product().unstable(x, y):
        assert mask.numpy().tolist() == [[True, False, False]]


def test_gradients_reach_the_positions() -> None:
    rng = rng_of(2)
    low, high = rng.normal(size=(2, 1, 6)), rng.normal(size=(2, 1, 6))
    intervals = [
        Interval(tf.constant(np.minimum(a, b)), tf.constant(np.maximum(a, b)))
        for a, b in zip(low, high, strict=True)
    ]
    op = Product()
    parameters = tuple(tf.constant(np.full((1, 2, 6), 0.4)) for _ in range(2))
    weights = tf.constant(np.stack([np.ones((1, 6)), -np.ones((1, 6))], axis=1))
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        sent, offset = op.relax(intervals, op.project(parameters)).substitute(weights)
        value = tf.reduce_sum(offset) + sum(
            tf.reduce_sum(tf.abs(part) * i.radius[:, None] + part * i.center[:, None])
            for part, i in zip(sent, intervals, strict=True)
        )
    for gradient in tape.gradient(value, parameters):
        assert np.isfinite(gradient.numpy()).all()
        assert (np.abs(gradient.numpy()) > 0).any()


def test_a_value_times_itself_is_a_square() -> None:
    x = keras.Input((3,))
    hidden = layers.Dense(4)(x)
    for outputs in (layers.Multiply()([hidden, hidden]), layers.Dot(1)([hidden, hidden])):
        ops = [node.op for node in from_keras(keras.Model(x, outputs)).nodes]
        assert SQUARE in ops
        assert not any(isinstance(op, Product) for op in ops)
