"""What an explorer shows, and how it takes over what was found out."""

import textwrap
from abc import abstractmethod
from dataclasses import replace
from datetime import datetime
from functools import singledispatchmethod
from typing import Any, Literal

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure

from ._commands import version
from ._counterexamples import ReplayOutcome, ReplayRequest
from ._figures_accuracy import draw_curves
from ._figures_histogram import draw_histogram
from ._live_samples import LiveSamples
from .arrays import ArrayTrait, FloatTrait, IntTrait
from .bins import bin_edges, count_by_verdict
from .explorer_jobs import Learned, Margins, RefineTask, Replay, Settled, SettleTask
from .history import History
from .jobs import Outcome
from .knowledge import Findings
from .verdicts import PENDING, UNKNOWN

__all__ = ["ExplorerState"]

_STATE = (
    "_history_epsilons",
    "_history_upper",
    "_history_lower",
    "_margin_lower",
    "_margin_upper",
    "_margin_sample",
    "_margin_epsilon",
    "_clean",
    "_clean_logits",
    "_adversarial",
    "_adversarial_logits",
    "_adversarial_sample",
    "_adversarial_epsilon",
    "_adversarial_distance",
    "_adversarial_note",
    "_outputs",
    "_replayed",
    "settling",
    "settle_done",
    "settle_total",
    "settle_note",
    "refining",
    "provenance",
)


class ExplorerState(LiveSamples):
    """The traits of an explorer, and the only code that changes those that are results.

    Abstract: what is asked, and when, is the matter of
    :class:`~decomon_widgets.RobustnessExplorer`.
    """

    epsilon_min = FloatTrait(0.0, read_only=True).tag(sync=True)
    epsilon_max = FloatTrait(25 / 255).tag(sync=True)
    epsilon_step = FloatTrait(1e-4).tag(sync=True)
    unit = traitlets.Enum(["value", "255"], "value").tag(sync=True)
    log = traitlets.Bool(False).tag(sync=True)
    bins = IntTrait(20).tag(sync=True)
    method = traitlets.Unicode("crown").tag(sync=True)
    methods = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    finetune = traitlets.Bool(False).tag(sync=True)
    margin_methods = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    refine = traitlets.Bool(True).tag(sync=True)
    refining = traitlets.Bool(False, read_only=True).tag(sync=True)
    settle_timeout = FloatTrait(30.0).tag(sync=True)
    settling = traitlets.Bool(False, read_only=True).tag(sync=True)
    settle_done = traitlets.Int(0, read_only=True).tag(sync=True)
    settle_total = traitlets.Int(0, read_only=True).tag(sync=True)
    settle_note = traitlets.Unicode("", read_only=True).tag(sync=True)
    provenance = traitlets.Unicode("", read_only=True).tag(sync=True)

    _history_epsilons = ArrayTrait(np.float64)
    _history_upper = ArrayTrait(np.float64)
    _history_lower = ArrayTrait(np.float64)
    _margin_lower = ArrayTrait(np.float64)
    _margin_upper = ArrayTrait(np.float64)
    _margin_sample = traitlets.Int(-1).tag(sync=True)
    _margin_epsilon = traitlets.Float(0.0).tag(sync=True)
    _clean = ArrayTrait(np.float64)
    _clean_logits = ArrayTrait(np.float64)
    _adversarial = ArrayTrait(np.float64)
    _adversarial_logits = ArrayTrait(np.float64)
    _adversarial_sample = traitlets.Int(-1).tag(sync=True)
    _adversarial_epsilon = traitlets.Float(0.0).tag(sync=True)
    _adversarial_distance = traitlets.Float(0.0).tag(sync=True)
    _adversarial_note = traitlets.Unicode("").tag(sync=True)
    _outputs = traitlets.Unicode("").tag(sync=True)
    _input_shape = TypedTuple(trait=traitlets.Int()).tag(sync=True)
    _replayed = traitlets.Bool(False).tag(sync=True)

    _history: History
    _settle_task: SettleTask | None = None
    _refine_task: RefineTask | None = None
    _shown_replay: ReplayRequest | None = None
    _digest: tuple[object, str] = (None, "")

    def to_figure(
        self,
        *,
        view: Literal["samples", "bounds", "accuracy"] = "samples",
        dark: bool = False,
    ) -> Figure:
        """Draw one of the views with matplotlib, without pyplot, with the provenance below.

        Parameters
        ----------
        view
            "samples" with their verdicts, the "bounds" of the largest margins, or the "accuracy"
            against the radius.
        dark
            Draw for a dark background.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ValueError
            If there is no such view.
        """
        with self._lock:
            figure = self._drawn(view, dark)
            note = self.provenance
        width = max(20, round(15 * figure.get_figwidth()))
        lines = [figure.get_suptitle(), *textwrap.wrap(note, width)]
        colour = "#ececec" if dark else "#1f1f1f"
        text = "\n".join(line for line in lines if line)
        figure.suptitle(text, fontsize=8, color=colour, parse_math=False)
        return figure

    def _drawn(self, view: str, dark: bool) -> Figure:
        if view == "samples":
            return super().to_figure(dark=dark)
        if view == "bounds":
            upper, lower = self._knowledge.tighten(*self._history.at(self.epsilon), self.epsilon)
            both = np.concatenate([upper, lower])
            finite = both[np.isfinite(both)]
            edges = bin_edges(finite, self.bins) if len(finite) else np.empty(0)
            return draw_histogram(
                edges,
                count_by_verdict(upper, self.verdicts, edges, "upper"),
                count_by_verdict(lower, self.verdicts, edges, "lower"),
                self.verdicts,
                self.epsilon,
                len(both) - len(finite),
                self.error,
                dark=dark,
            )
        if view == "accuracy":
            radii = [(self._certified, self._falsified, self._misclassified)]
            title = "radius ε (norm ∞)"
            return draw_curves(
                (self.method,), radii, self.epsilon, self.epsilon_max, title, dark=dark
            )
        raise ValueError(f"view must be 'samples', 'bounds' or 'accuracy'. Received: view={view!r}")

    def records(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{**record, "provenance": self.provenance} for record in super().records()]

    @abstractmethod
    def cancel(self) -> None:
        """Stop settling."""

    @abstractmethod
    def _ask_details(self) -> None:
        """Ask for what is shown of the selected sample alone."""

    @abstractmethod
    def _ask_replay(self) -> None:
        """Ask for the outputs of the model at the selected counterexample."""

    def _result_state(self) -> tuple[str, ...]:
        return (*super()._result_state(), *_STATE)

    def _forget(self) -> None:
        super()._forget()
        self._history = History.nothing(len(self.indices))
        self._assign_history()
        self._assign_replay(-1)
        self._assign(_margin_sample=-1, _margin_lower=(), _margin_upper=())
        self.cancel()
        self._assign(settle_note="")

    def _publish(self, outcome: Any) -> None:
        if self.comm is None or outcome.request.generation != self._generation:
            return
        self._take(outcome)

    @singledispatchmethod
    def _take(self, outcome: object) -> None:
        raise TypeError(f"Nothing that an explorer asks for: {outcome!r}")

    @_take.register
    def _(self, outcome: Outcome) -> None:
        request = outcome.request
        with self._one_change():
            self._publish_certified(outcome)
            whole = sum(len(f.verdicts) for _, f in outcome.findings) == len(self.indices)
            if whole and not outcome.error:
                upper = np.concatenate([found.upper for _, found in outcome.findings])
                lower = np.concatenate([found.lower for _, found in outcome.findings])
                self._history = self._history.add(request.epsilon, upper, lower)
                self._assign_history()
            self._assign(provenance=self._describe())
        if self.selected >= 0:
            self._ask_details()

    @_take.register
    def _(self, outcome: Margins) -> None:
        request = outcome.request
        if request.position != self.selected:
            return
        with self._one_change():
            if outcome.error:
                self._assign(error=outcome.error, _traceback=outcome.traceback)
            self._assign(
                _margin_sample=request.position,
                _margin_epsilon=request.epsilon,
                _margin_lower=outcome.lower.reshape(-1),
                _margin_upper=outcome.upper.reshape(-1),
            )

    @_take.register
    def _(self, outcome: Replay) -> None:
        if outcome.request.position != self.selected:
            return
        with self._one_change():
            if outcome.error:
                self._assign(error=outcome.error, _traceback=outcome.traceback)
                self._assign_replay(-1)
            else:
                self._assign_replay(outcome.request.position, outcome.found)

    @_take.register
    def _(self, outcome: Settled) -> None:
        if outcome.request is not self._settle_task:
            return  # cancelled
        request, total = outcome.request, len(outcome.request.positions)
        if outcome.findings is not None:
            problems = self._learn(outcome.position, outcome.findings, request.epsilon)
        else:
            problems = []
        if outcome.over:
            self._settle_task = None
            note = f"Settled: {outcome.done} of {total} samples tried at ε = {request.epsilon:g}."
        else:
            index = self.indices[outcome.position]
            note = f"Sample {index}: {outcome.done} of {total} done at ε = {request.epsilon:g}."
        with self._one_change():
            if outcome.error or problems:
                self._assign(
                    error=outcome.error or "\n".join(problems), _traceback=outcome.traceback
                )
            if outcome.findings is not None:
                self._take_bounds(outcome.position, outcome.findings, request.epsilon)
            self._assign(settling=not outcome.over, settle_done=outcome.done, settle_note=note)
            self._assign_knowledge()
            self._assign(provenance=self._describe())
        if outcome.findings is not None and outcome.position == self.selected:
            self._ask_details()

    @_take.register
    def _(self, outcome: Learned) -> None:
        request = outcome.request
        if request is not self._refine_task:
            return
        problems: list[str] = []
        if outcome.findings is not None:
            # Undecided elsewhere says nothing about the present epsilon.
            names = outcome.findings.verdicts
            decided = tuple(PENDING if name == UNKNOWN else name for name in names)
            known = replace(outcome.findings, verdicts=decided)
            problems = self._learn(outcome.start, known, outcome.epsilon)
        with self._one_change():
            if outcome.error or problems:
                self._assign(
                    error=outcome.error or "\n".join(problems), _traceback=outcome.traceback
                )
            done = range(outcome.start, outcome.start + outcome.refined)
            self._knowledge = self._knowledge.mark_refined(done)
            if outcome.findings is not None and np.ndim(outcome.epsilon) == 0:
                self._add_history(outcome.start, outcome.findings, float(outcome.epsilon))
            self._assign_knowledge()
            self._assign(refining=not outcome.over)
            if outcome.over:
                self._refine_task = None
        if self.selected >= 0 and self._adversarial_sample != self.selected:
            self._ask_replay()

    def _take_bounds(self, position: int, findings: Findings, epsilon: float) -> None:
        """Take over the bounds of one sample that was settled."""
        self._add_history(position, findings, epsilon)
        if epsilon != self.evaluated_epsilon:
            return
        upper, lower = self.upper.copy(), self.lower.copy()
        upper[position] = np.fmin(upper[position], findings.upper[0])
        lower[position] = np.fmax(lower[position], findings.lower[0])
        reasons = list(self.reasons)
        reasons[position] = findings.reasons[0]
        self._assign(upper=upper, lower=lower, reasons=tuple(reasons))

    def _add_history(self, start: int, findings: Findings, epsilon: float) -> None:
        n = len(self.indices)
        upper, lower = np.full(n, np.inf), np.full(n, -np.inf)
        part = slice(start, start + len(findings.verdicts))
        upper[part], lower[part] = findings.upper, findings.lower
        self._history = self._history.add(epsilon, upper, lower)
        self._assign_history()

    def _assign_history(self) -> None:
        self._assign(
            _history_epsilons=self._history.epsilons,
            _history_upper=self._history.upper.reshape(-1),
            _history_lower=self._history.lower.reshape(-1),
        )

    def _assign_replay(self, position: int, found: ReplayOutcome | None = None) -> None:
        """Show a counterexample and what the model makes of it, or none."""
        if found is None:
            self._shown_replay = None
            self._assign(
                _adversarial_sample=position,
                _adversarial_note="",
                _clean=(),
                _adversarial=(),
                _clean_logits=(),
                _adversarial_logits=(),
                _replayed=False,
            )
            return
        self._shown_replay = found.request
        confirmed = not found.refusal and len(found.adversarial) > 0
        self._assign(
            _adversarial_sample=position,
            _adversarial_note=found.refusal,
            _adversarial_epsilon=found.request.epsilon,
            _adversarial_distance=found.distance or 0.0,
            _clean=found.clean,
            _adversarial=found.adversarial if confirmed else (),
            _clean_logits=found.clean_outputs,
            _adversarial_logits=found.adversarial_outputs if confirmed else (),
            _outputs=found.outputs,
            _replayed=confirmed,
        )

    def _describe(self) -> str:
        """One line that says how the results came about."""
        name = getattr(self._network.keras_model, "name", type(self._model).__name__)
        if self._digest[0] != self._fingerprint:
            self._digest = self._fingerprint, self._network.digest()
        digest = self._digest[1]
        boxes = f", {self.n_sub_boxes} sub-boxes" if self.n_sub_boxes > 1 else ""
        tuned = ", optimised slopes" if self.finetune else ""
        clip = (
            "not clipped"
            if self.clip is None
            else f"clipped to [{self.clip[0]:g}, {self.clip[1]:g}]"
        )
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        return (
            f"decomon {version()}: {self.method}{tuned}{boxes}; L∞ balls {clip}; "
            f"{self._samples.x.dtype}; model {name}{digest and f' ({digest})'}; {now}"
        )
