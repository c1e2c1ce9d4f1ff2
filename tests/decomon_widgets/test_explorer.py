"""The explorer's requests and results, with verifiers whose answers the tests decide."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import traitlets

from decomon_widgets.explorer import RobustnessExplorer

_PATIENCE = 60


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Ten classes of flat images; it answers with the class that a pixel of the image names."""
    layers = [keras.layers.Input((64,)), keras.layers.Dense(10, use_bias=False)]
    made = keras.Sequential(layers)
    kernel = np.zeros((64, 10), "float32")
    kernel[:10] = np.eye(10)
    made.set_weights([kernel])
    return made


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(60) % 10
    x = np.zeros((60, 64), "float32")
    x[np.arange(60), labels] = 0.5
    return x, labels


def _verifier(decides: bool = True) -> Callable[..., Any]:
    """Decide everything: robust up to one and a half radii of the quick verifier."""

    def verify(
        _model: object,
        x: Any,
        epsilon: float,
        p: float,
        clip: Any,
        labels: Any,
        *,
        timeout: float,
        progress: Callable[..., bool],
    ) -> Any:
        assert len(labels) == 1
        assert progress(0, 1, 1.0) is True
        radius = 1.5 * (0.01 + 0.004 * labels[0])
        robust = epsilon < radius
        point = np.zeros_like(x)
        point[0, (labels[0] + 1) % 10] = 0.5
        status = ("robust" if robust else "non_robust") if decides else "unknown"
        return SimpleNamespace(
            status=(status,),
            upper=np.array([50 * (epsilon - radius)]) if decides else np.array([1.0]),
            lower=np.array([50 * (epsilon - 2 * radius)]) if decides else np.array([-1.0]),
            counterexample=(point,) if status == "non_robust" else (None,),
            reason=("" if decides else "timeout",),
        )

    return verify


@pytest.fixture
def make(
    model: keras.Model,
    images: tuple[np.ndarray, np.ndarray],
    by_label: Callable[..., Any],
) -> Iterator[Callable[..., RobustnessExplorer]]:
    made: list[RobustnessExplorer] = []

    def make(**arguments: Any) -> RobustnessExplorer:
        defaults: dict[str, Any] = {
            "epsilon": 0.03,
            "executor": "sync",
            "refine": False,
            "seed": 0,
            "_certify": by_label,
            "_verify": _verifier(),
        }
        explorer = RobustnessExplorer(
            model, *images, **{k: v for k, v in {**defaults, **arguments}.items() if v is not None}
        )
        explorer.indices = range(9)
        made.append(explorer)
        return explorer

    yield make
    for explorer in made:
        explorer.close()


def test_radii_are_searched_for_and_decide_every_epsilon(make: Callable[..., Any]) -> None:
    explorer = make(refine=True)
    assert explorer.wait(_PATIENCE)
    assert not explorer.refining
    assert explorer.error == ""
    labels = explorer.labels
    tolerance = explorer.epsilon_max / 500
    radius = 0.01 + 0.004 * labels
    assert (explorer._certified <= radius).all()
    assert (radius - explorer._certified <= tolerance).all()
    refutable = 2 * radius < explorer.epsilon_max
    assert (explorer._falsified[refutable] >= 2 * radius[refutable]).all()
    assert (explorer._falsified - 2 * radius <= tolerance)[refutable].all()
    assert explorer._refined.all()
    # Now no epsilon leaves a sample pending, and the history bounds all of them.
    for epsilon in (0.0, 0.0123, 0.05, explorer.epsilon_max):
        assert "pending" not in explorer._knowledge.verdicts(epsilon)
        assert np.isfinite(explorer._history.at(epsilon)[0]).all()


def test_settle_decides_the_undecided_ones(make: Callable[..., Any]) -> None:
    explorer = make()
    before = explorer.verdicts
    assert "unknown" in before
    explorer.settle()
    assert not explorer.settling
    radius = 1.5 * (0.01 + 0.004 * explorer.labels)
    for name, old, limit in zip(explorer.verdicts, before, radius, strict=True):
        assert name == (old if old != "unknown" else "robust" if limit > 0.03 else "non_robust")
    assert explorer.settle_done == explorer.settle_total == before.count("unknown")
    assert explorer.error == ""
    # What was settled is counted among the bounds.
    settled = [k for k, name in enumerate(before) if name == "unknown"]
    upper, _ = explorer._history.at(0.03)
    assert np.allclose(upper[settled], (50 * (0.03 - radius))[settled])


def test_what_stays_undecided_says_why(make: Callable[..., Any]) -> None:
    explorer = make(_verify=_verifier(decides=False))
    undecided = [k for k, name in enumerate(explorer.verdicts) if name == "unknown"]
    explorer.settle()
    assert [explorer.verdicts[k] for k in undecided] == ["unknown"] * len(undecided)
    assert {explorer.reasons[k] for k in undecided} == {"timeout"}


def test_a_counterexample_that_the_model_does_not_confirm_is_no_verdict(
    make: Callable[..., Any],
) -> None:
    def verify(_model: object, x: Any, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(
            status=("non_robust",),
            upper=np.array([1.0]),
            lower=np.array([0.5]),
            counterexample=(x.copy(),),
            reason=("",),
        )

    explorer = make(_verify=verify)
    explorer.settle()
    assert "non_robust" not in explorer.verdicts[4:]
    assert "its counterexample is classified as its label" in explorer.error


def test_a_robust_answer_without_a_negative_bound_is_no_verdict(make: Callable[..., Any]) -> None:
    def verify(_model: object, x: Any, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(
            status=("robust",),
            upper=np.array([0.0]),
            lower=np.array([-0.5]),
            counterexample=(None,),
            reason=("",),
        )

    explorer = make(_verify=verify)
    before = explorer.verdicts
    explorer.settle()
    assert explorer.verdicts == before
    assert "upper bound 0.0" in explorer.error


def test_an_error_of_the_verifier_is_shown_and_no_verdict(make: Callable[..., Any]) -> None:
    def verify(*_: Any, **__: Any) -> Any:
        raise ValueError("it does not work today")

    explorer = make(_verify=verify)
    before = explorer.verdicts
    explorer.settle()
    assert explorer.verdicts == before
    assert "it does not work today" in explorer.error
    assert "Traceback" in explorer._traceback
    assert not explorer.settling


class _Waiting:
    """Verifies when it is told to, and serves what is more urgent meanwhile."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()
        self.calls = 0

    def __call__(self, *args: Any, progress: Callable[..., bool], **kwargs: Any) -> Any:
        self.calls += 1
        self.begun.release()
        while progress(0, 1, 1.0):
            if self.released.wait(0.001):
                return _verifier()(*args, progress=progress, **kwargs)
        return _verifier(decides=False)(*args, progress=lambda *_: True, **kwargs)


@pytest.fixture
def waiting() -> Iterator[_Waiting]:
    verifier = _Waiting()
    yield verifier
    verifier.released.set()


def test_the_slider_is_answered_while_samples_are_settled(
    make: Callable[..., Any], waiting: _Waiting
) -> None:
    explorer = make(executor="thread", _verify=waiting)
    assert explorer.wait(_PATIENCE)
    explorer.settle()
    assert waiting.begun.acquire(timeout=_PATIENCE)
    answered = threading.Event()
    explorer.observe(lambda change: answered.set(), "evaluated_epsilon")
    explorer.epsilon = 0.02
    assert answered.wait(_PATIENCE)
    assert explorer.evaluated_epsilon == 0.02
    assert explorer.settling
    waiting.released.set()
    assert explorer.wait(_PATIENCE)
    assert not explorer.settling
    # It was settled for the epsilon of the click.
    explorer.epsilon = 0.03
    assert "unknown" not in explorer.verdicts


def test_cancel_keeps_what_is_known(make: Callable[..., Any], waiting: _Waiting) -> None:
    explorer = make(executor="thread", _verify=waiting)
    assert explorer.wait(_PATIENCE)
    before = explorer.verdicts
    explorer.settle()
    assert waiting.begun.acquire(timeout=_PATIENCE)
    explorer._on_message(explorer, {"type": "cancel"}, [])
    assert not explorer.settling
    assert "Cancelled after 0 of" in explorer.settle_note
    assert explorer.wait(_PATIENCE)
    assert waiting.calls == 1
    assert explorer.verdicts == before
    # And it can be settled again.
    waiting.released.set()
    explorer.settle()
    assert explorer.wait(_PATIENCE)
    assert "unknown" not in explorer.verdicts


def test_other_samples_end_the_settling(make: Callable[..., Any], waiting: _Waiting) -> None:
    explorer = make(executor="thread", _verify=waiting)
    assert explorer.wait(_PATIENCE)
    explorer.settle()
    assert waiting.begun.acquire(timeout=_PATIENCE)
    explorer.reset()
    assert explorer.wait(_PATIENCE)
    assert not explorer.settling
    assert waiting.calls == 1


def test_close_ends_the_settling(make: Callable[..., Any], waiting: _Waiting) -> None:
    explorer = make(executor="thread", _verify=waiting)
    explorer.wait(_PATIENCE)
    explorer.settle()
    assert waiting.begun.acquire(timeout=_PATIENCE)
    explorer.close()
    assert explorer.wait(_PATIENCE)
    assert waiting.calls == 1


def test_a_forgotten_explorer_is_collected_and_stops(
    model: keras.Model,
    images: tuple[np.ndarray, np.ndarray],
    by_label: Callable[..., Any],
    waiting: _Waiting,
) -> None:
    explorer = RobustnessExplorer(
        model, *images, epsilon=0.03, refine=False, _certify=by_label, _verify=waiting
    )
    explorer.close()
    gone = weakref.ref(explorer)
    del explorer
    gc.collect()
    assert gone() is None


def test_the_selected_sample_shows_margins_and_its_counterexample(
    make: Callable[..., Any],
) -> None:
    explorer = make(epsilon=0.09)
    refuted = explorer.verdicts.index("non_robust")
    explorer.selected = refuted
    assert explorer._margin_sample == refuted
    assert explorer._margin_epsilon == 0.09
    upper = explorer._margin_upper.reshape(len(explorer.margin_methods), 10)
    lower = explorer._margin_lower.reshape(len(explorer.margin_methods), 10)
    label = explorer.labels[refuted]
    # The network is linear: each margin is the difference of two pixels.
    others = np.arange(10) != label
    assert np.allclose(upper[-1, others], -0.5 + 0.18)
    assert np.allclose(lower[-1, others], -0.5 - 0.09)
    assert (lower <= upper).all()
    assert explorer._adversarial_sample == refuted
    # The fake verifier's point keeps the class, so it is refused and not shown.
    assert not explorer._replayed
    assert len(explorer._adversarial) == 0
    assert "no counterexample" in explorer._adversarial_note
    robust = explorer.indices
    explorer.epsilon = 0.0
    explorer.selected = 0
    assert len(robust) == 9
    assert explorer._margin_sample == 0


def test_a_counterexample_is_replayed_through_the_real_model(make: Callable[..., Any]) -> None:
    explorer = make(_certify=None, epsilon=0.3, epsilon_max=0.5)
    assert set(explorer.verdicts) == {"non_robust"}
    explorer.selected = 3
    point = explorer._adversarial
    assert explorer._replayed
    assert explorer._adversarial_note == ""
    assert explorer.model(point[None]).numpy().argmax() != explorer.labels[3]
    assert np.abs(point - explorer._clean).max() <= 0.3 + 1e-6
    assert explorer._adversarial_distance == np.abs(point - explorer._clean).max()
    assert explorer._clean_logits.argmax() == explorer.labels[3]
    assert explorer._adversarial_logits.argmax() != explorer.labels[3]
    # At a smaller epsilon it proves nothing, but it is still the smallest one known.
    explorer.epsilon = 0.0
    assert explorer.verdicts[3] == "robust"


def test_another_effort_keeps_proofs_and_tries_the_rest_again(make: Callable[..., Any]) -> None:
    calls: list[Any] = []

    def certify(model: Any, x: Any, labels: Any, epsilon: Any, **kwargs: Any) -> Any:
        calls.append(model)
        radius = 0.01 + 0.004 * labels
        names = np.where(epsilon < radius, "robust", "unknown")
        return SimpleNamespace(
            verdicts=tuple(map(str, names)),
            upper=epsilon - radius,
            lower=np.full(len(labels), -1.0),
            points=x,
            predicted=labels,
            predicted_points=labels,
            reasons=("",) * len(labels),
        )

    explorer = make(_certify=certify)
    before = explorer._certified
    explorer.method = "forward-ibp"
    assert calls[-1].verifier.method.name == "forward-ibp"
    assert np.array_equal(explorer._certified, before)
    explorer.finetune = True
    assert len(calls) >= 3
    assert "forward-ibp" in explorer.provenance
    assert "optimised" in explorer.provenance


@pytest.mark.parametrize(
    "arguments",
    [
        {"epsilon_max": 0.0},
        {"epsilon_max": np.nan},
        {"epsilon": 0.5},
        {"epsilon_step": -1.0},
        {"settle_timeout": 0.0},
        {"bins": 0},
    ],
)
def test_numbers_out_of_range_are_refused(
    make: Callable[..., Any], arguments: dict[str, Any]
) -> None:
    with pytest.raises(traitlets.TraitError, match="Received"):
        make(**arguments)


@pytest.mark.parametrize("arguments", [{"method": "magic"}, {"margin_methods": ("magic",)}])
def test_unknown_methods_are_refused(make: Callable[..., Any], arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Received"):
        make(**arguments)


def test_a_typo_is_an_error(make: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"Did you mean 'epsilon_max'\?"):
        make(epsilon_maximum=0.1)


def test_many_slider_events_leave_one_request_in_flight(
    make: Callable[..., Any], stepped: Any
) -> None:
    explorer = make(executor="thread", _certify=stepped)
    stepped.wait_for_call()
    for k in range(1000):
        explorer.epsilon = 0.03 + k * 1e-5
    assert len(stepped.calls) == 1
    stepped.finish(1000)
    assert explorer.wait(_PATIENCE)
    assert len(stepped.calls) <= 3
    assert explorer.evaluated_epsilon == explorer.epsilon
    assert len(explorer._history_epsilons) <= 64
