"""The real model has the last word, and bad arguments are refused before anything is computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

import decomon
from decomon import verification, verify, verify_box, verify_noise
from decomon.complete.replay import confirm_margins, contains
from decomon.complete.solve import Outcome
from decomon.robustness import ask, pose
from tests.decomon.helpers import Array, dense_net, keras, layers

LOW, HIGH = np.full((4, 2), -1.0, np.float32), np.full((4, 2), 1.0, np.float32)
FIRST, SECOND = np.eye(2, dtype=np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    """Scores ``x0, x1`` and 0; class 0 wins at ``(1, 0)``, loses at ``(0, 1)``, and ties at 0."""
    network = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    network.layers[0].set_weights([np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.zeros(3)])
    return network


def outcome(**changes: Any) -> Outcome:
    """What a search may return for four samples: nothing is known."""
    return dataclasses.replace(
        Outcome(
            np.full(4, 1.0),
            np.full(4, -1.0),
            np.full((4, 2), (1.0, 0.0), np.float32),
            np.zeros(4, bool),
            np.zeros(4, bool),
            ("timeout: between -1 and 1",) * 4,
            np.ones(4, np.int64),
            np.zeros(4),
        ),
        **changes,
    )


@pytest.fixture
def answered(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Outcome], decomon.Verification]:
    """What is made of what a search says; class 1 must win."""

    def verified(said: Outcome) -> decomon.Verification:
        monkeypatch.setattr(verification, "solve", lambda *_, **__: said)
        # The middle is (0.5, -0.5), where class 0 wins.
        return verify_box(model, LOW + FIRST, HIGH - SECOND, 0)

    return verified


Answered = Callable[[Outcome], decomon.Verification]


def test_nothing_is_known(answered: Answered) -> None:
    found = answered(outcome())
    assert found.status == ("unknown",) * 4
    assert found.counterexample == (None,) * 4
    assert found.reason == ("timeout",) * 4
    assert found.detail == ("between -1 and 1",) * 4


def test_a_proof(answered: Answered) -> None:
    proven = np.array([True, False, True, False])
    found = answered(outcome(robust=proven, upper=np.full(4, -1.0), lower=np.full(4, -2.0)))
    assert found.status == ("robust", "unknown", "robust", "unknown")
    assert [reason != "" for reason in found.reason] == [False, True, False, True]


@pytest.mark.parametrize("upper", [np.nan, 0.0, 0.5, np.inf])
def test_no_proof_without_a_negative_bound(answered: Answered, upper: float) -> None:
    found = answered(outcome(robust=np.ones(4, bool), upper=np.full(4, upper), reasons=("",) * 4))
    assert found.status == ("unknown",) * 4
    assert found.reason == ("precision",) * 4
    assert all(found.detail)
    assert (found.lower <= found.upper).all()


def test_an_attained_margin_outweighs_a_bound(answered: Answered) -> None:
    said = outcome(robust=np.ones(4, bool), upper=np.full(4, -1.0), lower=np.linspace(-2, 1, 4))
    found = answered(said)
    np.testing.assert_array_equal(found.upper, [-1, -1, 0, 1])
    np.testing.assert_array_equal(found.lower, said.lower)
    assert found.status == ("robust", "robust", "unknown", "unknown")


def test_no_refutation_that_the_model_does_not_confirm(answered: Answered) -> None:
    points = np.array([[0, -0.5], [0, 0], [1, 1], [0.2, 0.1]], np.float32)
    points[0] = (0.5, 0.9)  # class 1 wins there, but it is no point of the box
    said = outcome(falsified=np.ones(4, bool), points=points, reasons=("",) * 4)
    found = answered(said)
    # Of (1, 1), which is no point either, the first class is taken; class 0 wins at the others.
    assert found.status == ("unknown",) * 4
    assert found.reason == ("precision",) * 4
    assert all(found.detail)


def test_a_point_that_the_model_gets_wrong_outweighs_a_proof(model: Any) -> None:
    regions = pose(model, decomon.BoxDomain(LOW, HIGH)).regions
    question = ask(pose(model, decomon.BoxDomain(LOW, HIGH)), 0, None)
    confirm = confirm_margins(model, regions, question.asked)
    proven = outcome(robust=np.ones(4, bool), upper=np.full(4, -1.0))
    points = np.array([[1, 0], [0, 1], [1, -1], [-1, -0.5]], np.float32)
    found = verification._replayed(
        dataclasses.replace(proven, points=points),
        np.tile(points[:1], (4, 1)),
        np.zeros(4),
        confirm,
    )
    np.testing.assert_array_equal(found.falsified, [False, True, False, True])
    np.testing.assert_array_equal(found.robust, ~found.falsified)
    middle = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], np.float32)
    found = verification._replayed(proven, middle, np.zeros(4), confirm)
    np.testing.assert_array_equal(found.falsified, [False, False, True, False])
    np.testing.assert_array_equal(found.points[2], middle[2])


def test_a_proof_has_to_leave_room_for_rounding(model: Any) -> None:
    posed = pose(model, decomon.BoxDomain(LOW, HIGH))
    confirm = confirm_margins(model, posed.regions, ask(posed, 0, None).asked)
    proven = outcome(robust=np.ones(4, bool), upper=np.full(4, -1e-3), lower=np.full(4, -2.0))
    below = np.array([0, -1e-3, -1e-2, np.nan])
    found = verification._replayed(proven, proven.points, below, confirm)
    np.testing.assert_array_equal(found.robust, [True, True, False, False])
    assert [bool(reason) for reason in found.reasons] == [False, False, True, True]


def test_the_first_of_equal_outputs_wins(model: Any) -> None:
    posed = pose(model, decomon.BoxDomain(LOW, HIGH))
    zero = np.zeros((4, 2), np.float32)
    every = np.arange(4)
    for source, beaten in ((0, False), (1, True), (2, True)):
        confirm = confirm_margins(model, posed.regions, ask(posed, source, None).asked)
        assert (confirm(every, zero) == beaten).all()
    confirm = confirm_margins(model, posed.regions, ask(posed, 1, 2).asked)
    assert not confirm(every, zero).any()
    assert confirm(every[:0], zero[:0]).shape == (0,)


def test_what_is_no_number_confirms_nothing(model: Any) -> None:
    posed = pose(model, decomon.BoxDomain(LOW, HIGH))
    confirm = confirm_margins(model, posed.regions, ask(posed, 0, None).asked)
    points = np.array([[np.nan, 0], [0, np.nan], [np.inf, 0], [0, np.inf]], np.float32)
    assert not confirm(np.arange(4), points).any()


def test_points_and_sets_of_different_precision(model: Any) -> None:
    low = np.full((1, 2), 0.1)
    regions = pose(model, decomon.BoxDomain(low, low + 0.2)).regions
    first = np.zeros(1, np.intp)
    assert float(np.float32(0.1)) > 0.1  # so the corner lies inside in single precision
    for dtype in (np.float32, np.float64):
        assert contains(regions, first, low.astype(dtype)).all()
    beyond = np.nextafter(low, -1)
    assert not contains(regions, first, beyond).any()
    ball = pose(model, decomon.BallDomain(low, 0.1, p=2)).regions
    points = low + np.array([[0, 0], [0.09, 0], [0.06, 0.07], [0.072, 0.072]])
    inside = contains(ball, np.zeros(4, np.intp), points)
    np.testing.assert_array_equal(inside, [True, True, True, False])


def test_summary(answered: Answered) -> None:
    proven = np.array([True, False, False, False])
    found = answered(
        outcome(
            robust=proven,
            upper=np.where(proven, -1.0, 1.0),
            lower=np.full(4, -2.0),
            n_domains=np.array([1, 2, 3, 4]),
        )
    )
    assert found.counts == {"robust": 1, "non_robust": 0, "unknown": 3}
    text = repr(found)
    for part in ("4 samples", "1 robust", "0 non_robust", "3 unknown", "3 timeout", "10 domains"):
        assert part in text
    assert len(text.splitlines()) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.status = ()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(scope="module")
def untouched() -> Any:
    return dense_net([2, 5, 3])


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"timeout": 0}, ValueError, "timeout must be.*positive.*Received: timeout=0"),
    ({"timeout": -1.0}, ValueError, "timeout"),
    ({"timeout": float("nan")}, ValueError, "timeout.*nan"),
    ({"timeout": float("inf")}, ValueError, "timeout.*None"),
    ({"timeout": "fast"}, ValueError, "timeout.*'fast'"),
    ({"memory_limit": 0}, ValueError, "memory_limit must be a positive integer"),
    ({"memory_limit": -5}, ValueError, "memory_limit"),
    ({"memory_limit": 1e9}, ValueError, "memory_limit"),
    ({"progress": 3}, TypeError, "progress must be a function"),
    ({"gap": 0.0}, ValueError, "gap must be.*positive"),
    ({"gap": float("nan")}, ValueError, "gap"),
    ({"gap": True}, ValueError, "gap"),
    ({"source_labels": 3}, ValueError, "source_labels must lie between 0 and 2"),
    ({"source_labels": [0, 1]}, ValueError, r"source_labels must be.*\(2,\)"),
    ({"source_labels": "cat"}, ValueError, "source_labels"),
    ({"target_labels": 9}, ValueError, "target_labels must lie between 0 and 2"),
    ({"target_labels": 0}, ValueError, "needs a target label"),
]


@pytest.mark.parametrize(("options", "kind", "message"), BAD)
def test_bad_options(
    untouched: Any, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    given: dict[str, Any] = {"source_labels": 0, **options}
    for question in (
        lambda **o: verify(untouched, decomon.BoxDomain(LOW, HIGH), **o),
        lambda **o: verify_box(untouched, LOW, HIGH, **o),
        lambda **o: verify_noise(untouched, LOW, 0.1, np.inf, None, **o),
    ):
        with pytest.raises(kind, match=message):
            question(**given)
    assert decomon.models.verifier_of(untouched).trace_count == 0


def crossed(low: Array) -> Array:
    high = low + 1
    high[1, 1] = -7
    return high


@pytest.mark.parametrize(
    ("question", "kind", "message"),
    [
        (lambda m: verify_noise(m, LOW, np.nan, np.inf, None, 0), ValueError, "eps must be"),
        (lambda m: verify_noise(m, LOW, -0.1, np.inf, None, 0), ValueError, "eps must be"),
        (lambda m: verify_noise(m, LOW, 0.1, 3, None, 0), ValueError, "p must be"),
        (lambda m: verify_noise(m, LOW, 0.1, 2, (1, 0), 0), ValueError, "clip"),
        (lambda m: verify_noise(m, LOW, 0.1, 2, (0, 1), 0), ValueError, "clip"),
        (lambda m: verify_noise(m, LOW, 0.1), ValueError, "source_labels must say"),
        (lambda m: verify_noise(m, LOW * np.nan, 0.1, source_labels=0), ValueError, "finite"),
        (lambda m: verify_box(m, LOW, HIGH[:3], 0), ValueError, "same number of samples"),
        (lambda m: verify_box(m, LOW[:, :1], HIGH, 0), ValueError, "shape"),
        (lambda m: verify_box(m, LOW, crossed(LOW), 0), ValueError, "x_min must not exceed"),
        (lambda m: verify_box(m, LOW, HIGH * np.inf, 0), ValueError, "finite"),
        (lambda m: verify(m, cast("Any", LOW), 0), TypeError, "domain must be a set"),
        (lambda m: verify(m, decomon.BoxDomain(LOW[:, :1], HIGH[:, :1]), 0), ValueError, "shape"),
        (lambda _: verify_box("model", LOW, HIGH, 0), TypeError, "keras"),
    ],
)
def test_bad_sets(
    untouched: Any, question: Callable[[Any], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        question(untouched)
    assert decomon.models.verifier_of(untouched).trace_count == 0


def test_models_without_classes_are_refused() -> None:
    one = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match="at least two"):
        verify_box(one, LOW, HIGH, 0)
    x = keras.Input((2,))
    two = keras.Model(x, [layers.Dense(3, name="a")(x), layers.Dense(2, name="b")(x)])
    with pytest.raises(ValueError, match="output="):
        verify_box(two, LOW, HIGH, 0)
    chosen = verify_box(decomon.clone(two, output="b"), LOW, HIGH, 0, timeout=30)
    assert set(chosen.status) <= {"robust", "non_robust"}
    hidden = decomon.clone(dense_net([2, 5, 3]), back_bounds=[np.eye(3)])
    with pytest.raises(ValueError, match="back_bounds"):
        verify_box(hidden, LOW, HIGH, 0)
