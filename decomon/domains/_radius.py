"""Sets that are widened by a box, a Minkowski sum, to hold what rounding moves out of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.domains._base import Domain
from decomon.domains._checks import as_floats, check_finite
from decomon.domains._combinations import Combinations
from decomon.rounding import round_up


def spread_radius(radius: Any, point: Any) -> Any:
    """Give a radius the shape and type of the points ``(batch, *input shape)``, if it fits."""
    if tf.is_tensor(radius):
        return radius
    array = as_floats("radius", radius)
    check_finite("radius", np.atleast_1d(array))
    if (array < 0).any():
        raise ValueError(f"radius must not be negative. Received: radius={array.min()}")
    if tf.is_tensor(point):
        return tf.constant(array, point.dtype) + tf.zeros_like(point)
    return shape_radius(array, point) if array.ndim in (0, point.ndim) else array


def shape_radius(radius: NDArray[np.floating], point: NDArray[np.floating]) -> NDArray[np.floating]:
    """Give a radius, which may be flattened, the shape and type of the points."""
    found = radius.reshape(point.shape) if radius.size == point.size else radius
    try:
        return round_up(np.broadcast_to(found, point.shape), point.dtype.type)
    except ValueError as error:
        raise ValueError(
            "radius must be a number or have the shape of the points. "
            f"Received: radius of shape {radius.shape} for points of shape {point.shape}"
        ) from error


def move_within(found: Tensor, points: Tensor, radius: Tensor) -> Tensor:
    """Return the nearest points of the boxes around ``found``."""
    side = radius[:, None]
    return found + tf.clip_by_value(points - found, -side, side)


def jitter(points: Tensor, radius: Tensor, seed: Any) -> Tensor:
    """Return random points of the boxes around points."""
    shape = tf.concat([[1], tf.shape(points)[1:]], axis=0)
    ratio = tf.random.stateless_uniform(shape, seed, -1, 1, dtype=points.dtype)
    return points + ratio * radius[:, None]


def kept_or_projected(
    domain: Domain, target: Domain, points: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return points ``(batch, *shape)`` of a set as they are, others projected on ``target``."""
    moved = tf.constant(points[:, None])
    keep = domain.contains(moved)
    if tf.reduce_all(keep):
        return moved.numpy()[:, 0]
    keep = tf.reshape(keep, [-1, 1, *[1] * (points.ndim - 1)])
    return tf.where(keep, moved, target.project(moved)).numpy()[:, 0]


def accepted(combinations: Combinations, points: Tensor, tolerance: Tensor) -> Tensor:
    """Say which points ``(batch, count, n)`` some combination is as close to as it must be.

    ``tolerance``: ``(batch, n)``, in the units of each feature; all in double precision.
    """
    # Where nothing may differ, the atoms are all zero, and no coefficients change that.
    units = tf.math.reciprocal_no_nan(tolerance)
    found = combinations.scaled(units).within(points * units[:, None])
    distance = tf.abs(points - combinations.values(found))
    return tf.reduce_all(distance <= tolerance[:, None], axis=2)


def rounded_radius(
    radius: NDArray[np.floating],
    peaks: tuple[NDArray[np.floating], ...],
    moves: tuple[NDArray[np.floating], ...],
    dtypes: tuple[Any, ...],
) -> NDArray[np.floating]:
    """Return a radius around the rounded set that covers all rounded points.

    Parameters
    ----------
    radius : radius around the set before rounding
    peaks : the largest absolute values of the set without its radius, before each rounding
    moves : how far parts of the set move away from their points in each rounding, at most
    dtypes : the types

    Notes
    -----
    A point ``y + e`` with ``|e| <= radius`` moves by at most ``u (|y| + radius)``, or by the
    smallest normal number where it underflows, and ``y`` moves by at most ``moves``.
    """
    total = radius.astype(np.float64)
    for dtype, peak, move in zip(dtypes, peaks, moves, strict=True):
        largest = peak.astype(np.float64) + total
        unit, tiny = units_of(dtype)
        total = total + move + np.where(largest > 0, unit * largest + tiny, 0)
    # Far more than the error of these few sums of positive numbers.
    return round_up(total * (1 + 2.0**-45), dtypes[-1] if dtypes else radius.dtype.type)


def units_of(dtype: Any) -> tuple[float, float]:
    """Return the unit roundoff and the smallest normal number, also of types foreign to NumPy."""
    number = tf.as_dtype(dtype).as_numpy_dtype
    epsilon = float(np.nextafter(number(1), number(2))) - 1
    return epsilon / 2, float(np.nextafter(number(0), number(1))) / epsilon
