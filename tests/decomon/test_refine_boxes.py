"""Boxes in pieces, and bounds of outputs with optimised relaxations."""

from __future__ import annotations

import functools
import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import decomon
from tests.decomon.helpers import (
    Array,
    boxes,
    dense_net,
    evaluate,
    keras,
    largest_margin,
    layers,
    precision,
    randomise,
    rng_of,
    rounding,
    sample,
)

SHAPES = [(1,), (4,), (3, 2), (3, 2, 2)]


def random_boxes(shape: tuple[int, ...], count: int = 3, dtype: str = "float64") -> Any:
    rng = rng_of(0)
    low = rng.normal(size=(count, *shape)).astype(dtype)
    return low, (low + rng.uniform(0, 1, size=low.shape)).astype(dtype)


def flat(corners: Array) -> Array:
    """``(batch, pieces, *shape)`` to ``(batch, pieces, n)``."""
    return corners.reshape(*corners.shape[:2], -1)


def check_in_some_piece(points: Array, low: Array, high: Array) -> None:
    inside: Array = flat((points[:, None] >= low) & (points[:, None] <= high))
    assert np.any(np.all(inside, axis=2), axis=1).all()


class TestRefineBoxes:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("count", [1, 2, 7, 20])
    def test_pieces_cover_and_share_no_more_than_faces(
        self, shape: tuple[int, ...], count: int
    ) -> None:
        x_min, x_max = random_boxes(shape)
        low, high = decomon.refine_boxes(x_min, x_max, count)
        assert low.shape == high.shape == (3, count, *shape)
        assert (low <= high).all()
        assert (low >= x_min[:, None]).all()
        assert (high <= x_max[:, None]).all()
        low, high = flat(low), flat(high)
        # Their volumes sum to that of the box, and their interiors do not meet: so they cover it.
        volume = np.prod((x_max - x_min).reshape(3, -1), axis=1)
        np.testing.assert_allclose(np.prod(high - low, axis=2).sum(axis=1), volume, rtol=1e-12)
        for i in range(count):
            for j in range(i):
                common = np.minimum(high[:, i], high[:, j]) - np.maximum(low[:, i], low[:, j])
                assert (common.min(axis=1) <= 0).all()

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_every_point_is_in_a_piece(self, dtype: str) -> None:
        """Faces are the same numbers on both sides, so not even a rounding error is lost."""
        x_min, x_max = random_boxes((3, 2), dtype=dtype)
        low, high = decomon.refine_boxes(x_min, x_max, 13)
        assert low.dtype == high.dtype == dtype
        for points in sample(x_min, x_max, 200):
            check_in_some_piece(points, low, high)
        for corner in (low, high):  # corners of pieces lie on faces
            for k in range(13):
                check_in_some_piece(corner[:, k], low, high)

    def test_the_widest_side_is_cut_first(self) -> None:
        low, high = decomon.refine_boxes([[0.0, 0.0]], [[1.0, 3.0]], 3)
        sides = sorted((high - low)[0].tolist())
        assert sides == [[1.0, 0.75], [1.0, 0.75], [1.0, 1.5]]

    def test_boxes_without_width(self) -> None:
        x = np.ones((2, 3))
        low, high = decomon.refine_boxes(x, x, 4)
        assert (low == 1).all()
        assert (high == 1).all()
        assert decomon.refine_boxes(np.zeros((0, 3)), np.zeros((0, 3)), 4)[0].shape == (0, 4, 3)

    def test_ten_pieces_by_default_and_inputs_are_not_written_to(self) -> None:
        x_min, x_max = random_boxes((4,))
        copies = x_min.copy(), x_max.copy()
        low, high = decomon.refine_boxes(x_min, x_max)
        assert low.shape == (3, 10, 4)
        low += 1
        high += 1
        np.testing.assert_array_equal(x_min, copies[0])
        np.testing.assert_array_equal(x_max, copies[1])
        low, _ = decomon.refine_boxes(x_min, x_max, 1)
        low += 1
        np.testing.assert_array_equal(x_min, copies[0])

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            (([1.0], [2.0]), r"\(batch, \*shape\).*Received"),
            ((0.0, 1.0), "Received"),
            (([[1.0]], [[0.0]]), r"x_min=1\.0 > x_max=0\.0 in sample 0"),
            (([[np.nan]], [[0.0]]), "x_min must be finite.*Received"),
            (([[0.0]], [[np.inf]]), "x_max must be finite.*Received"),
            (([[0.0]], [[1.0, 2.0]]), "x_max must have the shape.*Received"),
            (([[0.0]], [[1.0], [2.0]]), "same number of samples.*Received"),
            (([["a"]], [[1.0]]), "real numbers.*Received"),
            (([[0.0]], [[1.0]], 0), "n_sub_boxes must be a positive integer.*Received"),
            (([[0.0]], [[1.0]], 2.5), "n_sub_boxes must be a positive integer.*Received"),
            (([[0.0]], [[1.0]], True), "n_sub_boxes must be a positive integer.*Received"),
        ],
    )
    def test_wrong_arguments(self, arguments: tuple[Any, ...], match: str) -> None:
        with pytest.raises(ValueError, match=match):
            decomon.refine_boxes(*arguments)


@functools.cache
def image() -> Any:
    with precision("float64"):
        net = keras.Sequential(
            [
                keras.Input((3, 2, 2)),
                layers.Conv2D(3, 2, activation="relu"),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
    return randomise(net, 1, scale=2.0)


@functools.cache
def several() -> Any:
    """Two inputs, two outputs."""
    with precision("float64"):
        left, right = keras.Input((3,), name="left"), keras.Input((2, 1), name="right")
        h = layers.Concatenate()([left, layers.Flatten()(right)])
        h = layers.Dense(5, activation="relu")(h)
        table = layers.Reshape((2, 2))(layers.Dense(4)(h))
        return randomise(keras.Model([left, right], [table, layers.Dense(3)(h)]), 4)


def check_cover(x_min: Array, x_max: Array, low: Array, high: Array) -> None:
    """Pieces of a float64 model lie in their box and have its volume."""
    assert (low >= x_min[:, None]).all()
    assert (high <= x_max[:, None]).all()
    widths = np.maximum((x_max - x_min).reshape(len(x_min), -1), 1e-300)
    parts = (flat(high - low) / widths[:, None]).prod(axis=2)
    np.testing.assert_allclose(parts.sum(axis=1), 1, rtol=1e-9)


class TestRefineBox:
    @pytest.mark.parametrize("count", [1, 6])
    def test_margins_of_every_piece(self, count: int) -> None:
        model = image()
        x_min, x_max = random_boxes((3, 2, 2))
        labels = np.array([0, 1, 2])
        low, high, upper = decomon.refine_box(model, x_min, x_max, count, labels)
        assert low.shape == high.shape == (3, count, 3, 2, 2)
        assert upper.shape == (3, count)
        check_cover(x_min, x_max, low, high)
        slack = rounding(model, x_min, x_max, "float64")
        for piece in range(count):
            points = sample(low[:, piece], high[:, piece], 100)
            margin = largest_margin(evaluate(model, points), labels).max(axis=0)
            assert (margin <= upper[:, piece] + slack).all()
        whole = decomon.get_adv_box(model, x_min, x_max, labels)
        assert (upper.max(axis=1) <= whole + slack).all()
        cut = decomon.get_adv_box(model, x_min, x_max, labels, n_sub_boxes=count)
        assert (np.abs(upper.max(axis=1) - cut) <= slack).all()

    def test_targets_and_batches(self) -> None:
        model = image()
        x_min, x_max = random_boxes((3, 2, 2), 4)
        targets = np.array([1, 2, 2, 1])
        whole = decomon.refine_box(model, x_min, x_max, 3, 0, targets)
        parts = [
            decomon.refine_box(model, x_min[i : i + 1], x_max[i : i + 1], 3, 0, int(targets[i]))
            for i in range(4)
        ]
        for found, expected in zip(whole, zip(*parts, strict=True), strict=True):
            np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-9)
        for batch_size in (1, 3):
            found = decomon.refine_box(model, x_min, x_max, 3, 0, targets, batch_size)
            for a, b in zip(found, whole, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9)

    def test_every_output(self) -> None:
        model = image()
        x_min, x_max = random_boxes((3, 2, 2))
        low, high, upper = decomon.refine_box(model, x_min, x_max, 5)
        assert upper.shape == (3, 5, 3)
        check_cover(x_min, x_max, low, high)
        for piece in range(5):
            real = evaluate(model, sample(low[:, piece], high[:, piece], 100)).max(axis=0)
            assert (real <= upper[:, piece] + 1e-9).all()
        assert (upper.max(axis=1) <= decomon.get_upper_box(model, x_min, x_max) + 1e-9).all()

    @pytest.mark.parametrize("form", [list, tuple, dict])
    def test_several_inputs_and_outputs(self, form: Any) -> None:
        model = several()
        sides = [random_boxes((3,)), random_boxes((2, 1))]
        given = [
            {"left": a, "right": b} if form is dict else form([a, b])
            for a, b in zip(*sides, strict=True)
        ]
        low, high, upper = decomon.refine_box(model, given[0], given[1], 4)
        assert type(low) is type(high) is form
        lows, highs = (
            [side["left"], side["right"]] if isinstance(side, dict) else list(side)
            for side in (low, high)
        )
        assert [part.shape for part in lows] == [(3, 4, 3), (3, 4, 2, 1)]
        assert [part.shape for part in upper] == [(3, 4, 2, 2), (3, 4, 3)]
        for piece in range(4):
            points = [
                sample(a[:, piece], b[:, piece], 50, seed)
                for seed, (a, b) in enumerate(zip(lows, highs, strict=True))
            ]
            for inputs in zip(*points, strict=True):
                for real, bound in zip(model(list(inputs)), upper, strict=True):
                    assert (np.asarray(real) <= bound[:, piece] + 1e-9).all()

    def test_no_samples(self) -> None:
        empty = np.zeros((0, 3, 2, 2))
        low, high, upper = decomon.refine_box(image(), empty, empty, 4, 0)
        assert low.shape == high.shape == (0, 4, 3, 2, 2)
        assert upper.shape == (0, 4)
        assert decomon.refine_box(image(), empty, empty, 4).upper.shape == (0, 4, 3)

    def test_wrong_arguments(self) -> None:
        x_min, x_max = random_boxes((3, 2, 2))
        with pytest.raises(ValueError, match="target_labels need source_labels.*Received"):
            decomon.refine_box(image(), x_min, x_max, 3, None, 1)
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"n_sub_boxes": 0}, "n_sub_boxes"),
            ({"batch_size": 0}, "batch_size"),
            ({"source_labels": 7}, "source_labels"),
            ({"source_labels": 0, "target_labels": 0}, "target"),
        ]
        for options, match in wrong:
            with pytest.raises(ValueError, match=f"{match}.*Received"):
                decomon.refine_box(image(), x_min, x_max, **options)
        with pytest.raises(ValueError, match="x_max"):
            decomon.refine_box(image(), x_max, x_min, 3, 0)


class TestTuning:
    """Relaxations are optimised for each output, and the best bound of every step is kept."""

    @pytest.mark.parametrize("method", ["crown", "forward-hybrid", "forward-ibp"])
    def test_never_looser_and_sound(self, method: str) -> None:
        model = dense_net([4, 8, 6, 3], seed=1, dtype="float64")
        x_min, x_max = boxes(model, 4, 0.6, dtype="float64")
        verified = decomon.clone(model, method)
        real = evaluate(model, sample(x_min, x_max, 300))
        for sign, plain, tuned in (
            (1, decomon.get_upper_box, decomon.get_upper_box_tuning),
            (-1, decomon.get_lower_box, decomon.get_lower_box_tuning),
        ):
            bounds = [sign * plain(verified, x_min, x_max)]
            bounds += [sign * tuned(verified, x_min, x_max, steps=n) for n in (1, 3, 8)]
            for looser, tighter in itertools.pairwise(bounds):
                assert (tighter <= looser).all()
            assert ((sign * real).max(axis=0) <= bounds[-1] + 1e-9).all()
            gains = (bounds[0] - bounds[-1]).max()
            assert gains == 0 if method == "forward-ibp" else gains > 1e-3

    def test_the_model_keeps_its_own_bounds(self) -> None:
        model = dense_net([4, 8, 6, 3], seed=1, dtype="float64")
        x_min, x_max = boxes(model, 3, 0.6, dtype="float64")
        before = decomon.get_upper_box(model, x_min, x_max)
        tuned = decomon.get_upper_box_tuning(model, x_min, x_max, steps=3)
        np.testing.assert_array_equal(decomon.get_upper_box(model, x_min, x_max), before)
        np.testing.assert_array_equal(
            decomon.get_upper_box_tuning(model, x_min, x_max, steps=3), tuned
        )
        for batch_size in (1, 2):
            found = decomon.get_upper_box_tuning(model, x_min, x_max, batch_size, steps=3)
            np.testing.assert_allclose(found, tuned, rtol=1e-9)
        cut = decomon.get_upper_box_tuning(model, x_min, x_max, n_sub_boxes=3, steps=3)
        assert (cut <= tuned).all()

    def test_of_a_model_that_is_tuned_already(self) -> None:
        """Steps and rate given here count, not those of the model."""
        model = dense_net([4, 8, 6, 3], seed=1, dtype="float64")
        x_min, x_max = boxes(model, 3, 0.6, dtype="float64")
        verified = decomon.clone(model, finetune=True, finetune_steps=2)
        np.testing.assert_array_equal(
            decomon.get_upper_box_tuning(verified, x_min, x_max, steps=5),
            decomon.get_upper_box_tuning(model, x_min, x_max, steps=5),
        )

    def test_shapes(self) -> None:
        x_min, x_max = random_boxes((3, 2, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert decomon.get_upper_box_tuning(image(), x_min, x_max, steps=1).shape == (3, 3)
        sides = [random_boxes((3,)), random_boxes((2, 1))]
        low, high = ([side[i] for side in sides] for i in (0, 1))
        found = decomon.get_lower_box_tuning(several(), low, high, steps=1)
        assert [part.shape for part in found] == [(3, 2, 2), (3, 3)]

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"steps": 0}, "steps must be a positive integer.*Received: steps=0"),
            ({"steps": 1.5}, "steps must be a positive integer.*Received: steps=1.5"),
            ({"learning_rate": 0}, "learning_rate.*positive.*Received: learning_rate=0"),
            ({"learning_rate": np.nan}, "learning_rate.*positive.*Received: learning_rate=nan"),
        ],
    )
    def test_wrong_options(self, options: dict[str, Any], match: str) -> None:
        x_min, x_max = random_boxes((3, 2, 2))
        for tuned in (decomon.get_upper_box_tuning, decomon.get_lower_box_tuning):
            with pytest.raises(ValueError, match=match):
                tuned(image(), x_min, x_max, **options)
