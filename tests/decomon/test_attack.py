"""Points that refute: inside the box, evaluated by the real model, and hard to beat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import decomon
from decomon.certify import METHODS
from tests.decomon.helpers import (
    Array,
    ascend,
    boxes,
    dense_net,
    evaluate,
    largest_margin,
    randomise,
    rng_of,
    rounding,
    strip,
)
from tests.decomon.zoo import build

FAST = [("with_softmax", "float32"), ("image", "float32"), ("residual", "float64")]
EVERY = [
    (name, dtype)
    for name in ("sequential", "with_softmax", "image", "residual", "leaky", "linear", "flat_image")
    for dtype in ("float32", "float64")
    if (name, dtype) not in FAST
]


def sources(model: Any, x_min: Array, x_max: Array) -> Array:
    middle = np.clip((x_min + x_max) / 2, x_min, x_max)
    return evaluate(strip(model), middle[None])[0].argmax(axis=1)


@pytest.mark.parametrize(
    ("name", "dtype"), [*FAST, *(pytest.param(*c, marks=pytest.mark.slow) for c in EVERY)]
)
def test_points_attain_the_margin_in_the_real_model(name: str, dtype: str) -> None:
    model = build(name, seed=2, dtype=dtype)
    x_min, x_max = boxes(model, 12, 0.5, seed=4, dtype="float64")  # not float32 numbers
    source = sources(model, x_min, x_max)
    for n_sub_boxes in (1, 3):
        values, points = decomon.check_adv_box(
            model, x_min, x_max, source, n_sub_boxes=n_sub_boxes, return_points=True
        )
        assert points.shape == x_min.shape
        assert points.dtype == x_min.dtype
        assert (points >= x_min).all()
        assert (points <= x_max).all()
        error = rounding(model, x_min, x_max, dtype)
        logits = evaluate(strip(model), points[None].astype(dtype))[0]
        assert (np.abs(largest_margin(logits, source) - values) <= error).all()
        wrong = evaluate(model, points[None].astype(dtype))[0].argmax(axis=1) != source
        assert wrong[values > error].all()
        assert not wrong[values < -error].any()
        upper = decomon.get_adv_box(model, x_min, x_max, source)
        assert (values <= upper + error).all()
        middle = np.clip((x_min + x_max) / 2, x_min, x_max).astype(dtype)
        at_center = largest_margin(evaluate(strip(model), middle[None])[0], source)
        assert (values >= at_center - error).all()


def test_values_alone_are_the_same() -> None:
    model = dense_net([4, 8, 3])
    x_min, x_max = boxes(model, 5, 0.5)
    values, _ = decomon.check_adv_box(model, x_min, x_max, 0, return_points=True)
    np.testing.assert_array_equal(decomon.check_adv_box(model, x_min, x_max, 0), values)


def test_points_keep_the_dtype_of_the_corners() -> None:
    model = dense_net([4, 8, 3])
    for dtype in (np.float32, np.float64):
        x_min, x_max = boxes(model, 5, 0.5, dtype=np.dtype(dtype).name)
        _, points = decomon.check_adv_box(model, x_min, x_max, 0, return_points=True)
        assert points.dtype == dtype
    ones = np.ones((2, 4), int)
    _, points = decomon.check_adv_box(model, -ones, ones, 0, return_points=True)
    assert (np.abs(points) <= 1).all()


def test_integers_and_float16_corners_are_boxes_too() -> None:
    model = dense_net([4, 8, 3])
    for dtype in (np.int8, np.uint8, np.int64, np.float16, bool):
        low, high = np.zeros((2, 4), dtype), np.ones((2, 4), dtype)
        expected = decomon.get_adv_box(model, low.astype(np.float32), high.astype(np.float32), 0)
        np.testing.assert_array_equal(decomon.get_adv_box(model, low, high, 0), expected)


def test_points_of_boxes_without_width_and_of_a_single_free_coordinate() -> None:
    model = dense_net([4, 8, 3])
    x = rng_of(0).normal(size=(5, 4))
    _, points = decomon.check_adv_box(model, x, x, 0, return_points=True)
    np.testing.assert_array_equal(points, x)
    wide = x.copy()
    wide[:, 2] += 0.5
    _, points = decomon.check_adv_box(model, x, wide, 0, return_points=True)
    np.testing.assert_array_equal(points[:, [0, 1, 3]], x[:, [0, 1, 3]])


def test_targets_are_obeyed() -> None:
    """The margin reported is that of the target asked for, not the largest of all."""
    model = dense_net([4, 8, 4], seed=3)
    x_min, x_max = boxes(model, 6, 0.5)
    for target in (1, 2, 3):
        values, points = decomon.check_adv_box(model, x_min, x_max, 0, target, return_points=True)
        logits = np.asarray(model(points))
        error = rounding(model, x_min, x_max)
        assert (np.abs(logits[:, target] - logits[:, 0] - values) <= error).all()


def test_a_strong_attack_is_rarely_better() -> None:
    """On at least 90 % of random cases nothing is found that is better by 5 % of the gap."""
    close = total = 0
    model = dense_net([6, 16, 16, 4], seed=0)
    for seed in range(4):
        randomise(model, seed, scale=1.5)
        x_min, x_max = boxes(model, 15, 0.3, seed=seed)
        source = sources(model, x_min, x_max)
        ours = decomon.check_adv_box(model, x_min, x_max, source)
        upper = decomon.get_adv_box(model, x_min, x_max, source)
        best = np.full(len(ours), -np.inf)
        eye = np.eye(4)
        for j in range(4):
            value, _ = ascend(model, x_min, x_max, eye[j] - eye[source], restarts=8)
            best = np.maximum(best, np.where(source == j, -np.inf, value))
        error = rounding(model, x_min, x_max)
        assert (best <= upper + error).all()
        close += int((best <= ours + error + 0.05 * np.maximum(upper - ours, 0)).sum())
        total += len(ours)
    assert close >= 0.9 * total, (close, total)


def test_an_easy_counterexample_is_found() -> None:
    """On a linear network the worst corner is known."""
    model = build("linear", dtype="float64")
    x_min, x_max = boxes(model, 10, 0.5, dtype="float64")
    values = decomon.check_adv_box(model, x_min, x_max, 0)
    upper = decomon.get_adv_box(model, x_min, x_max, 0)
    assert (np.abs(values - upper) <= rounding(model, x_min, x_max, "float64")).all()


@pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=[] if m == "forward-ibp" else pytest.mark.slow) for m in METHODS],
)
def test_every_method_attacks_alike(method: str) -> None:
    model = dense_net([4, 8, 8, 3], seed=1)
    x_min, x_max = boxes(model, 6, 0.3)
    source = sources(model, x_min, x_max)
    error = rounding(model, x_min, x_max)
    verified = decomon.clone(model, method)
    lower, points = decomon.check_adv_box(verified, x_min, x_max, source, return_points=True)
    margin = largest_margin(np.asarray(model(points)), source)
    assert (np.abs(margin - lower) <= error).all()
    assert (lower <= decomon.get_adv_box(verified, x_min, x_max, source) + error).all()
