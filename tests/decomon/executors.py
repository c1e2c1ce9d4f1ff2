"""Executors whose behaviour is known, and layers that are the user's own."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import lru_cache
from typing import Any

import decomon
from decomon.dataset import packing
from tests.decomon.helpers import layers


class Direct(Executor):
    """Computes when work is handed in, like another process would: on a rebuilt model."""

    def __init__(self) -> None:
        self.submitted = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        future: Future[Any] = Future()
        try:
            future.set_result(self.outcome(fn, *args))
        except Exception as error:
            future.set_exception(error)
        return future

    def outcome(self, fn: Callable[..., Any], *args: Any) -> Any:
        return fn(*args)


class Forgetting(Direct):
    """Has forgotten the model whenever a chunk of a known number comes."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.sizes: list[int] = []

    def outcome(self, fn: Callable[..., Any], *args: Any) -> Any:
        self.sizes.append(len(pickle.dumps(args[0])))
        if self.submitted in self.numbers:
            packing._unpacked.cache_clear()
        return fn(*args)


class Failing(Direct):
    """Fails where the chunk has a sample with this label; the first times, or always."""

    def __init__(self, label: int, times: float = float("inf")) -> None:
        super().__init__()
        self.label, self.times = label, times

    def outcome(self, fn: Callable[..., Any], *args: Any) -> Any:
        if self.label in args[-1].labels and self.times > 0:
            self.times -= 1
            raise OSError("the disk\nis full")
        return fn(*args)


class Backwards(Executor):
    """Lets work pile up, then finishes the newest first."""

    def __init__(self, total: int, pile: int) -> None:
        self.waiting: list[tuple[Future[Any], Any]] = []
        self.left, self.pile, self.most = total, pile, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, (fn, args)))
        self.left -= 1
        self.most = max(self.most, len(self.waiting))
        if len(self.waiting) == self.pile or not self.left:
            while self.waiting:
                ready, (function, arguments) = self.waiting.pop()
                ready.set_result(function(*arguments))
        return future


class Unused(Executor):
    """Must not be given any work."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        raise AssertionError("something was submitted")


class Forgetful(Executor):
    """Finishes the first pieces of work and keeps all others pending."""

    def __init__(self, finished: int) -> None:
        self.finished = finished
        self.pending: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.finished:
            self.finished -= 1
            future.set_result(fn(*args))
        else:
            self.pending.append(future)
        return future


class Deadly(Executor):
    """Computes the first piece of work here, then kills a process of a pool."""

    def __init__(self, pool: Executor) -> None:
        self.pool, self.submitted = pool, 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        if self.submitted > 1:
            return self.pool.submit(os._exit, 7)
        future: Future[Any] = Future()
        future.set_result(fn(*args))
        return future


class CountedDense(layers.Dense):
    """A layer of the user's own, which notes how often it was rebuilt in this process."""

    @classmethod
    def from_config(cls, config: Any) -> Any:
        _rebuilt().append(os.getpid())
        return super().from_config(config)


class ForgottenDense(layers.Dense):
    """A layer that does not tell Keras all of its settings."""

    def __init__(self, units: int, factor: float = 1.0, **options: Any) -> None:
        super().__init__(units, **options)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        return self.factor * super().call(inputs)


class SilentDense(layers.Dense):
    """A layer that cannot be saved."""

    def get_config(self) -> Any:
        raise NotImplementedError("no settings")


for _kind in (CountedDense, ForgottenDense, SilentDense):
    decomon.ops.register_like(layers.Dense, _kind)


@lru_cache(maxsize=1)
def _rebuilt() -> list[int]:
    return []


def times_rebuilt() -> int:
    """How often this process has rebuilt a counted layer."""
    return len(_rebuilt())


def companion_of_this_process() -> int:
    """The process that computes for this one, which was forked."""
    from decomon.dataset import worker

    return worker._companion(os.getpid())._process.pid
