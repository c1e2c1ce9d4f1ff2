"""Sets that are other sets, and something known about them."""

from __future__ import annotations

import abc
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor
from decomon.bounds import AffineBound, Interval
from decomon.domains._base import Domain


class Derived(Domain):
    """Input sets that do what the sets do that they are made of.

    What is known about them holds on all parts of them, and does not change when they are rounded.
    """

    @property
    @abc.abstractmethod
    def base(self) -> Domain:
        """The sets that these are made of."""

    @abc.abstractmethod
    def _with(self, base: Domain) -> Self:
        """Return other sets, of which the same is known."""

    @property
    def separable(self) -> bool:
        return self.base.separable

    def shaped(self, input_shape: Shape) -> Self:
        return self._with(self.base.shaped(input_shape))

    def interval(self) -> Interval:
        return self.base.interval()

    def concretize(self, bound: AffineBound) -> Tensor:
        return self.base.concretize(bound)

    def maximizer(self, weights: Tensor) -> Tensor:
        return self.base.maximizer(weights)

    def center(self) -> Tensor:
        return self.base.center()

    def project(self, points: Tensor) -> Tensor:
        return self.base.project(points)

    def sample(self, count: int, seed: int) -> Tensor:
        return self.base.sample(count, seed)

    def contains(self, points: Tensor) -> Tensor:
        return self.base.contains(points)

    def scores(self, weights: Tensor, importance: Tensor) -> Tensor:
        return self.base.scores(weights, importance)

    def split(self, scores: Tensor) -> tuple[Self, Self]:
        left, right = self.base.split(scores)
        return self._with(left), self._with(right)

    def outer(self, *dtypes: Any) -> Self:
        return self._with(self.base.outer(*dtypes))

    def nearest(self, *dtypes: Any) -> Self:
        return self._with(self.base.nearest(*dtypes))

    def inside(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        return self.base.inside(points)
