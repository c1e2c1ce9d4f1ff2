"""Boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import flatten, flatten_rows, rise
from decomon.bounds import AffineBound, Interval
from decomon.domains._base import Domain
from decomon.domains._checks import as_parameter, check_batches, check_order, check_points
from decomon.rounding import round_down, round_up


@final
@dataclass(frozen=True)
class BoxDomain(Domain):
    """All points between two corners: ``x_min <= x <= x_max``, elementwise.

    Parameters
    ----------
    x_min, x_max : arrays or tensors of shape ``(batch, *input shape)``, or ``(batch, n)``
    """

    x_min: Any
    x_max: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "x_min", as_parameter("x_min", self.x_min))
        object.__setattr__(self, "x_max", as_parameter("x_max", self.x_max))

    @property
    def separable(self) -> bool:
        return True

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.x_min, self.x_max)

    def rebuild(self, *tensors: Tensor) -> BoxDomain:
        return BoxDomain(*tensors)

    def specs(self, input_shape: Shape, dtype: Tensor) -> tuple[Any, ...]:
        corner = tf.TensorSpec([None, *input_shape], dtype)
        return corner, corner

    def shaped(self, input_shape: Shape) -> BoxDomain:
        x_min = check_points("x_min", self.x_min, input_shape)
        x_max = check_points("x_max", self.x_max, input_shape)
        check_batches(("x_min", "x_max"), x_min, x_max)
        dtype = np.result_type(x_min, x_max)
        x_min, x_max = x_min.astype(dtype), x_max.astype(dtype)
        check_order(("x_min", "x_max"), x_min, x_max)
        return BoxDomain(x_min, x_max)

    def interval(self) -> Interval:
        return Interval(self.x_min, self.x_max)

    def concretize(self, bound: AffineBound) -> Tensor:
        """Maximise a linear function over the box.

        ``max w . x = w . x_min + w+ . (x_max - x_min)``: each coordinate is chosen independently,
        so the maximum is exact (the dual norm of the weighted infinity norm).
        """
        weights = flatten_rows(bound.weights)
        lower, width = flatten(self.x_min), flatten(self.x_max - self.x_min)
        return tf.linalg.matvec(weights, lower) + rise(weights, width) + bound.offset

    def maximizer(self, weights: Tensor) -> Tensor:
        return tf.where(weights >= 0, self.x_max[:, None], self.x_min[:, None])

    def center(self) -> Tensor:
        return self.interval().center

    def project(self, points: Tensor) -> Tensor:
        return tf.clip_by_value(points, self.x_min[:, None], self.x_max[:, None])

    def sample(self, count: int, seed: int) -> Tensor:
        shape = tf.shape(self.x_min)
        ratio = tf.random.stateless_uniform(
            # A sample has the same points in any batch.
            tf.concat([[1, count], shape[1:]], axis=0),
            [seed, count],
            dtype=self.x_min.dtype,
        )
        lower, upper = self.x_min[:, None], self.x_max[:, None]
        # The convex combination may round to just outside the box.
        return tf.clip_by_value(lower * (1 - ratio) + upper * ratio, lower, upper)

    def contains(self, points: Tensor) -> Tensor:
        inside = (points >= self.x_min[:, None]) & (points <= self.x_max[:, None])
        return tf.reduce_all(inside, axis=list(range(2, len(points.shape))))

    def scores(self, weights: Tensor, importance: Tensor) -> Tensor:
        """Return |coefficient| x width of every flattened coordinate."""
        total = tf.einsum("bs,bsn->bn", importance, tf.abs(flatten_rows(weights)))
        return total * (flatten(self.x_max) - flatten(self.x_min))

    def split(self, scores: Tensor) -> tuple[BoxDomain, BoxDomain]:
        """Halve each box along its flattened coordinate with the largest score."""
        lower, upper = flatten(self.x_min), flatten(self.x_max)
        chosen = tf.one_hot(
            tf.argmax(scores, axis=1), lower.shape[1], on_value=True, off_value=False
        )
        middle = tf.clip_by_value(0.5 * lower + 0.5 * upper, lower, upper)
        shape = tf.shape(self.x_min)
        left = BoxDomain(self.x_min, tf.reshape(tf.where(chosen, middle, upper), shape))
        right = BoxDomain(tf.reshape(tf.where(chosen, middle, lower), shape), self.x_max)
        return left, right

    def outer(self, *dtypes: Any) -> BoxDomain:
        """Round the corners outward, so that the box contains the set of all rounded points."""
        lower, upper = np.asarray(self.x_min), np.asarray(self.x_max)
        for dtype in dtypes:
            lower, upper = round_down(lower, dtype), round_up(upper, dtype)
        return BoxDomain(tf.constant(lower), tf.constant(upper))

    def inside(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.clip(points.astype(self.x_min.dtype), self.x_min, self.x_max)

    def truncated(self, whole: NDArray[np.bool_]) -> BoxDomain:
        """Cut the decimals of the corners off, where ``whole`` (with a batch axis of 1) says so."""
        lower, upper = self.x_min, self.x_max
        return BoxDomain(
            np.where(whole, np.trunc(lower), lower), np.where(whole, np.trunc(upper), upper)
        )
