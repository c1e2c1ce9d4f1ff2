"""An activation function between the two lines that bound it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure

from ._base import static_file
from ._curve_jobs import CurveDesk, CurveRequest
from ._figures_curves import draw_curve, line_text
from ._live_curve import LiveCurve
from ._one_input import OneInput, slope_names

if TYPE_CHECKING:
    import keras

__all__ = ["RelaxationPlot"]

# Activations that are no functions of one number, or need no lines.
_OTHERS = frozenset({"glu", "linear", "log_softmax", "softmax", "sparsemax"})
_RANGE = (-4.0, 4.0)


class RelaxationPlot(LiveCurve):
    """An activation function and the two lines that it is proven to stay between.

    Methods such as CROWN replace an activation by two lines on the interval ``[low, high]`` of its
    argument. These are the lines that decomon uses, computed by decomon itself for the present
    interval.

    Parameters
    ----------
    activation
        Name of a Keras activation, or of a function of ``keras.ops`` with a certified rule; or an
        activation layer without weights, such as ``keras.layers.LeakyReLU(0.1)``.
    interval
        Ends ``(low, high)`` of the interval.
    slope
        Rule for the lower line of a rectifier: "volume-slope", "same-slope", "zero-lb" or "one-lb",
        as of :func:`decomon.clone`. Other functions have no such choice.
    x_range
        Where the function is drawn; by default from -4 to 4, or wider if the interval is.
    executor
        "thread" computes beside the kernel, "sync" inside of each assignment (for tests and
        scripts).
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    interval, x_range : tuple of two floats
        May be assigned; `interval` may also be linked to a ``FloatRangeSlider``.
    activation, slope : str
        May be assigned.
    activations, slopes : tuple of str
        What the widget offers.
    busy : bool
        Whether a result is on its way.
    error : str
        What went wrong with the last request, "" if nothing did.

    Raises
    ------
    ValueError, UnsupportedModelError
        If there is no such activation, or no certified rule for it.
    traitlets.TraitError
        If a number is out of its range, or a rule is unknown.

    Examples
    --------
    >>> plot = RelaxationPlot("relu", (-1, 2))
    >>> plot.slope = "same-slope"
    >>> plot.records()
    """

    _esm = static_file("relaxation_plot.js")
    _css = static_file("relaxation_plot.css")

    activation = traitlets.Unicode("relu").tag(sync=True)
    activations = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    slope = traitlets.Unicode("volume-slope").tag(sync=True)
    slopes = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    _has_slope = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self,
        activation: "str | keras.layers.Layer" = "relu",
        interval: tuple[float, float] = (-1.0, 2.0),
        slope: str = "volume-slope",
        *,
        x_range: tuple[float, float] | None = None,
        executor: Literal["thread", "sync"] = "thread",
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        self._functions: dict[str, OneInput] = {}
        name = activation if isinstance(activation, str) else self._add_layer(activation)
        offered = _offered()
        self.set_trait("activations", offered if name in offered else (*offered, name))
        self.set_trait("slopes", slope_names())
        self.activation = name
        self._on_activation()
        self.slope = slope
        desk = CurveDesk(self._functions.__getitem__)
        if x_range is None:
            ends = [float(end) for end in interval]
            x_range = (min(_RANGE[0], *ends), max(_RANGE[1], *ends))
        super().__init__(interval, x_range, desk, executor, **kwargs)
        self.observe(self._on_activation, "activation")

    @property
    def upper_line(self) -> tuple[float, float]:
        """Slope and offset of the line above; NaN before the first result."""
        return _first(self._upper_slope), _first(self._upper_offset)

    @property
    def lower_line(self) -> tuple[float, float]:
        """Slope and offset of the line below; NaN before the first result."""
        return _first(self._lower_slope), _first(self._lower_offset)

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
        known = len(self._upper_slope) > 0
        return draw_curve(
            self._x,
            self._y,
            self._pieces(),
            (
                self.activation,
                f"upper: {line_text(*self.upper_line)}" if known else "upper line",
                f"lower: {line_text(*self.lower_line)}" if known else "lower line",
            ),
            lines=True,
            title=f"{self.activation} on [{self.interval[0]:.4g}, {self.interval[1]:.4g}]",
            variable="z",
            interval=self.interval,
            error=self.error,
            dark=dark,
        )

    def _summary(self) -> str:
        if not len(self._upper_slope):
            return f"RelaxationPlot of {self.activation}: no lines yet"
        low, high = self._edges
        return (
            f"{line_text(*self.lower_line)} ≤ {self.name}(z) ≤ {line_text(*self.upper_line)} "
            f"on [{low:.4g}, {high:.4g}]"
        )

    def _asked_about(self) -> tuple[str, ...]:
        return "activation", "slope"

    def _request(self, number: int) -> CurveRequest:
        return CurveRequest(
            number, self.activation, self.interval, self.x_range, 1, "crown", self.slope
        )

    @traitlets.validate("activation")
    def _check_activation(self, proposal: Any) -> str:
        name = proposal["value"]
        if name not in self._functions:
            try:
                self._functions[name] = _named(name)
            except ValueError as error:
                raise traitlets.TraitError(str(error)) from error
        return name

    @traitlets.validate("slope")
    def _check_slope(self, proposal: Any) -> str:
        if proposal["value"] not in self.slopes:
            raise traitlets.TraitError(
                f"Unknown slope. Choose one of: {', '.join(self.slopes)}. "
                f"Received: slope={proposal['value']!r}"
            )
        return proposal["value"]

    def _on_activation(self, _change: Any = None) -> None:
        self._has_slope = _has_hinge(self._functions[self.activation])

    def _add_layer(self, layer: Any) -> str:
        """Add the function of an activation layer; a copy of it, so that it stays as it is."""
        import keras

        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                "activation must be a name, such as 'relu', or an activation layer. "
                f"Received: activation={layer!r}"
            )
        if layer.weights:
            raise ValueError(
                "activation must be a layer without weights, so that one number decides. "
                f"Received: {layer!r} with {len(layer.weights)} weight arrays"
            )
        kind, config = type(layer), layer.get_config()
        self._functions[layer.name] = _alone(lambda: kind.from_config(config), layer.name)
        return layer.name


def _first(values: Any) -> float:
    return float(values[0]) if len(values) else float("nan")


def _offered() -> tuple[str, ...]:
    """Names of the Keras activations that decomon has lines for."""
    import keras

    from decomon.ops import supported

    known = set(supported().activations) - _OTHERS
    functions = vars(keras.activations).items()
    # Some functions have two names.
    return tuple(sorted(k for k, function in functions if k in known and function.__name__ == k))


def _named(name: str) -> OneInput:
    import keras

    from decomon.ops import supported

    places = (vars(keras.activations), vars(keras.ops))
    function = next((place[name] for place in places if name in place), None)
    if function is None or name not in supported().activations:
        raise ValueError(
            f"decomon has no certified rule for an activation of this name. Choose one of: "
            f"{', '.join(sorted(set(supported().activations) - _OTHERS))}. "
            f"Received: activation={name!r}"
        )
    return _alone(lambda: keras.layers.Activation(function), name)


def _alone(make: Callable[[], Any], name: str) -> OneInput:
    """Make a model of one layer; ValueError if it does not act on each number alone."""
    import keras

    import decomon

    pair = keras.Sequential([keras.Input((2,)), make()])
    graph = decomon.clone(pair, "forward-ibp", rm_last_softmax=False).graph
    if not all(node.op is None or node.op.diagonal for node in graph.nodes):
        raise ValueError(
            "activation must be a function of one number; this one mixes several. "
            f"Received: activation={name!r}"
        )
    return OneInput(keras.Sequential([keras.Input((1,)), make()]), name)


def _has_hinge(function: OneInput) -> bool:
    """Whether a rule chooses the slope of the lower line."""
    import decomon
    from decomon.ops.elementwise.hinge import Hinge

    graph = decomon.clone(function.model, "forward-ibp", rm_last_softmax=False).graph
    return any(isinstance(node.op, Hinge) for node in graph.nodes)
