"""Time limits and progress of a search, on a clock that the tests move."""

from __future__ import annotations

import math
import signal
import threading
from typing import Any

import numpy as np
import pytest

from decomon.complete.clock import Clock, interruptible


class Time:
    """What time it is."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Watcher:
    """Remembers what it was told, and when; says ``answer``."""

    def __init__(self, time: Time, answer: Any = None) -> None:
        self._time = time
        self.answer = answer
        self.told: list[tuple[int, int, float]] = []
        self.when: list[float] = []

    def __call__(self, solved: int, open_domains: int, worst_gap: float) -> Any:
        self.told.append((solved, open_domains, worst_gap))
        self.when.append(self._time.seconds)
        return self.answer


@pytest.fixture
def time() -> Time:
    return Time()


def tick(clock: Clock, solved: int, open_domains: int, worst_gap: float) -> bool:
    return clock.tick(solved, open_domains, lambda: worst_gap)


def test_time_runs_out(time: Time) -> None:
    clock = Clock(2.0, now=time)
    assert tick(clock, 0, 1, 1.0)
    time.seconds += 1.5
    assert tick(clock, 0, 1, 1.0)
    assert (clock.elapsed, clock.remaining, clock.stopped) == (1.5, 0.5, "")
    time.seconds += 0.5
    assert not tick(clock, 0, 1, 1.0)
    assert clock.stopped == "timeout"
    assert clock.remaining == 0
    time.seconds -= 1  # it stays stopped
    assert not tick(clock, 0, 1, 1.0)


def test_without_a_limit_it_never_stops(time: Time) -> None:
    clock = Clock(None, now=time)
    time.seconds += 1e9
    assert tick(clock, 0, 1, 1.0)
    assert clock.remaining == math.inf


def test_progress_is_told_at_most_ten_times_a_second(time: Time) -> None:
    watcher = Watcher(time)
    clock = Clock(None, watcher, time)
    for step in range(1000):
        assert tick(clock, step, 2, 3.0)
        time.seconds += 0.007
    assert np.diff(watcher.when).min() >= 0.1
    assert len(watcher.told) >= 7.0 / (0.1 + 0.007)
    assert watcher.when[0] == 1000.0  # the first tick reports at once
    assert watcher.told[0] == (0, 2, 3.0)


def test_a_gap_is_computed_where_it_is_told(time: Time) -> None:
    computed: list[float] = []

    def worst_gap() -> float:
        computed.append(time.seconds)
        return 1.0

    watcher = Watcher(time)
    for clock in (Clock(None, watcher, time), Clock(None, None, time)):
        for _ in range(100):
            assert clock.tick(0, 1, worst_gap)
            time.seconds += 0.03
    assert computed == watcher.when
    assert watcher.told


def test_the_end_is_always_told(time: Time) -> None:
    watcher = Watcher(time)
    clock = Clock(1.0, watcher, time)
    tick(clock, 1, 7, 3.0)
    clock.finish(2, 0.5)
    assert watcher.told == [(1, 7, 3.0), (2, 7, 0.5)]
    clock = Clock(1.0, watcher, time)
    tick(clock, 1, 7, 3.0)
    time.seconds += 1.0
    tick(clock, 1, 7, 3.0)
    assert clock.stopped == "timeout"
    clock.finish(3, None)
    assert watcher.told[-1] == (3, 0, 0.0)
    Clock(None, None, time).finish(1, None)


@pytest.mark.parametrize("answer", [False, np.False_])
def test_false_cancels(time: Time, answer: Any) -> None:
    watcher = Watcher(time, answer)
    clock = Clock(None, watcher, time)
    assert not tick(clock, 0, 1, 1.0)
    assert clock.stopped == "cancelled"
    time.seconds += 10
    assert not tick(clock, 0, 1, 1.0)
    clock.finish(0, 1.0)
    assert len(watcher.told) == 1  # nobody is asked twice


@pytest.mark.parametrize("answer", [None, True, 0, 0.0, "", []])
def test_nothing_but_false_cancels(time: Time, answer: Any) -> None:
    clock = Clock(None, Watcher(time, answer), time)
    assert tick(clock, 0, 1, 1.0)
    assert clock.stopped == ""


def test_an_interrupted_search_tells_nobody(time: Time) -> None:
    watcher = Watcher(time)
    clock = Clock(None, watcher, time)
    clock.interrupt()
    assert not tick(clock, 0, 1, 1.0)
    clock.finish(0, 1.0)
    assert clock.stopped == "interrupted"
    assert watcher.told == []


def test_errors_of_progress_are_not_hidden(time: Time) -> None:
    def progress(*_: object) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        tick(Clock(None, progress, time), 0, 1, 1.0)


def test_an_interrupt_of_progress_stops(time: Time) -> None:
    def progress(*_: object) -> None:
        raise KeyboardInterrupt

    clock = Clock(None, progress, time)
    assert not tick(clock, 0, 1, 1.0)
    assert clock.stopped == "interrupted"


MAIN = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="interrupts come elsewhere"
)


@MAIN
def test_ctrl_c_stops_at_the_next_tick(time: Time) -> None:
    watcher = Watcher(time)
    clock = Clock(None, watcher, time)
    with interruptible(clock):
        signal.raise_signal(signal.SIGINT)
        assert clock.stopped == "interrupted"
        assert not tick(clock, 0, 1, 1.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert watcher.told == []
    with pytest.raises(KeyboardInterrupt):  # as before
        signal.raise_signal(signal.SIGINT)


@MAIN
def test_ctrl_c_during_progress(time: Time) -> None:
    clock = Clock(None, lambda *_: signal.raise_signal(signal.SIGINT), time)
    with interruptible(clock):
        assert not tick(clock, 0, 1, 1.0)
    assert clock.stopped == "interrupted"


@MAIN
def test_handlers_of_others_are_left_alone(time: Time) -> None:
    received: list[int] = []
    earlier = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        clock = Clock(None, None, time)
        with interruptible(clock):
            signal.raise_signal(signal.SIGINT)
        assert received == [signal.SIGINT]
        assert tick(clock, 0, 1, 1.0)
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_another_thread_gets_no_interrupts(time: Time) -> None:
    clock = Clock(None, None, time)

    def work() -> None:
        with interruptible(clock):
            tick(clock, 0, 1, 1.0)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert clock.stopped == ""


@pytest.mark.parametrize("timeout", [0, -1.0, math.nan, math.inf, "60", True, [1.0]])
def test_unusable_timeouts(timeout: Any) -> None:
    with pytest.raises(ValueError, match=r"timeout must be a positive.*Received: timeout="):
        Clock(timeout)


@pytest.mark.parametrize("timeout", [1, 0.5, np.float32(2), np.int64(3)])
def test_usable_timeouts(timeout: Any) -> None:
    assert tick(Clock(timeout), 0, 0, 0.0)


def test_progress_has_to_be_callable() -> None:
    with pytest.raises(TypeError, match="progress must be a function"):
        Clock(None, "bar")  # pyright: ignore[reportArgumentType]
