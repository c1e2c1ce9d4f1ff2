"""One request for verdicts and its outcome."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .knowledge import Findings, examine

if TYPE_CHECKING:
    from decomon.certify import Certificate

__all__ = ["Certify", "Outcome", "Request", "answer"]

Certify = Callable[..., "Certificate"]
"""The signature of :func:`decomon.certify.certify`."""

# Samples per call of the verifier. Between two calls a newer request can take over.
_SLICE = 8


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes
    ----------
    number
        Newer requests have larger numbers.
    generation
        Which samples it is about; other samples have another generation.
    x, labels
        The samples.
    epsilon, n_sub_boxes
        As in :func:`decomon.certify.certify`.
    """

    number: int
    generation: int
    x: NDArray[np.generic]
    labels: NDArray[np.int32]
    epsilon: float
    n_sub_boxes: int


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes
    ----------
    number, generation, epsilon, n_sub_boxes
        Those of the request.
    findings
        Position of the first sample and findings of each slice that was finished.
    elapsed
        Seconds it took.
    error, traceback
        The exception that ended it, "" if none did.
    """

    number: int
    generation: int
    epsilon: float
    n_sub_boxes: int
    findings: tuple[tuple[int, Findings], ...]
    elapsed: float
    error: str = ""
    traceback: str = ""


def answer(
    request: Request,
    certify: Certify,
    model: Any,
    clip: tuple[float, float] | None,
    superseded: Callable[[], bool],
) -> Outcome:
    """Certify the samples of a request slice by slice.

    Parameters
    ----------
    request
        What is asked.
    certify
        The verifier.
    model, clip
        Passed to the verifier.
    superseded
        Looked at between slices; once true, the rest is left out.

    Returns
    -------
    Outcome
        An exception of the verifier becomes its `error`, never a verdict.
    """
    n = len(request.labels)
    # Slices of almost equal size: a compiled verifier sees at most two shapes.
    slices = np.array_split(np.arange(n), -(-n // _SLICE))
    begin = time.perf_counter()
    findings: list[tuple[int, Findings]] = []
    error = trace = ""
    try:
        for positions in slices:
            if findings and superseded():
                break
            part = slice(int(positions[0]), int(positions[-1]) + 1)
            labels = request.labels[part]
            certificate = certify(
                model,
                request.x[part],
                labels,
                request.epsilon,
                clip=clip,
                n_sub_boxes=request.n_sub_boxes,
            )
            findings.append((part.start, examine(certificate, labels)))
    except Exception as exception:
        error = f"{type(exception).__name__}: {exception}"
        trace = traceback.format_exc()
    return Outcome(
        request.number,
        request.generation,
        request.epsilon,
        request.n_sub_boxes,
        tuple(findings),
        time.perf_counter() - begin,
        error,
        trace,
    )
