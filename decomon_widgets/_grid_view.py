"""How a grid of samples is shown: columns, filter, order, pins and brush."""

from abc import abstractmethod
from typing import Any

import numpy as np
import traitlets
from ipywidgets.widgets.trait_types import TypedTuple
from numpy.typing import ArrayLike, NDArray

from .arrays import IndicesTrait, IntTrait
from .verdicts import VERDICTS

__all__ = ["SORTS", "GridView", "view_order"]

SORTS = ("position", "verdict", "radius", "label", "margin")
"""What samples may be sorted by."""


class GridView(traitlets.HasTraits):
    """The traits that decide how a grid shows its samples, not what is known about them.

    Filter and order are applied where the grid is shown: in the browser from the radii at the
    present epsilon, without the kernel, and by :meth:`shown_order` for pictures.

    Attributes
    ----------
    columns : int
        Largest number of columns; a narrow page shows fewer.
    shown : tuple of str
        Verdicts of the samples that are shown; empty shows all samples.
    sort_by : str
        "position" (the order of `indices`), "verdict", "radius" (the certified radius), "label" or
        "margin" (the upper bound of the largest margin).
    descending : bool
        Whether the largest comes first.
    pinned : tuple of int
        Positions in `x` of the samples that stay when others are drawn.
    brushed : tuple of int
        Positions in the grid of the samples that are highlighted; empty for none.
    """

    columns = IntTrait(5).tag(sync=True)
    shown = TypedTuple(trait=traitlets.Unicode()).tag(sync=True)
    sort_by = traitlets.Unicode("position").tag(sync=True)
    descending = traitlets.Bool(False).tag(sync=True)
    pinned = IndicesTrait()
    brushed = IndicesTrait()

    @abstractmethod
    def _data_size(self) -> int:
        """Number of samples that may be drawn."""

    @abstractmethod
    def _grid_size(self) -> int:
        """Number of samples in the grid."""

    @traitlets.validate("columns")
    def _check_columns(self, proposal: Any) -> int:
        if proposal["value"] < 1:
            raise traitlets.TraitError(
                f"columns must be >= 1. Received: columns={proposal['value']}"
            )
        return proposal["value"]

    @traitlets.validate("shown")
    def _check_shown(self, proposal: Any) -> tuple[str, ...]:
        names = proposal["value"]
        if not set(names) <= set(VERDICTS):
            raise traitlets.TraitError(
                f"shown must hold verdicts: {', '.join(VERDICTS)}. Received: shown={names!r}"
            )
        return tuple(name for name in VERDICTS if name in names)

    @traitlets.validate("sort_by")
    def _check_sort_by(self, proposal: Any) -> str:
        if proposal["value"] not in SORTS:
            raise traitlets.TraitError(
                f"sort_by must be one of {', '.join(SORTS)}. "
                f"Received: sort_by={proposal['value']!r}"
            )
        return proposal["value"]

    @traitlets.validate("pinned", "brushed")
    def _check_positions(self, proposal: Any) -> tuple[int, ...]:
        name, values = proposal["trait"].name, tuple(dict.fromkeys(proposal["value"]))
        size, place = (
            (self._data_size(), "x") if name == "pinned" else (self._grid_size(), "the grid")
        )
        if not all(0 <= value < size for value in values):
            raise traitlets.TraitError(
                f"{name} must hold positions in {place}, from 0 to {size - 1}. "
                f"Received: {name}={values}"
            )
        return values if name == "pinned" else tuple(sorted(values))

    def shown_order(
        self,
        verdicts: tuple[str, ...],
        labels: ArrayLike,
        certified: ArrayLike,
        falsified: ArrayLike,
        upper: ArrayLike,
    ) -> tuple[int, ...]:
        """Positions of the samples that pass the filter, in the order of display.

        Parameters
        ----------
        verdicts, labels, certified, falsified, upper
            Of each sample of the grid.

        Returns
        -------
        tuple of int
        """
        order = view_order(
            self.sort_by, self.descending, verdicts, labels, certified, falsified, upper
        )
        return tuple(k for k in order if not self.shown or verdicts[k] in self.shown)


def view_order(
    sort_by: str,
    descending: bool,
    verdicts: tuple[str, ...],
    labels: ArrayLike,
    certified: ArrayLike,
    falsified: ArrayLike,
    upper: ArrayLike,
) -> tuple[int, ...]:
    """Order samples; `js/src/lib/order.js` does the same in the browser.

    Parameters
    ----------
    sort_by
        One of :data:`SORTS`.
    descending
        Whether the largest comes first.
    verdicts, labels, certified, falsified, upper
        Of each sample.

    Returns
    -------
    tuple of int
        Positions. Equal samples stay in their order, and those without a value (NaN) come last.
    """
    names = list(VERDICTS)
    keys: dict[str, list[ArrayLike]] = {
        "position": [range(len(verdicts))],
        "verdict": [[names.index(verdict) for verdict in verdicts]],
        "radius": [certified, falsified],
        "label": [labels],
        "margin": [upper],
    }
    columns: list[NDArray[np.float64]] = []
    for key in keys[sort_by]:
        values = np.asarray(key, np.float64)
        columns += [np.isnan(values).astype(np.float64), -values if descending else values]
    # The last key of lexsort is the first to decide; it is stable.
    return tuple(int(k) for k in np.lexsort(columns[::-1]))
