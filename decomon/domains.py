"""Sets of inputs.

A domain knows its interval hull, the maximum of a linear function over it, and how to project,
sample and split.  Nothing outside this file looks at what kind of set it is.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Self, final

from decomon._backend import Tensor, tf
from decomon._tensors import flatten, flatten_rows
from decomon.bounds import AffineBound, Interval


class Domain(abc.ABC):
    """A batch of input sets, given by run-time tensors."""

    @abc.abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """The parameters, in the order of the constructor."""

    @abc.abstractmethod
    def interval(self) -> Interval:
        """The smallest box that contains the set."""

    @abc.abstractmethod
    def concretize(self, bound: AffineBound) -> Tensor:
        """Return the maximum of ``bound`` over the set, shape ``(batch, spec)``."""

    @abc.abstractmethod
    def maximizer(self, weights: Tensor) -> Tensor:
        """Return the points of shape ``(batch, spec, *input shape)`` that attain the maximum."""

    @abc.abstractmethod
    def project(self, points: Tensor) -> Tensor:
        """Return the nearest points of the set; ``points`` is ``(batch, count, *input shape)``."""

    @abc.abstractmethod
    def sample(self, count: int, seed: int) -> Tensor:
        """Return points of the set, shape ``(batch, count, *input shape)``, deterministic."""

    @abc.abstractmethod
    def contains(self, points: Tensor) -> Tensor:
        """Say which of the points ``(batch, count, *input shape)`` lie in the set."""

    @abc.abstractmethod
    def split(self, scores: Tensor) -> tuple[Self, Self]:
        """Cut each set in two along its flattened coordinate with the largest score.

        ``scores`` is ``(batch, n)``; the two halves together cover the set.
        """

    @abc.abstractmethod
    def widths(self) -> Tensor:
        """The extent along each flattened coordinate, ``(batch, n)``."""


@final
@dataclass(frozen=True)
class BoxDomain(Domain):
    """All points between two corners: ``x_min <= x <= x_max``, elementwise.

    Parameters
    ----------
    x_min, x_max : tensors of shape ``(batch, *input shape)``
    """

    x_min: Tensor
    x_max: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.x_min, self.x_max)

    def interval(self) -> Interval:
        return Interval(self.x_min, self.x_max)

    def concretize(self, bound: AffineBound) -> Tensor:
        """Maximise a linear function over the box.

        ``max w . x = w+ . x_max + w- . x_min``: each coordinate is chosen independently, so the
        maximum is exact (the dual norm of the weighted infinity norm).
        """
        weights = flatten_rows(bound.weights)
        positive = tf.nn.relu(weights)
        return (
            tf.linalg.matvec(positive, flatten(self.x_max))
            + tf.linalg.matvec(weights - positive, flatten(self.x_min))
            + bound.offset
        )

    def maximizer(self, weights: Tensor) -> Tensor:
        return tf.where(weights >= 0, self.x_max[:, None], self.x_min[:, None])

    def project(self, points: Tensor) -> Tensor:
        return tf.clip_by_value(points, self.x_min[:, None], self.x_max[:, None])

    def sample(self, count: int, seed: int) -> Tensor:
        shape = tf.shape(self.x_min)
        ratio = tf.random.stateless_uniform(
            tf.concat([shape[:1], [count], shape[1:]], axis=0),
            [seed, count],
            dtype=self.x_min.dtype,
        )
        lower, upper = self.x_min[:, None], self.x_max[:, None]
        # The convex combination may round to just outside the box.
        return tf.clip_by_value(lower * (1 - ratio) + upper * ratio, lower, upper)

    def contains(self, points: Tensor) -> Tensor:
        inside = (points >= self.x_min[:, None]) & (points <= self.x_max[:, None])
        return tf.reduce_all(inside, axis=list(range(2, len(points.shape))))

    def split(self, scores: Tensor) -> tuple[BoxDomain, BoxDomain]:
        lower, upper = flatten(self.x_min), flatten(self.x_max)
        chosen = tf.one_hot(
            tf.argmax(scores, axis=1), lower.shape[1], on_value=True, off_value=False
        )
        middle = tf.clip_by_value(0.5 * lower + 0.5 * upper, lower, upper)
        shape = tf.shape(self.x_min)
        left = BoxDomain(self.x_min, tf.reshape(tf.where(chosen, middle, upper), shape))
        right = BoxDomain(tf.reshape(tf.where(chosen, middle, lower), shape), self.x_max)
        return left, right

    def widths(self) -> Tensor:
        return flatten(self.x_max) - flatten(self.x_min)
