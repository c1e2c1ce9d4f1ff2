"""How far a long run has come, on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

_WIDTH: Final = 30
# Seconds: a run that is over sooner needs no bar, and a log file no line more often than that.
_QUIET_START: Final = 1.0
_LOG_INTERVAL: Final = 10.0


class Progress:
    """A bar on a terminal, a line now and then in a log file; nothing for a short run.

    Parameters
    ----------
    total : int
        Number of samples.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._start = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._next = self._start + _QUIET_START
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._drawn and sys.stderr.isatty():
            # The bar has done its work: the line is cleared.
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def update(self, done: int) -> None:
        """Show that `done` samples are finished."""
        now = time.monotonic()
        # The first batch also compiles, so the speed is measured from its end on.
        self._first = self._first or (now, done)
        if now < self._next or done == self._total:
            return
        text = f"{done}/{self._total} samples, {now - self._start:.0f} s"
        first_time, first_done = self._first
        if done > first_done:
            left = (now - first_time) * (self._total - done) / (done - first_done)
            text += f", about {left:.0f} s left"
        if sys.stderr.isatty():
            filled = _WIDTH * done // self._total
            bar = "█" * filled + "░" * (_WIDTH - filled)
            print(f"\r\x1b[K{bar} {text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
            self._next = now + _LOG_INTERVAL
        self._drawn = True
