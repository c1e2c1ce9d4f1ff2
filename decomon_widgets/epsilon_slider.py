"""A slider with a typed entry for the size of a perturbation."""

import itertools
import math
import numbers
import re
from typing import Any, Literal

import numpy as np
import traitlets
from ipywidgets import ValueWidget
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ._base import FigureWidget, static_file
from ._figures_slider import draw_slider
from ._live_samples import LiveSamples
from .arrays import ArrayTrait, FloatTrait

__all__ = ["EpsilonSlider"]


class EpsilonSlider(FigureWidget, ValueWidget):
    """Slider and typed entry for epsilon, the radius of a perturbation.

    The entry accepts decimals and fractions such as ``8/255``. What is not a number of the range is
    answered by a message beside it, and the value stays. A button switches to units of 1/255, the
    levels of an image: then ``8`` and ``8/255`` are the same entry. The value itself never changes
    its scale. Works with ``link``, ``jslink``, ``observe`` and ``interact`` as every Jupyter widget
    does.

    Parameters
    ----------
    value
        Epsilon at the start; None is zero, or what is nearest to it in the range.
    min, max
        Range of epsilon, ``min < max``. Changing them later moves the value into the range.
    step
        Distance of the slider positions. Typed and assigned values need not be multiples of it.
        In units of 1/255 it is rounded up to a round number of levels. On a logarithmic scale it
        is the smallest position above zero.
    readout_format
        How the value is written: ``.4f``, ``.2e``, ``.3g`` or ``.1%`` with any number of digits. In
        units of 1/255, fixed digits are two less.
    continuous_update
        Whether the value follows while the handle is dragged, or only when it is released;
        `preview` follows in both cases.
    description
        Label to the left.
    disabled
        Whether the value cannot be changed by hand.
    unit
        "value", or "255" to show and type numbers in units of 1/255.
    log
        Whether the scale is logarithmic; zero, if it is `min`, is its left end. Needs ``min >= 0``.
    marks_certified, marks_falsified
        Marks above and below of the track: up to where samples are certified, and from where they
        are falsified. Numbers outside of the range, infinite or NaN, are not shown.
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    preview : float
        Where the handle is while it is dragged; `value` when it is released.

    Raises
    ------
    traitlets.TraitError
        If a number is NaN, infinite or outside of the range, or the format or unit is unknown.
    TypeError
        If there is no such argument.

    Examples
    --------
    >>> slider = EpsilonSlider(value=8 / 255, unit="255", continuous_update=False)
    >>> slider.observe(lambda change: ..., names="value")
    >>> slider.mark_radii(grid)
    """

    _esm = static_file("epsilon_slider.js")
    _css = static_file("epsilon_slider.css")

    value = FloatTrait(0.0, help="Epsilon.").tag(sync=True)
    min = FloatTrait(0.0, help="Smallest epsilon.").tag(sync=True)
    max = FloatTrait(25 / 255, help="Largest epsilon.").tag(sync=True)
    step = FloatTrait(1e-4, help="Distance of the slider positions.").tag(sync=True)
    readout_format = traitlets.Unicode(".4f", help="How the value is written.").tag(sync=True)
    continuous_update = traitlets.Bool(True, help="Follow while dragging.").tag(sync=True)
    description = traitlets.Unicode("epsilon", help="Label.").tag(sync=True)
    disabled = traitlets.Bool(False, help="Whether input is refused.").tag(sync=True)
    unit = traitlets.Unicode("value", help="Unit of the numbers shown.").tag(sync=True)
    log = traitlets.Bool(False, help="Whether the scale is logarithmic.").tag(sync=True)
    preview = FloatTrait(0.0, help="Where the handle is.").tag(sync=True)
    marks_certified = ArrayTrait(np.float64)
    marks_falsified = ArrayTrait(np.float64)

    _links: tuple[traitlets.dlink, ...] = ()

    def __init__(
        self,
        value: float | None = None,
        min: float = 0.0,  # noqa: A002 - the names of the traits, as in ipywidgets
        max: float = 25 / 255,  # noqa: A002
        step: float = 1e-4,
        readout_format: str = ".4f",
        continuous_update: bool = True,
        description: str = "epsilon",
        disabled: bool = False,
        unit: Literal["value", "255"] = "value",
        log: bool = False,
        marks_certified: ArrayLike = (),
        marks_falsified: ArrayLike = (),
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        low, high = _check_finite("min", min), _check_finite("max", max)
        if not low < high:
            raise traitlets.TraitError(f"min must be < max. Received: min={min}, max={max}")
        # Checked here, because together they may be valid where one after the other they are not.
        with self.hold_trait_notifications():
            self.min, self.max = low, high
            start = sorted((low, 0.0, high))[1] if value is None else value
            self.value = self.preview = _check_inside("value", start, low, high)
            self.step = step
            self.log = log
            self.readout_format = readout_format
        self.continuous_update = continuous_update
        self.description = description
        self.disabled = disabled
        self.unit = unit
        self.marks_certified = marks_certified
        self.marks_falsified = marks_falsified
        super().__init__(**kwargs)

    def mark_radii(self, source: LiveSamples | None) -> None:
        """Keep the marks at the certified and falsified radii of the samples of a grid.

        The value stays as it is: link it to the epsilon of the grid by ``link`` or ``jslink``.

        Parameters
        ----------
        source
            A grid or an explorer; None leaves the marks where they are from now on.

        Raises
        ------
        TypeError
            If the source has no live samples.
        """
        if source is not None and not isinstance(source, LiveSamples):
            raise TypeError(
                f"source must be a SampleGrid or a RobustnessExplorer. Received: source={source!r}"
            )
        for link in self._links:
            link.unlink()
        self._links = ()
        if source is not None:
            self._links = (
                traitlets.dlink((source, "_certified"), (self, "marks_certified")),
                traitlets.dlink((source, "_falsified"), (self, "marks_falsified")),
            )

    def close(self) -> None:
        """Leave the source of the marks and remove the views."""
        self.mark_radii(None)
        super().close()

    def to_figure(self, *, dark: bool = False) -> Figure:
        """Draw the slider with matplotlib, without pyplot.

        Parameters
        ----------
        dark
            Draw for a dark background.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return draw_slider(
            self.value,
            (self.min, self.max),
            np.asarray(self.marks_certified),
            np.asarray(self.marks_falsified),
            self._written(),
            unit=self.unit,
            floor=self._floor() if self.log else None,
            dark=dark,
        )

    def records(self) -> list[dict[str, float | None]]:
        """Return the marks, as one dict of plain numbers for each sample.

        Returns
        -------
        list of dict
            With "certified" and "falsified", which are None where there is no such mark.
        """
        certified = np.asarray(self.marks_certified).tolist()
        falsified = np.asarray(self.marks_falsified).tolist()
        both = itertools.zip_longest(certified, falsified)
        return [{"certified": one, "falsified": other} for one, other in both]

    def _summary(self) -> str:
        return f"EpsilonSlider: {self._written()}"

    def _written(self) -> str:
        """Description and value, as they are shown."""
        text = format(self.value, self.readout_format)
        if self.unit == "255":
            text = f"{float(f'{255 * self.value:.12g}'):.4g}/255"
        return f"{self.description} = {text}" if self.description else text

    def _floor(self) -> float:
        """Smallest value above zero of a logarithmic scale."""
        if self.min > 0:
            return self.min
        return self.step if self.step < self.max else self.max / 1000

    @traitlets.validate("value", "preview")
    def _check_value(self, proposal: Any) -> float:
        return _check_inside(proposal["trait"].name, proposal["value"], self.min, self.max)

    @traitlets.validate("unit")
    def _check_unit(self, proposal: Any) -> str:
        if proposal["value"] not in ("value", "255"):
            raise traitlets.TraitError(
                f"unit must be 'value' or '255'. Received: unit={proposal['value']!r}"
            )
        return proposal["value"]

    @traitlets.validate("log")
    def _check_log(self, proposal: Any) -> bool:
        if proposal["value"] and self.min < 0:
            raise traitlets.TraitError(
                "A logarithmic scale has no numbers below zero: set min >= 0. "
                f"Received: log=True, min={self.min}"
            )
        return proposal["value"]

    @traitlets.validate("min")
    def _check_min(self, proposal: Any) -> float:
        low = _check_finite("min", proposal["value"])
        if not low < self.max:
            raise traitlets.TraitError(f"min must be < max={self.max}. Received: min={low}")
        if self.log and low < 0:
            raise traitlets.TraitError(
                f"min must be >= 0 on a logarithmic scale. Received: min={low}, log=True"
            )
        return low

    @traitlets.validate("max")
    def _check_max(self, proposal: Any) -> float:
        high = _check_finite("max", proposal["value"])
        if not high > self.min:
            raise traitlets.TraitError(f"max must be > min={self.min}. Received: max={high}")
        return high

    @traitlets.validate("step")
    def _check_step(self, proposal: Any) -> float:
        step = _check_finite("step", proposal["value"])
        if not step > 0:
            raise traitlets.TraitError(f"step must be > 0. Received: step={step}")
        return step

    @traitlets.validate("readout_format")
    def _check_readout_format(self, proposal: Any) -> str:
        text = proposal["value"]
        if not re.fullmatch(r"\.\d{1,2}[feg%]", text):
            raise traitlets.TraitError(
                "readout_format must be a point, a number of digits and one of f, e, g, %, "
                f"for example '.4f'. Received: readout_format={text!r}"
            )
        return text

    @traitlets.observe("min", "max")
    def _move_into_range(self, _change: Any) -> None:
        self.value = sorted((self.min, self.value, self.max))[1]
        self.preview = self.value

    @traitlets.observe("value")
    def _release(self, _change: Any) -> None:
        self.preview = self.value


def _check_finite(name: str, value: Any) -> float:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (real and math.isfinite(value)):
        raise traitlets.TraitError(f"{name} must be a finite number. Received: {name}={value!r}")
    return float(value)


def _check_inside(name: str, value: Any, low: float, high: float) -> float:
    number = _check_finite(name, value)
    if not low <= number <= high:
        raise traitlets.TraitError(
            f"{name} must lie between min={low} and max={high}. Received: {name}={value}"
        )
    return number
