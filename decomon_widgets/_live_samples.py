"""Samples whose verdicts are computed live: what the grid and the explorer have in common."""

import math
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ._computing import ComputingWidget
from ._grid_view import GridView
from .arrays import ArrayTrait, FloatTrait, IndicesTrait, IntTrait
from .figures import draw_grid
from .jobs import Certify, Desk, Outcome, Request
from .knowledge import Findings, Knowledge
from .network import Network
from .runner import Runner
from .samples import (
    Samples,
    check_clip,
    check_n_samples,
    check_names,
    draw_indices,
    next_seed,
)
from .verdicts import PENDING, UNKNOWN, VERDICTS, summary

if TYPE_CHECKING:
    import keras

    from decomon.models import DecomonModel

__all__ = ["LiveSamples"]

_STATE = (
    "indices",
    "labels",
    "selected",
    "can_undo",
    "_pictures",
    "verdicts",
    "upper",
    "lower",
    "predictions",
    "reasons",
    "elapsed",
    "evaluated_epsilon",
    "busy",
    "error",
    "_traceback",
    "_certified",
    "_falsified",
    "_tried",
    "_misclassified",
    "_refined",
    "_proof",
    "_refutation",
)

_MOST_UNDO = 20


@dataclass(frozen=True)
class _Draw:
    """Samples that were shown, and what was known of them."""

    seed: int
    indices: tuple[int, ...]
    inputs: NDArray[Any]
    labels: NDArray[np.int32]
    knowledge: Knowledge
    points: NDArray[Any]
    fingerprint: tuple[object, ...]

    def places(
        self, indices: Sequence[int], inputs: NDArray[Any], labels: NDArray[np.int32]
    ) -> list[int]:
        """Where samples are among these, -1 for those that are not, or not with these values."""
        mine = {index: k for k, index in enumerate(self.indices)}

        def place(k: int, index: int) -> int:
            old = mine.get(index, -1)
            same = old >= 0 and self.labels[old] == labels[k]
            return old if same and np.array_equal(self.inputs[old], inputs[k]) else -1

        return [place(k, index) for k, index in enumerate(indices)]


class LiveSamples(GridView, ComputingWidget):
    """Labelled samples with their robustness verdicts, recomputed live when epsilon moves.

    Moving epsilon never blocks the kernel: a thread computes, and only the newest epsilon waits.
    Until its result is there, a sample shows the verdict that follows from earlier results (a proof
    holds for every smaller epsilon, a counterexample for every larger one), or "pending". When the
    model changes, for example by training, the next request forgets the results of the old one.

    Abstract. The parameters are those of :class:`~decomon_widgets.SampleGrid`.
    """

    epsilon = FloatTrait(0.0).tag(sync=True)
    n_sub_boxes = IntTrait(1).tag(sync=True)
    seed = IntTrait(0).tag(sync=True)
    indices = IndicesTrait()
    selected = IntTrait(-1).tag(sync=True)

    verdicts = TypedTuple(trait=traitlets.Enum(list(VERDICTS)), read_only=True).tag(sync=True)
    upper = ArrayTrait(np.float64)
    lower = ArrayTrait(np.float64)
    labels = ArrayTrait(np.int32)
    predictions = ArrayTrait(np.int32)
    reasons = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    elapsed = traitlets.Float(0.0, read_only=True).tag(sync=True)
    evaluated_epsilon = traitlets.Float(None, allow_none=True, read_only=True).tag(sync=True)
    busy = traitlets.Bool(False, read_only=True).tag(sync=True)
    error = traitlets.Unicode("", read_only=True).tag(sync=True)
    can_undo = traitlets.Bool(False, read_only=True).tag(sync=True)
    feature_names = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    class_names = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)

    _traceback = traitlets.Unicode("").tag(sync=True)
    _pictures = traitlets.Bytes(b"").tag(sync=True)
    _kind = traitlets.Unicode("image").tag(sync=True)
    _image_shape = TypedTuple(trait=traitlets.Int()).tag(sync=True)
    _value_range = ArrayTrait(np.float64)
    _certified = ArrayTrait(np.float64)
    _falsified = ArrayTrait(np.float64)
    _tried = ArrayTrait(np.float64)
    _misclassified = ArrayTrait(np.uint8)
    _refined = ArrayTrait(np.uint8)
    _proof = ArrayTrait(np.float64)
    _refutation = ArrayTrait(np.float64)

    def __init__(
        self,
        model: "keras.Model | DecomonModel",
        x: ArrayLike,
        y: ArrayLike,
        *,
        n_samples: int,
        columns: int,
        epsilon: float,
        clip: tuple[float, float] | None,
        n_sub_boxes: int,
        seed: int | None,
        image_shape: tuple[int, ...] | None,
        kind: str | None,
        feature_names: Sequence[str] | None,
        class_names: Sequence[str] | None,
        executor: Literal["thread", "sync"],
        certify: Certify | None,
        **kwargs: Any,
    ) -> None:
        if executor not in ("thread", "sync"):
            raise ValueError(
                f"executor must be 'thread' or 'sync'. Received: executor={executor!r}"
            )
        self._clip = check_clip(clip)
        self._model = model
        self._network = Network.of(model)
        self._samples = Samples.check(
            x,
            y,
            image_shape,
            self._clip,
            input_shape=self._network.input_shape,
            n_classes=self._network.n_classes,
            kind=kind,
        )
        self._n_samples = check_n_samples(n_samples, len(self._samples))
        self._generation = 0
        self._newest = 0
        self._fingerprint = self._network.fingerprint()
        self._past: list[_Draw] = []
        self._undone: _Draw | None = None
        # Messages of the front end may arrive in another thread than cells run in.
        self._lock = threading.RLock()

        self.epsilon = epsilon
        self.set_trait("columns", columns)
        self.n_sub_boxes = n_sub_boxes
        self.seed = secrets.randbelow(2**31) if seed is None else seed
        self.indices = draw_indices(self.seed, len(self._samples), self._n_samples)
        self._image_shape = self._samples.image_shape
        self._kind = self._samples.kind
        self._assign(
            feature_names=check_names(feature_names or (), self._samples.n_names, "feature_names"),
            class_names=check_names(class_names or (), self._network.n_classes, "class_names"),
            _value_range=self._samples.value_range,
        )
        self._load(None)
        super().__init__(**kwargs)

        self._runner = Runner(
            self._publish,
            self._lock,
            self._desk(certify or _default_certify()),
            inline=executor == "sync",
        )
        self.observe(self._on_seed, "seed")
        self.observe(self._on_indices, "indices")
        self.observe(self._on_effort, "n_sub_boxes")
        self.observe(self._on_epsilon, "epsilon")
        self.on_msg(self._on_message)
        self._request()

    def _desk(self, certify: Certify) -> Any:
        """Return what computes the outcomes of requests; it must not refer to the widget."""
        return Desk(certify, self._model, self._network, self._clip)

    @property
    def n_samples(self) -> int:
        """Number of samples that `reset` draws."""
        return self._n_samples

    @property
    def samples(self) -> Samples:
        """The whole data, and how a sample is drawn."""
        return self._samples

    @property
    def model(self) -> "keras.Model | DecomonModel":
        """The classifier."""
        return self._model

    @property
    def clip(self) -> tuple[float, float] | None:
        """Smallest and largest value that an input may have."""
        return self._clip

    def counterexample(self, position: int) -> NDArray[Any] | None:
        """Return the misclassified input that was found for a sample.

        Parameters
        ----------
        position
            Of the sample in the grid.

        Returns
        -------
        numpy.ndarray or None
            Flat, of shape `(inputs,)`, at most `falsified` away from the sample; None if none was
            found.

        Raises
        ------
        IndexError
            If there is no such sample.
        """
        with self._lock:
            if not 0 <= position < len(self._points):
                raise IndexError(
                    f"position must be from 0 to {len(self._points) - 1}. "
                    f"Received: position={position}"
                )
            known = np.isfinite(self._falsified[position])
            return self._points[position].copy() if known else None

    def reset(self) -> None:
        """Draw other samples: none of the present ones, as long as there are enough."""
        with self._lock:
            size = len(self._samples)
            self.seed = next_seed(self.seed, size, self._n_samples, self.indices, self.pinned)

    def undo(self) -> None:
        """Show the samples before the last draw again, and what was known of them."""
        with self._lock:
            if not self._past:
                return
            self._undone = self._past.pop()
            try:
                with self.hold_trait_notifications():
                    self.seed = self._undone.seed
                    self.indices = self._undone.indices
                self._assign(can_undo=bool(self._past))
            finally:
                self._undone = None

    def records(self) -> list[dict[str, Any]]:
        """Return what is shown of each sample, as one dict of plain values each.

        Returns
        -------
        list of dict
            A table for ``pandas.DataFrame(...)`` or ``csv.DictWriter``: index, label, prediction,
            verdict, epsilon, upper, lower, certified and falsified radius, reason.
        """
        with self._lock:
            return [
                {
                    "index": int(index),
                    "label": int(self.labels[k]),
                    "prediction": int(self.predictions[k]),
                    "verdict": str(self.verdicts[k]),
                    "epsilon": self.epsilon,
                    "evaluated_epsilon": self.evaluated_epsilon,
                    "upper": float(self.upper[k]),
                    "lower": float(self.lower[k]),
                    "certified": float(self._certified[k]),
                    "falsified": float(self._falsified[k]),
                    "reason": self.reasons[k],
                }
                for k, index in enumerate(self.indices)
            ]

    def to_figure(self, *, dark: bool = False) -> Figure:
        """Draw the samples that pass the filter, in their order, without pyplot.

        Parameters
        ----------
        dark
            Draw for a dark background.

        Returns
        -------
        matplotlib.figure.Figure
            With at most 40 samples; it says so if there are more.
        """
        order = self.shown_order(
            self.verdicts, self.labels, self._certified, self._falsified, self.upper
        )
        return draw_grid(
            self.samples,
            self.indices,
            self.verdicts,
            self.labels,
            self.predictions,
            self.epsilon,
            self.columns,
            self.error,
            order=order,
            class_names=self.class_names,
            feature_names=self.feature_names,
            dark=dark,
        )

    def to_html(self, path: str | os.PathLike[str], *, title: str | None = None) -> Path:
        # Results that arrive meanwhile are not half in the page.
        with self._lock:
            return super().to_html(path, title=title)

    def _summary(self) -> str:
        return summary(type(self).__name__, self.epsilon, self.verdicts, self.error)

    # Traits that may be assigned

    @traitlets.validate("epsilon")
    def _check_epsilon(self, proposal: Any) -> float:
        value = proposal["value"]
        if not math.isfinite(value) or value < 0:
            raise traitlets.TraitError(
                f"epsilon must be a finite number >= 0. Received: epsilon={value!r}"
            )
        return value

    @traitlets.validate("n_sub_boxes")
    def _check_sub_boxes(self, proposal: Any) -> int:
        if proposal["value"] < 1:
            raise traitlets.TraitError(
                f"n_sub_boxes must be >= 1. Received: n_sub_boxes={proposal['value']}"
            )
        return proposal["value"]

    @traitlets.validate("seed")
    def _check_seed(self, proposal: Any) -> int:
        if proposal["value"] < 0:
            raise traitlets.TraitError(f"seed must be >= 0. Received: seed={proposal['value']}")
        return proposal["value"]

    @traitlets.validate("indices")
    def _check_indices(self, proposal: Any) -> tuple[int, ...]:
        indices, size = proposal["value"], len(self._samples)
        if not indices or not all(0 <= index < size for index in indices):
            raise traitlets.TraitError(
                f"indices must be one or more positions in x, from 0 to {size - 1}. "
                f"Received: indices={indices}"
            )
        return indices

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> int:
        if not -1 <= proposal["value"] < len(self.indices):
            raise traitlets.TraitError(
                f"selected must be from 0 to {len(self.indices) - 1}, or -1 for none. "
                f"Received: selected={proposal['value']}"
            )
        return proposal["value"]

    def _data_size(self) -> int:
        return len(self._samples)

    def _grid_size(self) -> int:
        return len(self.indices)

    def _on_seed(self, _change: Any) -> None:
        if self._undone is None:
            size = len(self._samples)
            self.indices = draw_indices(self.seed, size, self._n_samples, self.pinned)

    def _on_indices(self, _change: Any) -> None:
        self._request()

    def _on_effort(self, _change: Any) -> None:
        with self._lock:
            self._knowledge = self._knowledge.forget_tried()
            self._request()

    def _on_epsilon(self, _change: Any) -> None:
        self._request()

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "reset":
            self.reset()
        elif kind == "undo":
            self.undo()
        elif kind == "draw":
            try:
                self.set_trait("seed", content.get("seed"))
            except traitlets.TraitError as error:
                self._assign(error=str(error), _traceback="")

    def notify_change(self, change: Any) -> None:
        """Tell observers of a change; the front end hears of new samples all at once."""
        if self.comm is None or change["name"] not in ("seed", "indices"):
            super().notify_change(change)
            return
        with self._lock, self.hold_sync():
            super().notify_change(change)

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        with self._lock:
            super()._handle_msg(msg)

    # Requests and results

    def _load(self, known: _Draw | None) -> None:
        """Take over new samples, and of what is known what is about them."""
        indices = list(self.indices)
        self._shown, self._shown_seed = self.indices, self.seed
        # A copy: what is drawn is what is certified, whatever happens to the array of the user.
        self._inputs = self._samples.x[indices]
        self._pictures = self._samples.drawn(self.indices)
        self.selected = -1
        self.set_trait("brushed", ())
        self._assign(labels=self._samples.labels[indices])
        self._forget()
        if known is None:
            return
        places = known.places(self.indices, self._inputs, self.labels)
        self._knowledge = known.knowledge.taken(places)
        self._points = _taken(known.points, places)
        self._assign_knowledge()

    def _forget(self) -> None:
        """Know nothing: the samples or the model are others."""
        n = len(self.indices)
        self._knowledge = Knowledge.nothing(n)
        self._points = np.full((n, self._samples.x.shape[1]), np.nan)
        self._assign(
            upper=np.full(n, np.nan),
            lower=np.full(n, np.nan),
            predictions=np.full(n, -1),
            reasons=("",) * n,
            evaluated_epsilon=None,
            elapsed=0.0,
        )
        self._assign_knowledge()

    def _request(self) -> None:
        runner = self._runner
        if runner is None or runner.closed:
            return
        with self._lock:
            self._newest += 1
            number = self._newest
            try:
                with self._one_change():
                    self._refresh()
                    self._assign(busy=True)
                    self._assign_knowledge()
            finally:
                # An observer may have failed, or have made a newer request.
                if number == self._newest:
                    runner.submit(self._make_request())

    def _refresh(self) -> None:
        """Drop what is known if it is not about the present samples and the present model."""
        fingerprint = self._network.fingerprint()
        same_model = fingerprint == self._fingerprint
        if self.indices == self._shown and same_model:
            return
        self._generation += 1
        if self.indices == self._shown:
            self._fingerprint = fingerprint
            self._forget()
            return
        shown = _Draw(
            self._shown_seed,
            self._shown,
            self._inputs,
            self.labels,
            self._knowledge,
            self._points,
            self._fingerprint,
        )
        if self._undone is None:
            self._past = [*self._past, shown][-_MOST_UNDO:]
        known = self._undone or shown
        self._fingerprint = fingerprint
        self._load(known if known.fingerprint == fingerprint else None)
        self._assign(can_undo=bool(self._past))

    def _make_request(self) -> Request:
        return Request(
            self._newest,
            self._generation,
            self._fingerprint,
            self.indices,
            self._inputs,
            self.labels,
            self.epsilon,
            self.n_sub_boxes,
            self._effort(),
        )

    def _effort(self) -> tuple[object, ...]:
        """How bounds are computed, besides the number of sub-boxes."""
        return ()

    @contextmanager
    def _one_change(self) -> Iterator[None]:
        """Observers and the front end see all assignments inside as one consistent change."""
        try:
            with self.hold_sync(), self.hold_trait_notifications():
                yield
        except Exception:
            # An observer failed. The front end still gets the whole result.
            self.send_state(self._result_state())
            raise

    def _result_state(self) -> tuple[str, ...]:
        """Names of all traits that results change."""
        return _STATE

    def _publish(self, outcome: Any) -> None:
        if self.comm is None or outcome.request.generation != self._generation:
            return
        self._publish_certified(outcome)

    def _publish_certified(self, outcome: Outcome) -> None:
        """Take over the answer to a request for verdicts about the present samples."""
        request = outcome.request
        same_effort = (request.n_sub_boxes, request.effort) == (self.n_sub_boxes, self._effort())
        problems: list[str] = []
        for start, findings in outcome.findings:
            known = findings
            if not same_effort:
                # Undecided with another effort says nothing about this one.
                verdicts = tuple(PENDING if v == UNKNOWN else v for v in findings.verdicts)
                known = replace(findings, verdicts=verdicts)
            problems += self._learn(start, known, request.epsilon)
        with self._one_change():
            if outcome.model_changed:
                self._forget()
            self._assign_knowledge()
            if request.number == self._newest:
                self._assign_result(outcome, problems)

    def _learn(
        self, start: int, findings: Findings, epsilon: float | NDArray[np.float64]
    ) -> list[str]:
        """Add what was found out about a slice of samples; returns what was wrong with it."""
        before = self._knowledge.falsified
        self._knowledge, contradictions = self._knowledge.learn(start, findings, epsilon)
        part = slice(start, start + len(findings.verdicts))
        after = self._knowledge.falsified[part]
        found = start + np.flatnonzero(after < before[part])
        points = self._points.copy()
        points[found] = findings.points[found - start]
        points[start + np.flatnonzero(np.isinf(after))] = np.nan
        self._points = points
        problems = [*findings.problems]
        return [
            *(f"Sample {self.indices[start + k]}: {text}" for k, text in problems),
            *(f"Sample {self.indices[k]}: {text}" for k, text in contradictions),
        ]

    def _assign_result(self, outcome: Outcome, problems: list[str]) -> None:
        self._assign(
            busy=False,
            error=outcome.error or "\n".join(problems),
            _traceback=outcome.traceback,
        )
        if outcome.error:
            return
        parts: list[Findings] = [findings for _, findings in outcome.findings]
        upper, lower = self._knowledge.tighten(
            np.concatenate([part.upper for part in parts]),
            np.concatenate([part.lower for part in parts]),
            outcome.request.epsilon,
        )
        self._assign(
            upper=upper,
            lower=lower,
            predictions=np.concatenate([part.predicted for part in parts]),
            reasons=tuple(reason for part in parts for reason in part.reasons),
            evaluated_epsilon=outcome.request.epsilon,
            elapsed=outcome.elapsed,
        )

    def _assign_knowledge(self) -> None:
        known = self._knowledge
        self._assign(
            verdicts=known.verdicts(self.epsilon),
            _certified=known.certified,
            _falsified=known.falsified,
            _tried=known.tried,
            _misclassified=known.misclassified,
            _refined=known.refined,
            _proof=known.proof,
            _refutation=known.refutation,
        )

    def _assign(self, **values: Any) -> None:
        for name, value in values.items():
            self.set_trait(name, value)


def _taken(points: NDArray[Any], places: Sequence[int]) -> NDArray[Any]:
    """Return the rows at some places, NaN where the place is -1."""
    positions = np.asarray(places, np.intp)
    rows = np.full((len(positions), points.shape[1]), np.nan)
    rows[positions >= 0] = points[positions[positions >= 0]]
    return rows


def _default_certify() -> Certify:
    from decomon.certify import certify  # takes seconds: not before there is a model

    return certify
