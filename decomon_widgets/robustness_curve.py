"""Certified and attacked accuracy against epsilon."""

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ._base import FigureWidget, static_file
from ._figures_accuracy import draw_curves
from ._follow import follow
from ._given_radii import GivenRadii, Radii
from ._live_samples import LiveSamples
from .arrays import ArrayTrait, FloatTrait
from .curve import count_at
from .network import Network

__all__ = ["RobustnessCurve"]

# The range of the slider.
_USUAL_MAX = 25 / 255

_POSITIONS = 500

_RADII = ("_certified", "_falsified", "_misclassified")

# In place of whether a sample is misclassified, where a source has fewer samples than another.
_ABSENT = 2

Numbers = NDArray[np.float64]


class RobustnessCurve(FigureWidget):
    """Between which curves the accuracy under the worst perturbation of size epsilon lies.

    The certified curve counts the samples that are proven to keep their class up to epsilon, the
    attacked curve those of which no counterexample is known; the truth is in the band between them.
    A cursor marks epsilon; dragging it or moving it by keyboard moves epsilon of the source.
    Everything is computed in the browser from two radii per sample, so it works without a kernel.

    Parameters
    ----------
    source
        The widget whose samples are counted; its epsilon is the cursor, both ways. Several models
        are compared by a dict of such widgets by name, which all get the same epsilon.
    name
        Name of the curve of a single source; by default that of the model.
    max
        Right end of the axis.
    step
        Distance of the positions of the cursor; by default about 500 of them in the range.
    **kwargs
        The arguments of every Jupyter widget: `layout`, `tooltip`, `tabbable`.

    Attributes
    ----------
    names : tuple of str
        Of the models or methods that are compared.
    epsilon : float
        Where the cursor is; may be assigned, or linked to an :class:`EpsilonSlider`.
    max, step : float
        May be assigned.
    p : str
        The norm of the radii: "1", "2" or "inf".

    Raises
    ------
    TypeError
        If a source is neither a :class:`SampleGrid` nor a :class:`RobustnessExplorer`.
    ValueError
        If there is no source, or several and a `name`.
    traitlets.TraitError
        If a number is out of its range.

    Examples
    --------
    >>> curve = RobustnessCurve(grid)
    >>> curve.epsilon = 2 / 255
    >>> RobustnessCurve({"usual": grid, "certified training": other_grid})
    >>> RobustnessCurve.of_radii({"dense": decomon.certified_radius(model, x, y)})
    """

    _esm = static_file("robustness_curve.js")
    _css = static_file("robustness_curve.css")

    names = TypedTuple(trait=traitlets.Unicode(), read_only=True).tag(sync=True)
    epsilon = FloatTrait(0.0).tag(sync=True)
    max = FloatTrait(_USUAL_MAX).tag(sync=True)
    step = FloatTrait(_USUAL_MAX / _POSITIONS).tag(sync=True)
    p = traitlets.Unicode("inf", read_only=True).tag(sync=True)
    _certified = ArrayTrait(np.float64)
    _falsified = ArrayTrait(np.float64)
    _misclassified = ArrayTrait(np.uint8)

    _sources: tuple[LiveSamples, ...] = ()

    def __init__(
        self,
        source: LiveSamples | Mapping[str, LiveSamples],
        name: str | None = None,
        max: float | None = None,  # noqa: A002 - the name of the trait, as of the slider
        step: float | None = None,
        *,
        _given: GivenRadii | None = None,
        **kwargs: Any,
    ) -> None:
        self.check_arguments(kwargs)
        if _given is not None:
            self._show_given(_given)
            self._set_axis(_given.end() if max is None else max, step)
            super().__init__(**kwargs)
            return
        sources = _check_sources(source, name)
        self._set_axis(_USUAL_MAX if max is None else max, step)
        self._assign(names=tuple(sources))
        self._sources = tuple(sources.values())
        self.epsilon = self._sources[0].epsilon
        # Guards no more than taking over the radii: with it held, nobody waits for a source.
        self._lock = threading.RLock()
        self._take_radii()
        super().__init__(**kwargs)
        self._unfollow = [
            stop
            for one in self._sources
            for stop in (
                follow(one, _RADII, self._on_radii),
                follow(one, ("epsilon",), self._on_source_epsilon),
            )
        ]
        self.observe(self._on_epsilon, "epsilon")
        self._pass_on(self.epsilon)

    @classmethod
    def of_radii(
        cls,
        radii: "Mapping[str, Radii]",
        *,
        epsilon: float = 0.0,
        max: float | None = None,  # noqa: A002 - the name of the trait
        step: float | None = None,
        p: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Compare models or methods by given radii, without any model.

        Parameters
        ----------
        radii
            By name: a pair of arrays `(certified, falsified)` of shape `(samples,)`, or the result
            of :func:`decomon.certified_radius` or of :func:`decomon.certified_accuracy`. Certified
            is -inf where nothing is proven, falsified is inf where no counterexample is known, and
            0 where the unperturbed sample is already classified wrongly. NaN is not known.
        epsilon
            Where the cursor is at first.
        max
            Right end of the axis; by default a little beyond the largest radius.
        step
            As for the widget itself.
        p
            The norm of the radii, 1, 2 or infinity; by default that of the results.
        **kwargs
            The arguments of every Jupyter widget.

        Returns
        -------
        RobustnessCurve

        Raises
        ------
        ValueError
            If radii contradict one another, are negative, or are not about the same number of
            samples in the same norm.
        """
        given = GivenRadii.of(radii, p)
        no_source: Any = None
        made = cls(no_source, None, max, step, _given=given, **kwargs)
        made.epsilon = epsilon
        return made

    def close(self) -> None:
        """Leave the source and remove the views."""
        if self._sources:
            for stop in self._unfollow:
                stop()
        super().close()

    def records(self) -> list[dict[str, Any]]:
        """Return what is known of each sample, as one dict of plain values each.

        Returns
        -------
        list of dict
            With the keys "name", "sample" (its position in the data), "certified", "falsified" and
            "misclassified".
        """
        return [
            {
                "name": name,
                "sample": int(sample),
                "certified": float(certified),
                "falsified": float(falsified),
                "misclassified": bool(misclassified),
            }
            for row, (name, arrays) in enumerate(zip(self.names, self._arrays(), strict=True))
            for sample, certified, falsified, misclassified in zip(
                self._samples_of(row, len(arrays[0])), *arrays, strict=False
            )
        ]

    def to_figure(self, *, dark: bool = False) -> Figure:
        """Draw the curves with matplotlib, without pyplot.

        Parameters
        ----------
        dark
            Draw for a dark background.

        Returns
        -------
        matplotlib.figure.Figure
        """
        norm = "∞" if self.p == "inf" else self.p
        title = f"radius ε of the perturbation (norm {norm})"
        return draw_curves(self.names, self._arrays(), self.epsilon, self.max, title, dark=dark)

    def _summary(self) -> str:
        parts = [
            f"{name} certified {low} and attacked {high} of {len(arrays[0])}"
            for name, arrays in zip(self.names, self._arrays(), strict=True)
            for low, high in (count_at(*arrays, self.epsilon),)
        ]
        return f"RobustnessCurve at epsilon = {self.epsilon:.4g}: {'; '.join(parts)}"

    def _arrays(self) -> list[tuple[Numbers, Numbers, NDArray[np.uint8]]]:
        """Return certified and falsified radii, and what is wrong, of the samples of each name."""
        rows = len(self.names)
        every = self._certified, self._falsified, self._misclassified
        parts = zip(*(array.reshape(rows, -1) for array in every), strict=True)
        return [
            (one[three != _ABSENT], two[three != _ABSENT], three[three != _ABSENT])
            for one, two, three in parts
        ]

    def _samples_of(self, row: int, n: int) -> Sequence[int]:
        """Return the positions in the data of the samples of one name."""
        if not self._sources:
            return range(n)
        return self._sources[row].indices

    # Traits that may be assigned

    @traitlets.validate("epsilon")
    def _check_epsilon(self, proposal: Any) -> float:
        value = proposal["value"]
        if not math.isfinite(value) or value < 0:
            raise traitlets.TraitError(
                f"epsilon must be a finite number >= 0. Received: epsilon={value!r}"
            )
        return value

    @traitlets.validate("max", "step")
    def _check_positive(self, proposal: Any) -> float:
        value, name = proposal["value"], proposal["trait"].name
        if not math.isfinite(value) or value <= 0:
            raise traitlets.TraitError(
                f"{name} must be a finite number > 0. Received: {name}={value!r}"
            )
        return value

    def _set_axis(self, end: float, step: float | None) -> None:
        self.max = end
        self.step = _round_step(self.max / _POSITIONS) if step is None else step

    def _on_epsilon(self, change: Any) -> None:
        if self.comm is not None:
            self._pass_on(change["new"])

    def _pass_on(self, epsilon: float) -> None:
        for source in self._sources:
            try:
                source.epsilon = epsilon
            except traitlets.TraitError:
                self.epsilon = source.epsilon  # out of the range of the source
                raise

    def _on_source_epsilon(self, change: Any) -> None:
        self.epsilon = change["new"]

    def _on_radii(self, _change: Any) -> None:
        self._take_radii()

    def _take_radii(self) -> None:
        with self._lock:
            parts = [
                (source._certified, source._falsified, source._misclassified)
                for source in self._sources
            ]
            most = max(len(part[0]) for part in parts)
            with self.hold_sync(), self.hold_trait_notifications():
                self._assign(
                    _certified=_joined([part[0] for part in parts], most, -np.inf),
                    _falsified=_joined([part[1] for part in parts], most, np.inf),
                    _misclassified=_joined([part[2] for part in parts], most, _ABSENT),
                )

    def _show_given(self, given: GivenRadii) -> None:
        self._assign(
            names=given.names,
            p=given.p,
            _certified=given.certified.ravel(),
            _falsified=given.falsified.ravel(),
            _misclassified=(given.falsified <= 0).ravel(),
        )

    def _assign(self, **values: Any) -> None:
        for name, value in values.items():
            self.set_trait(name, value)


def _round_step(rough: float) -> float:
    """Return the number 1, 2 or 5 times a power of ten next above."""
    power = 10.0 ** math.floor(math.log10(rough))
    factor = next((f for f in (1, 2, 5) if f * power >= rough * (1 - 1e-9)), 10)
    return float(f"{factor * power:.6g}")


def _joined(arrays: list[NDArray[Any]], n: int, missing: float) -> NDArray[Any]:
    """Put arrays of up to `n` elements one behind the other, each filled up to `n`."""
    return np.concatenate(
        [np.pad(array, (0, n - len(array)), constant_values=missing) for array in arrays]
    )


def _check_sources(source: object, name: str | None) -> dict[str, LiveSamples]:
    """Return the sources by name."""
    if isinstance(source, Mapping):
        if not source or name is not None:
            raise ValueError(
                "Several sources are a dict with one or more entries name: widget, and need no "
                f"other name. Received: source={source!r}, name={name!r}"
            )
        return {str(key): _check_source(value) for key, value in source.items()}
    single = _check_source(source)
    if name is not None:
        return {str(name): single}
    model = Network.of(single.model).keras_model
    return {"model" if model is None else str(model.name): single}


def _check_source(source: object) -> LiveSamples:
    if not isinstance(source, LiveSamples):
        raise TypeError(
            "A source must be a SampleGrid or a RobustnessExplorer; for given radii, use "
            f"RobustnessCurve.of_radii. Received: source={source!r}"
        )
    return source
