"""One request for verdicts and its outcome."""

import re
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .knowledge import Findings, examine
from .network import Network

if TYPE_CHECKING:
    from decomon.certify import Certificate

__all__ = ["MODEL_CHANGED", "Certify", "Desk", "Outcome", "Request", "answer", "failure"]

Certify = Callable[..., "Certificate"]
"""The signature of :func:`decomon.certify.certify`."""

# Samples per call of the verifier. Between two calls a newer request can take over, but of a small
# network, a call costs about as much for one sample as for all of a usual grid.
_SLICE = 16

MODEL_CHANGED = (
    "The model changed while it was certified, so nothing is concluded. "
    "Move epsilon or press Reset when its training is over."
)


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes
    ----------
    number
        Newer requests have larger numbers.
    generation
        Which samples it is about; other samples have another generation.
    fingerprint
        Of the model; its results hold as long as that stays the same.
    indices
        Positions of the samples in the data of the user.
    x, labels
        The samples, flat, of shape `(n, inputs)`, and their classes, of shape `(n,)`.
    epsilon, n_sub_boxes
        As in :func:`decomon.certify.certify`.
    effort
        How the bounds are computed, in words of the widget.
    """

    number: int
    generation: int
    fingerprint: tuple[object, ...]
    indices: tuple[int, ...]
    x: NDArray[np.generic]
    labels: NDArray[np.int32]
    epsilon: float
    n_sub_boxes: int
    effort: tuple[object, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes
    ----------
    request
        What was asked.
    findings
        Position of the first sample and findings of each slice that was finished.
    elapsed
        Seconds it took.
    error, traceback
        The exception that ended it, "" if none did.
    model_changed
        Whether the model became another one meanwhile. Then there are no findings.
    """

    request: Request
    findings: tuple[tuple[int, Findings], ...]
    elapsed: float
    error: str = ""
    traceback: str = ""
    model_changed: bool = False


@dataclass(frozen=True)
class Desk:
    """Answers requests with a verifier; called as ``desk(request, superseded)``.

    Attributes
    ----------
    certify
        The verifier.
    model, clip
        Passed to the verifier.
    network
        What is known of the model.
    """

    certify: Certify
    model: Any
    network: Network
    clip: tuple[float, float] | None

    def __call__(self, request: Request, superseded: Callable[[], bool]) -> Iterator[Outcome]:
        """Answer one request."""
        yield answer(request, self.certify, self.model, self.network, self.clip, superseded)


def answer(
    request: Request,
    certify: Certify,
    model: Any,
    network: Network,
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
    network
        What is known of the model.
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
    changed = False
    part = slice(0)
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
            # The verifier reads the weights now and then, so a change may lie inside of the slice.
            changed = network.fingerprint() != request.fingerprint
            if changed:
                findings = []
                error = MODEL_CHANGED
                break
            findings.append((part.start, examine(certificate, labels)))
    except Exception as exception:
        error, trace = failure(exception, request.indices[part])
    elapsed = time.perf_counter() - begin
    return Outcome(request, tuple(findings), elapsed, error, trace, changed)


def failure(exception: Exception, indices: tuple[int, ...]) -> tuple[str, str]:
    """Return the message of an exception and its traceback; samples get their own numbers.

    Parameters
    ----------
    exception
        That is being handled.
    indices
        Positions of the samples that were asked about in the data of the user.
    """
    message = _name_samples(str(exception), indices)
    trace = traceback.format_exc().replace(str(exception), message)
    return f"{type(exception).__name__}: {message}", trace


def _name_samples(message: str, indices: tuple[int, ...]) -> str:
    """Say of which samples of the user a message about a slice speaks.

    The verifier numbers the samples of the slice; the user knows only those of the whole data.
    """

    def rename(match: re.Match[str]) -> str:
        position = int(match[1])
        return f"sample {indices[position]}" if position < len(indices) else match[0]

    return re.sub(r"\bsample (\d+)\b", rename, message)
