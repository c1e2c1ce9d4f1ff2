"""Windows of what belongs to the nodes of a network, cut out once for all substitutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from decomon._backend import Tensor
from decomon.bounds import Interval
from decomon.methods.windows import View
from decomon.nodes import Graph


@final
@dataclass
class Cuts:
    """What substitutions over boxes need besides relaxations.

    Parameters
    ----------
    graph : the network
    intervals : of the nodes that are bounded already; that of the input is the box itself
    """

    graph: Graph
    intervals: Mapping[int, Interval]
    _corners: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    _windows: dict[tuple[str, int, View], Tensor] = field(
        default_factory=dict[tuple[str, int, "View"], Tensor]
    )

    @property
    def width(self) -> Tensor:
        """Widths of the box."""
        return self.intervals[0].upper - self.intervals[0].lower

    def corner(self, index: int) -> Tensor:
        """Return the value of a node that is affine in the input at the lower corner."""
        if index not in self._corners:
            node = self.graph.nodes[index]
            self._corners[index] = (
                self.intervals[0].lower
                if index == 0
                else node.evaluate(*(self.corner(i) for i in node.inputs))
            )
        return self._corners[index]

    def corner_windows(self, index: int, view: View) -> Tensor:
        """Return the windows of :meth:`corner`."""
        return self._cut("corner", index, view, self.corner(index))

    def width_windows(self, view: View) -> Tensor:
        """Return the windows of :attr:`width`."""
        return self._cut("width", 0, view, self.width)

    def end_windows(self, index: int, view: View) -> tuple[Tensor, Tensor]:
        """Return the windows of both ends of the interval of a node's only input."""
        (source,) = self.graph.nodes[index].inputs
        interval = self.intervals[source]
        return (
            self._cut("lower", source, view, interval.lower),
            self._cut("upper", source, view, interval.upper),
        )

    def _cut(self, what: str, index: int, view: View, values: Tensor) -> Tensor:
        key = (what, index, view)
        if key not in self._windows:
            self._windows[key] = view.patches(values)
        return self._windows[key]
