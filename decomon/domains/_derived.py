"""Sets that are other sets, and something known about them."""

from __future__ import annotations

import abc

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor
from decomon.bounds import AffineBound, Interval
from decomon.domains._base import Domain


class Derived(Domain):
    """Input sets that do what the sets do that they are made of."""

    @property
    @abc.abstractmethod
    def base(self) -> Domain:
        """The sets that these are made of."""

    @property
    def separable(self) -> bool:
        return self.base.separable

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

    def inside(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        return self.base.inside(points)
