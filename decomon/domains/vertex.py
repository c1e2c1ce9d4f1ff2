"""Convex hulls of given points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import flatten, flatten_rows
from decomon.bounds import AffineBound, Interval
from decomon.domains._base import Domain
from decomon.domains._checks import as_parameter, check_finite
from decomon.domains._combinations import Combinations, check_rows
from decomon.domains._radius import (
    accepted,
    jitter,
    kept_or_projected,
    move_within,
    rounded_radius,
    shape_radius,
    spread_radius,
    units_of,
)

_COLDEST = 3.5
"""Logarithm of the largest inverse temperature: nearly all of the weight is at one vertex."""


@final
@dataclass(frozen=True)
class VertexDomain(Domain):
    """The convex hull of given points: all their weighted means, with weights >= 0.

    Useful for "anything between these images".  A linear function has its maximum at a vertex.

    Parameters
    ----------
    vertices : array or tensor of shape ``(batch, m, *input shape)``, or ``(batch, m, n)``
        The points, which need not be different or extreme.
    radius : number, or array or tensor of shape ``(batch, *input shape)``
        Half-widths of a box that is added to the hull (a Minkowski sum); 0 by default.
        Rounded points of a hull lie in such a set.

    Notes
    -----
    Numbers are rounded, so hardly any point of a thin hull can be written down exactly.
    :meth:`contains` accepts what rounding explains, feature by feature: a distance of
    ``2 gamma(2 m + 4) max_j |v_j|``.  A mean of ``m`` vertices whose computed weights sum to 1 up
    to ``gamma(m + 1)`` has half of that as its error, and checking it has the other half.
    :meth:`outer`, which is what bounds are computed for, covers all points that are accepted.

    A ``True`` is always right.  A ``False`` may be wrong for points at the very edge of a box of
    ``radius``, and in double precision for hulls that are flatter than about 1e-3 of their size in
    some direction: there the weights may not be found to the last digit.
    """

    vertices: Any
    radius: Any = 0.0

    def __post_init__(self) -> None:
        vertices = as_parameter("vertices", self.vertices)
        if len(vertices.shape) < 3 or 0 in (vertices.shape[1], *vertices.shape[2:]):
            raise ValueError(
                "vertices must have the shape (batch, m, *input shape) with m >= 1 points per "
                f"sample. Received: vertices of shape {tuple(vertices.shape)}"
            )
        if not tf.is_tensor(vertices):
            check_finite("vertices", vertices)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "radius", spread_radius(self.radius, vertices[:, 0]))

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.vertices, self.radius)

    def rebuild(self, *tensors: Tensor) -> VertexDomain:
        return VertexDomain(*tensors)

    def specs(self, input_shape: Shape, dtype: Tensor) -> tuple[Any, ...]:
        return (
            tf.TensorSpec([None, None, *input_shape], dtype),
            tf.TensorSpec([None, *input_shape], dtype),
        )

    def shaped(self, input_shape: Shape) -> VertexDomain:
        vertices = check_rows("vertices", "m", self.vertices, input_shape)
        return VertexDomain(vertices, shape_radius(np.asarray(self.radius), vertices[:, 0]))

    def interval(self) -> Interval:
        return Interval(
            tf.reduce_min(self.vertices, axis=1) - self.radius,
            tf.reduce_max(self.vertices, axis=1) + self.radius,
        )

    def concretize(self, bound: AffineBound) -> Tensor:
        """Maximise a linear function: ``max_j w . v_j + |w| . radius``.

        A weighted mean of the ``w . v_j`` is at most the largest one, so the maximum is exact.
        """
        weights = flatten_rows(bound.weights)
        extra = tf.linalg.matvec(tf.abs(weights), flatten(self.radius))
        return tf.reduce_max(self._heights(weights), axis=2) + extra + bound.offset

    def maximizer(self, weights: Tensor) -> Tensor:
        best = tf.argmax(self._heights(flatten_rows(weights)), axis=2)
        highest = tf.gather(self.vertices, best, batch_dims=1)
        return highest + tf.sign(weights) * self.radius[:, None]

    def center(self) -> Tensor:
        """The mean of all vertices."""
        return tf.reduce_mean(self.vertices, axis=1)

    def project(self, points: Tensor) -> Tensor:
        """Return the nearest points of the hull.

        An accelerated gradient and an active-set method, see ``Combinations.nearest``: the result
        is always a convex combination of the vertices, and the nearest one up to rounding unless
        the limit of steps was reached.  With a radius the result moves on to the nearest point of
        the box around it, which is in the set and not further away, but need not be the nearest.
        """
        flat = tf.cast(flatten_rows(points), tf.float64)
        hull = self._combinations()
        found = tf.cast(hull.values(hull.nearest(flat)), points.dtype)
        return move_within(tf.reshape(found, tf.shape(points)), points, self.radius)

    def sample(self, count: int, seed: int) -> Tensor:
        """Return points with Dirichlet-like weights, from uniform ones to nearly single vertices.

        The weights are a softmax of Gumbel noise over a random temperature: at 1, a flat Dirichlet
        distribution; below, more and more of the weight is at one vertex (Maddison et al. 2017).
        """
        shape, dtype = tf.shape(self.vertices), self.vertices.dtype
        noise = tf.random.stateless_uniform(
            tf.stack([1, count, shape[1]]),
            [seed, 3 * count],
            minval=units_of(dtype)[1],
            maxval=1,
            dtype=dtype,
        )
        inverse = tf.random.stateless_uniform(
            tf.stack([1, count, 1]), [seed, 3 * count + 1], 0, _COLDEST, dtype=dtype
        )
        gumbel = -tf.math.log(-tf.math.log(noise))
        weights = tf.nn.softmax(gumbel * tf.exp(inverse), axis=2)
        points = tf.matmul(weights, flatten_rows(self.vertices))
        points = tf.reshape(points, tf.concat([shape[:1], [count], shape[2:]], axis=0))
        return jitter(points, self.radius, [seed, 3 * count + 2])

    def contains(self, points: Tensor) -> Tensor:
        """Say which points are means of the vertices, up to rounding and ``radius``; see the class.

        A mean that is close enough is looked for as in :meth:`project`, in double precision.
        """
        flat = tf.cast(flatten_rows(points), tf.float64)
        tolerance = tf.cast(self.radius, tf.float64) + self._room()
        return accepted(self._combinations(), flat, flatten(tolerance))

    def scores(self, weights: Tensor, importance: Tensor) -> Tensor:
        """Return ``|w . (v_i - v_j)|`` of every edge, at position ``i m + j`` with i < j.

        The other positions are 0.
        """
        heights = self._heights(flatten_rows(weights))

        def from_vertex(height: Tensor) -> Tensor:
            return tf.einsum("bs,bsm->bm", importance, tf.abs(height[..., None] - heights))

        # One vertex at a time: all differences of all rows would not fit into memory.
        edges = tf.map_fn(from_vertex, tf.transpose(heights, [2, 0, 1]))
        upper = tf.linalg.band_part(tf.transpose(edges, [1, 0, 2]), 0, -1)
        return tf.reshape(upper, [tf.shape(upper)[0], tf.square(tf.shape(upper)[1])])

    def split(self, scores: Tensor) -> tuple[VertexDomain, VertexDomain]:
        """Halve each hull at the middle of its edge with the largest score.

        With the middle c = (v_i + v_j) / 2, one half has c instead of v_j, the other instead of
        v_i.  They cover the hull: a mean with weights p >= q of v_i and v_j is one with p - q of
        v_i and 2 q of c, so it is in the first half, and likewise in the second if p < q.  The
        radius grows by the rounding error of c, which is 0 where v_i and v_j agree.
        """
        count = tf.shape(self.vertices)[1]
        edge = tf.argmax(scores, axis=1, output_type=tf.int32)
        one, other = edge // count, edge % count
        start = tf.gather(self.vertices, one, batch_dims=1)
        end = tf.gather(self.vertices, other, batch_dims=1)
        middle = 0.5 * start + 0.5 * end
        unit, tiny = units_of(middle.dtype)
        error = unit * tf.abs(middle) + tiny
        grown = tf.math.nextafter(self.radius + error, tf.cast(float("inf"), middle.dtype))
        radius = tf.where(start == end, self.radius, grown)
        features = [1] * (len(self.vertices.shape) - 2)
        rows = tf.concat([tf.shape(self.vertices)[:2], features], axis=0)

        def replaced(which: Tensor) -> VertexDomain:
            chosen = tf.one_hot(which, count, on_value=True, off_value=False)
            new = tf.where(tf.reshape(chosen, rows), middle[:, None], self.vertices)
            return VertexDomain(new, radius)

        return replaced(other), replaced(one)

    def outer(self, *dtypes: Any) -> VertexDomain:
        """Round the vertices, and widen the radius by all that rounding moves.

        A point is a mean of the vertices and a rest within ``radius`` and what :meth:`contains`
        tolerates.  The same mean of the rounded vertices differs by at most the largest move of
        a vertex, and rounding the point itself moves it by ``u |x|``.
        """
        radius = np.asarray(self.radius).astype(np.float64) + self._room().numpy()
        vertices = np.asarray(self.vertices)
        peaks: list[NDArray[np.floating]] = []
        moves: list[NDArray[np.floating]] = []
        for dtype in dtypes:
            cast = vertices.astype(dtype)
            peaks.append(np.abs(vertices).max(axis=1))
            moves.append(np.abs(vertices.astype(np.float64) - cast).max(axis=1))
            vertices = cast
        grown = rounded_radius(radius, tuple(peaks), tuple(moves), dtypes)
        return VertexDomain(tf.constant(vertices), tf.constant(grown.astype(vertices.dtype)))

    def inside(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return points that the set contains as they are, and project the others."""
        # Points at the edge of the radius might not be recognised.
        bare = replace(self, radius=tf.zeros_like(self.radius))
        return kept_or_projected(self, bare, points.astype(self.vertices.dtype))

    def _heights(self, weights: Tensor) -> Tensor:
        """Return the value of each row at each vertex, ``(batch, spec, m)``."""
        return tf.matmul(weights, flatten_rows(self.vertices), transpose_b=True)

    def _combinations(self) -> Combinations:
        atoms = tf.cast(flatten_rows(self.vertices), tf.float64)
        return Combinations(atoms, None, None)

    def _room(self) -> Tensor:
        """What rounding of means explains, in double precision; see the class."""
        unit = units_of(self.vertices.dtype)[0]
        share = unit * tf.cast(2 * tf.shape(self.vertices)[1] + 4, tf.float64)
        return (
            2
            * share
            / (1 - share)
            * tf.cast(tf.reduce_max(tf.abs(self.vertices), axis=1), tf.float64)
        )
