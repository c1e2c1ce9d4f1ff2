"""All views of the robustness of a model in one widget."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from ._base import static_file
from ._counterexamples import ReplayRequest
from ._explorer_state import ExplorerState
from .explorer_jobs import ExplorerDesk, MarginsTask, RefineTask, ReplayTask, SettleTask, Verify
from .history import History
from .jobs import Certify
from .margins import ClassMargins, check_methods
from .verdicts import UNKNOWN

if TYPE_CHECKING:
    import keras

    from decomon.models import DecomonModel

__all__ = ["METHODS", "RobustnessExplorer"]

METHODS = ("forward-ibp", "crown-forward-ibp", "crown-forward-hybrid", "crown")
"""From fast to tight."""

# Mailboxes of the worker: what is asked by hand goes first.
_MARGINS, _REPLAY, _SETTLE, _REFINE = 1, 2, 3, 4


@final
class RobustnessExplorer(ExplorerState):
    """Explore how robust a classifier is: slider, samples, bounds, margins, curve, counterexamples.

    While epsilon moves, the colours follow in the browser from two numbers for each sample: up to
    which radius it is proven robust, and from which on a counterexample is known. Both are searched
    for beside the kernel, which stays free; what the bounds leave open ("maybe robust"), "Settle"
    gives to :func:`decomon.verify_noise`. Nothing here is a guess: green is proven, red was
    replayed through the real model, orange is neither.

    Parameters
    ----------
    model
        The classifier: a Keras model, or a ``DecomonModel``, whose method is used as it is. It is
        never modified.
    x, y, n_samples, columns, epsilon, clip, n_sub_boxes, seed, image_shape, kind
        As for :class:`SampleGrid`.
    feature_names, class_names
        Names to show instead of numbers.
    epsilon_max
        Right end of the slider, and the largest radius that is searched for.
    epsilon_step
        Distance of the slider positions.
    method
        How bounds are computed at first: one of ``methods``.
    finetune
        Whether the slopes of the relaxations are optimised: tighter and slower.
    margin_methods
        Methods whose bounds of the margin of each class are shown.
    bins
        Number of bins aimed at in the histogram.
    refine
        Whether the radii are searched for while nothing else is to do.
    settle_timeout
        Seconds that "Settle" spends on one sample.
    executor
        "thread" computes beside the kernel, "sync" inside of each assignment (for tests, scripts
        and exported pages).
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    method, finetune, n_sub_boxes
        The present effort; may be assigned. What was proven or refuted with another one is kept.
    methods : tuple of str
        The methods that may be chosen, from fast to tight.
    settling, refining : bool
        Whether samples are verified completely, and whether radii are searched for.
    provenance : str
        One line that says how the results came about; part of every export.

    Raises
    ------
    ValueError
        If the data cannot be used; the message says why.
    traitlets.TraitError
        If a number is out of its range, or a method is unknown.

    Examples
    --------
    >>> explorer = RobustnessExplorer(model, x_test, y_test)
    >>> explorer.settle()
    >>> explorer.to_html("robustness.html")
    """

    _esm = static_file("explorer.js")
    _css = static_file("explorer.css")

    def __init__(
        self,
        model: "keras.Model | DecomonModel",
        x: ArrayLike,
        y: ArrayLike,
        n_samples: int = 10,
        columns: int = 5,
        epsilon: float = 0.0,
        clip: tuple[float, float] | None = (0.0, 1.0),
        n_sub_boxes: int = 1,
        seed: int | None = None,
        *,
        epsilon_max: float = 25 / 255,
        epsilon_step: float = 1e-4,
        method: str = "crown",
        finetune: bool = False,
        margin_methods: Sequence[str] = ("ibp", "crown"),
        bins: int = 20,
        refine: bool = True,
        settle_timeout: float = 30.0,
        image_shape: tuple[int, ...] | None = None,
        kind: Literal["image", "row", "signal"] | None = None,
        feature_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        executor: Literal["thread", "sync"] = "thread",
        _certify: Certify | None = None,
        _verify: Verify | None = None,
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        self._given_verify = _verify
        self._history = History.nothing(0)
        self._refined_for: tuple[object, ...] = ()
        self.epsilon_max = epsilon_max
        self.epsilon_step = epsilon_step
        self._assign(
            methods=_choices(model, method),
            margin_methods=check_methods(tuple(margin_methods)),
        )
        self.method = _chosen(model, method)
        self.finetune = finetune
        self.bins = bins
        self.refine = refine
        self.settle_timeout = settle_timeout
        super().__init__(
            model,
            x,
            y,
            n_samples=n_samples,
            columns=columns,
            epsilon=epsilon,
            clip=clip,
            n_sub_boxes=n_sub_boxes,
            seed=seed,
            image_shape=image_shape,
            kind=kind,
            feature_names=feature_names,
            class_names=class_names,
            executor=executor,
            certify=_certify,
            **kwargs,
        )
        self.set_trait("_input_shape", self._network.input_shape or ())
        self.observe(self._on_effort, ["method", "finetune"])
        self.observe(self._on_refine, ["refine", "epsilon_max"])
        self.observe(self._on_selected, ["selected", "epsilon"])
        self._ask_refinement()

    def _desk(self, certify: Certify) -> ExplorerDesk:
        from decomon import verify_noise

        return ExplorerDesk(
            certify,
            self._given_verify or verify_noise,
            ClassMargins(self._model),
            self._model,
            self._network,
            self._clip,
        )

    def settle(self, positions: Sequence[int] | None = None) -> None:
        """Decide samples completely, one after the other, at the present epsilon.

        Results are shown as they come; `cancel` stops, and what is known by then is kept.

        Parameters
        ----------
        positions
            Of the samples in the grid; by default all that are undecided.

        Raises
        ------
        ValueError
            If there is no such sample.
        """
        with self._lock:
            runner = self._runner
            if runner is None or runner.closed:
                return
            if positions is None:
                chosen = tuple(k for k, v in enumerate(self.verdicts) if v == UNKNOWN)
            else:
                chosen = tuple(int(k) for k in positions)
            size = len(self.indices)
            if not all(0 <= k < size for k in chosen):
                raise ValueError(
                    f"positions must be those of samples in the grid, from 0 to {size - 1}. "
                    f"Received: positions={positions!r}"
                )
            self.cancel()
            if not chosen:
                self._assign(settle_note="Nothing to settle: no sample is undecided.")
                return
            task = SettleTask(
                self._generation,
                self._fingerprint,
                chosen,
                self._inputs[list(chosen)],
                self.labels[list(chosen)],
                self.epsilon,
                self.settle_timeout,
            )
            self._settle_task = task
            with self._one_change():
                self._assign(settling=True, settle_done=0, settle_total=len(chosen))
                self._assign(settle_note=f"Settling {_count(len(chosen))} at ε = {self.epsilon:g}.")
        runner.submit(task, _SETTLE)

    def cancel(self) -> None:
        """Stop settling; what is known is kept."""
        with self._lock:
            task, self._settle_task = self._settle_task, None
            if task is None:
                return
            task.cancelled.set()
            if self._runner is not None:
                self._runner.withdraw(_SETTLE)
            done, total = self.settle_done, self.settle_total
            self._assign(settling=False, settle_note=f"Cancelled after {done} of {total} samples.")

    def close(self) -> None:
        """Stop computing and remove the views."""
        for task in (self._settle_task, self._refine_task):
            if task is not None:
                task.cancelled.set()
        super().close()

    # Traits that may be assigned

    @traitlets.validate("epsilon")
    def _check_epsilon(self, proposal: Any) -> float:
        value = proposal["value"]
        if not 0 <= value <= self.epsilon_max:
            raise traitlets.TraitError(
                f"epsilon must be from 0 to epsilon_max={self.epsilon_max:g}. "
                f"Received: epsilon={value!r}"
            )
        return value

    @traitlets.validate("epsilon_max", "epsilon_step", "settle_timeout")
    def _check_positive(self, proposal: Any) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        if not (math.isfinite(value) and value > 0):
            raise traitlets.TraitError(
                f"{name} must be a finite number > 0. Received: {name}={value!r}"
            )
        return value

    @traitlets.validate("bins")
    def _check_bins(self, proposal: Any) -> int:
        if proposal["value"] < 1:
            raise traitlets.TraitError(f"bins must be >= 1. Received: bins={proposal['value']}")
        return proposal["value"]

    @traitlets.validate("method")
    def _check_method(self, proposal: Any) -> str:
        if proposal["value"] not in self.methods:
            raise traitlets.TraitError(
                f"method must be one of {', '.join(self.methods)}. "
                f"Received: method={proposal['value']!r}"
            )
        return proposal["value"]

    @traitlets.observe("epsilon_max")
    def _move_into_range(self, _change: Any) -> None:
        self.epsilon = min(self.epsilon, self.epsilon_max)

    def _on_refine(self, _change: Any) -> None:
        self._refined_for = ()
        self._ask_refinement()

    def _on_selected(self, _change: Any) -> None:
        self._ask_details()

    def _on_message(self, widget: Any, content: Any, buffers: Any) -> None:
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "settle":
            self.settle()
        elif kind == "cancel":
            self.cancel()
        else:
            super()._on_message(widget, content, buffers)

    # Requests

    def _effort(self) -> tuple[object, ...]:
        return self.method, self.finetune

    def _request(self) -> None:
        super()._request()
        self._ask_refinement()

    def _ask_refinement(self) -> None:
        """Search for the radii of new samples, of a new model, or with a new effort."""
        runner = self._runner
        if runner is None or runner.closed:
            return
        with self._lock:
            if not self.refine:
                self._stop_refining()
                return
            wanted = (self._generation, self._effort(), self.n_sub_boxes, self.epsilon_max)
            if wanted == self._refined_for:
                return
            self._stop_refining()
            self._refined_for = wanted
            task = RefineTask(
                self._generation,
                self._fingerprint,
                self._inputs,
                self.labels,
                self._knowledge.certified,
                self._knowledge.falsified,
                self.epsilon_max,
                max(self.epsilon_max / 500, 1e-9),
                self.n_sub_boxes,
                self._effort(),
            )
            self._refine_task = task
            self._assign(refining=True)
        runner.submit(task, _REFINE)

    def _stop_refining(self) -> None:
        task, self._refine_task = self._refine_task, None
        self._refined_for = ()
        if task is not None:
            task.cancelled.set()
        self._assign(refining=False)

    def _ask_details(self) -> None:
        """Bound the margins of the selected sample, and run the model on its counterexample."""
        runner, position = self._runner, self.selected
        if runner is None or runner.closed or not 0 <= position < len(self.indices):
            return
        with self._lock:
            margins = MarginsTask(
                self._generation,
                self._fingerprint,
                position,
                self._inputs[position],
                int(self.labels[position]),
                self.epsilon,
                self.margin_methods,
            )
        runner.submit(margins, _MARGINS)
        self._ask_replay()

    def _ask_replay(self) -> None:
        """Run the model on the counterexample of the selected sample."""
        runner = self._runner
        if runner is None or runner.closed or not 0 <= self.selected < len(self.indices):
            return
        with self._lock:
            task = self._replay_task(self.selected)
        if task is not None:
            runner.submit(task, _REPLAY)

    def _replay_task(self, position: int) -> ReplayTask | None:
        """Return what is to be run for a sample; None if that is shown already, or if none is."""
        point = self.counterexample(position)
        if point is None:
            self._assign_replay(-1)
            return None
        shown = self._shown_replay
        if shown is not None and self._adversarial_sample == position:
            known = shown.point
            if known is not None and np.array_equal(known, point):
                return None
        asked = ReplayRequest(
            0,
            self.indices[position],
            self._inputs[position],
            point,
            int(self.labels[position]),
            float(self._falsified[position]),
            self._clip,
        )
        return ReplayTask(self._generation, self._fingerprint, position, asked)


def _count(n: int) -> str:
    return f"{n} sample" if n == 1 else f"{n} samples"


def _chosen(model: Any, method: str) -> str:
    """Return the full name of a method; a ``DecomonModel`` has its own."""
    from decomon.conversion import method_named
    from decomon.models import DecomonModel

    return (
        model.verifier.method.name if isinstance(model, DecomonModel) else method_named(method).name
    )


def _choices(model: Any, method: str) -> tuple[str, ...]:
    """Return the methods that may be chosen, from fast to tight."""
    from decomon.models import DecomonModel

    name = _chosen(model, method)
    if isinstance(model, DecomonModel):
        return (name,)
    return METHODS if name in METHODS else (*METHODS, name)
