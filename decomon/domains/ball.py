"""Balls of the norms 1, 2 and infinity, each cut by a box."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import flatten, flatten_rows
from decomon.bounds import AffineBound, Interval
from decomon.domains._balls import Parameters, check_ball, grow, tensor_ball
from decomon.domains._base import Domain
from decomon.domains._budget import loose
from decomon.domains._checks import check_finite, check_points
from decomon.domains._flat_ball import FlatBall, power
from decomon.domains.box import BoxDomain
from decomon.rounding import units


@final
@dataclass(frozen=True)
class BallDomain(Domain):
    """All points ``x'`` with ``||(x' - x) / eps||_p <= 1`` and ``low <= x' <= high``.

    Linear functions are maximised exactly over the ball and the box together, not over the ball
    alone: pixels stay in their range.

    Parameters
    ----------
    x : array or tensor of shape ``(batch, *input shape)``, or ``(batch, n)``
        The centres.
    eps : number, ``(batch,)``, or ``(batch or 1, *input shape)``
        The radius, per sample or per feature; 0 holds a feature constant.
    p : 1, 2 or infinity
        The norm.
    clip : pair of numbers or arrays, optional
        The box ``(low, high)``, each broadcastable to the shape of ``x``, which must lie in it.

    Raises
    ------
    ValueError
        If the parameters are of other shapes, not finite, or describe no set.  Only symbolic
        tensors are not checked.

    Notes
    -----
    When it is made, a domain brings its parameters to one form: ``eps`` and ``clip`` of the
    shape of ``x``, and ``clip`` as the tight hull, ``[x - eps, x + eps]`` cut by the given box and
    rounded outward (for ``p = inf``, where it is the set itself, to the nearest numbers).  After
    :meth:`split`, ``x`` may lie outside of ``clip``.
    """

    x: Any
    eps: Any
    p: Any = np.inf
    clip: Any = None

    def __post_init__(self) -> None:
        given = (self.x, self.eps, self.p, self.clip)
        tensors = [v for v in tf.nest.flatten((self.x, self.eps, self.clip)) if tf.is_tensor(v)]
        if any(map(tf.is_symbolic_tensor, tensors)):
            self._fill(tensor_ball(*given))
            return
        checked = check_ball(*given)
        self._fill(tensor_ball(*given) if tensors else checked)

    def _fill(self, parameters: Parameters) -> None:
        p, x, eps, low, high = parameters
        for name, value in {"x": x, "eps": eps, "p": p, "clip": (low, high)}.items():
            object.__setattr__(self, name, value)

    @property
    def kind(self) -> Hashable:
        return type(self), self.p

    @property
    def separable(self) -> bool:
        return self.p == np.inf

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.x, self.eps, *self.clip)

    def rebuild(self, *tensors: Tensor) -> BallDomain:
        x, eps, low, high = tensors
        other = copy.copy(self)
        other._fill((self.p, x, eps, low, high))
        return other

    def specs(self, input_shape: Shape, dtype: Tensor) -> tuple[Any, ...]:
        return (tf.TensorSpec([None, *input_shape], dtype),) * 4

    def shaped(self, input_shape: Shape) -> Domain:
        shape = (len(self), *input_shape)
        x = check_points("x", self.x, input_shape)
        eps, low, high = (np.reshape(values, shape) for values in (self.eps, *self.clip))
        for name, values in (("eps", eps), ("low", low), ("high", high)):
            check_finite(name, values)
        if (eps < 0).any() or (low > high).any():
            raise ValueError(
                "A ball needs eps of at least 0 and low <= high everywhere. "
                f"Received: eps down to {eps.min()}, high - low down to {(high - low).min()}"
            )
        same = self.rebuild(x, eps, low, high)
        return same._hull if self.p == np.inf else same

    @property
    def _hull(self) -> BoxDomain:
        return BoxDomain(*self.clip)

    def interval(self) -> Interval:
        """Return the hull.

        Where the box keeps the points away from the centre, by ``d_j`` radii along coordinate j,
        ``|x'_i - x_i| / eps_i <= (1 - sum_{j != i} d_j^p)^(1/p)``.
        """
        if self.p == np.inf:
            return self._hull.interval()
        flat = FlatBall.of(self.p, self.tensors())
        unit, tiny = units(flat.x)
        left = flat.budget + power(flat.forced, self.p) * (1 + 8 * unit)
        radius = flat.eps * (left if self.p == 1 else tf.sqrt(left)) * (1 + 8 * unit)
        reach = radius + tf.where(flat.eps > 0, 4 * unit * tf.abs(flat.x) + tiny, 0)
        lower = tf.maximum(flat.low, flat.x - reach)
        upper = tf.minimum(flat.high, flat.x + reach)
        return Interval(flat.shape(lower), flat.shape(upper))

    def concretize(self, bound: AffineBound) -> Tensor:
        """Maximise a linear function over ball and box together.

        From the point of the box that is nearest to the centre, only moves along the signs of the
        weights gain.  Moves are measured in radii; their cost must not exceed what the distance
        to that point leaves of the ball.  The value is that of the dual problem, an upper bound for
        every price of the budget, and the maximum for the price that is found.  Its gradient
        with respect to the weights is the maximiser (envelope theorem).
        """
        box = self._hull.concretize(bound)
        if self.p == np.inf:
            return box
        flat = FlatBall.of(self.p, self.tensors())
        weights = flatten_rows(bound.weights)
        gains, room, price, amounts = flat.moves(weights)
        spent = price if self.p == 1 else price * (2 * flat.forced[:, None] + amounts)
        gain = tf.reduce_sum(amounts * (gains - spent), axis=2)
        if self.p == 1:
            # Fractions of coordinates have the right gradient; whole ones make a sound value.
            dual = tf.reduce_sum(room * tf.nn.relu(gains - price), axis=2)
            gain += tf.stop_gradient(dual - gain)
        gain += price[:, :, 0] * flat.budget
        start = tf.linalg.matvec(weights, flat.nearest) + bound.offset
        # Rounding may put the sum of moves above the corner of the box.
        return tf.minimum(start + gain, box)

    def maximizer(self, weights: Tensor) -> Tensor:
        if self.p == np.inf:
            return self._hull.maximizer(weights)
        flat = FlatBall.of(self.p, self.tensors())
        rows = flatten_rows(weights)
        amounts = flat.moves(rows)[3]
        points = flat.nearest[:, None] + tf.sign(rows) * flat.eps[:, None] * amounts
        return flat.shape_rows(self._into(flat, points))

    def center(self) -> Tensor:
        """Return the point that is nearest to the centre of the ball: itself, unless cut off."""
        if self.p == np.inf:
            return self._hull.center()
        flat = FlatBall.of(self.p, self.tensors())
        return flat.shape(flat.nearest)

    def project(self, points: Tensor) -> Tensor:
        """Return the nearest points of the set, in the Euclidean distance.

        Each coordinate shrinks towards the centre, for p = 2 by the factor
        ``eps^2 / (eps^2 + m)``, for p = 1 by ``m / eps``, and is clipped.  The multiplier ``m`` is
        bracketed (by false position with the Illinois rule, and bisection) until the length or
        ``m`` itself is exact to rounding errors; what those leave outside is pulled in.  Points
        of the set are returned as they are.
        """
        if self.p == np.inf:
            return self._hull.project(points)
        flat = FlatBall.of(self.p, self.tensors())
        rows = flatten_rows(points)
        clipped = tf.clip_by_value(rows, flat.low[:, None], flat.high[:, None])
        shrunk = flat.shrink(rows)
        within = self.contains(flat.shape_rows(clipped))[:, :, None]
        return flat.shape_rows(self._into(flat, tf.where(within, clipped, shrunk)))

    def sample(self, count: int, seed: int) -> Tensor:
        """Return points from the middle to the boundary.

        Directions lead from the centre to random points of the hull, half of them to corners.  They
        have from one to all coordinates, because moves along few coordinates reach furthest
        in balls of small p.  Every second point goes as far as the set allows.
        """
        if self.p == np.inf:
            return self._hull.sample(count, seed)
        flat = FlatBall.of(self.p, self.tensors())
        hull = self.interval()
        shape = [1, count, flat.x.shape[1]]  # a sample's points are the same in any batch

        def uniform(stream: int, size: list[Any]) -> Tensor:
            return tf.random.stateless_uniform(size, [seed, 8 * count + stream], dtype=flat.x.dtype)

        ratio, one = uniform(0, shape), [*shape[:2], 1]
        ratio = tf.where(uniform(1, one) < 0.5, tf.round(ratio), ratio)
        lower, upper = flatten(hull.lower)[:, None], flatten(hull.upper)[:, None]
        kept = uniform(2, shape) < tf.pow(tf.cast(shape[2], flat.x.dtype), -uniform(3, one))
        start = flat.nearest[:, None]
        moves = tf.where(kept, lower * (1 - ratio) + upper * ratio - start, 0)
        lengths = tf.abs(moves) / flat.unit[:, None]
        left = flat.budget[:, None]
        if self.p == 1:
            farthest = left / tf.maximum(tf.reduce_sum(lengths, axis=2, keepdims=True), left)
        else:
            # The positive root of s^2 |v|^2 + 2 s forced . v = budget, without cancellation.
            half = tf.reduce_sum(lengths * flat.forced[:, None], axis=2, keepdims=True)
            square = tf.reduce_sum(tf.square(lengths), axis=2, keepdims=True)
            root = half + tf.sqrt(tf.square(half) + square * left)
            farthest = left / tf.maximum(root, left)
        far = tf.reshape(tf.range(count) % 2 == 0, [1, count, 1])
        part = tf.where(far, tf.ones([], flat.x.dtype), uniform(4, one))
        return flat.shape_rows(self._into(flat, start + moves * farthest * part))

    def contains(self, points: Tensor) -> Tensor:
        """Evaluate the definition in float64, without tolerance."""
        if self.p == np.inf:
            return self._hull.contains(points)
        flat = FlatBall.of(self.p, self.as_tensors(tf.float64).tensors())
        rows = flatten_rows(tf.cast(points, tf.float64))
        moves = rows - flat.x[:, None]
        level = tf.reduce_sum(power(tf.abs(moves) / flat.unit[:, None], self.p), axis=2)
        allowed = (rows >= flat.low[:, None]) & (rows <= flat.high[:, None])
        allowed &= (flat.eps[:, None] > 0) | (moves == 0)
        return (level <= 1) & tf.reduce_all(allowed, axis=2)

    def scores(self, weights: Tensor, importance: Tensor) -> Tensor:
        """Return |coefficient| x width of the hull along every flattened coordinate."""
        total = tf.einsum("bs,bsn->bn", importance, tf.abs(flatten_rows(weights)))
        hull = self.interval()
        return total * flatten(hull.upper - hull.lower)

    def split(self, scores: Tensor) -> tuple[BallDomain, BallDomain]:
        """Halve the hull of each set along its flattened coordinate with the largest score.

        Some point of the set attains either end of the hull, so neither half is empty.
        """
        hull = self.interval()
        halves = BoxDomain(hull.lower, hull.upper).split(scores)
        left, right = (self.rebuild(self.x, self.eps, *half.tensors()) for half in halves)
        return left, right

    def outer(self, *dtypes: Any) -> BallDomain | BoxDomain:
        """Return sets of tensors that contain every point after rounding to each type in turn.

        Rounding to a type of unit roundoff u and smallest subnormal number s moves coordinate i
        of a point by at most ``u |x'_i| + s / 2 <= u |x_i| + u |x'_i - x_i| + s / 2``, and the
        centre by a known ``g_i``.  By the triangle inequality, radii are enough that are
        larger by the factor ``1 + u + ||(u |x| + s / 2 + g) / eps||_p``.  A feature whose radius is
        not much larger than these errors would enlarge all others; it is given so large a
        radius instead that only the box restricts it.  The box is rounded outward, and constant
        features stay constant.
        """
        if self.p == np.inf:
            return self._hull.outer(*dtypes)
        arrays = tuple(np.asarray(values) for values in self.tensors())
        given = None
        for dtype in dtypes:
            arrays, given = grow(self.p, arrays, given, dtype), dtype
        return self.rebuild(*map(tf.constant, arrays))

    def nearest(self, *dtypes: Any) -> Domain:
        return self._hull.nearest(*dtypes) if self.p == np.inf else super().nearest(*dtypes)

    def inside(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Pull points in, by about as much as they are outside, and at least by rounding errors."""
        if self.p == np.inf:
            return self._hull.inside(points)
        flat = FlatBall.of(self.p, self.tensors())
        rows = flatten(tf.cast(points, flat.x.dtype))[:, None]
        return flat.shape(self._into(flat, rows)[:, 0]).numpy()

    def _into(self, flat: FlatBall, points: Tensor) -> Tensor:
        """Move points that rounding put outside towards the centre, until they are contained."""
        unit, _ = units(flat.x)
        start, low, high = flat.nearest[:, None], flat.low[:, None], flat.high[:, None]
        points = tf.clip_by_value(points, low, high)

        def outside(rows: Tensor) -> Tensor:
            return ~self.contains(flat.shape_rows(rows))[:, :, None]

        def unfinished(part: Tensor, _: Tensor, wrong: Tensor) -> Tensor:
            return tf.reduce_any(wrong & (part <= 1))

        def pull(part: Tensor, rows: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            moved = start + (points - start) * (1 - part)
            rows = tf.where(wrong, tf.clip_by_value(moved, low, high), rows)
            return 2 * part, rows, outside(rows)

        lengths = tf.abs(points - flat.x[:, None]) / flat.unit[:, None]
        level = tf.reduce_sum(power(lengths, self.p), axis=2, keepdims=True)
        excess = (tf.sqrt(level) if self.p == 2 else level) - 1
        begin = (tf.clip_by_value(excess, 4 * unit, 1), points, outside(points))
        shapes = (tf.TensorShape([None, None, 1]), loose(points), tf.TensorShape([None, None, 1]))
        return tf.while_loop(unfinished, pull, begin, shape_invariants=shapes)[1]
