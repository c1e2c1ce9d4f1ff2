"""Grids: finite sets of quantised inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import flatten, flatten_rows
from decomon.bounds import AffineBound, Interval
from decomon.domains._base import Domain
from decomon.domains._checks import (
    as_floats,
    as_parameter,
    check_batches,
    check_finite,
    check_order,
    check_points,
)
from decomon.domains._radius import units_of
from decomon.domains.box import BoxDomain
from decomon.rounding import round_down, round_up

_SLACK = 8


@final
@dataclass(frozen=True)
class GridDomain(Domain):
    """Grid points between two corners: ``x_min + k step <= x_max`` with k = 0, 1, 2, ...

    Made for quantised inputs, such as images of 8 bits with ``step=1 / 255``: a counterexample
    is then an image that a file can hold.  A linear function has its maximum at a corner, so the
    bounds are those of the box around the grid; points are always on the grid.

    Parameters
    ----------
    x_min, x_max : arrays or tensors of shape ``(batch, *input shape)``, or ``(batch, n)``
        ``x_max`` counts as a grid point if it is one up to rounding.
    step : number, ``(batch,)``, or ``(batch or 1, *input shape)``
        Distance of neighbouring points; where it is 0, a feature stays at ``x_min``.
    first, last : tensors of the shape of ``x_min``, optional
        Smallest and largest ``k`` of each feature; all of them by default.
    slack : tensor of the shape of ``x_min``, optional
        How far a number may be from the computed grid point that it stands for; by default as
        much as rounding explains.

    Notes
    -----
    A number such as 3/255 has several roundings, depending on how it was computed.  So the set
    holds every point whose features are all within ``slack`` of a computed grid point and within
    ``[x_min, x_max]``; :meth:`contains` accepts just these, and :meth:`interval` and
    :meth:`concretize` cover all of them.

    Let ``u`` be the unit roundoff and ``S = |x_min| + |x_max|``, which bounds ``|x|`` and
    ``k step``.  Rounding ``x_min`` and ``step`` moves a point by at most ``u |x_min| + u k step``,
    computing ``x_min + k step`` by ``u k step + u |x|``, and rounding the number that stands for
    it by ``u |x|``: less than ``6 u S``.  The default is ``8 u S``, which also decides how many
    steps there are: ``x_max`` is on the grid if it is less than ``2 u S`` from it, and computing
    ``(x_max - x_min) / step`` moves the threshold by at most ``4 u S``.
    """

    x_min: Any
    x_max: Any
    step: Any
    first: Any = None
    last: Any = None
    slack: Any = None

    def __post_init__(self) -> None:
        x_min, x_max = as_parameter("x_min", self.x_min), as_parameter("x_max", self.x_max)
        # What was rounded to a coarse type has that type's error, also in a finer one.
        unit = max(units_of(x_min.dtype)[0], units_of(x_max.dtype)[0])
        if not tf.is_tensor(x_min) and not tf.is_tensor(x_max):
            check_finite("x_min", x_min)
            check_finite("x_max", x_max)
            dtype = np.result_type(x_min, x_max)
            x_min, x_max = x_min.astype(dtype), x_max.astype(dtype)
            if x_min.shape == x_max.shape:
                check_order(("x_min", "x_max"), x_min, x_max)
        step = _spread(self.step, x_min)
        first, last, slack = self.first, self.last, self.slack
        # Shapes that do not fit, such as one flattened corner, are for `shaped` to sort out.
        if any(tf.is_tensor(value) for value in (x_min, x_max, step)):
            fits = len(x_min.shape) == len(x_max.shape) == len(step.shape)
        else:
            fits = x_min.shape == x_max.shape == step.shape
        if fits and (first is None or last is None or slack is None):
            numpy = not any(tf.is_tensor(value) for value in (x_min, x_max, step))
            xp: Any = np if numpy else tf
            x_max = xp.where(step > 0, x_max, x_min)
            room = _SLACK * unit * (abs(x_min) + abs(x_max))
            count = _count(xp, x_min, x_max, step, room)
            if numpy:
                _check_fine(x_min, x_max, step, room, count)
            first = count * 0 if first is None else first
            last = count if last is None else last
            slack = room if slack is None else slack
        values = x_min, x_max, step, first, last, slack
        names = "x_min", "x_max", "step", "first", "last", "slack"
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def separable(self) -> bool:
        return True

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.x_min, self.x_max, self.step, self.first, self.last, self.slack)

    def rebuild(self, *tensors: Tensor) -> GridDomain:
        return GridDomain(*tensors)

    def specs(self, input_shape: Shape, dtype: Tensor) -> tuple[Any, ...]:
        return (tf.TensorSpec([None, *input_shape], dtype),) * len(self.tensors())

    def shaped(self, input_shape: Shape) -> GridDomain:
        x_min = check_points("x_min", self.x_min, input_shape)
        x_max = check_points("x_max", self.x_max, input_shape)
        check_batches(("x_min", "x_max"), x_min, x_max)
        check_order(("x_min", "x_max"), x_min, x_max)
        step = _shape_step(as_floats("step", self.step), x_min)
        if self.last is None:
            return GridDomain(x_min, x_max, step)
        chosen = (np.reshape(value, x_min.shape) for value in (self.first, self.last, self.slack))
        return GridDomain(x_min, x_max, step, *chosen)

    def interval(self) -> Interval:
        """The box around the numbers that stand for grid points."""
        return Interval(
            tf.maximum(self.x_min, self._point(self.first) - self.slack),
            tf.minimum(self.x_max, self._point(self.last) + self.slack),
        )

    def concretize(self, bound: AffineBound) -> Tensor:
        """Maximise a linear function over the box around the grid, whose corners are grid points.

        Each coordinate is chosen independently, so this is exact (up to ``slack``).
        """
        return self._hull().concretize(bound)

    def maximizer(self, weights: Tensor) -> Tensor:
        first, last = self._point(self.first), self._point(self.last)
        return tf.where(weights >= 0, last[:, None], first[:, None])

    def center(self) -> Tensor:
        return self._point(self._middle())

    def project(self, points: Tensor) -> Tensor:
        return self._rounded(points)

    def sample(self, count: int, seed: int) -> Tensor:
        shape = tf.shape(self.x_min)
        ratio = tf.random.stateless_uniform(
            # A sample has the same points in any batch.
            tf.concat([[1, count], shape[1:]], axis=0),
            [seed, count],
            dtype=self.x_min.dtype,
        )
        first, last = self.first[:, None], self.last[:, None]
        return self._point(tf.minimum(first + tf.floor(ratio * (last - first + 1)), last))

    def contains(self, points: Tensor) -> Tensor:
        """Say which points are grid points, up to ``slack`` in each feature; see the class."""
        near = tf.abs(points - self._rounded(points)) <= self.slack[:, None]
        between = (points >= self.x_min[:, None]) & (points <= self.x_max[:, None])
        return tf.reduce_all(near & between, axis=list(range(2, len(points.shape))))

    def scores(self, weights: Tensor, importance: Tensor) -> Tensor:
        """Return |coefficient| x distance of the outermost points of every flattened coordinate.

        A coordinate with a single grid point cannot be cut: 0.
        """
        total = tf.einsum("bs,bsn->bn", importance, tf.abs(flatten_rows(weights)))
        return total * flatten(self._point(self.last) - self._point(self.first))

    def split(self, scores: Tensor) -> tuple[GridDomain, GridDomain]:
        """Share the grid points of the flattened coordinate with the largest score.

        Each point goes to exactly one side; a single point that cannot be shared goes to both.
        """
        shape = tf.shape(self.x_min)
        chosen = tf.reshape(
            tf.one_hot(tf.argmax(scores, axis=1), scores.shape[1], on_value=True, off_value=False),
            shape,
        )
        middle = self._middle()
        last = tf.where(chosen, middle, self.last)
        first = tf.where(chosen, tf.minimum(middle + 1, self.last), self.first)
        return (
            GridDomain(self.x_min, self.x_max, self.step, self.first, last, self.slack),
            GridDomain(self.x_min, self.x_max, self.step, first, self.last, self.slack),
        )

    def outer(self, *dtypes: Any) -> GridDomain:
        """Round the corners outward, and widen ``slack`` by all that rounding moves.

        A point within ``slack`` of a grid point, which may itself have been moved onto ``x_max``
        by as much, moves by ``u |x|``; the grid point moves with ``x_min`` and ``k step``, and is
        computed with an error of at most ``2 u S`` before and after.
        """
        return self._cast((round_down, round_up), dtypes)

    def nearest(self, *dtypes: Any) -> GridDomain:
        return self._cast((_to_nearest, _to_nearest), dtypes)

    def inside(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the nearest grid points, computed as ``x_min + k step``."""
        moved = points.astype(self.x_min.dtype)[:, None]
        return self._rounded(tf.constant(moved)).numpy()[:, 0]

    def _hull(self) -> BoxDomain:
        interval = self.interval()
        return BoxDomain(interval.lower, interval.upper)

    def _point(self, k: Tensor) -> Tensor:
        """Return the k-th points, ``k`` of shape ``(batch, *input shape)`` or with a count."""
        x_min, x_max, step, slack = (
            value if len(k.shape) == len(value.shape) else value[:, None]
            for value in (self.x_min, self.x_max, self.step, self.slack)
        )
        point = x_min + k * step
        end = point >= x_max - tf.minimum(slack, 0.5 * step)
        return tf.where(end, tf.broadcast_to(x_max, tf.shape(point)), point)

    def _rounded(self, points: Tensor) -> Tensor:
        step = self.step[:, None]
        k = tf.where(
            step > 0,
            tf.round((points - self.x_min[:, None]) / tf.where(step > 0, step, tf.ones_like(step))),
            tf.zeros_like(points),
        )
        return self._point(tf.clip_by_value(k, self.first[:, None], self.last[:, None]))

    def _middle(self) -> Tensor:
        return tf.floor(0.5 * (self.first + self.last))

    def _cast(self, directions: tuple[Any, Any], dtypes: tuple[Any, ...]) -> GridDomain:
        lower, upper, step, first, last, slack = (np.asarray(v) for v in self.tensors())
        sides = np.abs(lower) + np.abs(upper)
        room = 2 * slack.astype(np.float64) + 2 * units_of(lower.dtype)[0] * sides
        start, down, up = lower, *directions
        for dtype in dtypes:
            lower, upper = down(lower, dtype), up(upper, dtype)
            sides = np.abs(lower).astype(np.float64) + np.abs(upper)
            room = room + units_of(dtype)[0] * sides
        # Counts are exact, and the steps are rounded just once: errors would grow with k.
        dtype = dtypes[-1] if dtypes else lower.dtype
        cast = step.astype(dtype)
        room = room + np.abs(start.astype(np.float64) - lower)
        room = room + last * np.abs(step.astype(np.float64) - cast) + 2 * units_of(dtype)[0] * sides
        values = lower, upper, cast, first.astype(dtype), last.astype(dtype), round_up(room, dtype)
        return GridDomain(*(tf.constant(value) for value in values))


def _to_nearest(values: NDArray[np.floating], dtype: Any) -> NDArray[np.floating]:
    return values.astype(dtype)


def _spread(step: Any, x_min: Any) -> Any:
    """Give the step of all features, or of all samples, the shape of ``x_min``."""
    if tf.is_tensor(step):
        return step
    array = as_floats("step", step)
    check_finite("step", np.atleast_1d(array))
    if (array < 0).any():
        raise ValueError(
            "step must not be negative: grid points are x_min + k step <= x_max. "
            f"Received: step={array.min()}"
        )
    if not tf.is_tensor(x_min):
        fits = array.ndim < 2 or array.shape[1:] == x_min.shape[1:]
        return _shape_step(array, x_min) if fits else array
    array = array.astype(x_min.dtype.as_numpy_dtype)
    if array.ndim < 2:
        return tf.reshape(array, [-1] + [1] * (len(x_min.shape) - 1)) + tf.zeros_like(x_min)
    return tf.constant(array)


def _shape_step(step: NDArray[np.floating], x_min: NDArray[np.floating]) -> NDArray[np.floating]:
    """Broadcast a step to the shape of ``x_min``."""
    size = int(np.prod(x_min.shape[1:]))
    found = step
    if step.ndim == 1:
        found = step.reshape(-1, *[1] * (x_min.ndim - 1))
    elif step.shape[1:] == (size,):
        found = step.reshape(-1, *x_min.shape[1:])
    try:
        return np.broadcast_to(found, x_min.shape).astype(x_min.dtype)
    except ValueError as error:
        raise ValueError(
            "step must be a number, an array of shape (batch,), or one of shape "
            f"(batch or 1, {', '.join(map(str, x_min.shape[1:]))}) like x_min. "
            f"Received: step of shape {step.shape} and x_min of shape {x_min.shape}"
        ) from error


def _count(xp: Any, x_min: Any, x_max: Any, step: Any, room: Any) -> Any:
    """Return how many steps lead from ``x_min`` to ``x_max``."""
    moving = (step > 0) & (x_max > x_min)
    count = xp.floor((x_max - x_min + room) / xp.where(moving, step, xp.ones_like(step)))
    return xp.where(moving, count, xp.zeros_like(count))


def _check_fine(
    x_min: NDArray[np.floating],
    x_max: NDArray[np.floating],
    step: NDArray[np.floating],
    room: NDArray[np.floating],
    count: NDArray[np.floating],
) -> None:
    """Refuse steps that floating-point numbers cannot resolve."""
    wrong = np.argwhere((count > 0) & (step < 4 * room))
    if wrong.size:
        place = tuple(int(i) for i in wrong[0])
        raise ValueError(
            f"step is too fine for {x_min.dtype} numbers between x_min and x_max: rounding moves "
            "them by about as much. Use BoxDomain(x_min, x_max). "
            f"Received: step={step[place]} between {x_min[place]} and {x_max[place]} in sample "
            f"{place[0]} at position {place[1:]} ({len(wrong)} such entries)"
        )
