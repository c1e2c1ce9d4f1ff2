"""Boxes: the maximum of a linear function, projection, samples, membership, splitting."""

from __future__ import annotations

import numpy as np
import pytest

import decomon
from decomon.bounds import AffineBound
from tests.decomon.helpers import Array, rng_of, tf


@pytest.fixture
def corners() -> tuple[Array, Array]:
    rng = rng_of(0)
    low = rng.normal(size=(4, 3, 2))
    high = low + rng.uniform(0, 1, size=low.shape)
    low[1], high[2, 0] = high[1], low[2, 0]  # degenerate, wholly and in part
    return low, high


@pytest.fixture
def box(corners: tuple[Array, Array]) -> decomon.BoxDomain:
    return decomon.BoxDomain(*(tf.constant(corner) for corner in corners))


def test_maximum_is_attained_and_not_exceeded(
    box: decomon.BoxDomain, corners: tuple[Array, Array]
) -> None:
    rng = rng_of(1)
    weights = rng.normal(size=(4, 5, 3, 2)) * rng.integers(0, 2, size=(4, 5, 3, 2))
    offset = rng.normal(size=(4, 5))
    best = box.concretize(AffineBound(tf.constant(weights), tf.constant(offset))).numpy()
    where = box.maximizer(tf.constant(weights)).numpy()
    assert box.contains(tf.constant(where)).numpy().all()
    np.testing.assert_allclose((weights * where).sum(axis=(2, 3)) + offset, best, atol=1e-12)
    low, high = corners
    for _ in range(200):
        point = rng.uniform(low, high)
        value = (weights * point[:, None]).sum(axis=(2, 3)) + offset
        assert (value <= best + 1e-12).all()


def test_samples_lie_inside_and_depend_on_the_seed_only(box: decomon.BoxDomain) -> None:
    points = box.sample(50, seed=3)
    assert points.shape == (4, 50, 3, 2)
    assert box.contains(points).numpy().all()
    np.testing.assert_array_equal(points, box.sample(50, seed=3))
    assert (points.numpy() != box.sample(50, seed=4).numpy()).any()


def test_projection_is_the_nearest_point(box: decomon.BoxDomain) -> None:
    rng = rng_of(2)
    points = tf.constant(rng.normal(size=(4, 9, 3, 2)) * 3)
    nearest = box.project(points)
    assert box.contains(nearest).numpy().all()
    distance = np.square(points - nearest).sum(axis=(2, 3))
    for seed in range(20):
        other = box.sample(9, seed=seed)
        assert (np.square(points - other).sum(axis=(2, 3)) >= distance - 1e-12).all()
    inside = box.sample(9, seed=0)
    np.testing.assert_array_equal(box.project(inside), inside)


def test_contains_is_exact(box: decomon.BoxDomain, corners: tuple[Array, Array]) -> None:
    low, high = corners
    assert box.contains(tf.constant(np.stack([low, high], axis=1))).numpy().all()
    outside = np.stack([np.nextafter(low, -np.inf), np.nextafter(high, np.inf)], axis=1)
    assert not box.contains(tf.constant(outside)).numpy().any()


def flat_widths(box: decomon.BoxDomain) -> Array:
    return (box.x_max - box.x_min).numpy().reshape(len(box), -1)


def test_halves_cover_the_box_and_cut_one_side(box: decomon.BoxDomain) -> None:
    scores = rng_of(3).uniform(size=(4, 6))
    left, right = box.split(tf.constant(scores))
    np.testing.assert_array_equal(left.x_min, box.x_min)
    np.testing.assert_array_equal(right.x_max, box.x_max)
    chosen = np.arange(6) == scores.argmax(axis=1)[:, None]
    for half in (left, right):
        wide = flat_widths(box)
        expected = np.where(chosen, wide / 2, wide)
        np.testing.assert_allclose(flat_widths(half), expected, atol=1e-15)
        assert (half.x_min.numpy() <= half.x_max.numpy()).all()
    points = box.sample(200, seed=1)
    assert (left.contains(points) | right.contains(points)).numpy().all()
    cut = chosen.reshape(4, 3, 2)
    np.testing.assert_array_equal(left.x_max.numpy()[cut], right.x_min.numpy()[cut])


def test_a_box_as_narrow_as_the_numbers_allow_can_be_split() -> None:
    low = np.ones((1, 1), np.float32)
    high = np.nextafter(low, np.float32(2))
    box = decomon.BoxDomain(tf.constant(low), tf.constant(high))
    left, right = box.split(tf.constant([[1.0]]))
    for half in (left, right):
        assert (low <= half.x_min.numpy()).all()
        assert (half.x_min.numpy() <= half.x_max.numpy()).all()
        assert (half.x_max.numpy() <= high).all()
    assert (right.x_min.numpy() <= left.x_max.numpy()).all()
