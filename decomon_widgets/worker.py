"""A one-slot mailbox and the thread that serves it: the last request wins."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Worker"]

Request = TypeVar("Request")

_log = logging.getLogger(__name__)


class Worker(Generic[Request]):
    """Serves the newest of the submitted requests, one at a time.

    The thread lives only while there is something to do, so an idle worker costs nothing and an
    unused one needs no clean-up.

    Parameters
    ----------
    serve
        Called as ``serve(request, superseded)``. It should return early once ``superseded()`` is
        true: then a newer request waits, or the worker was closed.
    inline
        Serve in the thread that submits, before `submit` returns.
    """

    def __init__(
        self, serve: Callable[[Request, Callable[[], bool]], None], *, inline: bool = False
    ) -> None:
        self._serve = serve
        self.inline = inline
        self._state = threading.Condition()
        self._waiting: Request | None = None
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

    def submit(self, request: Request) -> None:
        """Put a request into the mailbox; one that still waits there is forgotten."""
        with self._state:
            if self._closed:
                return
            self._waiting = request
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
            self._waiting = None

    def _superseded(self) -> bool:
        return (
            self._closed
            or self._waiting is not None
            or not (self.inline or threading.main_thread().is_alive())
        )

    def _take(self) -> Request | None:
        with self._state:
            request, self._waiting = self._waiting, None
            if request is None or not (self.inline or threading.main_thread().is_alive()):
                self._thread = None
                self._state.notify_all()
                return None
            return request

    def _work(self) -> None:
        while (request := self._take()) is not None:
            try:
                self._serve(request, self._superseded)
            except Exception:
                if self.inline:
                    with self._state:
                        self._thread = None
                    raise
                # `serve` reports its own failures; this one comes from an observer of a widget.
                _log.exception("A callback of a widget failed")
