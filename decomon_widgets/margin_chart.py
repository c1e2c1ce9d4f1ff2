"""Chart of the margin of every class of one sample, bounded by several methods."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, SupportsIndex

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ._base import static_file
from ._computing import ComputingWidget
from ._figures_margins import draw_margins
from ._follow import follow
from ._given_bounds import GivenBounds
from ._live_samples import LiveSamples
from ._margin_jobs import MarginDesk, MarginOutcome, MarginRequest
from .arrays import ArrayTrait
from .margin_view import best_margins
from .margins import ClassMargins, check_methods
from .network import Network
from .runner import Runner
from .verdicts import VERDICTS

__all__ = ["MarginChart"]

# With more classes, those that matter most come first.
_MANY = 20


class MarginChart(ComputingWidget):
    """Proven bounds of ``f_j - f_label`` for every class j of the selected sample.

    Where the whole interval is left of zero, class j never wins over the label: if that holds for
    all classes, the sample is robust. Where it is right of zero, class j always wins. Several
    methods are drawn over one another, each with its colour, dash and marker. The bounds are
    computed beside the kernel whenever another sample is selected or epsilon moves; only the newest
    request waits, and no result of an older one is shown.

    Parameters
    ----------
    source
        The widget whose selected sample and epsilon are followed.
    methods
        Names of one or more methods, as for :func:`decomon.clone`.
    order
        "index" (by class) or "upper" (the class that comes nearest to the label, or beats it by
        most, first); by default "index" up to 20 classes.
    executor
        "thread" computes beside the kernel, "sync" inside of each assignment (for tests and
        scripts).
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    methods : tuple of str
        May be assigned.
    order : str
        May be assigned.
    lower, upper : numpy.ndarray
        Bounds of the margins of logits, of shape `(methods, classes)`, at `evaluated_epsilon`; no
        classes before the first result.
    sample : int
        Position of the sample in the data, -1 for none.
    label : int
        Its class.
    verdict : str
        Its verdict at `epsilon`, "" if it is not known.
    epsilon, evaluated_epsilon : float or None
        The epsilon of the source, and that of the bounds.
    elapsed : float
        Seconds the bounds took.
    busy : bool
        Whether bounds are on their way.
    error : str
        What went wrong with the last request, "" if nothing did.

    Raises
    ------
    TypeError
        If the source is neither a :class:`SampleGrid` nor a :class:`RobustnessExplorer`.
    ValueError
        If a method is unknown.

    Examples
    --------
    >>> chart = MarginChart(grid, methods=("ibp", "crown"))
    >>> grid.selected = 0
    >>> chart.records()
    """

    _esm = static_file("margin_chart.js")
    _css = static_file("margin_chart.css")

    methods = TypedTuple(trait=traitlets.Unicode()).tag(sync=True)
    order = traitlets.Enum(("index", "upper"), "index").tag(sync=True)
    label = traitlets.Int(-1, read_only=True).tag(sync=True)
    sample = traitlets.Int(-1, read_only=True).tag(sync=True)
    verdict = traitlets.Unicode("", read_only=True).tag(sync=True)
    class_names = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    epsilon = traitlets.Float(None, allow_none=True, read_only=True).tag(sync=True)
    evaluated_epsilon = traitlets.Float(None, allow_none=True, read_only=True).tag(sync=True)
    elapsed = traitlets.Float(0.0, read_only=True).tag(sync=True)
    busy = traitlets.Bool(False, read_only=True).tag(sync=True)
    error = traitlets.Unicode("", read_only=True).tag(sync=True)
    _traceback = traitlets.Unicode("").tag(sync=True)
    _lower = ArrayTrait(np.float64)
    _upper = ArrayTrait(np.float64)

    _source: LiveSamples | None = None

    def __init__(
        self,
        source: LiveSamples,
        methods: Sequence[str] = ("ibp", "crown"),
        order: Literal["index", "upper"] | None = None,
        *,
        executor: Literal["thread", "sync"] = "thread",
        _given: GivenBounds | None = None,
        _margins: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        if executor not in ("thread", "sync"):
            raise ValueError(
                f"executor must be 'thread' or 'sync'. Received: executor={executor!r}"
            )
        self._newest = 0
        self._asked: tuple[object, ...] = ()
        if _given is not None:
            self.methods = _given.methods
            self._show_given(_given)
            self.order = order or _usual_order(_given.lower.shape[1])
            super().__init__(**kwargs)
            return
        if not isinstance(source, LiveSamples):
            raise TypeError(
                "source must be a SampleGrid or a RobustnessExplorer; for given arrays, use "
                f"MarginChart.of_bounds. Received: source={source!r}"
            )
        self.methods = check_methods(methods)
        network = Network.of(source.model)
        self.order = order or _usual_order(network.n_classes or 0)
        self.set_trait("class_names", source.class_names)
        super().__init__(**kwargs)
        self._source = source
        # The lock of the source: with one of its own, each could wait for the other.
        self._lock = source._lock
        self._runner = Runner[MarginRequest, MarginOutcome](
            self._publish,
            self._lock,
            MarginDesk(_margins or ClassMargins(source.model), network, source.clip),
            inline=executor == "sync",
        )
        self._unfollow = follow(
            source, ("selected", "epsilon", "indices", "labels", "verdicts"), self._on_source
        )
        self._unfollow_reset = follow(source, ("evaluated_epsilon",), self._on_forgotten)
        self.observe(self._on_methods, "methods")
        self._request()

    @classmethod
    def of_bounds(
        cls,
        lower: ArrayLike,
        upper: ArrayLike,
        methods: Sequence[str],
        label: SupportsIndex,
        *,
        epsilon: float | None = None,
        sample: int = -1,
        verdict: str = "",
        class_names: Sequence[str] = (),
        order: Literal["index", "upper"] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Show given bounds, without any model.

        Parameters
        ----------
        lower, upper
            Bounds of ``f_j - f_label``, of shape `(methods, classes)`, or `(classes,)` for one
            method. NaN where nothing is known; infinite ends are unbounded.
        methods
            What each row is called.
        label
            The class that must win.
        epsilon
            Radius of the perturbation, if it is to be shown.
        sample
            Number of the sample, if it is to be shown.
        verdict
            Its verdict, if it is to be shown: "robust", "non_robust", "unknown", "misclassified" or
            "pending".
        class_names
            Of all classes; their numbers by default.
        order, **kwargs
            As for the widget itself.

        Returns
        -------
        MarginChart

        Raises
        ------
        ValueError
            If the arrays do not fit one another.

        Examples
        --------
        >>> lower, upper = class_margins(model, x[0], y[0], 2 / 255)
        >>> MarginChart.of_bounds(lower, upper, ("ibp", "crown"), y[0], epsilon=2 / 255)
        """
        given = GivenBounds.of(
            lower,
            upper,
            methods,
            label,
            epsilon=epsilon,
            sample=sample,
            verdict=verdict,
            class_names=class_names,
        )
        no_source: Any = None
        return cls(no_source, given.methods, order, _given=given, **kwargs)

    @property
    def lower(self) -> NDArray[np.float64]:
        """Lower bounds, of shape `(methods, classes)`."""
        return self._lower.reshape(len(self.methods), -1)

    @property
    def upper(self) -> NDArray[np.float64]:
        """Upper bounds, of shape `(methods, classes)`."""
        return self._upper.reshape(len(self.methods), -1)

    def close(self) -> None:
        """Stop computing, leave the source and remove the views."""
        if self._runner is not None:
            self._unfollow()
            self._unfollow_reset()
        super().close()

    def records(self) -> list[dict[str, Any]]:
        """Return what is known of each class, as one dict of plain values each.

        Returns
        -------
        list of dict
            With the keys "class", "name", "is_label", "standing" ("label", "excluded", "wins",
            "open" or "unbounded") and, for each method, "lower_METHOD" and "upper_METHOD"; empty
            before the first result.
        """
        lower, upper = self.lower, self.upper
        return [
            {
                "class": margin.index,
                "name": self._name(margin.index),
                "is_label": margin.index == self.label,
                "standing": margin.standing,
                **{
                    f"{side}_{method}": float(bounds[row, margin.index])
                    for row, method in enumerate(self.methods)
                    for side, bounds in (("lower", lower), ("upper", upper))
                },
            }
            for margin in best_margins(lower, upper, self.label)
        ]

    def to_figure(self, *, dark: bool = False) -> Figure:
        """Draw the chart with matplotlib, without pyplot.

        Parameters
        ----------
        dark
            Draw for a dark background.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return draw_margins(
            self.lower,
            self.upper,
            self.methods,
            self.label,
            [self._name(k) for k in range(self.lower.shape[1])],
            self.order,
            self._heading(),
            self.error,
            dark=dark,
        )

    def _name(self, index: int) -> str:
        return self.class_names[index] if self.class_names else str(index)

    def _heading(self) -> str:
        known = self.evaluated_epsilon
        parts = [
            f"sample {self.sample}" if self.sample >= 0 else "",
            f"label {self._name(self.label)}" if self.label >= 0 else "",
            "" if known is None else f"ε = {known:.4f}",
            VERDICTS[self.verdict].title if self.verdict and known == self.epsilon else "",
        ]
        return ", ".join(part for part in parts if part)

    def _summary(self) -> str:
        text = f"MarginChart: {self._heading() or 'no sample selected'}"
        margins = best_margins(self.lower, self.upper, self.label)
        counts = [
            f"{sum(m.standing == standing for m in margins)} {words}"
            for standing, words in (("excluded", "excluded"), ("wins", "win"), ("open", "open"))
        ]
        text += f" ({', '.join(counts)} of {len(margins) - 1} classes)" if margins else ""
        return text + (f". Error: {self.error}" if self.error else "")

    # Traits that may be assigned

    @traitlets.validate("methods")
    def _check_methods(self, proposal: Any) -> tuple[str, ...]:
        if self._source is None:
            rows = len(self.methods)
            if rows and len(proposal["value"]) != rows:
                raise traitlets.TraitError(
                    f"methods must name the {rows} rows of the given bounds. "
                    f"Received: methods={proposal['value']!r}"
                )
            return proposal["value"]
        try:
            methods = check_methods(proposal["value"])
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None
        # Before the names change: nobody may read the old rows by the new names.
        self._forget()
        return methods

    def _on_methods(self, _change: Any) -> None:
        with self._lock:
            self._request()

    def _on_source(self, _change: Any) -> None:
        with self._lock:
            if self._current() != self._asked:
                self._request()
            else:
                self._assign(verdict=self._source_verdict())

    def _on_forgotten(self, change: Any) -> None:
        # The source forgets its results when the model is another one; then these are old, too.
        if change["new"] is None:
            with self._lock:
                self._forget()
                self._request()

    # Requests and results

    def _position(self) -> int:
        """Position of the sample in the source, -1 for none."""
        source = self._source
        if source is None or not 0 <= source.selected < len(source.labels):
            return -1
        return source.selected

    def _current(self) -> tuple[object, ...]:
        """Return what the bounds are to be about."""
        source, position = self._source, self._position()
        if source is None or position < 0:
            return ()
        return source.indices[position], int(source.labels[position]), source.epsilon

    def _source_verdict(self) -> str:
        source, position = self._source, self._position()
        if source is None or not 0 <= position < len(source.verdicts):
            return ""
        return str(source.verdicts[position])

    def _request(self) -> None:
        source, runner = self._source, self._runner
        if source is None or runner is None or runner.closed:
            return
        with self._lock:
            self._newest += 1
            number = self._newest
            self._asked = self._current()
            position = self._position()
            sample = source.indices[position] if position >= 0 else -1
            label = int(source.labels[position]) if position >= 0 else -1
            with self.hold_sync(), self.hold_trait_notifications():
                if self.sample != sample:
                    self._forget()
                self._assign(
                    sample=sample,
                    label=label,
                    epsilon=source.epsilon,
                    verdict=self._source_verdict(),
                    busy=position >= 0,
                    error="",
                    _traceback="",
                )
            if position < 0:
                return
            x = source.samples.x[sample]
            runner.submit(MarginRequest(number, sample, x, label, source.epsilon, self.methods))

    def _publish(self, outcome: MarginOutcome) -> None:
        if self.comm is None or outcome.request.number != self._newest:
            return
        with self.hold_sync(), self.hold_trait_notifications():
            if outcome.error:
                self._forget()
            else:
                self._assign(
                    _lower=outcome.lower.ravel(),
                    _upper=outcome.upper.ravel(),
                    evaluated_epsilon=outcome.request.epsilon,
                )
            self._assign(
                busy=False,
                elapsed=outcome.elapsed,
                error=outcome.error,
                _traceback=outcome.traceback,
            )

    def _forget(self) -> None:
        self._assign(_lower=np.empty(0), _upper=np.empty(0), evaluated_epsilon=None, elapsed=0.0)

    def _show_given(self, given: GivenBounds) -> None:
        self._assign(
            _lower=given.lower.ravel(),
            _upper=given.upper.ravel(),
            label=given.label,
            sample=given.sample,
            verdict=given.verdict,
            class_names=given.class_names,
            epsilon=given.epsilon,
            evaluated_epsilon=given.epsilon,
        )

    def _assign(self, **values: Any) -> None:
        for name, value in values.items():
            self.set_trait(name, value)


def _usual_order(classes: int) -> Literal["index", "upper"]:
    return "index" if classes <= _MANY else "upper"
