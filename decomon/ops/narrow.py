"""An identity that knows a tighter interval."""

from __future__ import annotations

import abc
from collections.abc import Sequence

from decomon._backend import Shape, Tensor
from decomon.bounds import Interval
from decomon.ops._base import AffineOp


class Narrow(AffineOp):
    """The identity in its first input, with an interval that is known from its other inputs.

    A composite layer is rewritten into simple ops, and interval arithmetic through those may be
    looser than the layer's own image.  Applied to the result of the rewriting and to the values
    that the layer started from, this op intersects the one with the other.
    """

    @property
    def narrows(self) -> bool:
        return True

    @abc.abstractmethod
    def image(self, *sources: Interval) -> Interval:
        """Return an interval that contains the first input, given those of the others."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return inputs[0]

    def absolute(self, *radii: Tensor) -> Tensor:
        return radii[0]

    def interval(self, *inputs: Interval) -> Interval:
        return inputs[0].intersect(self.image(*inputs[1:]))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor | None, ...]:
        return (rows, *(None for _ in shapes[1:]))

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None
