"""One request for the bounds of a function on an interval, and its outcome."""

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._one_input import OneInput, Pieces
from .network import Network

__all__ = ["CurveDesk", "CurveOutcome", "CurveRequest"]

# Points of the drawn line: about two pixels each in the widest picture.
_POINTS = 513


@dataclass(frozen=True)
class CurveRequest:
    """What is asked.

    Attributes
    ----------
    number
        Newer requests have larger numbers.
    function
        Name of the function.
    interval
        Its ends.
    x_range
        Where the function itself is drawn.
    n_pieces
        Number of equal parts of the interval.
    method, slope
        As of :func:`decomon.clone`.
    """

    number: int
    function: str
    interval: tuple[float, float]
    x_range: tuple[float, float]
    n_pieces: int
    method: str
    slope: str


@dataclass(frozen=True)
class CurveOutcome:
    """What came out.

    Attributes
    ----------
    request
        What was asked.
    x, y
        Points of the function; NaN where it is not defined.
    pieces
        The bounds, of no intervals if they could not be computed.
    elapsed
        Seconds that the bounds took.
    error, traceback
        The exception that ended it, "" if none did.
    """

    request: CurveRequest
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    pieces: Pieces
    elapsed: float
    error: str = ""
    traceback: str = ""


class CurveDesk:
    """Answers requests; called as ``desk(request, superseded)``.

    Parameters
    ----------
    find
        Returns the function of a name.
    """

    def __init__(self, find: Callable[[str], OneInput]) -> None:
        self._find = find
        self._points: tuple[object, NDArray[np.float64], NDArray[np.float64]] | None = None

    def __call__(self, request: CurveRequest, _superseded: object) -> Iterator[CurveOutcome]:
        """Answer one request."""
        begin = time.perf_counter()
        x = y = np.empty(0)
        pieces, error, trace = Pieces(), "", ""
        try:
            function = self._find(request.function)
            network = Network.of(function.model)
            fingerprint = network.fingerprint()
            x, y = self._line(request, function, fingerprint)
            begin = time.perf_counter()
            edges = np.linspace(*request.interval, request.n_pieces + 1)
            found = function.bounds(edges, request.method, request.slope)
            if network.fingerprint() != fingerprint:
                raise RuntimeError(
                    "The model changed while it was bounded, so nothing is shown. "
                    "Call refresh() when its training is over."
                )
            pieces = found
        except Exception as exception:
            error, trace = f"{type(exception).__name__}: {exception}", traceback.format_exc()
        yield CurveOutcome(request, x, y, pieces, time.perf_counter() - begin, error, trace)

    def _line(
        self, request: CurveRequest, function: OneInput, fingerprint: object
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return points of the function; computed again only where something changed."""
        key = (request.function, request.x_range, fingerprint)
        if self._points is None or self._points[0] != key:
            x = np.linspace(*request.x_range, _POINTS)
            self._points = (key, x, function.values(x))
        return self._points[1], self._points[2]
