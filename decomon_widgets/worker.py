"""Mailboxes of one slot each and the thread that serves them: the last request wins."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Turn", "Worker"]

Request = TypeVar("Request")

_log = logging.getLogger(__name__)


class Turn:
    """What a request that is being served looks at between two slices of its work.

    Parameters
    ----------
    superseded
        Whether a request that goes first waits, or the worker was closed.
    ended
        Whether a newer request for the same slot waits, or the worker was closed.
    give_way
        Serves the requests of more urgent slots that wait.
    """

    def __init__(
        self,
        superseded: Callable[[], bool],
        ended: Callable[[], bool],
        give_way: Callable[[], None],
    ) -> None:
        self._superseded = superseded
        self._ended = ended
        self._give_way = give_way

    def __call__(self) -> bool:
        """Whether to return early: a newer or a more urgent request waits."""
        return self._superseded()

    @property
    def ended(self) -> bool:
        """Whether this very request is of no use any more."""
        return self._ended()

    def give_way(self) -> None:
        """Serve more urgent requests now, in the middle of this one."""
        self._give_way()


class Worker(Generic[Request]):
    """Serves the newest of the submitted requests of each slot, one at a time.

    The thread lives only while there is something to do, so an idle worker costs nothing and an
    unused one needs no clean-up.

    Parameters
    ----------
    serve
        Called as ``serve(request, turn)``. It should return early once ``turn()`` is true, or call
        ``turn.give_way()`` now and then.
    inline
        Serve in the thread that submits, before `submit` returns.
    """

    def __init__(self, serve: Callable[[Request, Turn], None], *, inline: bool = False) -> None:
        self._serve = serve
        self.inline = inline
        self._state = threading.Condition()
        self._waiting: dict[int, Request] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether no request waits or is being served."""
        with self._state:
            return self._thread is None

    @property
    def closed(self) -> bool:
        """Whether the worker takes no more requests."""
        return self._closed

    def submit(self, request: Request, slot: int = 0) -> None:
        """Put a request into a mailbox; one that still waits there is forgotten.

        Parameters
        ----------
        request
            What is asked.
        slot
            Each has a mailbox of its own; smaller ones go first.
        """
        with self._state:
            if self._closed:
                return
            self._waiting[slot] = request
            if self._thread is not None:
                return
            if self.inline:
                self._thread = threading.current_thread()
            else:
                # Not a daemon: the interpreter must not vanish under a running computation.
                self._thread = threading.Thread(target=self._work, name="decomon-widgets")
                self._thread.start()
        if self.inline:
            self._work()

    def withdraw(self, slot: int) -> None:
        """Forget the request that waits in a slot, if there is one."""
        with self._state:
            self._waiting.pop(slot, None)

    def wait_until_idle(self, timeout: float | None = None) -> bool:
        """Wait until no request waits or is being served.

        Parameters
        ----------
        timeout
            At most this many seconds, None for no limit.

        Returns
        -------
        bool
            False if the time is over, or when called from inside the request being served.
        """
        if self.is_current_thread():
            return False  # a callback of the request being served would wait for itself
        with self._state:
            return self._state.wait_for(lambda: self._thread is None, timeout)

    def is_current_thread(self) -> bool:
        """Whether the caller runs inside the request being served."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """Take no more requests and leave the current one at its next look at the mailbox."""
        with self._state:
            self._closed = True
            self._waiting.clear()

    def _stopping(self) -> bool:
        return self._closed or not (self.inline or threading.main_thread().is_alive())

    def _turn(self, slot: int) -> Turn:
        return Turn(
            lambda: self._stopping() or any(k <= slot for k in tuple(self._waiting)),
            lambda: self._stopping() or slot in self._waiting,
            lambda: self._serve_before(slot),
        )

    def _next(self, before: float) -> tuple[int, Request] | None:
        """Take the most urgent request that waits in a slot before the given one."""
        with self._state:
            slot = min(self._waiting, default=before)
            if slot >= before or self._stopping():
                return None
            return int(slot), self._waiting.pop(int(slot))

    def _serve_before(self, slot: float) -> None:
        while (found := self._next(slot)) is not None:
            self._serve_one(*found)

    def _serve_one(self, slot: int, request: Request) -> None:
        try:
            self._serve(request, self._turn(slot))
        except Exception:
            if self.inline:
                raise
            # `serve` reports its own failures; this one comes from an observer of a widget.
            _log.exception("A callback of a widget failed")

    def _work(self) -> None:
        try:
            while not self._finished():
                self._serve_before(float("inf"))
        except BaseException:
            with self._state:
                self._thread = None
                self._state.notify_all()
            raise

    def _finished(self) -> bool:
        """Whether nothing waits; then the thread ends, and the next request begins another."""
        with self._state:
            if self._waiting and not self._stopping():
                return False
            self._thread = None
            self._state.notify_all()
            return True
