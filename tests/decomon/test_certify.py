"""Verdicts: a proof, a point that the real model gets wrong, or an honest unknown."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.certify import METHODS, Verdict, certify
from tests.decomon.helpers import Array, dense_net, keras, layers, randomise, rng_of, rounding
from tests.decomon.zoo import build


@pytest.fixture(scope="module")
def model() -> Any:
    return randomise(dense_net([6, 16, 16, 3], softmax=True), 8, scale=1.5)


@pytest.fixture(scope="module")
def x() -> Array:
    return rng_of(0).uniform(size=(30, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def labels(model: Any, x: Array) -> Array:
    """What the model says, but for three samples."""
    found = np.asarray(model(x)).argmax(axis=1)
    found[:3] = (found[:3] + 1) % 3
    return found


EPSILONS = np.array([0.0, 0.002, 0.01, 0.03, 0.08, 0.2, 0.5])


def test_verdicts_mean_what_they_say(model: Any, x: Array, labels: Array) -> None:
    seen: set[Verdict] = set()
    for epsilon in EPSILONS:
        found = certify(model, x, labels, epsilon)
        assert len(found.verdicts) == len(found.reasons) == len(x)
        np.testing.assert_array_equal(found.predicted, np.asarray(model(x)).argmax(axis=1))
        low = np.clip(x.astype(float) - epsilon, 0, 1)
        high = np.clip(x.astype(float) + epsilon, 0, 1)
        assert (found.points >= low).all()
        assert (found.points <= high).all()
        at_points = np.asarray(model(found.points)).argmax(axis=1)
        np.testing.assert_array_equal(found.predicted_points, at_points)
        np.testing.assert_array_equal(found.epsilon, np.full(len(x), epsilon))
        assert found.elapsed > 0
        for i, verdict in enumerate(found.verdicts):
            assert isinstance(verdict, Verdict)
            if verdict == Verdict.MISCLASSIFIED:
                assert found.predicted[i] != labels[i]
            else:
                assert found.predicted[i] == labels[i]
            if verdict == Verdict.ROBUST:
                assert found.upper[i] < 0
            if verdict == Verdict.NON_ROBUST:
                assert at_points[i] != labels[i]
            if verdict == Verdict.UNKNOWN:
                assert found.reasons[i]
            else:
                assert found.reasons[i] == ""
            seen.add(verdict)
    assert seen == {Verdict.ROBUST, Verdict.NON_ROBUST, Verdict.UNKNOWN, Verdict.MISCLASSIFIED}


def test_a_robust_sample_has_no_adversary(model: Any, x: Array, labels: Array) -> None:
    found = certify(model, x, labels, 0.03)
    proven = np.array([v == Verdict.ROBUST for v in found.verdicts])
    assert proven.any()
    rng = rng_of(1)
    for _ in range(300):
        moved = np.clip(x + 0.03 * rng.choice([-1, 1, rng.uniform(-1, 1)], x.shape), 0, 1)
        predicted = np.asarray(model(moved.astype(np.float32))).argmax(axis=1)
        assert (predicted == labels)[proven].all()


@pytest.mark.parametrize("method", ["crown", "forward-ibp"])
def test_certificates_are_monotone_in_epsilon(
    model: Any, x: Array, labels: Array, method: str
) -> None:
    verified = decomon.clone(model, method)
    found = [certify(verified, x, labels, epsilon) for epsilon in EPSILONS]
    refuted = np.zeros(len(x), bool)
    for small, large in itertools.pairwise(found):
        error = rounding(model, np.zeros_like(x), np.ones_like(x))
        if method == "forward-ibp":
            assert (small.upper <= large.upper + error).all()
        for i in range(len(x)):
            refuted[i] |= small.verdicts[i] == Verdict.NON_ROBUST
            # what was refuted at a smaller epsilon is never proven at a larger one
            assert not (refuted[i] and large.verdicts[i] == Verdict.ROBUST)
    counts = [sum(v == Verdict.ROBUST for v in f.verdicts) for f in found]
    assert counts == sorted(counts, reverse=True)


def test_no_perturbation(model: Any, x: Array, labels: Array) -> None:
    found = certify(model, x, labels, 0.0)
    for i, verdict in enumerate(found.verdicts):
        right = found.predicted[i] == labels[i]
        assert verdict == (Verdict.ROBUST if right else Verdict.MISCLASSIFIED)
    np.testing.assert_array_equal(found.points, x)


def test_an_epsilon_for_each_sample(model: Any, x: Array, labels: Array) -> None:
    each = np.linspace(0, 0.3, len(x))
    together = certify(model, x, labels, each)
    np.testing.assert_array_equal(together.epsilon, each)
    for i in (0, 7, 29):
        alone = certify(model, x[i : i + 1], labels[i : i + 1], each[i])
        assert alone.verdicts[0] == together.verdicts[i]
        error = rounding(model, x[i : i + 1] - each[i], x[i : i + 1] + each[i])
        assert abs(alone.upper[0] - together.upper[i]) <= error
    same = certify(model, x, labels, np.full(len(x), 0.1))
    assert same.verdicts == certify(model, x, labels, 0.1).verdicts


def test_clipping(model: Any, x: Array, labels: Array) -> None:
    default = certify(model, x, labels, 0.1)
    given = certify(model, x, labels, 0.1, clip=(0, 1))
    free = certify(model, x, labels, 0.1, clip=None)
    assert default.verdicts == given.verdicts
    np.testing.assert_array_equal(default.upper, given.upper)
    assert (free.upper >= default.upper - 1e-6).all()
    assert (free.upper > default.upper + 1e-6).any()
    low, high = x.astype(float) - 0.1, x.astype(float) + 0.1
    np.testing.assert_array_equal(
        default.upper,
        decomon.get_adv_box(model, np.clip(low, 0, 1), np.clip(high, 0, 1), labels),
    )
    np.testing.assert_array_equal(free.upper, decomon.get_adv_box(model, low, high, labels))


def test_labels_may_be_one_hot_and_samples_flat_or_shaped() -> None:
    net = build("image", seed=1, dtype="float32")
    x = rng_of(0).uniform(size=(3, 5, 4, 2)).astype(np.float32)
    expected = certify(net, x, [0, 1, 2], 0.01)
    for form in (np.array([0, 1, 2]), np.eye(3), np.eye(3, dtype=int), np.eye(3, dtype=bool)):
        for shape in (x, x.reshape(3, -1)):
            found = certify(net, shape, form, 0.01)
            assert found.verdicts == expected.verdicts
            np.testing.assert_array_equal(found.upper, expected.upper)
            assert found.points.shape == x.shape


def test_options_reach_the_bounds(model: Any, x: Array, labels: Array) -> None:
    one = certify(model, x, labels, 0.1)
    four = certify(model, x, labels, 0.1, n_sub_boxes=4)
    assert (four.upper <= one.upper).all()
    assert (four.upper < one.upper).any()
    parts = certify(model, x, labels, 0.1, batch_size=7)
    assert parts.verdicts == one.verdicts


def test_no_samples(model: Any) -> None:
    found = certify(model, np.zeros((0, 6)), np.zeros(0, int), 0.1)
    assert found.verdicts == found.reasons == ()
    assert found.points.shape == (0, 6)
    assert len(found.upper) == len(found.lower) == len(found.predicted) == 0


def test_ties_are_not_robust() -> None:
    """Two classes that are always equal: neither wins."""
    net = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    net.set_weights([np.ones((2, 2)), np.zeros(2)])
    found = certify(net, np.full((1, 2), 0.5), [0], 0.1)
    assert found.verdicts == (Verdict.UNKNOWN,)
    assert found.reasons[0]


def test_constant_network() -> None:
    net = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    net.set_weights([np.zeros((2, 2)), np.array([1.0, 0.0])])
    points = np.full((2, 2), 0.5)
    found = certify(net, points, [0, 1], 0.5)
    assert found.verdicts == (Verdict.ROBUST, Verdict.MISCLASSIFIED)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"epsilon": -0.1}, "epsilon"),
    ({"epsilon": np.nan}, "epsilon"),
    ({"epsilon": np.inf}, "epsilon"),
    ({"epsilon": "8/255"}, "epsilon"),
    ({"epsilon": None}, "epsilon"),
    ({"epsilon": True}, "epsilon"),
    ({"epsilon": [0.1, 0.2]}, "epsilon"),
    ({"epsilon": np.full((30, 2), 0.1)}, "epsilon"),
    ({"epsilon": np.where(np.arange(30) == 3, -1, 0.1)}, "epsilon"),
    ({"clip": (1, 0)}, "clip"),
    ({"clip": (0, 0)}, "clip"),
    ({"clip": 1.0}, "clip"),
    ({"clip": (0, 1, 2)}, "clip"),
    ({"clip": "unit"}, "clip"),
    ({"clip": (np.nan, 1)}, "clip"),
    ({"clip": (0.4, 0.6)}, "sample 0"),
    ({"labels": [0] * 29}, "labels"),
    ({"labels": 3}, "labels"),
    ({"labels": np.ones((30, 3))}, "labels"),
    ({"labels": np.tile([0, 1], (30, 1))}, "labels"),
    ({"labels": ["a"] * 30}, "labels"),
    ({"x": np.full((30, 6), np.nan)}, "x must be finite"),
    ({"x": np.zeros((30, 5))}, "x must have the shape"),
    ({"x": np.full((30, 6), 128.0)}, "clip"),
    ({"n_sub_boxes": 0}, "n_sub_boxes"),
    ({"batch_size": 0}, "batch_size"),
]


@pytest.mark.parametrize(("change", "shown"), BAD, ids=[str(sorted(c)) + s for c, s in BAD])
def test_bad_arguments(
    model: Any, x: Array, labels: Array, change: dict[str, Any], shown: str
) -> None:
    arguments = {"x": x, "labels": labels, "epsilon": 0.1, **change}
    with pytest.raises(ValueError, match="Received") as error:
        certify(model, **arguments)
    assert shown in str(error.value)


def test_misspelt_option_and_wrong_model(model: Any, x: Array, labels: Array) -> None:
    options: dict[str, Any] = {"eps": 0.1}
    with pytest.raises(TypeError, match="eps"):
        certify(model, x, labels, **options)
    with pytest.raises(TypeError, match="Received"):
        certify("model", x, labels, 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_certifies(method: str, model: Any, x: Array, labels: Array) -> None:
    found = certify(decomon.clone(model, method), x[3:6], labels[3:6], 1e-4)
    assert found.verdicts == (Verdict.ROBUST,) * 3


@pytest.mark.filterwarnings("error")
def test_input_and_output_in_a_container() -> None:
    """A model may want its only input, and give its only output, in a list or a dict."""
    start = keras.Input((4,), name="start")
    end = layers.Dense(3)(layers.Dense(5, activation="relu")(start))
    x = rng_of(0).uniform(size=(6, 4)).astype("float32")
    plain = certify(keras.Model(start, end), x, 0, 0.05)
    for inputs, outputs in (({"start": start}, end), (start, {"b": end}), ([start], [end])):
        found = certify(keras.Model(inputs, outputs), x, 0, 0.05)
        assert found.verdicts == plain.verdicts
        np.testing.assert_array_equal(found.upper, plain.upper)


@pytest.mark.parametrize("epsilon", [0.0, 1e-7, 1e-5, 1e-3])
def test_lower_never_exceeds_upper(epsilon: float, model: Any, x: Array, labels: Array) -> None:
    found = certify(model, x, labels, epsilon)
    assert (found.lower <= found.upper).all()
