"""A grid of images with the verdict of each one at the present epsilon."""

import math
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ._base import FigureWidget, static_file
from .arrays import ArrayTrait, FloatTrait, IndicesTrait, IntTrait
from .figures import draw_grid
from .jobs import Certify, Outcome, Request
from .knowledge import Findings, Knowledge
from .network import Network
from .runner import Runner
from .samples import Samples, check_clip, check_n_samples, draw_indices, next_seed
from .verdicts import PENDING, UNKNOWN, VERDICTS, summary

if TYPE_CHECKING:
    import keras

    from decomon.models import DecomonModel

__all__ = ["SampleGrid"]

_STATE = (
    "indices",
    "labels",
    "selected",
    "_images",
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
)


class SampleGrid(FigureWidget):
    """Images with their robustness verdicts, recomputed live when epsilon moves.

    Moving epsilon never blocks the kernel: a thread computes, and only the newest epsilon waits.
    Until its result is there, a sample shows the verdict that follows from earlier results (a proof
    holds for every smaller epsilon, a counterexample for every larger one), or "pending". When the
    model changes, for example by training, the next request forgets the results of the old one.

    Parameters
    ----------
    model
        The classifier: a Keras model, or a ``DecomonModel``. It is never modified.
    x
        Images of shape `(N, n)`, `(N, height, width)` or `(N, height, width, channels)` with 1 or 3
        channels, inside `clip`. Flat ones fit a model for images, and the reverse.
    y
        Labels: class indices of shape `(N,)`, or one-hot of shape `(N, classes)`.
    n_samples
        Number of images shown.
    columns
        Largest number of columns; a narrow page shows fewer.
    epsilon
        Radius of the perturbation: the domain of an image is ``clip(image ± epsilon)``.
    clip
        Smallest and largest value that an input may have, None for no limit.
    n_sub_boxes
        Number of pieces into which each domain is split; more are tighter and slower.
    seed
        Decides which samples are drawn; None draws at random.
    image_shape
        `(height, width)` or `(height, width, channels)` of one image, where it cannot be
        guessed from the shape of `x`.
    executor
        "thread" computes beside the kernel, "sync" inside of each assignment (for tests and
        scripts).
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    epsilon : float
        May be assigned, or linked to an :class:`EpsilonSlider` by ``link`` or ``jslink``.
    seed, indices
        Which samples are shown. Both may be assigned; `indices` are positions in `x`.
    selected : int
        Position of the selected image in the grid, -1 for none.
    verdicts : tuple of str
        Verdict of each image at `epsilon`: "robust", "non_robust", "unknown", "misclassified" or
        "pending".
    upper, lower : numpy.ndarray
        Bounds of the largest margin ``f_j - f_label`` over the domain, at `evaluated_epsilon`; NaN
        before the first result. A tighter bound that carries over from another epsilon is kept.
    evaluated_epsilon : float or None
        The epsilon of `upper`, `lower` and `elapsed`. It differs from `epsilon` while computing.
    labels, predictions : numpy.ndarray
        Class of each image, and the class the model gives to it (-1 before the first result).
    reasons : tuple of str
        Why an image is undecided, "" otherwise.
    elapsed : float
        Seconds the last complete result took.
    busy : bool
        Whether a result is on its way.
    error : str
        What went wrong with the last request, "" if nothing did.

    Raises
    ------
    ValueError
        If the data cannot be used; the message says why.
    traitlets.TraitError
        If a number is out of its range.

    Examples
    --------
    >>> grid = SampleGrid(model, x_test, y_test, epsilon=2 / 255, seed=0)
    >>> slider = EpsilonSlider()
    >>> jslink((slider, "value"), (grid, "epsilon"))
    """

    _esm = static_file("sample_grid.js")
    _css = static_file("sample_grid.css")

    epsilon = FloatTrait(0.0).tag(sync=True)
    columns = IntTrait(5).tag(sync=True)
    n_sub_boxes = IntTrait(1)
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

    _traceback = traitlets.Unicode("").tag(sync=True)
    _images = traitlets.Bytes(b"").tag(sync=True)
    _image_shape = TypedTuple(trait=traitlets.Int()).tag(sync=True)
    _certified = ArrayTrait(np.float64)
    _falsified = ArrayTrait(np.float64)
    _tried = ArrayTrait(np.float64)
    _misclassified = ArrayTrait(np.uint8)

    _runner: Runner | None = None

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
        image_shape: tuple[int, ...] | None = None,
        executor: Literal["thread", "sync"] = "thread",
        _certify: Certify | None = None,
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        if executor not in ("thread", "sync"):
            raise ValueError(
                f"executor must be 'thread' or 'sync'. Received: executor={executor!r}"
            )
        clip = check_clip(clip)
        self._network = Network.of(model)
        self._samples = Samples.check(
            x,
            y,
            image_shape,
            clip,
            input_shape=self._network.input_shape,
            n_classes=self._network.n_classes,
        )
        self._n_samples = check_n_samples(n_samples, len(self._samples))
        self._generation = 0
        self._newest = 0
        self._fingerprint = self._network.fingerprint()
        # Messages of the front end may arrive in another thread than cells run in.
        self._lock = threading.RLock()

        self.epsilon = epsilon
        self.columns = columns
        self.n_sub_boxes = n_sub_boxes
        self.seed = secrets.randbelow(2**31) if seed is None else seed
        self.indices = draw_indices(self.seed, len(self._samples), self._n_samples)
        self._image_shape = self._samples.image_shape
        self._load()
        super().__init__(**kwargs)

        self._runner = Runner(
            self._publish,
            self._lock,
            _certify or _default_certify(),
            model,
            self._network,
            clip,
            inline=executor == "sync",
        )
        self.observe(self._on_seed, "seed")
        self.observe(self._on_indices, "indices")
        self.observe(self._on_effort, "n_sub_boxes")
        self.observe(self._on_epsilon, "epsilon")
        self.on_msg(self._on_message)
        self._request()

    @property
    def n_samples(self) -> int:
        """Number of samples that `reset` draws."""
        return self._n_samples

    def reset(self) -> None:
        """Draw other samples: none of the present ones, as long as there are enough."""
        with self._lock:
            self.seed = next_seed(self.seed, len(self._samples), self._n_samples, self.indices)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the result of the newest request.

        Parameters
        ----------
        timeout
            At most this many seconds, None for no limit.

        Returns
        -------
        bool
            False if the time is over, or if called from an observer while publishing.
        """
        return self._runner is None or self._runner.wait(timeout)

    def close(self) -> None:
        """Stop computing and remove the views."""
        if self._runner is not None:
            self._runner.close()
        super().close()

    def to_figure(self, *, dark: bool = False) -> Figure:
        """Draw the grid with matplotlib, without pyplot.

        Parameters
        ----------
        dark
            Draw for a dark background.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return draw_grid(
            np.frombuffer(self._images, np.uint8).reshape(-1, *self._samples.image_shape),
            self.verdicts,
            self.labels,
            self.predictions,
            self.epsilon,
            self.columns,
            self.error,
            dark=dark,
        )

    def _summary(self) -> str:
        return summary("SampleGrid", self.epsilon, self.verdicts, self.error)

    # Traits that may be assigned

    @traitlets.validate("epsilon")
    def _check_epsilon(self, proposal: Any) -> float:
        value = proposal["value"]
        if not math.isfinite(value) or value < 0:
            raise traitlets.TraitError(
                f"epsilon must be a finite number >= 0. Received: epsilon={value!r}"
            )
        return value

    @traitlets.validate("columns", "n_sub_boxes")
    def _check_positive(self, proposal: Any) -> int:
        if proposal["value"] < 1:
            name = proposal["trait"].name
            raise traitlets.TraitError(f"{name} must be >= 1. Received: {name}={proposal['value']}")
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

    def _on_seed(self, _change: Any) -> None:
        self.indices = draw_indices(self.seed, len(self._samples), self._n_samples)

    def _on_indices(self, _change: Any) -> None:
        self._request()

    def _on_effort(self, _change: Any) -> None:
        with self._lock:
            self._knowledge = self._knowledge.forget_tried()
            self._request()

    def _on_epsilon(self, _change: Any) -> None:
        self._request()

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content == {"type": "reset"}:
            self.reset()

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

    def _load(self) -> None:
        """Take over new samples, of which nothing is known."""
        self._shown = self.indices
        # A copy: what is drawn is what is certified, whatever happens to the array of the user.
        self._inputs = self._samples.x[list(self.indices)]
        self._images = self._samples.pixels(self.indices).tobytes()
        self.selected = -1
        self._assign(labels=self._samples.labels[list(self.indices)])
        self._forget()

    def _forget(self) -> None:
        """Know nothing: the samples or the model are others."""
        n = len(self.indices)
        self._knowledge = Knowledge.nothing(n)
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
        if self.indices == self._shown and fingerprint == self._fingerprint:
            return
        self._generation += 1
        self._fingerprint = fingerprint
        if self.indices != self._shown:
            self._load()
        else:
            self._forget()

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
        )

    @contextmanager
    def _one_change(self) -> Iterator[None]:
        """Observers and the front end see all assignments inside as one consistent change."""
        try:
            with self.hold_sync(), self.hold_trait_notifications():
                yield
        except Exception:
            # An observer failed. The front end still gets the whole result.
            self.send_state(_STATE)
            raise

    def _publish(self, outcome: Outcome) -> None:
        if self.comm is None or outcome.generation != self._generation:
            return
        problems: list[str] = []
        for start, findings in outcome.findings:
            known = findings
            if outcome.n_sub_boxes != self.n_sub_boxes:
                # Undecided with another effort says nothing about this one.
                verdicts = tuple(PENDING if v == UNKNOWN else v for v in findings.verdicts)
                known = replace(findings, verdicts=verdicts)
            self._knowledge, contradictions = self._knowledge.learn(start, known, outcome.epsilon)
            problems += [f"Sample {self.indices[start + k]}: {text}" for k, text in known.problems]
            problems += [f"Sample {self.indices[k]}: {text}" for k, text in contradictions]
        with self._one_change():
            if outcome.model_changed:
                self._forget()
            self._assign_knowledge()
            if outcome.number == self._newest:
                self._assign_result(outcome, problems)

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
            outcome.epsilon,
        )
        self._assign(
            upper=upper,
            lower=lower,
            predictions=np.concatenate([part.predicted for part in parts]),
            reasons=tuple(reason for part in parts for reason in part.reasons),
            evaluated_epsilon=outcome.epsilon,
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
        )

    def _assign(self, **values: Any) -> None:
        for name, value in values.items():
            self.set_trait(name, value)


def _default_certify() -> Certify:
    from decomon.certify import certify  # takes seconds: not before there is a model

    return certify
