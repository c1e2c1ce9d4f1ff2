"""No point of a box ever beats a bound, whatever the model, the method and the options."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

import decomon
from tests.decomon.helpers import (
    ALIASES,
    METHODS,
    Array,
    ascend,
    boxes,
    dense_net,
    evaluate,
    keras,
    largest_margin,
    layers,
    randomise,
    rounding,
    sample,
    strip,
    tf,
)
from tests.decomon.zoo import ZOO, build

FAST = [
    *((name, "crown", False) for name in ZOO),
    *(("sequential", method, False) for method in METHODS),
    *((name, "forward-hybrid", True) for name in ("shared_layer", "linear", "no_weights")),
    ("sequential", "crown", True),
    ("image", "crown-forward-affine", False),
    ("residual", "forward-hybrid", False),
    ("final_relu", "crown-forward-hybrid", False),
]
EVERY = [case for case in itertools.product(ZOO, METHODS, (False, True)) if case not in set(FAST)]
CASES = [
    *dict.fromkeys(FAST),
    *(pytest.param(*case, marks=pytest.mark.slow) for case in EVERY),
]


@pytest.fixture(autouse=True)
def _logits() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", decomon.LogitsWarning)
        yield


class Case:
    """A model of the zoo, boxes of several sizes, and the largest margins found in them."""

    def __init__(self, name: str, dtype: str) -> None:
        self.model = build(name, seed=3, dtype=dtype)
        corners = [
            boxes(self.model, 2, size, seed, dtype) for seed, size in enumerate((0.05, 0.5, 3))
        ]
        self.x_min, self.x_max = (np.concatenate(side) for side in zip(*corners, strict=True))
        self.net = strip(self.model)
        middle = np.clip((self.x_min + self.x_max) / 2, self.x_min, self.x_max)
        self.source = evaluate(self.net, middle[None])[0].argmax(axis=1)
        self.error = rounding(self.model, self.x_min, self.x_max, dtype)
        self.outputs = evaluate(self.net, sample(self.x_min, self.x_max, 400))
        self.best = largest_margin(self.outputs, self.source).max(axis=0)
        classes = self.outputs.shape[-1]
        eye = np.eye(classes)
        for j in range(classes):
            rows = eye[j] - eye[self.source]
            value, _ = ascend(self.net, self.x_min, self.x_max, rows, steps=25, restarts=3)
            self.best = np.maximum(self.best, np.where(self.source == j, -np.inf, value))


CACHE: dict[tuple[str, str], Case] = {}


def case_of(name: str, dtype: str = "float64") -> Case:
    if (name, dtype) not in CACHE:
        CACHE[name, dtype] = Case(name, dtype)
    return CACHE[name, dtype]


def check_sound(case: Case, verified: decomon.DecomonModel) -> None:
    """All questions about the case; sub-boxes never loosen."""
    args = (verified, case.x_min, case.x_max)
    upper = decomon.get_adv_box(*args, case.source)
    split = decomon.get_adv_box(*args, case.source, n_sub_boxes=3)
    assert upper.shape == (len(case.x_min),)
    assert (case.best <= upper + case.error).all(), case.best - upper
    assert (case.best <= split + case.error).all(), case.best - split
    assert (split <= upper).all()
    high, low = decomon.get_range_box(*args)
    check_range(case, high, low)
    high3, low3 = decomon.get_range_box(*args, n_sub_boxes=3)
    check_range(case, high3, low3)
    slack = case.error[:, None]
    assert (high3 <= high).all()
    assert (low3 >= low).all()
    # a bound of one side has its own optimised slopes, but the same start
    if not verified.finetune:
        assert (np.abs(decomon.get_upper_box(*args) - high) <= slack).all()
        assert (np.abs(decomon.get_lower_box(*args) - low) <= slack).all()
    else:
        check_range(case, decomon.get_upper_box(*args), decomon.get_lower_box(*args))


def check_range(case: Case, high: Array, low: Array) -> None:
    assert high.shape == low.shape == case.outputs.shape[1:]
    slack = case.error[:, None]
    assert (case.outputs.max(axis=0) <= high + slack).all()
    assert (case.outputs.min(axis=0) >= low - slack).all()


@pytest.mark.parametrize(("name", "method", "finetune"), CASES)
def test_no_point_beats_a_bound(name: str, method: str, finetune: bool) -> None:
    case = case_of(name)
    verified = decomon.clone(case.model, method=method, finetune=finetune, finetune_steps=5)
    assert verified.verifier.dtype == "float64"
    check_sound(case, verified)
    if finetune:
        plain = decomon.clone(case.model, method=method)
        args = (case.x_min, case.x_max, case.source)
        tuned, start = decomon.get_adv_box(verified, *args), decomon.get_adv_box(plain, *args)
        assert (tuned <= start + case.error).all()


@pytest.mark.parametrize("name", ["image", pytest.param("residual", marks=pytest.mark.slow)])
def test_no_point_beats_a_float32_bound(name: str) -> None:
    case = case_of(name, "float32")
    check_sound(case, decomon.clone(case.model, method="crown"))


@pytest.mark.parametrize(
    "slope", ["volume-slope", "adaptative-slope", "same-slope", "zero-lb", "one-lb"]
)
def test_every_slope_is_sound(slope: str) -> None:
    case = case_of("sequential")
    verified = decomon.clone(case.model, slope=slope)
    upper = decomon.get_adv_box(verified, case.x_min, case.x_max, case.source)
    assert (case.best <= upper + case.error).all()


@pytest.mark.parametrize(("alias", "method"), ALIASES.items())
def test_short_names(alias: str, method: str) -> None:
    assert decomon.clone(case_of("sequential").model, method=alias).method == method


def test_crown_no_looser_than_intervals_and_hybrid_than_both() -> None:
    for name in ("sequential", "residual"):
        case = case_of(name)
        bound = {
            method: decomon.get_adv_box(
                decomon.clone(case.model, method=method), case.x_min, case.x_max, case.source
            )
            for method in ("forward-ibp", "crown", "forward-hybrid")
        }
        for method in ("crown", "forward-hybrid"):
            assert (bound[method] <= bound["forward-ibp"] + case.error).all(), (name, method)


def test_finetune_helps_somewhere() -> None:
    """A tuner that never moves would pass every soundness test."""
    model = dense_net([4, 12, 12, 3], seed=1)
    x_min, x_max = boxes(model, 8, 0.5)
    plain = decomon.get_adv_box(decomon.clone(model), x_min, x_max, 0)
    tuned = decomon.get_adv_box(decomon.clone(model, finetune=True), x_min, x_max, 0)
    assert (tuned < plain - rounding(model, x_min, x_max)).any()


def test_sub_boxes_help_and_more_of_them_never_hurt() -> None:
    model = dense_net([4, 12, 12, 3], seed=1)
    x_min, x_max = boxes(model, 8, 0.5)
    bounds = [decomon.get_adv_box(model, x_min, x_max, 0, n_sub_boxes=n) for n in (1, 2, 4, 9)]
    for coarse, fine in itertools.pairwise(bounds):
        assert (fine <= coarse).all()
    assert (bounds[-1] < bounds[0] - rounding(model, x_min, x_max)).any()


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("image", "float32"),
        ("residual", "float64"),
        ("leaky", "float64"),
        pytest.param("sequential", "float64", marks=pytest.mark.slow),
        pytest.param("with_softmax", "float32", marks=pytest.mark.slow),
        pytest.param("image", "float64", marks=pytest.mark.slow),
    ],
)
def test_degenerate_boxes_give_the_margin_itself(name: str, dtype: str) -> None:
    case = case_of(name, dtype)
    middle = np.clip((case.x_min + case.x_max) / 2, case.x_min, case.x_max)
    exact = largest_margin(evaluate(case.net, middle[None])[0], case.source)
    error = rounding(case.model, middle, middle, dtype)
    for method in ("crown", "forward-ibp"):
        verified = decomon.clone(case.model, method=method)
        for bound in (
            decomon.get_adv_box(verified, middle, middle, case.source),
            decomon.check_adv_box(verified, middle, middle, case.source),
        ):
            assert (np.abs(bound - exact) <= error).all()


def test_corners_between_two_float32_numbers() -> None:
    """Boxes narrower than one unit of float32: the model's rounded input is covered too."""
    model = build("sequential", seed=3, dtype="float32")
    center = np.random.default_rng(0).normal(size=(20, 4))
    x_min, x_max = center - 1e-9, center + 1e-9
    source = np.asarray(model(center.astype(np.float32))).argmax(axis=1)
    upper = decomon.get_adv_box(model, x_min, x_max, source)
    error = rounding(model, x_min, x_max)
    exact64 = decomon.get_adv_box(decomon.clone(model, dtype="float64"), x_min, x_max, source)
    for points in (x_min, center, x_max):
        real = largest_margin(np.asarray(model(points.astype(np.float32))), source)
        assert (real <= upper + error).all()
    assert (exact64 <= upper + error).all()
    assert (np.abs(exact64 - upper) <= 2 * error).all()  # rounding outward costs no more than that


def test_float64_corners_are_rounded_outward() -> None:
    """On a network that only adds, the bound of a box must contain the box's own sum, exactly."""
    model = build("identity", dtype="float32")
    third = np.full((1, 3), 1 / 3)
    high, low = decomon.get_range_box(model, third - 1e-12, third + 1e-12)
    assert (high.astype(np.float64) >= third + 1e-12).all()
    assert (low.astype(np.float64) <= third - 1e-12).all()


@pytest.mark.parametrize(
    ("batch", "finetune"),
    [
        (0, False),
        (1, False),
        pytest.param(0, True, marks=pytest.mark.slow),
        pytest.param(1, True, marks=pytest.mark.slow),
    ],
)
def test_small_batches(batch: int, finetune: bool) -> None:
    model = build("image", dtype="float32")
    verified = decomon.clone(model, "hybrid", finetune=finetune, finetune_steps=2)
    x = np.zeros((batch, 5, 4, 2), np.float32)
    for n_sub_boxes in (1, 3):
        args = (verified, x - 0.1, x + 0.1)
        assert decomon.get_adv_box(*args, 0, n_sub_boxes=n_sub_boxes).shape == (batch,)
        values, points = decomon.check_adv_box(
            *args, 0, n_sub_boxes=n_sub_boxes, return_points=True
        )
        assert values.shape == (batch,)
        assert points.shape == x.shape
        high, low = decomon.get_range_box(*args, n_sub_boxes=n_sub_boxes)
        assert high.shape == low.shape == (batch, 3)


def test_flattened_corners_are_the_same_question() -> None:
    case = case_of("image")
    shaped = decomon.get_adv_box(case.model, case.x_min, case.x_max, 0)
    flat = decomon.get_adv_box(case.model, case.x_min.reshape(6, -1), case.x_max.reshape(6, -1), 0)
    np.testing.assert_array_equal(shaped, flat)


def test_results_say_that_they_are_on_logits() -> None:
    model = build("with_softmax", dtype="float32")
    x_min, x_max = boxes(model, 2, 0.1)
    with pytest.warns(decomon.LogitsWarning, match="softmax"):
        decomon.get_range_box(model, x_min, x_max)
    verified = decomon.clone(model)
    assert verified.stripped == "softmax"
    assert "softmax" in repr(verified)
    lines: list[str] = []
    verified.summary(print_fn=lines.append)
    assert "softmax" in lines[0]


def test_inputs_that_keras_rounds_before_the_first_layer() -> None:
    """A float64 network behind a float32 input: bounds cover the rounded points that it sees."""
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="float32"),
            layers.Dense(6, activation="relu", dtype="float64"),
            layers.Dense(3, dtype="float64"),
        ]
    )
    randomise(model, 3)
    center = np.random.default_rng(0).normal(size=(200, 4))
    x_min, x_max = center - 1e-9, center + 1e-9
    verified = decomon.clone(model, dtype="float64")
    high, low = decomon.get_range_box(verified, x_min, x_max)
    real = np.asarray(model(tf.constant(center)))
    error = rounding(model, x_min, x_max, "float64")[:, None]
    assert (real <= high + error).all()
    assert (real >= low - error).all()
