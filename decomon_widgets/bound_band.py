"""A function of one variable with its certified band."""

from typing import Any, Literal

import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure

from ._base import static_file
from ._curve_jobs import CurveDesk, CurveRequest
from ._figures_curves import draw_curve
from ._live_curve import LiveCurve
from ._one_input import OneInput, method_names
from .arrays import IntTrait

__all__ = ["BoundBand"]

_MOST_PIECES = 1024


class BoundBand(LiveCurve):
    """A function of one variable inside its certified band, recomputed live.

    The interval is cut into equal pieces. On each of them the function is proven to stay between
    two numbers ("step") or between two lines ("affine"). The band holds for every real number of
    the interval, not only for the points that are drawn; the width of the band is the price of
    the proof, and falls with the width of the pieces.

    Parameters
    ----------
    function
        A Keras model with one number as input and one as output, a ``DecomonModel`` of one, or a
        Python function made of Keras models, layers and ``keras.ops``. It is never modified.
    interval
        Ends ``(low, high)`` of the interval with the band.
    n_pieces
        Number of equal pieces of the interval, from 1 to 1024.
    form
        "affine" for two lines on each piece, "step" for two numbers.
    method
        How bounds are computed, as of :func:`decomon.clone`; None for that of a ``DecomonModel``,
        else "crown". Interval arithmetic ("forward-ibp") computes no lines, so its band has steps.
    x_range
        Where the function is drawn; by default twice as wide as the interval.
    executor
        "thread" computes beside the kernel, "sync" inside of each assignment (for tests and
        scripts).
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    interval, x_range : tuple of two floats
        May be assigned; `interval` may also be linked to a ``FloatRangeSlider``.
    n_pieces, form, method
        May be assigned.
    name : str
        Name of the function.
    busy : bool
        Whether a result is on its way.
    elapsed : float
        Seconds the last result took.
    error : str
        What went wrong with the last request, "" if nothing did.

    Raises
    ------
    TypeError, ValueError, UnsupportedModelError
        If the function cannot be bounded; the message says why.
    traitlets.TraitError
        If a number is out of its range.

    Examples
    --------
    >>> from keras import ops
    >>> band = BoundBand(lambda x: ops.sin(3 * x) + 0.2 * x * x, (-2, 2), n_pieces=8)
    >>> band.form = "step"
    """

    _esm = static_file("bound_band.js")
    _css = static_file("bound_band.css")

    n_pieces = IntTrait(8).tag(sync=True)
    form = traitlets.Unicode("affine").tag(sync=True)
    method = traitlets.Unicode("crown").tag(sync=True)
    methods = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)

    def __init__(
        self,
        function: Any,
        interval: tuple[float, float] = (-1.0, 1.0),
        n_pieces: int = 8,
        form: Literal["affine", "step"] = "affine",
        method: str | None = None,
        *,
        x_range: tuple[float, float] | None = None,
        executor: Literal["thread", "sync"] = "thread",
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        self._function = OneInput.of(function)
        self.set_trait("methods", method_names())
        self.set_trait("name", self._function.name)
        self.n_pieces = n_pieces
        self.form = form
        self.method = self._function.method if method is None else method
        only = self._function
        super().__init__(interval, x_range, CurveDesk(lambda _: only), executor, **kwargs)

    @property
    def lower(self) -> float:
        """Proven lower bound of the function on the whole interval; NaN before the first result."""
        return float(min(self._lower, default=float("nan")))

    @property
    def upper(self) -> float:
        """Proven upper bound of the function on the whole interval; NaN before the first result."""
        return float(max(self._upper, default=float("nan")))

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
        return draw_curve(
            self._x,
            self._y,
            self._pieces(),
            (self.name, "certified upper bound", "certified lower bound"),
            lines=self.form == "affine",
            title=self._summary(),
            variable="x",
            interval=self.interval,
            error=self.error,
            dark=dark,
        )

    def _summary(self) -> str:
        if not len(self._lower):
            return f"{self.name}: no bounds yet"
        low, high = self._edges[[0, -1]]
        known = f"{self.lower:.4g} ≤ {self.name} ≤ {self.upper:.4g}"
        count = len(self._lower)
        return f"{known} on [{low:.4g}, {high:.4g}] ({self.method}, {count} pieces)"

    def _asked_about(self) -> tuple[str, ...]:
        return "n_pieces", "method"

    def _request(self, number: int) -> CurveRequest:
        return CurveRequest(
            number,
            self._function.name,
            self.interval,
            self.x_range,
            self.n_pieces,
            self.method,
            self._function.slope,
        )

    @traitlets.validate("n_pieces")
    def _check_pieces(self, proposal: Any) -> int:
        if not 1 <= proposal["value"] <= _MOST_PIECES:
            raise traitlets.TraitError(
                f"n_pieces must be from 1 to {_MOST_PIECES}. Received: n_pieces={proposal['value']}"
            )
        return proposal["value"]

    @traitlets.validate("form")
    def _check_form(self, proposal: Any) -> str:
        if proposal["value"] not in ("affine", "step"):
            raise traitlets.TraitError(
                f"form must be 'affine' or 'step'. Received: form={proposal['value']!r}"
            )
        return proposal["value"]

    @traitlets.validate("method")
    def _check_method(self, proposal: Any) -> str:
        from decomon.methods import ALIASES

        given: str = proposal["value"]
        name = ALIASES.get(given, given)
        if name not in self.methods:
            raise traitlets.TraitError(
                f"Unknown method. Choose one of: {', '.join(self.methods)}. "
                f"Received: method={given!r}"
            )
        return name
