"""Handing chunks to an executor: a few at a time, failed ones again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, TypeAlias, final

from decomon.certify import Certificate
from decomon.dataset.worker import Answer, Missing, Problem, reason_of

Submit: TypeAlias = Callable[[slice, bool], "Future[Answer]"]
"""Hands samples to an executor, with the model or, if the flag is False, with its label."""


@final
@dataclass(frozen=True)
class Chunk:
    """Samples that are computed together, and what became of it.

    Attributes
    ----------
    samples : which ones
    attempts : how often they were handed to the executor
    certificate : the results, or None
    reason : why the last attempt failed
    stranded : whether it came to a process that does not have the model
    """

    samples: slice
    attempts: int = 0
    certificate: Certificate | None = None
    reason: str = ""
    stranded: bool = False


@final
class Inline(Executor):
    """Computes in this process while work is handed in."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Compute at once; errors are raised."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@final
class Schedule:
    """Iterates over the chunks in the order in which they come to an end.

    Parameters
    ----------
    submit : hands samples to an executor
    chunks : the samples of each chunk
    in_flight : how many chunks may be handed out at once
    retries : how often a chunk that failed is handed out again

    Notes
    -----
    Until a first chunk comes back, all are sent with the model, later ones with its label.

    When the executor takes no more work, because one of its processes died for instance, all chunks
    that are left come to an end with that reason.
    """

    def __init__(
        self, submit: Submit, chunks: Iterable[slice], in_flight: int, retries: int
    ) -> None:
        self._submit = submit
        self._waiting = deque(Chunk(samples) for samples in chunks)
        self._running: dict[Future[Answer], Chunk] = {}
        self._done: SimpleQueue[Future[Answer]] = SimpleQueue()
        self._in_flight = in_flight
        self._retries = retries
        self._begun = self._answered = False
        self._closed = ""

    def __iter__(self) -> Iterator[Chunk]:
        while self._waiting or self._running:
            self._fill()
            yield from self._given_up()
            if self._running:
                yield from self._ended(self._done.get())

    def finished(self) -> Iterator[Chunk]:
        """Take the chunks that have come to an end by now."""
        while not self._done.empty():
            yield from self._ended(self._done.get())

    def cancel(self) -> None:
        """Take back what was not begun."""
        for future in self._running:
            future.cancel()

    def _fill(self) -> None:
        while self._waiting and not self._closed and len(self._running) < self._in_flight:
            chunk = self._waiting[0]
            try:
                future = self._submit(chunk.samples, chunk.stranded or not self._answered)
            except Exception as error:
                if not self._begun:
                    raise ValueError(
                        f"The executor takes no work: {reason_of(error)}. Make a new one"
                    ) from error
                self._closed = reason_of(error)
            else:
                self._begun = True
                self._waiting.popleft()
                self._running[future] = replace(chunk, attempts=chunk.attempts + 1)
                # Unlike concurrent.futures.wait, this hears of futures that others cancel.
                future.add_done_callback(self._done.put)

    def _given_up(self) -> Iterator[Chunk]:
        while self._closed and self._waiting:
            chunk = self._waiting.popleft()
            # Whoever was tried knows better why: the executor only says that it is broken.
            why = chunk.reason or self._closed
            reason = f"the executor takes no more work ({why})"
            yield replace(chunk, reason=reason)

    def _ended(self, future: Future[Answer]) -> Iterator[Chunk]:
        """Yield a chunk, unless it is tried again."""
        given = self._running.pop(future)
        chunk = _outcome(given, future)
        self._answered = True
        if chunk.stranded and not given.stranded:
            self._waiting.appendleft(replace(chunk, attempts=chunk.attempts - 1))
        elif chunk.certificate is None and chunk.attempts <= self._retries:
            self._waiting.append(chunk)
        else:
            yield chunk


def _outcome(chunk: Chunk, future: Future[Answer]) -> Chunk:
    if future.cancelled():
        return replace(chunk, reason="it was cancelled")
    error = future.exception()
    if error is not None:
        return replace(chunk, reason=reason_of(error))
    answer = future.result()
    if isinstance(answer, Missing):
        return replace(chunk, stranded=True)
    if isinstance(answer, Problem):
        return replace(chunk, reason=answer.reason)
    return replace(chunk, certificate=answer)
