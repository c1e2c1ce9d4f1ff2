"""Verifiers whose answers, and the moment of their answers, the tests decide."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import ipywidgets
import numpy as np
import pytest

_PATIENCE = 30


def answer_by_label(
    _model: object, x: Any, labels: Any, epsilon: float, *, clip: Any, n_sub_boxes: int
) -> Any:
    """Robust below a radius that grows with the label, refuted above twice of it.

    More sub-boxes prove up to a larger radius. Class 9 is predicted as 4, so it is misclassified.
    """
    radius = 0.01 + 0.004 * labels
    proven = np.minimum(radius * (1 + 0.2 * (n_sub_boxes - 1)), 2 * radius)
    refuted = epsilon > 2 * radius
    predicted = np.where(labels == 9, 4, labels)
    names = np.where(epsilon < proven, "robust", np.where(refuted, "non_robust", "unknown"))
    verdicts = np.where(labels == 9, "misclassified", names)
    return SimpleNamespace(
        verdicts=tuple(str(v) for v in verdicts),
        upper=50 * (epsilon - proven),
        lower=50 * (epsilon - 2 * radius),
        predicted=predicted,
        predicted_points=np.where(refuted, (labels + 1) % 10, predicted),
        points=x + 0.5 * np.reshape(epsilon, (-1, 1)),
        reasons=tuple("the bound is loose" if v == "unknown" else "" for v in verdicts),
    )


class SteppedVerifier:
    """Stops at the start of each call until the test lets it go on."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, int]] = []
        self._entered = threading.Semaphore(0)
        self._released = threading.Semaphore(0)

    def __call__(self, model: object, x: Any, labels: Any, epsilon: float, **kwargs: Any) -> Any:
        self.calls.append((epsilon, len(labels)))
        self._entered.release()
        assert self._released.acquire(timeout=_PATIENCE)
        return answer_by_label(model, x, labels, epsilon, **kwargs)

    def wait_for_call(self) -> None:
        """Return once one more call has begun."""
        assert self._entered.acquire(timeout=_PATIENCE)

    def finish(self, calls: int = 1) -> None:
        """Let calls answer, those that wait or those to come."""
        self._released.release(calls)


@pytest.fixture
def by_label() -> Callable[..., Any]:
    return answer_by_label


@pytest.fixture
def stepped() -> Iterator[SteppedVerifier]:
    verifier = SteppedVerifier()
    yield verifier
    verifier.finish(1000)


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    """60 grey images of 8 by 8, flat, and their labels, all classes equally often."""
    x = np.random.default_rng(0).uniform(size=(60, 64)).astype("float32")
    return x, np.arange(60) % 10


@pytest.fixture(autouse=True)
def _close_widgets() -> Iterator[None]:
    yield
    ipywidgets.Widget.close_all()
