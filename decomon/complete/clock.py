"""How much time there is, and who is told how far the work has come."""

from __future__ import annotations

import contextlib
import math
import numbers
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, TypeAlias, final

import numpy as np

Watcher: TypeAlias = Callable[[int, int, float], object]
"""Told how many samples are solved, how many domains are open, and the largest gap.

The gap is that between the upper and the lower bound of a sample's margin.  It is called at most
ten times a second and once in the end; returning False stops the work.
"""

_INTERVAL = 0.1  # seconds between two reports


@final
class Clock:
    """Measures the time since it was made, and says when to stop.

    Parameters
    ----------
    timeout : seconds, or None for as long as it takes
    progress : told how far the work has come, or None
    now : what tells the time, in seconds

    Raises
    ------
    ValueError
        If ``timeout`` is not a positive finite number.
    TypeError
        If ``progress`` cannot be called.
    """

    def __init__(
        self,
        timeout: float | None,
        progress: Watcher | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._limit = math.inf
        if timeout is not None:
            self._limit = check_positive("timeout", timeout, "for as long as it takes")
        if progress is not None and not callable(progress):
            raise TypeError(
                "progress must be a function of three numbers: the samples that are solved, the "
                f"domains that are open, and the largest gap. Received: progress={progress!r}"
            )
        self._progress = progress
        self._now = now
        self._begin = now()
        self._reported = -math.inf
        self._open = 0
        self._stopped = ""

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return self._now() - self._begin

    @property
    def remaining(self) -> float:
        """Seconds that are left; infinity if there is no limit."""
        return max(0.0, self._limit - self.elapsed)

    @property
    def stopped(self) -> str:
        """Why to stop: "timeout", "cancelled" or "interrupted"; empty as long as there is time."""
        return self._stopped

    def tick(self, solved: int, open_domains: int, worst_gap: Callable[[], float]) -> bool:
        """Say whether to go on, and report if it is time to.

        It is cheap, so it may be called as often as anything was done; ``worst_gap``, which may not
        be, is only called for a report.
        """
        if self._stopped:
            return False
        self._open = open_domains
        elapsed = self.elapsed
        if self._progress is not None and elapsed - self._reported >= _INTERVAL:
            self._reported = elapsed
            try:
                answer = self._progress(solved, open_domains, worst_gap())
            except KeyboardInterrupt:
                self.interrupt()
                return False
            if isinstance(answer, bool | np.bool_) and not answer:
                self._stopped = self._stopped or "cancelled"
        if elapsed >= self._limit:
            self._stopped = self._stopped or "timeout"
        return not self._stopped

    def interrupt(self) -> None:
        """Note that the user stopped the work from the keyboard."""
        self._stopped = "interrupted"

    def finish(self, solved: int, worst_gap: float | None) -> None:
        """Report once more, as the work is over; somebody who stopped it is not told again.

        Parameters
        ----------
        solved : number of samples that are solved
        worst_gap : the largest gap of the others; None if there are none
        """
        if self._progress is None or self._stopped not in ("", "timeout"):
            return
        if worst_gap is None:
            self._progress(solved, 0, 0.0)
        else:
            self._progress(solved, self._open, worst_gap)


@contextlib.contextmanager
def interruptible(clock: Clock) -> Generator[None, None, None]:
    """Let Ctrl-C stop a clock, so that work ends at its next tick and leaves nothing half done.

    A second Ctrl-C raises ``KeyboardInterrupt`` at once.  Nothing changes outside of the main
    thread, which is the one that interrupts reach, and where somebody else takes care of them.
    """
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if clock.stopped == "interrupted":
            signal.default_int_handler(number, frame)
        clock.interrupt()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def warn_of_interruption(clock: Clock, stacklevel: int) -> None:
    """Say that the result is not all that was asked for, if that is so.

    Parameters
    ----------
    clock : of the work
    stacklevel : which caller the warning is about: 1 is the one of this function
    """
    if clock.stopped == "interrupted":
        warnings.warn(
            f"Interrupted: the result is what was known after {clock.elapsed:.1f} s",
            stacklevel=stacklevel + 1,
        )


def check_positive(name: str, value: Any, none: str) -> float:
    """Return a positive, finite number.

    Parameters
    ----------
    name : of the argument
    value : what was given
    none : what None would mean, for the message
    """
    usable = not isinstance(value, bool) and isinstance(value, numbers.Real)
    number = float(value) if usable else math.nan
    if not 0 < number < math.inf:
        raise ValueError(
            f"{name} must be a positive, finite number, or None {none}. Received: {name}={value!r}"
        )
    return number
