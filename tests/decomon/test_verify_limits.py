"""Time, memory, progress, cancelling and interrupting a complete verification."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import Verdict, Verification, verify_box
from tests.decomon.helpers import Array, dense_net
from tests.decomon.verified import PATIENCE, check, corners, grid, in_the_plane


@cache
def hard() -> tuple[Any, Array, Array]:
    """A network, and a box, whose largest margin is negative and takes very long to prove so."""
    model = dense_net([12, 80, 80, 2], 5)
    low, high = np.full((1, 12), -1.0, np.float32), np.full((1, 12), 1.0, np.float32)
    best = float(decomon.attack_box(model, low, high, 0, 1, restarts=20).margin[0])
    bound = float(decomon.get_adv_box(model, low, high, 0, 1)[0])
    bias = model.layers[-1].bias
    bias.assign(np.asarray(bias) - [0, best + 0.1 * (bound - best)])
    # Compiling takes its time, and is over when there are a few parts.
    verify_box(model, low, high, 0, timeout=None, progress=lambda _, parts, __: parts < 8)
    return model, low, high


def ask_hard(**options: Any) -> Verification:
    network, low, high = hard()
    return verify_box(network, low, high, 0, **options)


def test_time_runs_out() -> None:
    hard()
    for timeout in (0.2, 1.0):
        found = ask_hard(timeout=timeout)
        assert found.status == ("unknown",)
        assert found.reason == ("timeout",)
        assert found.stopped == "timeout"
        assert found.seconds >= timeout
        assert found.lower[0] < 0 < found.upper[0]
        assert np.isfinite([found.lower[0], found.upper[0]]).all()
    assert found.n_domains[0] > 1


def test_more_time_is_not_worse() -> None:
    first, second = (ask_hard(timeout=timeout) for timeout in (0.3, 1.5))
    assert second.upper[0] <= first.upper[0] + 1e-4
    assert second.n_domains[0] > first.n_domains[0]


class Stopper:
    """Lets the work go on until it was called some times, and remembers when that was."""

    def __init__(self, calls: int, act: Callable[[], Any]) -> None:
        self.left = calls
        self.act = act
        self.when = 0.0
        self.told: list[tuple[int, int, float]] = []

    def __call__(self, solved: int, open_domains: int, worst_gap: float) -> Any:
        self.told.append((solved, open_domains, worst_gap))
        self.left -= 1
        if not self.left:
            self.when = time.perf_counter()
            return self.act()
        return None


def test_cancelled_within_a_fifth_of_a_second() -> None:
    delays: list[float] = []
    for _ in range(5):  # other programs may be in the way
        stopper = Stopper(3, lambda: False)
        found = ask_hard(timeout=PATIENCE, progress=stopper)
        delays.append(time.perf_counter() - stopper.when)
        assert found.stopped == "cancelled"
        assert found.status == ("unknown",)
        assert found.reason == ("cancelled",)
        assert np.isfinite(found.upper).all()
        assert len(stopper.told) == 3
    assert min(delays) < 0.2


def test_cancelled_at_once() -> None:
    model, x, labels = in_the_plane()
    low, high = corners(x, 0.3)
    found = verify_box(model, low, high, labels, progress=lambda *_: False)
    check(model, decomon.BoxDomain(low, high), labels, None, found, grid(low, high, 10))


def test_progress_says_how_far_it_is() -> None:
    model, x, labels = in_the_plane()
    stopper = Stopper(-1, lambda: None)
    low, high = corners(x, 0.3)
    found = verify_box(model, low, high, labels, timeout=PATIENCE, progress=stopper)
    assert stopper.told[-1] == (12, 0, 0.0)
    solved = [solved for solved, _, _ in stopper.told]
    assert solved == sorted(solved)
    assert len(stopper.told) <= 2 + 10 * found.seconds
    assert all(gap >= 0 for _, _, gap in stopper.told)
    assert all(isinstance(count, int) for told in stopper.told for count in told[:2])


@pytest.mark.parametrize("limit", [1, pytest.param(20_000, marks=pytest.mark.slow)])
def test_too_little_memory_is_a_reason_and_never_a_wrong_answer(limit: int) -> None:
    model, x, labels = in_the_plane()
    low, high = corners(x, 0.2)
    found = verify_box(model, low, high, labels, timeout=PATIENCE, memory_limit=limit)
    check(model, decomon.BoxDomain(low, high), labels, None, found, grid(low, high))
    full = verify_box(model, low, high, labels, timeout=PATIENCE)
    for some, every in zip(found.status, full.status, strict=True):
        assert some in (every, "unknown")
    hopeless = ask_hard(timeout=4, memory_limit=limit)
    assert hopeless.status == ("unknown",)
    assert hopeless.reason == ("memory",)


def interrupt() -> None:
    raise KeyboardInterrupt


def press_keys() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("act", [interrupt, press_keys])
def test_an_interrupt_gives_what_is_known(act: Callable[[], None]) -> None:
    model, x, labels = in_the_plane()
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("interrupts come to the main thread")
    network, low, high = hard()
    with pytest.warns(UserWarning, match="Interrupted") as warned:
        found = verify_box(network, low, high, 0, timeout=PATIENCE, progress=Stopper(2, act))
    assert {w.filename for w in warned if "Interrupted" in str(w.message)} == {__file__}
    assert found.stopped == "interrupted"
    assert found.status == ("unknown",)
    assert found.reason == ("interrupted",)
    # Everything still works.
    low, high = corners(x, 0.03)
    again = verify_box(model, low, high, labels, timeout=PATIENCE)
    assert again.counts[Verdict.UNKNOWN] == 0
    assert ask_hard(timeout=0.2).stopped == "timeout"


def test_errors_of_progress_are_not_hidden() -> None:
    def fail() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        ask_hard(progress=Stopper(1, fail))
