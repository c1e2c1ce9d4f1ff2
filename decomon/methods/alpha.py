"""Optimised relaxations: gradient descent on the bound itself (Xu et al. 2021, alpha-CROWN)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import size_of

Moments: TypeAlias = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
Pair: TypeAlias = tuple[int, int]
"""A node that is bounded and a nonlinear node on the way."""


@final
@dataclass(frozen=True)
class Sets:
    """The parameters of one relaxation: how many sets (None: one per row), and their shapes."""

    count: int | None
    shapes: tuple[Shape, ...]


@final
@dataclass(frozen=True)
class Layout:
    """How the parameters of all relaxations lie in a few tensors.

    A recurrent network has thousands of relaxations, and every tensor costs a dozen operations
    in each step.  All relaxations with the same start and number of sets share one
    tensor, ``(batch, sets, n)``.
    """

    sets: Mapping[Pair, Sets]

    @property
    def groups(self) -> dict[tuple[int, int | None], tuple[Pair, ...]]:
        """Pairs by the tensor that holds them: start, and number of sets."""
        found: dict[tuple[int, int | None], tuple[Pair, ...]] = {}
        for pair, sets in self.sets.items():
            if sets.shapes:
                key = (pair[0], sets.count)
                found[key] = (*found.get(key, ()), pair)
        return found

    @property
    def shapes(self) -> tuple[tuple[int | None, int], ...]:
        """Number of sets and size of each tensor."""
        return tuple(
            (count, sum(size_of(shape) for pair in pairs for shape in self.sets[pair].shapes))
            for (_, count), pairs in self.groups.items()
        )

    def pack(self, parameters: Mapping[Pair, tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Lay parameters of shape ``(batch, sets, *shape)`` side by side."""
        return tuple(
            tf.concat([_flat(value) for pair in pairs for value in parameters[pair]], axis=2)
            for pairs in self.groups.values()
        )

    def unpack(self, packed: tuple[Tensor, ...]) -> dict[Pair, tuple[Tensor, ...]]:
        """Undo ``pack``."""
        found: dict[Pair, tuple[Tensor, ...]] = dict.fromkeys(self.sets, ())
        for values, pairs in zip(packed, self.groups.values(), strict=True):
            shapes = [(pair, shape) for pair in pairs for shape in self.sets[pair].shapes]
            parts = tf.split(values, [size_of(shape) for _, shape in shapes], axis=2)
            for (pair, shape), part in zip(shapes, parts, strict=True):
                found[pair] = (*found[pair], _shaped(part, shape))
        return found


def _flat(value: Tensor) -> Tensor:
    """``(batch, sets, *shape)`` to ``(batch, sets, n)``."""
    if len(value.shape) == 3:
        return value
    return tf.reshape(value, [tf.shape(value)[0], tf.shape(value)[1], size_of(value.shape[2:])])


def _shaped(part: Tensor, shape: Shape) -> Tensor:
    """``(batch, sets, n)`` to ``(batch, sets, *shape)``."""
    if len(shape) == 1:
        return part
    shaped = tf.reshape(part, tf.concat([tf.shape(part)[:2], shape], axis=0))
    shaped.set_shape([None, part.shape[1], *shape])
    return shaped


@final
@dataclass(frozen=True)
class Adam:
    """Adam with decaying step size (Kingma and Ba 2015), as a pure function.

    Every parameter of every sample has its own moments, so samples never influence each other.
    There are few steps, each of a size comparable to the whole range of the parameters: the means
    remember little, otherwise parameters run past the optimum and hardly have time to return.
    """

    learning_rate: float
    decay: float = 0.94
    first: float = 0.5
    second: float = 0.99
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
        """Return parameters one step downhill, and the new moments.

        A gradient that is no number moves nothing: the next one may be one.
        """
        nothing = tf.zeros([], parameters[0].dtype)
        gradients = tuple(tf.where(tf.math.is_finite(g), g, nothing) for g in gradients)
        time = tf.cast(step, parameters[0].dtype) + 1
        # What corrects the means and squares for having started from zero.
        first, second = 1 - self.first**time, tf.sqrt(1 - self.second**time)
        rate = self.learning_rate * self.decay**time * second / first
        means, squares = moments
        means = tuple(m + (1 - self.first) * (g - m) for m, g in zip(means, gradients, strict=True))
        squares = tuple(
            s + (1 - self.second) * (g * g - s) for s, g in zip(squares, gradients, strict=True)
        )
        moved = tuple(
            value - rate * m / (tf.sqrt(s) + self.epsilon * second)
            for value, m, s in zip(parameters, means, squares, strict=True)
        )
        return moved, (means, squares)
