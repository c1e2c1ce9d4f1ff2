"""Bounds of the margins of one sample, computed beside the kernel."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .jobs import MODEL_CHANGED, failure
from .network import Network

__all__ = ["MarginDesk", "MarginOutcome", "MarginRequest"]


@dataclass(frozen=True)
class MarginRequest:
    """One sample at one epsilon."""

    number: int
    index: int
    x: NDArray[Any]
    label: int
    epsilon: float
    methods: tuple[str, ...]


@dataclass(frozen=True)
class MarginOutcome:
    """The bounds of one request, of shape `(methods, classes)`, or what went wrong."""

    request: MarginRequest
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    elapsed: float
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class MarginDesk:
    """Answers requests; it knows nothing of the widget."""

    margins: Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]
    network: Network
    clip: tuple[float, float] | None

    def __call__(self, request: MarginRequest, turn: Callable[[], bool]) -> Iterator[MarginOutcome]:
        nothing = np.empty((len(request.methods), 0))
        begin = time.perf_counter()
        parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        try:
            before = self.network.fingerprint()
            for method in request.methods:
                if parts and turn():
                    return  # a newer request waits
                given = (request.x, request.label, request.epsilon, self.clip, (method,))
                parts.append(self.margins(*given))
            if self.network.fingerprint() != before:
                yield MarginOutcome(request, nothing, nothing, 0.0, MODEL_CHANGED)
                return
        except Exception as exception:
            yield MarginOutcome(
                request, nothing, nothing, 0.0, *failure(exception, (request.index,))
            )
            return
        lower, upper = (np.concatenate(side) for side in zip(*parts, strict=True))
        yield MarginOutcome(request, lower, upper, time.perf_counter() - begin)
