"""Replays: what the real model says of a point, and whether that refutes robustness."""

import math
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import Network
from .samples import check_clip

__all__ = ["ReplayDesk", "ReplayOutcome", "ReplayRequest", "check_point", "replay"]


def _none() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True)
class ReplayRequest:
    """What is asked.

    Attributes
    ----------
    number
        Newer requests have larger numbers.
    sample
        Position in the data of the user, -1 if it is not known.
    x
        The clean input, flat.
    point
        What is said to be a counterexample, flat; None if there is none.
    label
        The true class.
    epsilon
        Radius of the domain in which the point must lie.
    clip
        Smallest and largest value that an input may have, None for no limit.
    why
        Why there is no point.
    """

    number: int
    sample: int
    x: NDArray[Any]
    point: NDArray[Any] | None
    label: int
    epsilon: float
    clip: tuple[float, float] | None
    why: str = ""


@dataclass(frozen=True)
class ReplayOutcome:
    """What came out; arrays are flat.

    Attributes
    ----------
    request
        What was asked.
    clean, clean_outputs
        The clean input, and what the model makes of it.
    adversarial, adversarial_outputs
        The point of the domain that was run and is misclassified; empty if it is not.
    distance
        Largest change of a value, None without a counterexample.
    refusal
        Why the point refutes nothing, "" if it does.
    outputs
        What the outputs are, in words.
    error, traceback
        The exception that ended it, "" if none did.
    """

    request: ReplayRequest
    clean: NDArray[np.float64] = field(default_factory=_none)
    clean_outputs: NDArray[np.float64] = field(default_factory=_none)
    adversarial: NDArray[np.float64] = field(default_factory=_none)
    adversarial_outputs: NDArray[np.float64] = field(default_factory=_none)
    distance: float | None = None
    refusal: str = ""
    outputs: str = ""
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class ReplayDesk:
    """Answers requests about a model; called as ``desk(request, superseded)``."""

    model: Any

    def __call__(self, request: ReplayRequest, _superseded: object) -> Iterator[ReplayOutcome]:
        """Answer one request; an exception becomes its error."""
        try:
            outcome = replay(self.model, request)
        except Exception as exception:
            error = f"{type(exception).__name__}: {exception}"
            outcome = ReplayOutcome(request, error=error, traceback=traceback.format_exc())
        yield outcome


def check_point(model: Any, given: dict[str, Any], clip: Any) -> ReplayRequest:
    """Check what a user says is a counterexample.

    Parameters
    ----------
    model
        The model.
    given
        What was passed as `x`, `adversarial`, `label` and `epsilon`.
    clip
        Smallest and largest value that an input may have, None for no limit.

    Returns
    -------
    ReplayRequest

    Raises
    ------
    TypeError, ValueError
        If something is not usable; the message says why.
    """
    limits = check_clip(clip)
    wanted = Network.of(model).input_shape
    if wanted is None:
        raise TypeError(
            "The source must be a SampleGrid, a RobustnessExplorer, or a keras.Model or "
            f"DecomonModel with one input of fixed shape. Received: source={model!r}"
        )
    arrays = {name: np.asarray(given[name]) for name in ("x", "adversarial")}
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.size != math.prod(wanted):
            raise ValueError(
                f"{name} must be one input of the model, numbers of shape {wanted} or "
                f"({math.prod(wanted)},). Received: dtype {array.dtype}, shape {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite. Received: NaN or infinite values")
    label, radius = given["label"], given["epsilon"]
    if isinstance(label, bool) or not isinstance(label, int | np.integer):
        raise ValueError(f"label must be an integer, a class. Received: label={label!r}")
    if isinstance(radius, bool) or not isinstance(radius, int | float | np.number):
        raise ValueError(f"epsilon must be a number. Received: epsilon={radius!r}")
    epsilon = float(radius)
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise ValueError(f"epsilon must be a finite number >= 0. Received: epsilon={radius!r}")
    x, point = (array.reshape(-1).copy() for array in arrays.values())
    return ReplayRequest(1, -1, x, point, int(label), epsilon, limits)


def replay(model: Any, request: ReplayRequest) -> ReplayOutcome:
    """Run the real model on a clean input and on a point near it.

    The point counts only if it lies in the domain, as decomon's own domain says, and the real Keras
    model gives another class than the label to it. It may have been rounded to the type of the
    model's inputs before it came here; then the point of the domain that the model reads as the
    same numbers takes its place.

    Parameters
    ----------
    model
        A ``keras.Model`` or a ``DecomonModel``.
    request
        What is asked.

    Returns
    -------
    ReplayOutcome

    Raises
    ------
    ValueError
        If the arrays do not fit the model.
    """
    from decomon.inputs import check_inputs  # takes seconds: not before there is a model
    from decomon.models import signature_of
    from decomon.replay import real_outputs

    signature = signature_of(model)
    if len(signature.inputs) != 1:
        raise ValueError(
            "The model must have one input to be drawn. "
            f"Received: {', '.join(port.name for port in signature.inputs)}"
        )
    shape = (1, *signature.inputs[0].shape)
    clean = check_inputs("x", request.x.reshape(shape), signature)[0]
    outputs = real_outputs(model, [clean])[0].astype(np.float64).reshape(-1)
    if not 0 <= request.label < len(outputs) or len(outputs) < 2:
        raise ValueError(
            f"label must be a class of the model, from 0 to {len(outputs) - 1}, and the model must "
            f"have two classes or more. Received: label={request.label}"
        )
    outcome = ReplayOutcome(
        request,
        clean=clean.astype(np.float64).reshape(-1),
        clean_outputs=outputs,
        refusal=request.why,
        outputs="Outputs of the real model",
    )
    if np.isnan(outputs).any():
        return _refused(outcome, "The model gives NaN for the clean input, so nothing is said.")
    if outputs.argmax() != request.label:
        text = f"The clean input is already classified as {outputs.argmax()}, not as"
        why = f"{text} {request.label}: no perturbation is needed."
        return _refused(_in_logits(model, outcome), why)
    if request.point is None:
        return _in_logits(model, outcome)
    point = check_inputs("adversarial", request.point.reshape(shape), signature)[0]
    inside = _inside(clean, point, request, signature)
    if inside is None:
        return _refused(_in_logits(model, outcome), _outside(clean, point, request))
    found = real_outputs(model, [inside])[0].astype(np.float64).reshape(-1)
    if np.isnan(found).any():
        return _refused(outcome, "The model gives NaN for the point, so nothing is shown.")
    if found.argmax() == request.label:
        text = "The point was run through the real model, which classifies it as"
        why = f"{text} {request.label}, its label: it is no counterexample."
        return _refused(_in_logits(model, outcome), why)
    return _in_logits(
        model,
        ReplayOutcome(
            request,
            outcome.clean,
            outputs,
            inside.astype(np.float64).reshape(-1),
            found,
            float(np.abs(inside.astype(np.float64) - clean.astype(np.float64)).max()),
            outputs=outcome.outputs,
        ),
    )


def _in_logits(model: Any, outcome: ReplayOutcome) -> ReplayOutcome:
    """Replace what comes out of a final softmax or sigmoid by what goes into it.

    Margins and their bounds are about the logits. Where these would name another class than the
    real model did, its own outputs stay.
    """
    from decomon.models import verifier_of
    from decomon.verifier import as_tensor

    verifier = verifier_of(model)
    if not verifier.graph.stripped:
        return replace(outcome, outputs="Logits of the real model")
    pairs = [
        (outcome.clean, outcome.clean_outputs),
        (outcome.adversarial, outcome.adversarial_outputs),
    ]
    found: list[NDArray[np.float64]] = []
    for point, outputs in pairs:
        if not len(point):
            found.append(outputs)
            continue
        rows = as_tensor(point.reshape(1, *verifier.graph.input_shape), verifier.dtype)
        logits = np.asarray(verifier.logits(rows), np.float64).reshape(-1)
        if logits.shape != outputs.shape or logits.argmax() != outputs.argmax():
            return outcome
        found.append(logits)
    return replace(
        outcome,
        clean_outputs=found[0],
        adversarial_outputs=found[1],
        outputs=f"Logits, before the final {verifier.graph.stripped}",
    )


def _refused(outcome: ReplayOutcome, why: str) -> ReplayOutcome:
    return replace(outcome, refusal=why)


def _inside(
    clean: NDArray[Any], point: NDArray[Any], request: ReplayRequest, signature: Any
) -> NDArray[Any] | None:
    """Return the point of the domain that the model reads as these numbers, None if none is."""
    from decomon.balls import balls
    from decomon.complete.replay import contains
    from decomon.inputs import check_domain

    ball = balls(signature, clean, request.epsilon, np.inf, request.clip, name="epsilon")
    regions = check_domain(ball, signature)
    first = np.zeros(1, np.intp)
    if contains(regions, first, point)[0]:
        return point
    nearest = regions.inside(point.astype(regions.dtype))
    dtype = np.dtype(signature.inputs[0].dtype)
    same = np.array_equal(nearest.astype(dtype), point.astype(dtype))
    return nearest if same and contains(regions, first, nearest)[0] else None


def _outside(clean: NDArray[Any], point: NDArray[Any], request: ReplayRequest) -> str:
    distance = np.abs(point.astype(np.float64) - clean.astype(np.float64)).max()
    text = (
        f"The point lies outside of the domain, so it proves nothing: its distance is "
        f"{distance:.6g} and the radius {request.epsilon:.6g}"
    )
    if request.clip is None:
        return f"{text}."
    return (
        f"{text}, its values go from {point.min():.6g} to {point.max():.6g} and inputs from "
        f"{request.clip[0]:g} to {request.clip[1]:g}."
    )
