"""Checking the parameters of balls, and enlarging them for rounding."""

from __future__ import annotations

import numbers
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, tf
from decomon.domains._checks import as_floats, check_finite
from decomon.rounding import gamma, round_down, round_up, units

Array: TypeAlias = NDArray[np.floating]
Parameters: TypeAlias = tuple[float, Any, Any, Any, Any]
"""p, x, eps, low, high; the last four of one shape."""


def check_ball(x: Any, eps: Any, p: Any, clip: Any) -> Parameters:
    """Return arrays of one shape and float type, or say which parameter describes no ball."""
    norm = check_norm(p)
    centers, radii = as_floats("x", x), as_floats("eps", eps)
    low, high = check_clip(clip)
    if centers.ndim < 1:
        raise ValueError(
            "x must have a batch axis, shape (batch, *input shape); for one sample, use x[None]. "
            f"Received: x of shape {centers.shape}"
        )
    check_finite("x", centers)
    wrong = np.argwhere(~(np.isfinite(radii) & (radii >= 0)))
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        where = f" at position {place}" if place else ""
        raise ValueError(f"eps must be finite and at least 0. Received: eps={radii[place]}{where}")
    batch = len(centers)
    shape = max((centers, radii, low, high), key=lambda values: values.ndim).shape[1:]
    if centers.ndim != 2 or centers[0:1].size != int(np.prod(shape)):
        shape = centers.shape[1:]
    centers = centers.reshape(batch, *shape)
    # Numbers of a wider type than x may lie a rounding error inside of the ends that x attains.
    with np.errstate(over="ignore"):
        low = np.minimum(low, low.astype(centers.dtype))
        high = np.maximum(high, high.astype(centers.dtype))
    radii = _spread_eps(radii, batch, shape)
    low, high = (_spread_clip(name, v, batch, shape) for name, v in (("low", low), ("high", high)))
    _check_within(centers, low, high)
    dtype = np.result_type(centers, radii, low, high)
    centers, radii = centers.astype(dtype), radii.astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        if norm == np.inf:
            # Rounding is monotone, so no number of this type in the ball lies outside.
            left, right = centers - radii, centers + radii
        else:
            left, right = 0 - _add_up(-centers, radii), _add_up(centers, radii)
        lower, upper = np.maximum(low.astype(dtype), left), np.minimum(high.astype(dtype), right)
    check_finite("x - eps", lower)
    check_finite("x + eps", upper)
    return norm, centers, radii, lower, upper


def tensor_ball(x: Any, eps: Any, p: Any, clip: Any) -> Parameters:
    """Return tensors of one shape, of the type of the first one; only ``p`` is checked."""
    norm = check_norm(p)
    ends: tuple[Any, Any] = (-np.inf, np.inf) if clip is None else clip
    dtype = next(v.dtype for v in (x, eps, *ends) if tf.is_tensor(v))
    x, eps, low, high = (tf.cast(v, dtype) for v in (x, eps, *ends))
    if len(eps.shape) == 1:
        eps = tf.reshape(eps, [-1, *[1] * (len(x.shape) - 1)])
    eps = eps + tf.zeros_like(x)
    unit, tiny = units(x)
    reach = tf.where(eps > 0, eps * (1 + 4 * unit) + 4 * unit * tf.abs(x) + tiny, 0)
    if norm == np.inf:
        reach = eps
    return norm, x, eps, tf.maximum(low, x - reach), tf.minimum(high, x + reach)


def check_norm(p: Any) -> float:
    """Return the norm as 1, 2 or infinity."""
    if isinstance(p, bool) or not isinstance(p, numbers.Real) or p not in (1, 2, np.inf):
        raise ValueError(f"p must be 1, 2 or infinity (numpy.inf). Received: p={p!r}")
    return next(norm for norm in (1, 2, np.inf) if norm == p)


def check_clip(clip: Any) -> tuple[Array, Array]:
    """Return both ends of the box, which may be infinite."""
    if clip is None:
        return np.array(-np.inf, np.float32), np.array(np.inf, np.float32)
    pair = cast("list[Any]", clip)
    if not isinstance(clip, tuple | list | np.ndarray) or len(pair) != 2:
        raise ValueError(
            f"clip must be None or a pair (low, high) of numbers or arrays. Received: {pair!r}"
        )
    low, high = as_floats("clip[0]", pair[0]), as_floats("clip[1]", pair[1])
    if np.isnan(low).any() or np.isnan(high).any():
        raise ValueError("clip must not be NaN. Received: clip with NaN in it")
    return low, high


def _spread_eps(eps: Array, batch: int, shape: Shape) -> Array:
    size = int(np.prod(shape))
    if eps.ndim == 0 or (eps.ndim == len(shape) + 1 and _broadcasts(eps.shape, (batch, *shape))):
        return np.broadcast_to(eps, (batch, *shape))
    if eps.shape == (batch,):
        return np.broadcast_to(eps.reshape(batch, *[1] * len(shape)), (batch, *shape))
    if eps.shape in ((1, size), (batch, size)):
        return np.broadcast_to(eps.reshape(-1, *shape), (batch, *shape))
    features = ", ".join(map(str, shape))
    hint = ""
    if eps.shape in ((size,), shape):
        hint = f" For one value per feature, use eps[None], of shape {(1, *eps.shape)}."
    raise ValueError(
        f"eps must be a number, one per sample, shape ({batch},), or one per feature, shape "
        f"(1, {features}) or ({batch}, {features}).{hint} Received: eps of shape {eps.shape}"
    )


def _spread_clip(name: str, values: Array, batch: int, shape: Shape) -> Array:
    size = int(np.prod(shape))
    if _broadcasts(values.shape, (batch, *shape)):
        return np.broadcast_to(values, (batch, *shape))
    if values.shape in ((size,), (1, size), (batch, size)):
        return np.broadcast_to(values.reshape(-1, *shape), (batch, *shape))
    raise ValueError(
        f"{name} of clip=(low, high) must broadcast to the shape {(batch, *shape)} of x. "
        f"Received: {name} of shape {values.shape}"
    )


def _broadcasts(shape: Shape, wanted: Shape) -> bool:
    if len(shape) > len(wanted):
        return False
    return all(a in (1, b) for a, b in zip(reversed(shape), reversed(wanted), strict=False))


def _check_within(x: Array, low: Array, high: Array) -> None:
    crossed = np.argwhere(low > high)
    if crossed.size:
        place = tuple(int(i) for i in crossed[0])
        raise ValueError(
            "clip=(low, high) must have low <= high everywhere. "
            f"Received: low={low[place]} > high={high[place]} in sample {place[0]} "
            f"at position {place[1:]}"
        )
    outside = np.argwhere((x < low) | (x > high))
    if outside.size:
        place = tuple(int(i) for i in outside[0])
        raise ValueError(
            f"x must lie within clip=({low[place]}, {high[place]}), the valid range of inputs; "
            "scale the samples, or pass another clip or None. "
            f"Received: {x[place]} in sample {place[0]} at position {place[1:]} "
            f"({len(outside)} such entries)"
        )


def _add_up(left: Array, right: Array) -> Array:
    """Return sums, rounded up where they are not exact (by the error of Knuth's two-sum)."""
    total = left + right
    back = total - left
    error = (left - (total - back)) + (right - back)
    return np.where(error > 0, np.nextafter(total, np.inf, dtype=total.dtype), total)


def grow(p: float, arrays: tuple[Array, ...], given: Any, dtype: Any) -> tuple[Array, ...]:
    """Enlarge balls so that they contain their points after rounding to a type.

    Parameters
    ----------
    p : 1 or 2
    arrays : x, eps, low, high
    given : the type that the points have before; None for real numbers
    dtype : the type that they are rounded to

    See :meth:`decomon.BallDomain.outer` for the derivation.
    """
    x, eps = (np.asarray(values, np.float64) for values in arrays[:2])
    center = arrays[0].astype(dtype)
    shift = np.abs(center.astype(np.float64) - x)
    exact = given is not None and np.can_cast(given, dtype, "safe")
    unit = float(np.nextafter(dtype(1), dtype(2)) - dtype(1)) / 2
    least = float(np.nextafter(dtype(0), dtype(1)))
    error = shift if exact else shift + unit * np.abs(x) + least / 2
    moving = eps > 0
    free = moving & (error > eps / 4)
    ratio = np.where(moving & ~free, error / np.where(moving, eps, 1), 0)
    axes = tuple(range(1, x.ndim))
    size = np.linalg.norm(ratio.reshape(len(x), -1), ord=p, axis=1) if x[0:1].size else 0.0
    growth = np.reshape(size, (-1, *[1] * len(axes))) + (0.0 if exact else unit)
    lower, upper = round_down(arrays[2], dtype), round_up(arrays[3], dtype)
    # Together the free features use one unit roundoff of the ball.
    count = free.sum(axis=axes, keepdims=True) ** (1 / p)
    reach = np.maximum(upper.astype(np.float64) - center, center - lower.astype(np.float64))
    radii = np.where(free, reach * count / unit, eps)
    growth = growth + np.where(count > 0, unit, 0)
    # The growth itself is a sum of rounded terms.
    radii = radii * (1 + growth * (1 + gamma(ratio[0:1].size + 16, np.float64)))
    radii = round_up(np.nextafter(radii, np.inf), dtype)
    radii = np.where(moving, np.maximum(radii, dtype(least / (2 * unit))), dtype(0))
    keep = [np.where(moving, side, center) for side in (lower, upper)]
    return center, radii, *keep
