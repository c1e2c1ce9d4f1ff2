"""Grids, convex hulls and sets spanned by directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from decomon.domains.affine import AffineDomain, brightness, contrast
from decomon.domains.box import BoxDomain
from decomon.domains.grid import GridDomain
from decomon.domains.vertex import VertexDomain
from tests.decomon.domain_properties import CHECKS, Subject, all_values, maximum, wide
from tests.decomon.helpers import Array, rng_of, tf

few = settings(derandomize=True, max_examples=4, deadline=None)

Drawn = tuple[np.random.Generator, tuple[int, ...], str, int]


@st.composite
def drawn(draw: Any) -> Drawn:
    """A source of numbers, the shape of an input, a float type and a seed."""
    seed = draw(st.integers(0, 2**16))
    shape = draw(st.sampled_from([(3,), (2, 2), (1,), (2, 1, 3)]))
    return rng_of(seed), shape, draw(st.sampled_from(["float32", "float64"])), seed


def a_box(drawn: Drawn) -> Subject:
    rng, shape, dtype, seed = drawn
    low = rng.normal(size=(3, *shape)).astype(dtype)
    high = low + rng.integers(0, 3, size=low.shape).astype(dtype)
    return Subject(BoxDomain(low, high).shaped(shape), seed=seed)


def a_grid(drawn: Drawn) -> Subject:
    rng, shape, dtype, seed = drawn
    levels = rng.integers(0, 256, size=(3, *shape))
    low, high = np.maximum(levels - 9, 0), np.minimum(levels + rng.integers(0, 9), 255)
    if seed % 2:
        step: Any = 1 / 255
        low, high = (low / 255).astype(dtype), (high / 255).astype(dtype)
    else:
        step = rng.choice([0.0, 0.1, 0.37, 1.0], size=(1, *shape))
        low, high = low.astype(dtype) - 100, high.astype(dtype) - 100
    peak = abs(low) + abs(high)
    return Subject(GridDomain(low, high, step).shaped(shape), terms=4, peak=peak, seed=seed)


def a_hull(drawn: Drawn) -> Subject:
    rng, shape, dtype, seed = drawn
    count = int(rng.integers(1, 7))
    vertices = rng.normal(size=(3, count, *shape)) + rng.choice([0, 10])
    vertices[0] = vertices[0, :1]  # a single point
    vertices[1, count // 2 :] = vertices[1, :1]  # some points are given twice
    vertices = vertices.astype(dtype)
    peak = abs(vertices).max(axis=1)
    domain = VertexDomain(vertices).shaped(shape)
    return Subject(domain, terms=2 * count, peak=peak, seed=seed)


def directions(drawn: Drawn) -> Subject:
    rng, shape, dtype, seed = drawn
    count = int(rng.integers(1, 5))
    x = rng.normal(size=(3, *shape)).astype(dtype)
    along = rng.normal(size=(int(rng.choice([1, 3])), count, *shape)).astype(dtype)
    if count > 2:
        along[:, 1] = along[:, 0]  # linearly dependent
        along[:, 2] = 0
    low = rng.normal(size=(3, count))
    high = low + rng.integers(0, 2, size=low.shape)
    largest = np.maximum(abs(low), abs(high)).reshape(3, count, *[1] * len(shape))
    peak = abs(x) + (largest * abs(along)).sum(axis=1)
    domain = AffineDomain(x, along, low, high).shaped(shape)
    return Subject(domain, terms=count + 2, peak=peak, seed=seed)


KINDS = {"box": a_box, "grid": a_grid, "vertex": a_hull, "affine": directions}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@few
@given(source=drawn())
def test_what_holds_for_every_kind(
    check: Callable[[Subject], None], kind: str, source: Drawn
) -> None:
    check(KINDS[kind](source))


def optimum(gains: Array, low: Array, high: Array, *, total: bool) -> float:
    """The largest ``gains . c`` with bounded coefficients, of a linear programme."""
    equal = {"A_eq": np.ones((1, len(gains))), "b_eq": [1]} if total else {}
    found = linprog(-gains, bounds=np.stack([low, high], axis=1), method="highs", **equal)
    assert found.success
    return -found.fun


@few
@given(source=drawn())
def test_the_maximum_over_a_hull_is_that_of_a_linear_programme(source: Drawn) -> None:
    subject = a_hull(source)
    weights = subject.weights()
    vertices = wide(subject.domain.tensors()[0])
    highest, room = maximum(subject.domain, weights), subject.room(weights)
    for b, s in np.ndindex(highest.shape):
        gains = (vertices[b] * weights[b, s]).reshape(len(vertices[b]), -1).sum(axis=1)
        best = optimum(gains, np.zeros(len(gains)), np.ones(len(gains)), total=True)
        assert abs(best - highest[b, s]) <= room[b, s] + 1e-9


@few
@given(source=drawn())
def test_the_maximum_over_directions_is_that_of_a_linear_programme(source: Drawn) -> None:
    subject = directions(source)
    weights = subject.weights()
    x, along, low, high, _ = (wide(values) for values in subject.domain.tensors())
    highest, room = maximum(subject.domain, weights), subject.room(weights)
    for b, s in np.ndindex(highest.shape):
        gains = (along[b] * weights[b, s]).reshape(len(along[b]), -1).sum(axis=1)
        best = optimum(gains, low[b], high[b], total=False) + (x[b] * weights[b, s]).sum()
        assert abs(best - highest[b, s]) <= room[b, s] + 1e-9


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_window_of_an_image_of_8_bits_has_its_levels(dtype: str) -> None:
    """However (x_max - x_min) / step is rounded, and whichever way a level was computed."""
    level = np.arange(256)
    image = (level / 255).astype(dtype)
    for radius in (0, 1, 2, 8, 77):
        eps = image.dtype.type(radius / 255)
        low, high = np.clip(image - eps, 0, 1), np.clip(image + eps, 0, 1)
        grid = GridDomain(low[:, None], high[:, None], 1 / 255).shaped((1,))
        least, most = np.maximum(level - radius, 0), np.minimum(level + radius, 255)
        np.testing.assert_array_equal(grid.last[:, 0], most - least)
        interval = grid.interval()
        np.testing.assert_array_equal(interval.lower[:, 0], low)
        np.testing.assert_array_equal(interval.upper[:, 0], high)
        inner = level[None] * (1 / 255)
        for levels in (image[None], inner.astype(dtype), (image[None] * 255).round() / 255):
            points = np.broadcast_to(levels, (256, 256)).astype(dtype)[..., None]
            member = grid.contains(tf.constant(points)).numpy()
            strictly = (level > least[:, None]) & (level < most[:, None])
            assert member[strictly].all()
            outside = (level < least[:, None]) | (level > most[:, None])
            assert not member[outside].any()
        between = (points + image.dtype.type(0.5 / 255)).astype(dtype)
        assert not grid.contains(tf.constant(between)).numpy().any()
        found = grid.inside(between[:, 100]) * 255
        np.testing.assert_allclose(found, found.round(), atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_halves_of_a_grid_share_its_points(dtype: str) -> None:
    low = np.array([[0.0, 0.3]], dtype)
    high = np.array([[1.0, 0.3]], dtype)
    parts = [GridDomain(low, high, 0.1).shaped((2,))]
    assert parts[0].last.tolist() == [[10, 0]]
    weights = tf.ones((1, 1, 2), dtype)
    for _ in range(5):
        halves = [part.split(part.scores(weights, tf.ones((1, 1), dtype))) for part in parts]
        parts = [
            half
            for part, pair in zip(parts, halves, strict=True)
            for half in (pair if np.asarray(part.first < part.last).any() else (part,))
        ]
    assert len(parts) == 11  # every point is in just one
    points = np.sort(np.concatenate([part.center().numpy() for part in parts])[:, 0])
    np.testing.assert_allclose(points, np.arange(11) / 10, atol=1e-6)
    for part in parts:
        scores = part.scores(weights, tf.ones((1, 1), dtype)).numpy()
        np.testing.assert_array_equal(scores, 0)
        for half in part.split(scores):
            np.testing.assert_array_equal(half.center(), part.center())


def test_a_step_of_zero_holds_a_feature() -> None:
    step = np.array([[0.0, 0.5]])
    grid = GridDomain(np.zeros((2, 2)), np.ones((2, 2)), step).shaped((2,))
    np.testing.assert_array_equal(grid.interval().upper, [[0, 1], [0, 1]])
    assert set(np.unique(grid.sample(50, 0)[..., 1])) == {0, 0.5, 1}
    per_sample = GridDomain(np.zeros((2, 2)), np.ones((2, 2)), [0.25, 0.5]).shaped((2,))
    np.testing.assert_array_equal(per_sample.last, [[4, 4], [2, 2]])


@pytest.mark.parametrize("kind", ["vertex", "affine"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_features_of_different_sizes_and_dependent_points(kind: str, dtype: str) -> None:
    """Rounding is judged feature by feature, and solved for where much cancels."""
    rng = rng_of(5)
    shape = (6,)
    # Single precision is checked in double precision, so that hulls may be flatter.
    beside = 1e-3 if dtype == "float32" else 0.1
    for offset in (0.0, 10.0) if (dtype, kind) != ("float64", "vertex") else (0.0,):
        rows = rng.normal(size=(2, 5, 6)) * np.logspace(3, -3, 6)
        rows = np.concatenate([rows, rows[:, :2] + beside * rows[:, 2:4], rows[:, :1]], axis=1)
        rows = (rows + offset * (kind == "vertex")).astype(dtype)
        x = (offset * np.ones((2, 6))).astype(dtype)
        domain = VertexDomain(rows) if kind == "vertex" else AffineDomain(x, rows)
        domain = domain.shaped(shape)
        points = domain.sample(60, 1)
        assert domain.contains(points).numpy().all()
        assert domain.contains(domain.project(points * 2)).numpy().all()
        low, high = domain.interval().lower, domain.interval().upper
        off = points.numpy().copy()
        off[..., 5] += (high - low).numpy()[:, None, 5] + 1e-3 * offset
        assert not domain.contains(tf.constant(off)).numpy().any()
        assert not domain.contains(tf.constant(points + 1e-2 * (high - low)[:, None])).numpy().all()


@pytest.mark.parametrize("kind", ["vertex", "affine"])
def test_rounded_points_lie_in_the_outer_set(kind: str) -> None:
    """Also by membership, in double precision, where hardly anything is tolerated."""
    source = (rng_of(7), (2, 3), "float64", 7)
    subject = KINDS[kind](source)
    points = subject.samples().numpy()
    for chain in ((np.float32, np.float32), (np.float16, np.float32)):
        outer = subject.domain.outer(*chain).as_tensors(tf.float64)
        rounded = points
        for dtype in chain:
            rounded = rounded.astype(dtype)
        assert outer.contains(tf.constant(rounded.astype(np.float64))).numpy().all()
        samples = outer.sample(10, 0)
        assert outer.contains(samples).numpy().all()
        projected = outer.project(samples + 0.1)
        weights = subject.weights(50).astype(np.float64)
        above = all_values(weights, projected) - maximum(outer, weights)[..., None]
        assert above.max() <= 1e-12
        found = outer.rebuild(*(values.numpy() for values in outer.tensors()))
        found = found.inside((samples + 0.1).numpy()[:, 0])
        assert outer.contains(tf.constant(found[:, None])).numpy().all()


def test_features_that_do_not_vary_stay_exactly() -> None:
    vertices = np.zeros((1, 3, 2))
    vertices[..., 0] = [1, 2, 3]
    hull = VertexDomain(vertices).shaped((2,))
    spanned = AffineDomain(np.zeros((1, 2)), [[[1.0, 0.0]]]).shaped((2,))
    for domain in (hull, spanned):
        outer = domain.outer(np.float32)
        np.testing.assert_array_equal(outer.interval().upper[:, 1], 0)
        np.testing.assert_array_equal(outer.interval().lower[:, 1], 0)
        off = tf.constant([[[1.0, 1e-30]]], tf.float64)
        assert not domain.contains(off).numpy().any()


def test_a_hull_of_many_points_is_cut_and_projected_on() -> None:
    rng = rng_of(0)
    hull = VertexDomain(rng.normal(size=(4, 100, 8, 8)).astype("float32")).shaped((8, 8))
    weights = tf.constant(rng.normal(size=(4, 50, 8, 8)).astype("float32"))
    scores = hull.scores(weights, tf.ones((4, 50)))
    left, right = hull.split(scores)
    assert len(left) == len(right) == 4
    points = hull.sample(10, 0)
    assert (left.contains(points) | right.contains(points)).numpy().all()
    assert hull.contains(hull.project(points + 1)).numpy().all()


def test_brightness_adds_the_same_to_every_entry() -> None:
    x = rng_of(0).uniform(size=(2, 4, 4, 1)).astype("float32")
    for delta in (0.1, np.array([0.1, 0.0]), [0.1, 0.2]):
        domain = brightness(x, delta).shaped((4, 4, 1))
        moves = (domain.sample(20, 0) - x[:, None]).numpy().reshape(2, 20, -1)
        np.testing.assert_allclose(moves, np.repeat(moves[..., :1], 16, axis=2), atol=1e-6)
        limit = np.broadcast_to(delta, 2)
        np.testing.assert_allclose(domain.interval().upper - x, limit[:, None, None, None] + 0 * x,
                                   atol=1e-6)  # fmt: skip
        flat = brightness(x.reshape(2, 16), delta).shaped((4, 4, 1))
        np.testing.assert_array_equal(flat.interval().upper, domain.interval().upper)


def test_contrast_scales_around_the_mean_of_each_sample() -> None:
    x = rng_of(0).uniform(size=(2, 4, 4, 3)).astype("float32")
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    for given_x in (x, tf.constant(x)):
        domain = contrast(given_x, [0.5, 1.0]).shaped((4, 4, 3))
        points = domain.sample(20, 0).numpy()
        means = points.mean(axis=(2, 3, 4))
        np.testing.assert_allclose(means - mean[:, 0, 0], 0 * means, atol=1e-6)
        for factor in (-1, 0, 0.3):
            moved = mean + (1 + factor * np.reshape([0.5, 1], (2, 1, 1, 1))) * (x - mean)
            assert domain.contains(tf.constant(moved[:, None].astype("float32"))).numpy().all()
        beyond = mean + 2.1 * (x - mean)
        assert not domain.contains(tf.constant(beyond[:, None])).numpy().any()
    gray = contrast(np.full((1, 4), 0.3), 1).shaped((4,))
    assert float(tf.reduce_max(gray.interval().radius)) < 1e-12


def test_cut_sets_are_still_spanned_by_their_directions() -> None:
    domain = brightness(np.zeros((1, 3)), 1.0).shaped((3,))
    left, right = domain.split(tf.ones((1, 1), tf.float64))
    assert isinstance(left, AffineDomain)
    np.testing.assert_array_equal([left.low, left.high, right.low, right.high],
                                  np.reshape([-1, 0, 0, 1], (4, 1, 1)))  # fmt: skip


ones = np.ones((2, 3))
ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "a negative step": (lambda: GridDomain(0 * ones, ones, -0.1), "step must not be negative"),
    "no step": (lambda: GridDomain(0 * ones, ones, np.nan), "step must be finite"),
    "too many steps": (lambda: GridDomain(0 * ones, ones, np.ones((3,))), "step must be a number"),
    "a fine step": (lambda: GridDomain(0 * ones, ones, 1e-18), "Use BoxDomain"),
    "crossed corners": (lambda: GridDomain(ones, 0 * ones, 1), "x_min must not exceed x_max"),
    "a corner of NaN": (lambda: GridDomain(ones * np.nan, ones, 1), "x_min must be finite"),
    "another shape": (lambda: GridDomain(0 * ones, ones, 1).shaped((4,)), "must have the shape"),
    "fewer corners": (lambda: GridDomain(0 * ones, ones[:1], 1).shaped((3,)), "number of samples"),
    "no vertices": (lambda: VertexDomain(np.ones((2, 0, 3))), "m >= 1"),
    "one vertex": (lambda: VertexDomain(ones), "vertices must have the shape"),
    "a vertex of NaN": (lambda: VertexDomain(np.full((1, 2, 3), np.nan)), "must be finite"),
    "words": (lambda: VertexDomain([[["a"]]]), "must hold real numbers"),
    "other vertices": (lambda: VertexDomain(ones[None]).shaped((4,)), "vertices must have the sha"),
    "a negative radius": (lambda: VertexDomain(ones[None], -1), "radius must not be negative"),
    "another radius": (lambda: VertexDomain(ones[None], ones), "radius must"),
    "crossed ends": (lambda: AffineDomain(ones, ones[None], 1, -1), "low must not exceed high"),
    "NaN ends": (lambda: AffineDomain(ones, ones[None], np.nan), "low must be finite"),
    "no directions": (lambda: AffineDomain(ones, np.ones((2, 0, 3))), "k >= 1"),
    "flat directions": (lambda: AffineDomain(ones, ones), "directions must have the shape"),
    "other ends": (lambda: AffineDomain(ones, ones[None], [0, 0, 0]), "one entry per direction"),
    "batches": (lambda: AffineDomain(ones, np.ones((3, 1, 3))), "the same for all samples"),
    "directions that do not fit": (
        lambda: AffineDomain(ones, np.ones((1, 1, 4))).shaped((3,)),
        "directions must have the shape",
    ),
    "infinite brightness": (lambda: brightness(ones, np.inf), "delta must be finite"),
    "negative brightness": (lambda: brightness(ones, -0.1), "delta must not be negative"),
    "negative contrast": (lambda: contrast(ones, [0.1, -1]), "factor must not be negative"),
    "contrasts": (lambda: contrast(ones, [0.1, 1, 2]), "factor must be a number or"),
}


@pytest.mark.parametrize(("make", "text"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_say_what_and_why(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        make()
    assert "Received: " in str(caught.value)
