"""Computes beside the kernel and hands the outcomes back to it."""

import asyncio
import logging
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from .worker import Turn, Worker

__all__ = ["Runner"]

Request = TypeVar("Request")
Outcome = TypeVar("Outcome")

_log = logging.getLogger(__name__)

# How long an outcome waits for the kernel's event loop before the worker thread publishes it.
# The loop stands still while a cell runs; then the picture must move on nevertheless.
_LOOP_PATIENCE = 0.25


class Runner(Generic[Request, Outcome]):
    """Computes the newest requests of one widget.

    Outcomes are published in the thread of the event loop that runs when the runner is made: there
    the callbacks of widgets belong. Without a loop, or while it is held up, the worker thread does.

    Parameters
    ----------
    publish
        Method of the widget that takes an outcome. The runner does not keep the widget alive.
    lock
        Held while publishing.
    compute
        Called as ``compute(request, turn)``; each outcome is published before the next is asked
        for. It must not refer to the widget.
    inline
        Compute and publish before `submit` returns.
    """

    def __init__(
        self,
        publish: Callable[[Outcome], None],
        lock: "threading.RLock",
        compute: Callable[[Request, Turn], Iterable[Outcome]],
        *,
        inline: bool,
    ) -> None:
        self._publish = weakref.WeakMethod(publish)
        self._lock = lock
        self._compute = compute
        self._loop = _running_loop()
        self._outbox: deque[tuple[Outcome, threading.Event]] = deque()
        self._publishing = False
        self._worker = Worker[Request](self._serve, inline=inline)

    @property
    def closed(self) -> bool:
        """Whether no more requests are taken."""
        return self._worker.closed

    @property
    def idle(self) -> bool:
        """Whether nothing waits, is computed, or is to be published."""
        return self._worker.idle

    def submit(self, request: Request, slot: int = 0) -> None:
        """Compute a request, in place of any that still waits in its slot; smaller slots first."""
        self._worker.submit(request, slot)

    def withdraw(self, slot: int) -> None:
        """Forget the request that waits in a slot, if there is one."""
        self._worker.withdraw(slot)

    def close(self) -> None:
        """Take no more requests and leave the current one at the next slice."""
        self._worker.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything asked for is published.

        Parameters
        ----------
        timeout
            At most this many seconds, None for no limit.

        Returns
        -------
        bool
            False if the time is over, or if called while publishing.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                if self._publishing:
                    return False  # a callback would wait for itself
            # A cell that waits keeps the event loop from publishing, so it is done here.
            self._publish_arrived()
            if self._worker.wait_until_idle(min(0.01, max(0.0, end - time.monotonic()))):
                self._publish_arrived()
                return True
            if time.monotonic() >= end:
                return False

    def _serve(self, request: Request, turn: Turn) -> None:
        for outcome in self._compute(request, turn):
            published = threading.Event()
            self._outbox.append((outcome, published))
            if not (self._ask_loop() and published.wait(_LOOP_PATIENCE)):
                self._publish_arrived()

    def _ask_loop(self) -> bool:
        """Have the event loop publish; False if there is none."""
        if self._worker.inline or self._loop is None:
            return False
        try:
            self._loop.call_soon_threadsafe(self._publish_arrived)
        except RuntimeError:  # closed
            return False
        return True

    def _publish_arrived(self) -> None:
        with self._lock:
            # A callback that gets here finds the outer call at work on the same outbox.
            if self._publishing:
                return
            self._publishing = True
            try:
                while self._outbox:
                    self._publish_next()
            finally:
                self._publishing = False

    def _publish_next(self) -> None:
        outcome, published = self._outbox.popleft()
        publish = self._publish()
        try:
            if publish is not None:
                publish(outcome)
        except Exception:
            # From an observer of the widget. Which thread publishes is chance, so it is not raised.
            if self._worker.inline:
                raise
            _log.exception("An observer of a widget failed")
        finally:
            published.set()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
