"""Complete verification, as users see it: statuses, bounds, counterexamples, forms of input."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import Verdict, verify, verify_box, verify_noise
from decomon.specs import margins
from tests.decomon.helpers import Array, dense_net, keras, layers, randomise, rng_of, sample
from tests.decomon.verified import PATIENCE, check, corners, grid, in_the_plane, logits


@pytest.mark.parametrize("radius", [pytest.param(0.1, marks=pytest.mark.slow), 0.2])
def test_everything_is_decided_in_the_plane(radius: float) -> None:
    model, x, labels = in_the_plane()
    low, high = corners(x, radius)
    found = verify_box(model, low, high, labels, timeout=PATIENCE)
    check(model, decomon.BoxDomain(low, high), labels, None, found, grid(low, high))
    assert found.counts[Verdict.UNKNOWN] == 0
    assert found.counts[Verdict.ROBUST]
    assert found.status[-2:] == ("non_robust", "non_robust")  # misclassified as they are
    assert found.stopped == ""
    # Where a grid finds the sign of the margin, it is the same one.
    largest = np.max(
        [margins(labels, None, 12, 3).of(logits(model, p)[:, None])[:, 0] for p in grid(low, high)],
        axis=0,
    )
    assert [s == "non_robust" for s in found.status] >= (largest > 0).tolist()


@pytest.mark.slow
def test_bounds_come_as_near_as_wanted() -> None:
    model, x, labels = in_the_plane()
    low, high = corners(x, 0.2)
    found = verify_box(model, low, high, labels, timeout=PATIENCE, gap=1e-3)
    check(model, decomon.BoxDomain(low, high), labels, None, found, grid(low, high))
    assert (found.upper - found.lower <= 1e-3).all()
    asked = margins(labels, None, 12, 3)
    at_points = asked.of(logits(model, found.points)[:, None])[:, 0]
    np.testing.assert_allclose(at_points, found.lower, atol=1e-5)
    largest = np.max([asked.of(logits(model, p)[:, None])[:, 0] for p in grid(low, high)], axis=0)
    assert (largest <= found.upper + 1e-5).all()


def test_the_three_functions_agree() -> None:
    model, x, labels = in_the_plane()
    low, high = corners(x, 0.25)
    boxes = verify_box(model, low, high, labels, timeout=PATIENCE)
    domains = verify(model, decomon.BoxDomain(low, high), labels, timeout=PATIENCE)
    balls = verify_noise(model, x.astype(np.float64), 0.25, np.inf, None, labels, timeout=PATIENCE)
    assert boxes.status == domains.status == balls.status
    smaller = verify_noise(model, x, 0.25, 2, (-2, 2), labels, timeout=PATIENCE)
    sets = decomon.BallDomain(x.astype(np.float64), 0.25, 2, (-2, 2))
    points = np.moveaxis(np.asarray(sets.sample(500, 0)), 1, 0)
    check(model, sets.shaped((2,)), labels, None, smaller, points)
    for inner, outer in zip(smaller.status, boxes.status, strict=True):
        assert not (outer == "robust" and inner == "non_robust")


SETS: dict[str, Callable[[Array], decomon.Domain]] = {
    "1-norm": lambda x: decomon.BallDomain(x, 0.3, 1),
    "grid": lambda x: decomon.GridDomain(x - 0.25, x + 0.25, 0.125),
    "vertices": lambda x: decomon.VertexDomain(
        x[:, None] + np.array([[0.4, 0], [-0.3, 0.3], [-0.1, -0.5]], x.dtype)
    ),
    "affine": lambda x: decomon.AffineDomain(
        x, np.tile(np.array([0.3, -0.2], x.dtype), (len(x), 1, 1)), -1, 1
    ),
    "brightness": lambda x: decomon.brightness(x, 0.2),
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow) if kind in ("1-norm", "affine") else kind
        for kind in SETS
    ],
)
def test_any_set(kind: str) -> None:
    model, x, labels = in_the_plane()
    domain = SETS[kind](x)
    found = verify(model, domain, labels, timeout=PATIENCE)
    points = np.moveaxis(np.asarray(domain.shaped((2,)).sample(300, 0)), 1, 0)
    check(model, domain.shaped((2,)), labels, None, found, points)
    assert "unknown" not in found.status
    assert "robust" in found.status
    assert "non_robust" in found.status


def test_labels_in_every_form() -> None:
    model, x, _ = in_the_plane()
    low, high = corners(x, 0.15)

    def status(sources: Any, targets: Any = None) -> tuple[Verdict, ...]:
        found = verify_box(model, low, high, sources, targets, timeout=PATIENCE)
        domain = decomon.BoxDomain(low, high)
        check(model, domain, sources, targets, found, sample(low, high, 50))
        assert "unknown" not in found.status
        return found.status

    full, hot = np.full(12, 1), np.eye(3)[np.full(12, 1)]
    assert status(1) == status(full) == status(full[:, None]) == status(hot)
    # All targets together are robust where each one is.
    both = [status(1, 0), status(1, np.full(12, 2))]
    together = [
        Verdict.ROBUST if set(pair) == {"robust"} else Verdict.NON_ROBUST
        for pair in zip(*both, strict=True)
    ]
    assert list(status(1)) == list(status(1, [[0, 2]] * 12)) == together
    # Several labels have to win, each over each target.
    each = [status(0, 2), status(1, 2)]
    together = [
        Verdict.ROBUST if set(pair) == {"robust"} else Verdict.NON_ROBUST
        for pair in zip(*each, strict=True)
    ]
    assert list(status(np.tile([1, 1, 0], (12, 1)))) == together


@pytest.mark.parametrize("final", ["softmax", "sigmoid"])
def test_a_final_softmax_changes_nothing(final: str) -> None:
    model, x, labels = in_the_plane()
    last = layers.Activation(final)
    soft = keras.Sequential([keras.Input((2,)), *model.layers, last])
    low, high = corners(x, 0.2)
    plain = verify_box(model, low, high, labels, timeout=PATIENCE)
    found = verify_box(soft, low, high, labels, timeout=PATIENCE)
    assert found.status == plain.status
    for s, point in enumerate(found.counterexample):
        if point is not None:
            assert np.asarray(soft(point[None])).argmax() != labels[s]
    kept = decomon.clone(soft, rm_last_softmax=False)
    bounded = verify_box(kept, low, high, labels, timeout=0.5)  # of what comes out of it
    for some, every in zip(bounded.status, plain.status, strict=True):
        assert some in (every, "unknown")


def test_a_decomon_model_gives_the_network_and_the_dtype() -> None:
    model, x, labels = in_the_plane()
    low, high = corners(x, 0.2)
    plain = verify_box(model, low, high, labels, timeout=PATIENCE)
    every: list[dict[str, Any]] = [{}, {"method": "ibp"}, {"method": "hybrid", "finetune": True}]
    for options in every:
        clone = decomon.clone(model, dtype="float64", **options)
        found = verify_box(clone, low, high, labels, timeout=PATIENCE)
        assert found.status == plain.status
        assert found.upper.dtype == np.float64


def test_a_double_precision_model() -> None:
    network = randomise(dense_net([2, 6, 6, 3], dtype="float64"), 4)
    low, high = np.full((1, 2), -0.3), np.full((1, 2), 0.3)
    found = verify_box(network, low, high, 0, timeout=PATIENCE)
    check(network, decomon.BoxDomain(low, high), 0, None, found, grid(low, high))
    assert "unknown" not in found.status
    assert found.points.dtype == np.float64


def test_no_samples() -> None:
    model, _, _ = in_the_plane()
    told: list[Any] = []
    none = np.zeros((0, 2), np.float32)
    for found in (
        verify_box(model, none, none, 0, progress=lambda *told_: told.append(told_)),
        verify_noise(model, none, 0.1, np.inf, None, np.zeros(0, int)),
        verify(model, decomon.BallDomain(none, 0.1, p=1), 0),
    ):
        assert found.status == found.reason == found.counterexample == ()
        assert found.points.shape == (0, 2)
        assert found.upper.shape == found.lower.shape == (0,)
        assert "0 samples" in repr(found)
    assert told == [(0, 0, 0.0)]


def test_conversion_is_done_once_and_models_are_let_go() -> None:
    _, x, _ = in_the_plane()
    model = dense_net([2, 6, 3], 3)
    clone = decomon.clone(model, "ibp")
    low, high = corners(x, 0.1)
    for network in (model, clone):
        verify_box(network, low, high, 0, timeout=PATIENCE)
    count = decomon.models.verifier_of(model).trace_count
    assert count > 0
    verify_box(model, low - 0.01, high, 0, timeout=PATIENCE)
    assert decomon.models.verifier_of(model).trace_count == count
    assert decomon.models.verifier_of(clone).trace_count == 0  # its method is not used
    held = weakref.ref(clone.verifier)
    del clone, network
    gc.collect()
    assert held() is None


def test_the_model_is_left_alone() -> None:
    _, x, _ = in_the_plane()
    model = randomise(dense_net([2, 6, 3], softmax=True), 1)
    before = model.get_config(), [layer.name for layer in model.layers], len(model.weights)
    weights, outputs = model.get_weights(), np.asarray(model(x))
    verify_box(model, *corners(x, 0.1), 0, timeout=PATIENCE)
    assert (
        model.get_config(),
        [layer.name for layer in model.layers],
        len(model.weights),
    ) == before
    np.testing.assert_array_equal(np.asarray(model(x)), outputs)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@cache
def two_inputs() -> Any:
    left, right = keras.Input((2,), name="left"), keras.Input((1, 2), name="right")
    joined = layers.Concatenate()([left, layers.Flatten()(right)])
    hidden = layers.Dense(8, activation="relu")(joined)
    return randomise(keras.Model([left, right], layers.Dense(3)(hidden)), 3)


@pytest.mark.parametrize("form", ["list", "tuple", "dict"])
def test_several_inputs(form: str) -> None:
    model = two_inputs()
    rng = rng_of(2)
    centers = [rng.normal(size=(6, 2)), rng.normal(size=(6, 1, 2))]
    predicted = np.asarray(model([c.astype(np.float32) for c in centers])).argmax(axis=1)

    def given(parts: list[Array]) -> Any:
        if form == "dict":
            return dict(zip(("left", "right"), parts, strict=True))
        return tuple(parts) if form == "tuple" else parts

    radius = 0.5
    low, high = [c - radius for c in centers], [c + radius for c in centers]
    found = verify_box(model, given(low), given(high), predicted, timeout=PATIENCE)
    balls = verify_noise(model, given(centers), radius, np.inf, None, predicted, timeout=PATIENCE)
    flat = decomon.BoxDomain(
        *(np.concatenate([p.reshape(6, 2) for p in c], 1) for c in (low, high))
    )
    sets = verify(model, flat, predicted, timeout=PATIENCE)
    assert found.status == balls.status == sets.status
    assert set(found.status) == {"robust", "non_robust"}
    assert isinstance(found.points, dict if form == "dict" else tuple if form == "tuple" else list)
    assert isinstance(sets.points, list)
    for answer, s in ((a, s) for a in (found, balls, sets) for s in range(6)):
        if answer.status[s] != "non_robust":
            continue
        point = answer.counterexample[s]
        parts = list(point.values()) if isinstance(point, dict) else list(point)
        assert [part.shape for part in parts] == [(2,), (1, 2)]
        assert np.asarray(model([part[None] for part in parts])).argmax() != predicted[s]
        for part, lower, upper in zip(parts, low, high, strict=True):
            assert ((part >= lower[s]) & (part <= upper[s])).all()


def test_integer_inputs() -> None:
    x = keras.Input((3,), dtype="int32")
    hidden = layers.Dense(8, activation="relu")(layers.Rescaling(0.1)(x))
    model = randomise(keras.Model(x, layers.Dense(3)(hidden)), 5, scale=2.0)
    centers = rng_of(5).integers(-9, 9, (6, 3))
    low, high = centers - 2, centers + 2
    labels = np.asarray(model(centers)).argmax(axis=1)
    found = verify_box(model, low, high, labels, timeout=5)
    steps = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 1, 3)
    every = [np.asarray(model(centers + step)).argmax(axis=1) for step in steps]
    stays = (np.array(every) == labels).all(axis=0)
    for s, status in enumerate(found.status):
        assert status != "robust" or stays[s]
        if status == "non_robust":
            assert not stays[s]
            point = found.counterexample[s]
            assert np.asarray(model(point[None].astype(np.int32))).argmax() != labels[s]
    assert "robust" in found.status
    assert "non_robust" in found.status


@pytest.mark.parametrize(
    "activation",
    [pytest.param("tanh", marks=pytest.mark.slow), pytest.param("gelu", marks=pytest.mark.slow)],
)
def test_other_activations_prove_more_than_bounds(activation: str) -> None:
    _, x, _ = in_the_plane()
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(8, activation=activation),
            layers.Dense(8, activation=activation),
            layers.Dense(3),
        ]
    )
    randomise(model, 3, scale=3.0)
    labels = np.asarray(model(x)).argmax(axis=1)

    def undecided(radius: float) -> bool:
        low, high = corners(x, radius)
        proven = decomon.get_adv_box(model, low, high, labels) < 0
        refuted = decomon.check_adv_box(model, low, high, labels) > 0
        return bool((~proven & ~refuted).any())

    low, high = corners(x, next(radius for radius in (0.15, 0.2, 0.4, 0.8) if undecided(radius)))
    found = verify_box(model, low, high, labels, timeout=PATIENCE)
    check(model, decomon.BoxDomain(low, high), labels, None, found, grid(low, high))
    assert found.counts[Verdict.UNKNOWN] == 0
