"""Certified radii: proofs below, counterexamples above, and the truth between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import narrowing
from decomon.certify import Verdict, certify
from decomon.models import verifier_of
from decomon.radius import CertifiedRadius, certified_radius
from tests.decomon.helpers import (
    Array,
    ascend,
    dense_net,
    keras,
    layers,
    margin_rows,
    randomise,
    rng_of,
    tf,
)
from tests.decomon.reference import network

NORMS = (np.inf, 2, 1)
TOLERANCE = 0.02
WRONG = 2  # the sample whose label is not what the model says


@pytest.fixture(scope="module")
def model() -> Any:
    return dense_net([4, 8, 8, 3], 8, softmax=True)


@pytest.fixture(scope="module")
def x() -> Array:
    return rng_of(1).uniform(size=(10, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def labels(model: Any, x: Array) -> Array:
    found = np.asarray(model(x)).argmax(axis=1)
    found[WRONG] = (found[WRONG] + 1) % 3
    return found


@pytest.fixture(scope="module", params=[np.inf, 2, pytest.param(1, marks=pytest.mark.slow)])
def found(request: pytest.FixtureRequest, model: Any, x: Array, labels: Array) -> CertifiedRadius:
    return certified_radius(model, x, labels, request.param, tolerance=TOLERANCE, timeout=60)


def check(found: CertifiedRadius, model: Any, x: Array, labels: Array, clip: Any = (0, 1)) -> None:
    """What holds of every result, however early the work was stopped."""
    n = len(x)
    assert len(found) == len(found.counterexample) == len(found.reason) == n
    assert found.certified.shape == found.falsified.shape == found.elapsed.shape == (n,)
    assert (found.certified < found.falsified).all()
    assert not np.isnan(found.certified).any()
    assert (found.certified <= found.eps_max).all()
    right = np.asarray(model(x)).argmax(axis=1) == labels
    np.testing.assert_array_equal(found.falsified == 0, ~right)
    np.testing.assert_array_equal(found.certified == -np.inf, ~right)
    assert (found.certified[right] >= 0).all()
    assert (found.elapsed <= found.seconds).all()
    for i, point in enumerate(found.counterexample):
        assert (point is None) == (found.falsified[i] == np.inf)
        if point is None:
            continue
        assert point.shape == x.shape[1:]
        assert np.asarray(model(point[None].astype(np.float32))).argmax() != labels[i]
        inside = decomon.BallDomain(
            x[i : i + 1].astype(float), found.falsified[i], found.p, clip
        ).contains(tf.constant(point[None, None]))
        assert bool(inside.numpy()[0, 0])
        if right[i]:
            apart = np.linalg.norm((point - x[i]).ravel(), ord=found.p)
            assert apart > found.certified[i]


def test_the_truth_lies_between(
    found: CertifiedRadius, model: Any, x: Array, labels: Array
) -> None:
    check(found, model, x, labels)
    assert found.reason == ("",) * len(x)
    assert found.stopped == ""
    assert (found.gap <= TOLERANCE).all()
    assert (found.certified > 0).sum() > len(x) / 2
    assert found.falsified[WRONG] == 0
    np.testing.assert_array_equal(found.counterexample[WRONG], x[WRONG])


def test_certified_balls_are_attacked_in_vain(
    found: CertifiedRadius, model: Any, x: Array, labels: Array
) -> None:
    radii, right = np.maximum(found.certified, 0), np.arange(len(x)) != WRONG
    attacked = decomon.attack_noise(
        model, x, radii, labels, p=found.p, clip=(0, 1), steps=60, restarts=5
    )
    assert (attacked.margin[right] < 0).all()
    if found.p == np.inf:
        low = np.clip(x - radii[:, None], 0, 1).astype(np.float32)
        high = np.clip(x + radii[:, None], 0, 1).astype(np.float32)
        rows = margin_rows(3, labels)
        for k in range(rows.shape[1]):
            _, points = ascend(model, low, high, rows[:, k])
            assert (np.asarray(model(points)).argmax(axis=1) == labels)[right].all()


def test_radii_can_be_used_again_in_single_precision(
    found: CertifiedRadius, model: Any, x: Array, labels: Array
) -> None:
    below = found.certified < found.eps_max
    for radii in (found.certified[below], found.falsified):
        np.testing.assert_array_equal(radii.astype(np.float32), radii)
    eps = np.maximum(found.certified, 0).astype(np.float32)
    verdicts = certify(model, x, labels, eps, p=found.p).verdicts
    assert Verdict.NON_ROBUST not in verdicts
    refuted = np.flatnonzero(np.isfinite(found.falsified))
    single = decomon.BallDomain(
        x[refuted], found.falsified[refuted].astype(np.float32), found.p, (0, 1)
    )
    points = np.stack([found.counterexample[i] for i in refuted])
    np.testing.assert_array_equal(points.astype(np.float32), points)
    assert single.contains(tf.constant(points[:, None].astype(np.float32))).numpy().all()


@pytest.fixture(scope="module")
def linear() -> Any:
    return dense_net([5, 4], 3)


def exact_radius(weights: Array, margin: float, room: Array, p: float) -> float:
    """The least norm of a move that brings a linear margin to zero, within the room of each entry.

    The best move of every norm fills entries by the size of their weights: all alike (p = inf), in
    proportion (p = 2), or one after another (p = 1).
    """
    sizes = np.abs(weights)
    if p == 1:
        total = 0.0
        for entry in np.argsort(-sizes):
            gain = sizes[entry] * room[entry]
            if gain >= -margin:
                return float(total - margin / sizes[entry])
            margin, total = float(margin + gain), float(total + room[entry])
        return np.inf

    def moves(level: float) -> Array:
        return np.minimum(room, level if p == np.inf else level * sizes)

    low, high = 0.0, 1.0
    while moves(high) @ sizes < -margin:
        high *= 2
        if high > 1e9:
            return np.inf
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if moves(middle) @ sizes < -margin else (low, middle)
    return float(np.linalg.norm(moves(high), ord=p))


@pytest.mark.parametrize("clip", [(0, 1), None, (-0.5, np.array([[1, 2, 1.5, 1, 3]]))])
@pytest.mark.parametrize("p", NORMS)
def test_linear_models_have_the_radius_of_the_nearest_boundary(
    linear: Any, p: float, clip: Any
) -> None:
    model = linear
    x = rng_of(2).uniform(size=(12, 5))
    kernel, bias = (w.astype(np.float64) for w in model.get_weights())
    labels = np.asarray(model(x)).argmax(axis=1)
    tolerance = 1e-5
    found = certified_radius(model, x, labels, p, clip, tolerance=tolerance, timeout=60)
    check(found, model, x, labels, clip)
    low, high = (-np.inf, np.inf) if clip is None else clip
    seen = 0
    for i, label in enumerate(labels):
        radii = []
        for other in {0, 1, 2, 3} - {label}:
            weights = kernel[:, other] - kernel[:, label]
            room = np.broadcast_to(np.where(weights > 0, high - x[i], x[i] - low), (1, 5))[0]
            radii.append(exact_radius(weights, x[i] @ weights + bias[other] - bias[label], room, p))
        truth = min(radii)
        if truth > found.eps_max[i]:
            assert found.falsified[i] == np.inf
            continue
        seen += 1
        assert found.certified[i] <= truth + 1e-6
        assert found.falsified[i] >= truth - 1e-6
        assert found.gap[i] <= tolerance
    assert seen > 5


def test_a_largest_radius(model: Any, x: Array, labels: Array) -> None:
    free = certified_radius(model, x, labels, tolerance=TOLERANCE)
    top = 0.07  # no float32 number
    found = certified_radius(model, x, labels, eps_max=top, tolerance=1e-4)
    check(found, model, x, labels)
    beyond = free.certified > top
    assert beyond.any()
    assert not beyond.all()
    np.testing.assert_array_equal(found.certified[beyond], top)
    np.testing.assert_array_equal(found.falsified[beyond], np.inf)
    assert all(found.counterexample[i] is None for i in np.flatnonzero(beyond))
    below = free.falsified < top
    assert below.any()
    assert (found.falsified[below] <= top).all()
    each = np.linspace(0.02, 0.4, len(x))
    np.testing.assert_array_equal(
        certified_radius(model, x, labels, eps_max=each, tolerance=0.1).eps_max, each
    )


def test_by_default_the_largest_ball_holds_everything(model: Any, x: Array, labels: Array) -> None:
    for p in NORMS:
        found = certified_radius(model, x, labels, p, tolerance=10.0)
        far = np.maximum(x, 1 - x).astype(float)
        np.testing.assert_allclose(found.eps_max, np.linalg.norm(far, ord=p, axis=1), rtol=1e-6)
        assert found.reason == ("",) * len(x)  # nothing is left to ask


def test_what_was_asked_before_is_not_traced_again(model: Any, x: Array, labels: Array) -> None:
    certified_radius(model, x, labels, tolerance=TOLERANCE)
    before = verifier_of(model).trace_count
    certified_radius(model, x[:7], labels[:7], eps_max=0.3, tolerance=TOLERANCE / 3)
    assert verifier_of(model).trace_count == before


def test_targets(model: Any, x: Array, labels: Array) -> None:
    right = np.arange(len(x)) != WRONG
    x, labels = x[right], labels[right]
    every = certified_radius(model, x, labels, tolerance=TOLERANCE)
    targets = (labels + 1) % 3
    one = certified_radius(model, x, labels, tolerance=TOLERANCE, target_labels=targets)
    assert (one.falsified >= every.certified).all()
    for i in np.flatnonzero(np.isfinite(one.falsified)):
        outputs = np.asarray(model(one.counterexample[i][None].astype(np.float32)))[0]
        assert outputs[targets[i]] >= outputs[labels[i]]
    other = certified_radius(
        model, x, labels, tolerance=TOLERANCE, target_labels=3 - labels - targets
    )
    least = np.minimum(one.certified, other.certified)
    assert (least < every.falsified).all()
    assert (every.certified < np.minimum(one.falsified, other.falsified)).all()


def test_forms_of_inputs() -> None:
    convolution = layers.Conv2D(2, 2, activation="relu")
    parts = [keras.Input((3, 3, 1)), convolution, layers.Flatten(), layers.Dense(3)]
    image = keras.Sequential(parts)
    randomise(image, 1)
    x = rng_of(0).uniform(size=(3, 3, 3, 1))
    labels = np.asarray(image(x)).argmax(axis=1)
    shaped = certified_radius(image, x, labels, tolerance=0.02)
    flat = certified_radius(image, x.reshape(3, 9), np.eye(3)[labels], tolerance=0.02)
    check(shaped, image, x, labels)
    assert (shaped.certified < flat.falsified).all()
    assert (flat.certified < shaped.falsified).all()


@pytest.mark.parametrize("p", [np.inf, pytest.param(2, marks=pytest.mark.slow)])
def test_several_inputs(p: float) -> None:
    first, second = keras.Input((2,), name="first"), keras.Input((3,), name="second")
    joined = layers.Concatenate()([first, second])
    outputs = layers.Dense(3)(layers.Dense(5, "relu")(joined))
    model = randomise(keras.Model([first, second], outputs), 5)
    rng = rng_of(4)
    x = [rng.uniform(size=(4, 2)), rng.uniform(size=(4, 3))]
    labels = np.asarray(model(x)).argmax(axis=1)
    found = certified_radius(model, x, labels, p, (-5, 5), tolerance=0.2)
    named = dict(zip(("first", "second"), x, strict=True))
    same = certified_radius(model, named, labels, p, (-5, 5), tolerance=0.2)
    assert (found.certified < same.falsified).all()
    assert (same.certified < found.falsified).all()
    assert (found.gap <= 0.2).all()
    assert np.isfinite(found.falsified).any()
    for i in np.flatnonzero(np.isfinite(found.falsified)):
        parts = found.counterexample[i]
        assert [part.shape for part in parts] == [(2,), (3,)]
        assert set(same.counterexample[i]) == {"first", "second"}
        assert np.asarray(model([part[None] for part in parts])).argmax() != labels[i]
        move = np.concatenate([part - given[i] for part, given in zip(parts, x, strict=True)])
        assert np.linalg.norm(move, ord=p) <= found.falsified[i] * (1 + 1e-12)


def test_the_method_of_a_verifier_does_not_matter(model: Any, x: Array, labels: Array) -> None:
    """The search chooses its own, as it does for verdicts."""
    loose = decomon.clone(model, "forward-ibp")
    found = certified_radius(loose, x[:4], labels[:4], tolerance=TOLERANCE)
    check(found, model, x[:4], labels[:4])
    assert found.reason == ("",) * 4


def test_no_samples(model: Any) -> None:
    found = certified_radius(model, np.zeros((0, 4)), np.zeros(0, int))
    assert len(found) == 0
    assert found.certified.shape == found.falsified.shape == (0,)
    assert found.counterexample == found.reason == ()
    assert "0 samples" in repr(found)


def test_time_is_limited(model: Any, x: Array, labels: Array) -> None:
    found = certified_radius(model, x, labels, tolerance=1e-9, timeout=1e-9)
    check(found, model, x, labels)
    assert found.stopped == "timeout"
    right = np.arange(len(x)) != WRONG
    assert all(reason.startswith("timeout: ") for reason in np.array(found.reason)[right])
    assert found.reason[WRONG] == ""
    assert "timeout" in repr(found)


def test_progress_is_told_and_can_cancel(model: Any, x: Array, labels: Array) -> None:
    told: list[tuple[int, int, float]] = []

    def watch(solved: int, still_open: int, gap: float) -> None:
        told.append((solved, still_open, gap))

    certified_radius(model, x, labels, tolerance=TOLERANCE, progress=watch)
    assert all(0 <= solved <= len(x) and gap >= 0 for solved, _, gap in told)
    assert [solved for solved, _, _ in told] == sorted(solved for solved, _, _ in told)
    assert [gap for _, _, gap in told] == sorted((gap for _, _, gap in told), reverse=True)
    assert told[-1] == (len(x), 0, 0)
    for until in (1, 2):
        asked: list[int] = []

        def cancel(*_: object, until: int = until, asked: list[int] = asked) -> bool:
            asked.append(1)
            return len(asked) < until

        found = certified_radius(model, x, labels, tolerance=1e-9, timeout=None, progress=cancel)
        check(found, model, x, labels)
        assert len(asked) == until
        assert found.stopped == "cancelled"
        assert all(reason.startswith("cancelled: ") for reason in found.reason if reason)


def test_ctrl_c_keeps_what_is_known(model: Any, x: Array, labels: Array) -> None:
    calls = iter(range(100))

    def interrupt(*_: object) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="Interrupted") as warned:
        found = certified_radius(model, x, labels, tolerance=1e-9, timeout=None, progress=interrupt)
    assert {w.filename for w in warned if "Interrupted" in str(w.message)} == {__file__}
    check(found, model, x, labels)
    assert found.stopped == "interrupted"
    assert any(reason.startswith("interrupted: ") for reason in found.reason)


def test_a_proof_that_a_point_contradicts_is_dropped(
    model: Any, x: Array, labels: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if rounding had made all bounds negative."""
    monkeypatch.setattr(narrowing, "_ATTACKS", 0)
    monkeypatch.setattr(narrowing, "bound_margins", lambda question, *_: -np.ones(len(question[1])))
    top = certified_radius(model, x, labels, eps_max=0.5)
    assert (np.delete(top.certified, WRONG) == 0.5).all()  # the lie is believed
    monkeypatch.undo()
    honest = certified_radius(model, x, labels, eps_max=0.5, tolerance=TOLERANCE)
    refuted = np.flatnonzero(honest.falsified < np.inf)

    def lie(self: Any) -> Iterator[None]:
        self._proven[refuted] = np.where(self._refuted[refuted] > 0, 0.5, -np.inf)
        yield

    monkeypatch.setattr(narrowing.Narrowing, "_bound", narrowing.Narrowing._attack)
    monkeypatch.setattr(narrowing.Narrowing, "_attack", lie)
    monkeypatch.setattr(narrowing.Narrowing, "_gaps", lambda self: np.ones(len(x)))
    monkeypatch.setattr(
        narrowing.Narrowing,
        "_solve",
        lambda self: self._refute(
            refuted,
            np.stack([honest.counterexample[i] for i in refuted]),
            honest.falsified[refuted],
        ),
    )
    found = certified_radius(model, x, labels, eps_max=0.5)
    check(found, model, x, labels)
    for i in refuted:
        if i != WRONG:
            assert found.certified[i] == 0
            assert found.reason[i].startswith("precision: ")


def test_balls_without_finite_bounds_are_not_proven_and_spoil_no_others() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(4, "exponential"), layers.Dense(2)])
    rng = rng_of(0)
    model.set_weights(
        [60 * rng.normal(size=(2, 4)), np.zeros(4), rng.normal(size=(4, 2)), np.zeros(2)]
    )
    x = np.concatenate([rng.uniform(size=(3, 2)) * 0.02, [[0.9, 0.9]]]).astype(np.float32)
    outputs = np.asarray(model(x))
    x, labels = x[np.isfinite(outputs).all(axis=1)], outputs.argmax(axis=1)
    labels = labels[np.isfinite(outputs).all(axis=1)]
    found = certified_radius(model, x, labels, clip=(-5, 5), tolerance=0.01, timeout=20)
    check(found, model, x, labels, (-5, 5))
    assert (found.certified[:3] > 0).any()


def test_outputs_that_are_no_numbers() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, "exponential"), layers.Dense(2)])
    model.set_weights([np.full((2, 2), 300.0), np.zeros(2), np.eye(2), np.zeros(2)])
    with pytest.raises(decomon.NonFiniteBoundError, match="sample 1"):
        certified_radius(model, np.array([[0, 0], [1, 1.0]]), [0, 0])


X = np.full((2, 4), 0.5)
BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"x": np.full((2, 3), 0.5)}, ValueError, "x must have the shape"),
    ({"x": X + 1}, ValueError, "x must lie within clip"),
    ({"x": X * np.nan}, ValueError, "x must be finite"),
    ({"source_labels": [0, 3]}, ValueError, "source_labels must lie between 0 and 2"),
    ({"source_labels": [0, 1, 2]}, ValueError, "source_labels"),
    ({"target_labels": [0, 1]}, ValueError, "needs a target label"),
    ({"p": 3}, ValueError, "p must be 1, 2 or infinity"),
    ({"clip": (1, 0)}, ValueError, "clip must be"),
    ({"eps_max": 0}, ValueError, "eps_max must be"),
    ({"eps_max": -1.0}, ValueError, "eps_max must be"),
    ({"eps_max": np.inf}, ValueError, "eps_max must be"),
    ({"eps_max": [0.1, 0.2, 0.3]}, ValueError, "eps_max must be"),
    ({"eps_max": "far"}, ValueError, "eps_max must be"),
    ({"tolerance": 0}, ValueError, "tolerance must be"),
    ({"tolerance": np.nan}, ValueError, "tolerance must be"),
    ({"tolerance": True}, ValueError, "tolerance must be"),
    ({"timeout": 0}, ValueError, "timeout must be"),
    ({"timeout": "1"}, ValueError, "timeout must be"),
    ({"memory_limit": 0}, ValueError, "memory_limit must be"),
    ({"progress": 1}, TypeError, "progress must be"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), BAD)
def test_bad_input(model: Any, wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"x": X, "source_labels": [0, 1], **wrong}
    with pytest.raises(error, match=message) as raised:
        certified_radius(model, **given)
    assert "Received" in str(raised.value)


def test_models_that_have_no_radius() -> None:
    with pytest.raises(TypeError, match=r"keras\.Model"):
        certified_radius("model", X, [0, 1])
    with pytest.raises(ValueError, match="Radii need a classifier"):
        certified_radius(dense_net([4, 1]), X, [0, 0])


@pytest.mark.slow
@pytest.mark.parametrize("p", NORMS)
def test_a_trained_network(p: float) -> None:
    model, x, labels = network("mlp_tuto3")
    x, labels = x[:20], labels[:20]
    found = certified_radius(model, x, labels, p, timeout=60)
    check(found, model, x, labels)
    attacked = decomon.attack_noise(
        model, x, found.certified, labels, p=p, clip=(0, 1), steps=10_000, restarts=2
    )
    assert (attacked.margin < 0).all()
    assert (found.certified > 0).all()
    assert np.isfinite(found.falsified).all()
