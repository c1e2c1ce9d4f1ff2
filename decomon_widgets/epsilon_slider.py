"""A slider with a typed entry for the size of a perturbation."""

import math
import numbers
import re
from typing import Any

import traitlets
from ipywidgets import ValueWidget

from ._base import DecomonWidget, static_file
from .arrays import FloatTrait

__all__ = ["EpsilonSlider"]


class EpsilonSlider(DecomonWidget, ValueWidget):
    """Slider and typed entry for epsilon, the radius of a perturbation.

    The entry accepts decimals and fractions such as ``8/255``. What is not a number of the range is
    answered by a message beside it, and the value stays. Works with ``link``, ``jslink``,
    ``observe`` and ``interact`` as every Jupyter widget does.

    Parameters
    ----------
    value
        Epsilon at the start; None is zero, or what is nearest to it in the range.
    min, max
        Range of epsilon, ``min < max``. Changing them later moves the value into the range.
    step
        Distance of the slider positions. Typed and assigned values need not be multiples of it.
    readout_format
        How the value is written: ``.4f``, ``.2e``, ``.3g`` or ``.1%`` with any number of digits.
    continuous_update
        Whether the value follows while the handle is dragged, or only when it is released.
    description
        Label to the left.
    disabled
        Whether the value cannot be changed by hand.
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Raises
    ------
    traitlets.TraitError
        If a number is NaN, infinite or outside of the range, or the format is unknown.
    TypeError
        If there is no such argument.

    Examples
    --------
    >>> slider = EpsilonSlider(value=8 / 255)
    >>> slider.observe(lambda change: ..., names="value")
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
            self.value = _check_inside(start, low, high)
            self.step = step
            self.readout_format = readout_format
        self.continuous_update = continuous_update
        self.description = description
        self.disabled = disabled
        super().__init__(**kwargs)

    @traitlets.validate("value")
    def _check_value(self, proposal: Any) -> float:
        return _check_inside(proposal["value"], self.min, self.max)

    @traitlets.validate("min")
    def _check_min(self, proposal: Any) -> float:
        low = _check_finite("min", proposal["value"])
        if not low < self.max:
            raise traitlets.TraitError(f"min must be < max={self.max}. Received: min={low}")
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


def _check_finite(name: str, value: Any) -> float:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (real and math.isfinite(value)):
        raise traitlets.TraitError(f"{name} must be a finite number. Received: {name}={value!r}")
    return float(value)


def _check_inside(value: Any, low: float, high: float) -> float:
    number = _check_finite("value", value)
    if not low <= number <= high:
        raise traitlets.TraitError(
            f"value must lie between min={low} and max={high}. Received: value={value}"
        )
    return number
