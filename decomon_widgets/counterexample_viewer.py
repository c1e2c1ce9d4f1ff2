"""A misclassified point beside the clean input that it is near to."""

import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ._base import static_file
from ._computing import ComputingWidget
from ._counterexamples import ReplayDesk, ReplayOutcome, ReplayRequest, check_point
from ._figures_counterexample import draw_counterexample
from ._follow import follow
from ._kinds import check_kind, value_range
from ._live_curve import check_executor
from ._live_samples import LiveSamples
from .arrays import ArrayTrait
from .network import Network
from .runner import Runner
from .samples import check_names
from .verdicts import ROBUST

if TYPE_CHECKING:
    import keras

    from decomon.models import DecomonModel

__all__ = ["CounterexampleViewer"]

_SOURCE_TRAITS = (
    "selected",
    "indices",
    "epsilon",
    "verdicts",
    "_falsified",
    "class_names",
    "feature_names",
)
_NO_SAMPLE = "No sample is selected: choose one to see its counterexample."


class CounterexampleViewer(ComputingWidget):
    """The clean input, the perturbation and the misclassified point, with what the model says.

    Nothing is shown as a counterexample that was not replayed: the point lies in the domain, as
    decomon's own domain says, and the real Keras model was run on it and gives another class than
    the label. Otherwise a note says why there is none.

    Parameters
    ----------
    source
        A :class:`SampleGrid` or :class:`RobustnessExplorer`, whose selected sample is shown; or a
        Keras model or ``DecomonModel``. It is never modified.
    x, adversarial
        With a model: one clean input and the point, of the shape of one input of the model, or
        flat; a batch of one will do.
    label
        With a model: the true class of `x`.
    epsilon
        With a model: radius of the domain ``clip(x ± epsilon)`` that the point must lie in.
    clip
        With a model: smallest and largest value that an input may have, None for no limit.
    kind, image_shape
        With a model: how an input is drawn, as of :class:`SampleGrid`.
    class_names, feature_names
        With a model: names of the classes and of the values of a row.
    amplification
        How strongly the perturbation is amplified, from 1; None for as much as fits the scale.
    executor
        "thread" runs the model beside the kernel, "sync" inside of each change (for tests and
        scripts).
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    replayed : bool
        Whether a counterexample is shown.
    sample : int
        Its position in the data of the source, -1 if there is none.
    label : int
        The true class.
    epsilon : float
        Radius of the domain in which the point was replayed.
    present_epsilon : float or None
        The present epsilon of the source.
    distance : float or None
        Largest change of a value, None if there is no counterexample.
    amplification : float or None
        May be assigned.
    note : str
        Why there is no counterexample, "" if there is one.
    error : str
        What went wrong, "" if nothing did.

    Raises
    ------
    TypeError, ValueError
        If the arguments do not fit together; the message says why.
    traitlets.TraitError
        If `amplification` is not a number from 1.

    Examples
    --------
    >>> viewer = CounterexampleViewer(grid)  # follows the selected sample
    >>> found = decomon.attack_noise(model, x[:1], 0.05, y[:1], clip=(0, 1))
    >>> CounterexampleViewer(model, x[0], found.points[0], y[0], epsilon=0.05)
    """

    _esm = static_file("counterexample_viewer.js")
    _css = static_file("counterexample_viewer.css")

    sample = traitlets.Int(-1, read_only=True).tag(sync=True)
    label = traitlets.Int(-1, read_only=True).tag(sync=True)
    epsilon = traitlets.Float(0.0, read_only=True).tag(sync=True)
    present_epsilon = traitlets.Float(None, allow_none=True, read_only=True).tag(sync=True)
    distance = traitlets.Float(None, allow_none=True, read_only=True).tag(sync=True)
    replayed = traitlets.Bool(False, read_only=True).tag(sync=True)
    amplification = traitlets.Float(None, allow_none=True).tag(sync=True)
    note = traitlets.Unicode("", read_only=True).tag(sync=True)
    error = traitlets.Unicode("", read_only=True).tag(sync=True)
    class_names = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    feature_names = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    replaying = traitlets.Bool(False, read_only=True).tag(sync=True)

    _traceback = traitlets.Unicode("").tag(sync=True)
    _kind = traitlets.Unicode("image").tag(sync=True)
    _image_shape = TypedTuple(trait=traitlets.Int()).tag(sync=True)
    _input_shape = TypedTuple(trait=traitlets.Int()).tag(sync=True)
    _value_range = ArrayTrait(np.float64)
    _clean = ArrayTrait(np.float64)
    _adversarial = ArrayTrait(np.float64)
    _clean_logits = ArrayTrait(np.float64)
    _adversarial_logits = ArrayTrait(np.float64)
    _outputs = traitlets.Unicode("").tag(sync=True)

    _source: LiveSamples | None = None
    _leave: "Callable[[], None] | None" = None

    def __init__(
        self,
        source: "LiveSamples | keras.Model | DecomonModel",
        x: ArrayLike | None = None,
        adversarial: ArrayLike | None = None,
        label: int | None = None,
        *,
        epsilon: float | None = None,
        clip: tuple[float, float] | None = (0.0, 1.0),
        kind: Literal["image", "row", "signal"] | None = None,
        image_shape: tuple[int, ...] | None = None,
        class_names: tuple[str, ...] = (),
        feature_names: tuple[str, ...] = (),
        amplification: float | None = None,
        executor: Literal["thread", "sync"] = "thread",
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        check_executor(executor)
        given = {"x": x, "adversarial": adversarial, "label": label, "epsilon": epsilon}
        self._newest = 0
        self._asked: tuple[object, ...] = ()
        self._lock = threading.RLock()
        self.amplification = amplification
        first: ReplayRequest | None = None
        if isinstance(source, LiveSamples):
            extra = [name for name, value in given.items() if value is not None]
            if extra:
                raise TypeError(
                    "With a grid or an explorer, the selected sample is shown: leave out "
                    f"{', '.join(extra)}. Received: source={type(source).__name__}, "
                    f"{', '.join(extra)}"
                )
            model: Any = source.model
            self._take_drawing(source)
        else:
            missing = [name for name, value in given.items() if value is None]
            if missing:
                raise TypeError(
                    "CounterexampleViewer needs a SampleGrid or a RobustnessExplorer, or a model "
                    "with x, adversarial, label and epsilon. "
                    f"Received: source={type(source).__name__}, without {', '.join(missing)}"
                )
            model = source
            first = check_point(model, given, clip)
            self._decide_drawing(model, first, np.shape(np.asarray(x)), kind, image_shape)
            n_classes, size = Network.of(model).n_classes, math.prod(self._image_shape)
            self.set_trait("class_names", check_names(class_names, n_classes, "class_names"))
            names = check_names(feature_names, size, "feature_names") if feature_names else ()
            self.set_trait("feature_names", names)
        self._input_shape = Network.of(model).input_shape or ()
        super().__init__(**kwargs)
        desk = ReplayDesk(model)
        self._runner = Runner(self._publish, self._lock, desk, inline=executor == "sync")
        if isinstance(source, LiveSamples):
            self._source = source
            self._leave = follow(source, _SOURCE_TRAITS, self._on_source)
            self._on_source()
        elif first is not None:
            self._submit(first)

    def records(self) -> list[dict[str, Any]]:
        """One row for each class, for tables: ``pandas.DataFrame(widget.records())``.

        Returns
        -------
        list of dict
            With ``class, name, label`` (whether it is the label), ``clean`` and ``adversarial``
            (outputs of the model, None if they are not known) and ``difference``.
        """
        clean, found = self._clean_logits, self._adversarial_logits
        return [
            {
                "class": k,
                "name": self.class_names[k] if k < len(self.class_names) else str(k),
                "label": k == self.label,
                "clean": float(clean[k]),
                "adversarial": float(found[k]) if len(found) else None,
                "difference": float(found[k] - clean[k]) if len(found) else None,
            }
            for k in range(len(clean))
        ]

    def point(self) -> "np.ndarray[Any, Any] | None":
        """The counterexample in the shape of one input of the model, None if there is none."""
        return self._adversarial.reshape(self._input_shape) if self.replayed else None

    def close(self) -> None:
        """Stop computing, leave the source and remove the views."""
        if self._leave is not None:
            self._leave()
        super().close()

    def to_figure(self, *, dark: bool = False) -> Figure:
        """Draw the newest result with matplotlib, without pyplot; waits for it if necessary.

        Parameters
        ----------
        dark
            Draw for a dark background.

        Returns
        -------
        matplotlib.figure.Figure
        """
        self.wait()
        return draw_counterexample(
            self._clean,
            self._adversarial,
            (self._clean_logits, self._adversarial_logits),
            kind=self._kind,
            shape=cast("tuple[int, int, int]", self._image_shape),
            value_range=self._value_range,
            label=self.label,
            factor=self.amplification,
            names=self.class_names,
            meaning=self._outputs,
            text=f"{self._summary()}\nError: {self.error}" if self.error else self._summary(),
            dark=dark,
        )

    def _summary(self) -> str:
        if not self.replayed:
            return self.note or "No counterexample is shown."
        which = f" of sample {self.sample}" if self.sample >= 0 else ""
        return (
            f"Counterexample{which}, replayed through the real model: label "
            f"{self._class(self.label)}, predicted {self._class(self._adversarial_logits.argmax())}"
            f", L∞ distance {self.distance:.4g}, inside the domain of radius {self.epsilon:.4g}"
        )

    def _class(self, k: int) -> str:
        return self.class_names[k] if k < len(self.class_names) else str(k)

    @traitlets.validate("amplification")
    def _check_amplification(self, proposal: Any) -> float | None:
        value = proposal["value"]
        if value is not None and not (math.isfinite(value) and value >= 1):
            raise traitlets.TraitError(
                "amplification must be a finite number from 1, or None for as much as fits. "
                f"Received: amplification={value!r}"
            )
        return value

    def _decide_drawing(
        self,
        model: Any,
        request: ReplayRequest,
        given: tuple[int, ...],
        kind: str | None,
        image_shape: tuple[int, ...] | None,
    ) -> None:
        """Choose how inputs of a model are drawn; `given` is the shape of the clean one."""
        wanted = Network.of(model).input_shape
        shape = given[1:] if len(given) > 1 and given[0] == 1 else given
        self._kind, self._image_shape = check_kind(shape, wanted, kind, image_shape)
        points = [request.x] if request.point is None else [request.x, request.point]
        both = np.stack(points).astype(np.float64)
        self._value_range = value_range(both, self._kind, request.clip)

    def _take_drawing(self, source: LiveSamples) -> None:
        """Draw inputs as the source does."""
        samples = source.samples
        self._kind = samples.kind
        self._image_shape = samples.image_shape
        self._value_range = samples.value_range

    def _on_source(self, _change: Any = None) -> None:
        source = self._source
        if source is None or self.comm is None:
            return
        with self._lock:
            self.set_trait("class_names", source.class_names)
            self.set_trait("feature_names", source.feature_names)
            self.set_trait("present_epsilon", source.epsilon)
            position = source.selected
            if not 0 <= position < len(source.indices):
                self._asked = ()
                self._newest += 1
                self._show_nothing(_NO_SAMPLE)
                return
            self._ask_about(source, position)

    def _ask_about(self, source: LiveSamples, position: int) -> None:
        index, label = source.indices[position], int(source.labels[position])
        try:
            point = source.counterexample(position)
        except IndexError:  # the samples are being changed; another change follows
            return
        why = "" if point is not None else _why_none(source, position)
        key = (index, label, None if point is None else point.tobytes(), why)
        if key == self._asked:
            return
        self._asked = key
        radius = float(source._falsified[position]) if point is not None else source.epsilon
        x = source.samples.x[index]
        self._submit(
            ReplayRequest(self._newest + 1, index, x, point, label, radius, source.clip, why)
        )

    def _submit(self, request: ReplayRequest) -> None:
        if self._runner is None or self._runner.closed:
            return
        self._newest = request.number
        self.set_trait("replaying", True)
        self._runner.submit(request)

    def _show_nothing(self, note: str) -> None:
        empty = {f"_{name}": () for name in ("clean", "adversarial", "clean_logits")}
        self._assign(
            sample=-1,
            label=-1,
            distance=None,
            replayed=False,
            replaying=False,
            note=note,
            error="",
            _traceback="",
            _adversarial_logits=(),
            **empty,
        )

    def _publish(self, outcome: ReplayOutcome) -> None:
        request = outcome.request
        # An older result is about another sample or about a point that is no longer known.
        if self.comm is None or request.number != self._newest:
            return
        proven = len(outcome.adversarial) > 0
        self._assign(
            sample=request.sample,
            label=request.label,
            epsilon=request.epsilon,
            distance=outcome.distance,
            replayed=proven,
            replaying=False,
            note="" if proven or outcome.error else outcome.refusal,
            error=outcome.error,
            _traceback=outcome.traceback,
            _clean=outcome.clean,
            _adversarial=outcome.adversarial,
            _clean_logits=outcome.clean_outputs,
            _adversarial_logits=outcome.adversarial_outputs,
            _outputs=outcome.outputs,
        )

    def _assign(self, **values: Any) -> None:
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in values.items():
                self.set_trait(name, value)


def _why_none(source: LiveSamples, position: int) -> str:
    """Why no counterexample of a sample is known."""
    index = source.indices[position]
    if source.verdicts[position] == ROBUST:
        return (
            f"Sample {index} is proven robust at ε = {source.epsilon:.4g}: there is no "
            "counterexample within that distance, and none is known farther away."
        )
    return f"No counterexample of sample {index} is known."
