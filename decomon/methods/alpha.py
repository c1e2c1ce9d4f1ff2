"""Optimised relaxations: gradient descent on the bound itself (Xu et al. 2021, alpha-CROWN)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, final

from decomon._backend import Tensor, tf

Moments: TypeAlias = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]


@final
@dataclass(frozen=True)
class Adam:
    """Adam with decaying step size (Kingma and Ba 2015), as a pure function.

    Every parameter of every sample has its own moments, so samples never influence each other.
    """

    learning_rate: float
    decay: float = 0.97
    first: float = 0.9
    second: float = 0.999
    epsilon: float = 1e-8

    def initial(self, parameters: tuple[Tensor, ...]) -> Moments:
        """Return zero moments."""
        zeros = tuple(tf.zeros_like(value) for value in parameters)
        return zeros, zeros

    def update(
        self,
        parameters: tuple[Tensor, ...],
        gradients: tuple[Tensor, ...],
        moments: Moments,
        step: Tensor,
    ) -> tuple[tuple[Tensor, ...], Moments]:
        """Return parameters one step downhill, and the new moments."""
        time = tf.cast(step, parameters[0].dtype) + 1
        rate = self.learning_rate * self.decay**time
        means, squares = moments
        means = tuple(
            self.first * m + (1 - self.first) * g for m, g in zip(means, gradients, strict=True)
        )
        squares = tuple(
            self.second * s + (1 - self.second) * g * g
            for s, g in zip(squares, gradients, strict=True)
        )
        moved = tuple(
            value
            - rate
            * (m / (1 - self.first**time))
            / (tf.sqrt(s / (1 - self.second**time)) + self.epsilon)
            for value, m, s in zip(parameters, means, squares, strict=True)
        )
        return moved, (means, squares)
