"""What an explorer asks of the verifier, and what comes out."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ._counterexamples import ReplayOutcome, ReplayRequest, replay
from .jobs import MODEL_CHANGED, Certify, Desk, Outcome, Request, failure
from .knowledge import Findings, examine
from .network import Network
from .radii import Brackets
from .verdicts import NON_ROBUST, ROBUST, UNKNOWN
from .worker import Turn

__all__ = [
    "ExplorerDesk",
    "Learned",
    "Margins",
    "MarginsTask",
    "RefineTask",
    "Replay",
    "ReplayTask",
    "SettleTask",
    "Settled",
    "Verify",
]

Verify = Callable[..., Any]
"""The signature of :func:`decomon.verify_noise`."""

_SLICE = 16
_SWEEP = 12


@dataclass(frozen=True)
class _Task:
    """What is asked besides verdicts.

    Attributes
    ----------
    generation
        Which samples it is about.
    fingerprint
        Of the model.
    """

    generation: int
    fingerprint: tuple[object, ...]


@dataclass(frozen=True)
class MarginsTask(_Task):
    """Bound the margins of all classes of one sample."""

    position: int
    x: NDArray[Any]
    label: int
    epsilon: float
    methods: tuple[str, ...]


@dataclass(frozen=True)
class ReplayTask(_Task):
    """Run the real model on a sample and on its counterexample."""

    position: int
    asked: ReplayRequest


@dataclass(frozen=True)
class SettleTask(_Task):
    """Decide some samples completely; `positions` are those in the grid."""

    positions: tuple[int, ...]
    x: NDArray[Any]
    labels: NDArray[np.int32]
    epsilon: float
    timeout: float
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class RefineTask(_Task):
    """Find out for which epsilons the samples are decided, up to the largest one."""

    x: NDArray[Any]
    labels: NDArray[np.int32]
    certified: NDArray[np.float64]
    falsified: NDArray[np.float64]
    largest: float
    tolerance: float
    n_sub_boxes: int
    effort: tuple[object, ...]
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Margins:
    """Bounds `(methods, classes)` of the margins of a sample."""

    request: MarginsTask
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Replay:
    """What the real model says of a counterexample."""

    request: ReplayTask
    found: ReplayOutcome
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Settled:
    """The answer for one sample; without findings, how far the work is.

    Attributes
    ----------
    request
        What was asked.
    done
        How many of its samples are through.
    position
        Of the sample in the grid that is next, or that the findings are about.
    findings
        What was found out, None if nothing yet.
    over
        Whether it was the last.
    """

    request: SettleTask
    done: int
    position: int
    findings: Findings | None = None
    over: bool = False
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Learned:
    """What the refinement found out about some samples.

    Attributes
    ----------
    request
        What was asked.
    start
        Position of the first sample.
    epsilon
        One for all samples, or one for each.
    findings
        About these samples, None if there are none.
    refined
        Of how many samples, from the first, the radii are as near as the method gets.
    over
        Whether it was the last.
    """

    request: RefineTask
    start: int = 0
    epsilon: Any = 0.0
    findings: Findings | None = None
    refined: int = 0
    over: bool = False
    error: str = ""
    traceback: str = ""


@final
class ExplorerDesk:
    """Answers the requests of an explorer; called as ``desk(request, turn)``.

    Parameters
    ----------
    certify, verify
        The verifiers.
    margins
        Called as ``margins(x, label, epsilon, clip, methods)``.
    model, clip
        Passed to them.
    network
        What is known of the model.
    """

    def __init__(
        self,
        certify: Certify,
        verify: Verify,
        margins: Callable[..., tuple[NDArray[Any], NDArray[Any]]],
        model: Any,
        network: Network,
        clip: tuple[float, float] | None,
    ) -> None:
        self._certify = certify
        self._verify = verify
        self._margins = margins
        self._model = model
        self._network = network
        self._clip = clip
        self._models: dict[tuple[object, ...], Any] = {}

    @singledispatchmethod
    def __call__(self, request: object, turn: Turn) -> Iterator[Any]:
        """Answer one request, piece by piece."""
        raise TypeError(f"No request of an explorer: {request!r}")

    @__call__.register
    def _(self, request: Request, turn: Turn) -> Iterator[Outcome]:
        try:
            model = self._model_of(request.effort, request.fingerprint)
        except Exception as exception:
            yield Outcome(request, (), 0.0, *failure(exception, request.indices))
            return
        yield from Desk(self._certify, model, self._network, self._clip)(request, turn)

    @__call__.register
    def _(self, request: MarginsTask, turn: Turn) -> Iterator[Margins]:
        nothing = np.empty((0, 0))
        try:
            lower, upper = self._margins(
                request.x, request.label, request.epsilon, self._clip, request.methods
            )
            self._check_model(request)
            yield Margins(request, lower, upper)
        except Exception as exception:
            yield Margins(request, nothing, nothing, *failure(exception, ()))

    @__call__.register
    def _(self, request: ReplayTask, turn: Turn) -> Iterator[Replay]:
        try:
            found = replay(self._model, request.asked)
            self._check_model(request)
            yield Replay(request, found)
        except Exception as exception:
            yield Replay(request, ReplayOutcome(request.asked), *failure(exception, ()))

    @__call__.register
    def _(self, request: SettleTask, turn: Turn) -> Iterator[Settled]:
        done, position = 0, -1

        def go_on(*_: object) -> bool:
            turn.give_way()
            return not (request.cancelled.is_set() or turn.ended)

        try:
            for number, position in enumerate(request.positions):
                if not go_on():
                    break
                yield Settled(request, done, position)
                findings = self._settle(request, number, go_on)
                self._check_model(request)
                done += 1
                yield Settled(request, done, position, findings)
            yield Settled(request, done, -1, over=True)
        except Exception as exception:
            error, trace = failure(exception, ())
            yield Settled(request, done, position, None, True, error, trace)

    @__call__.register
    def _(self, request: RefineTask, turn: Turn) -> Iterator[Learned]:
        try:
            model = self._model_of(request.effort, request.fingerprint)
            for found in self._refined(request, model, turn):
                self._check_model(request)
                yield found
            yield Learned(request, over=True)
        except Exception as exception:
            error, trace = failure(exception, ())
            yield Learned(request, over=True, error=error, traceback=trace)

    def _refined(self, request: RefineTask, model: Any, turn: Turn) -> Iterator[Learned]:
        """Try epsilons on a grid, and then bisect between them, sample by sample."""
        slices = np.array_split(np.arange(len(request.labels)), -(-len(request.labels) // _SLICE))
        brackets = [
            Brackets.known(
                request.certified[places],
                request.falsified[places],
                request.largest,
                request.tolerance,
            )
            for places in slices
        ]

        def tried(number: int, epsilon: Any) -> Learned | None:
            turn.give_way()
            if turn.ended or request.cancelled.is_set():
                return None
            places = slices[number]
            part = slice(int(places[0]), int(places[-1]) + 1)
            labels = request.labels[part]
            certificate = self._certify(
                model,
                request.x[part],
                labels,
                epsilon,
                clip=self._clip,
                n_sub_boxes=request.n_sub_boxes,
            )
            findings = examine(certificate, labels)
            brackets[number] = brackets[number].add(epsilon, findings.verdicts)
            return Learned(request, part.start, epsilon, findings)

        for epsilon in np.linspace(0, request.largest, _SWEEP + 1)[1:]:
            for number in range(len(slices)):
                found = tried(number, float(epsilon))
                if found is None:
                    return
                yield found
        for number, places in enumerate(slices):
            while (epsilon := brackets[number].next()) is not None:
                found = tried(number, epsilon)
                if found is None:
                    return
                yield found
            yield Learned(request, int(places[0]), 0.0, None, refined=len(places))

    def _settle(self, request: SettleTask, number: int, go_on: Callable[..., bool]) -> Findings:
        """Verify one sample completely."""
        x, label = request.x[number][None], int(request.labels[number])
        result = self._verify(
            self._model,
            x,
            request.epsilon,
            np.inf,
            self._clip,
            request.labels[number : number + 1],
            timeout=request.timeout,
            progress=go_on,
        )
        status = str(result.status[0])
        upper, lower = (np.asarray(v, np.float64) for v in (result.upper, result.lower))
        (clean,) = self._outputs(x)
        predicted = np.array([clean.argmax()], np.int32)
        points, problem = np.full(x.shape, np.nan), ""
        if status == NON_ROBUST:
            points = np.asarray(result.counterexample[0]).reshape(1, -1)
            if self._outputs(points)[0].argmax() == label:
                problem = "called non robust, but its counterexample is classified as its label"
        elif status == ROBUST and not (upper[0] < 0 and predicted[0] == label):
            problem = f"called robust with upper bound {upper[0]} and prediction {predicted[0]}"
        if np.isnan(upper[0]) or np.isnan(lower[0]):
            problem = f"a bound is NaN (upper = {upper[0]}, lower = {lower[0]})"
        reason = problem or str(result.reason[0])
        return Findings(
            (UNKNOWN if problem else status,),
            upper,
            lower,
            predicted,
            points,
            (reason,),
            ((0, f"{problem} (label {label})."),) if problem else (),
        )

    def _outputs(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Outputs of the real model for flat inputs, `(n, classes)`."""
        model, shape = self._network.keras_model, self._network.input_shape
        if model is None or shape is None:
            raise ValueError("The model cannot be run: it is not a Keras model of fixed shape.")
        outputs = np.asarray(model(x.reshape(-1, *shape), training=False))
        return outputs.reshape(len(x), -1).astype(np.float64)

    def _check_model(self, task: _Task) -> None:
        if self._network.fingerprint() != task.fingerprint:
            raise RuntimeError(MODEL_CHANGED)

    def _model_of(self, effort: tuple[object, ...], fingerprint: tuple[object, ...]) -> Any:
        """Return the model with a method and a choice of tuning; converted once."""
        from decomon.models import DecomonModel, clone

        model = self._network.keras_model
        if model is None or isinstance(self._model, DecomonModel):
            return self._model
        key = (effort, fingerprint)
        if key not in self._models:
            method, finetune = effort
            kept = {k: v for k, v in self._models.items() if k[1] == fingerprint}
            self._models = {**kept, key: clone(model, str(method), finetune=bool(finetune))}
        return self._models[key]
