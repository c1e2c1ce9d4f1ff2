"""Balls around the inputs of a model, from what users pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape
from decomon._tensors import size_of
from decomon.domains import BallDomain
from decomon.domains._checks import as_array
from decomon.inputs import check_inputs
from decomon.signature import Port, Signature, entries

Array = NDArray[np.floating]


def balls(
    signature: Signature, x: Any, eps: Any, p: Any, clip: Any, *, name: str = "eps"
) -> BallDomain:
    """Return balls of the flat input of a model.

    Parameters
    ----------
    signature : of the model
    x : array, or, for several inputs, a list, tuple or dict of arrays
    eps : number, ``(batch,)`` or per feature, or one of these for each input
    p : 1, 2 or infinity; the norm is that of all inputs together
    clip : None, a pair, or one of these for each input
    name : of ``eps``, for messages

    Raises
    ------
    ValueError
        If something is not usable, or samples lie outside of ``clip``.
    """
    ports = signature.inputs
    points = [part.astype(np.float64) for part in check_inputs("x", x, signature)]
    radii = radii_of(name, eps, len(points[0]), ports)
    clips = clips_of(clip, len(points[0]), ports)
    if len(ports) > 1:  # an input that is held constant needs no range
        clips = [c if radius.any() else None for c, radius in zip(clips, radii, strict=True)]
    for called, part, limits in zip(entries("x", x, ports), points, clips, strict=True):
        if limits is not None:
            _check_clipped(called, part, limits)
    if len(ports) == 1:
        return BallDomain(points[0], radii[0], p, clips[0])
    wide = [np.broadcast_to(radius, part.shape) for radius, part in zip(radii, points, strict=True)]
    lower, upper = (
        signature.join(
            [
                np.broadcast_to(free if c is None else c[side], part.shape)
                for c, part in zip(clips, points, strict=True)
            ]
        )
        for side, free in ((0, -np.inf), (1, np.inf))
    )
    return BallDomain(signature.join(points), signature.join(wide), p, (lower, upper))


def radii_of(name: str, eps: Any, batch: int, ports: Sequence[Port]) -> list[Array]:
    """Return the radii for each input, with all the axes of a batch of inputs.

    Raises
    ------
    ValueError
        If they are negative, not finite or of no usable shape.
    """
    if given_each(eps, ports):
        given = list(entries(name, eps, ports).items())
    else:
        given = [(name, eps)] * len(ports)
    return [
        _radius(called, value, batch, port.shape)
        for (called, value), port in zip(given, ports, strict=True)
    ]


def _radius(name: str, eps: Any, batch: int, shape: Shape) -> Array:
    values = _unflatten(as_array(name, eps), shape)
    full = values.ndim == len(shape) + 1 and all(
        side in (1, wanted) for side, wanted in zip(values.shape, (batch, *shape), strict=True)
    )
    usable = values.dtype.kind in "iuf" and (values.shape in ((), (batch,)) or full)
    if not usable or not np.isfinite(values).all() or (values < 0).any():
        sides = ", ".join(map(str, shape))
        raise ValueError(
            f"{name} must be a finite number that is at least 0, or one per sample, shape "
            f"({batch},), or one per feature, shape (1, {sides}) or ({batch}, {sides}). "
            f"Received: {name}={eps!r}"
        )
    wide = values.astype(np.float64)
    if not full:
        wide = wide.reshape(-1, *[1] * len(shape))
    return np.broadcast_to(wide, (batch, *wide.shape[1:]))


def _unflatten(values: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """Give values ``(batch or 1, n)`` of flattened features the shape of the features."""
    flat = values.ndim == 2 != len(shape) + 1 and values.shape[1] == size_of(shape)
    return values.reshape(len(values), *shape) if flat else values


def clips_of(clip: Any, batch: int, ports: Sequence[Port]) -> list[tuple[Array, Array] | None]:
    """Return the valid range of each input, as a pair of arrays that broadcast to its points.

    Raises
    ------
    ValueError
        If a range is no pair, crossed, not a number or of no usable shape.
    """
    if not given_each(clip, ports) or _is_pair(clip):
        given = [("clip", clip)] * len(ports)
    else:
        given = list(entries("clip", clip, ports).items())
    return [
        None if value is None else _range(called, value, batch, port.shape)
        for (called, value), port in zip(given, ports, strict=True)
    ]


def given_each(values: Any, ports: Sequence[Port]) -> bool:
    """Whether a setting is given for each input: as a dict, or, if there are several, a list."""
    several = len(ports) > 1 and isinstance(values, list | tuple)
    return several or isinstance(values, Mapping)


def _is_pair(clip: Any) -> bool:
    """Whether a list is one range for all inputs, not a list of ranges."""
    if not isinstance(clip, list | tuple):
        return False
    return all(np.ndim(end) == 0 and end is not None for end in cast("Sequence[Any]", clip))


def _range(name: str, clip: Any, batch: int, shape: Shape) -> tuple[Array, Array]:
    pair = [_unflatten(as_array(name, end), shape) for end in _ends(clip)]
    usable = len(pair) == 2 and all(_broadcasts(end, (batch, *shape)) for end in pair)
    if not usable or not (pair[0] <= pair[1]).all() or (pair[0] == pair[1]).all():
        raise ValueError(
            f"{name} must be None or a pair (low, high) with low < high, of numbers or of arrays "
            f"per feature, shape (1, {', '.join(map(str, shape))}). Received: {name}={clip!r}"
        )
    return pair[0].astype(np.float64), pair[1].astype(np.float64)


def _ends(clip: Any) -> list[Any]:
    """Return what a range is made of; nothing if it is no sequence."""
    sequence = isinstance(clip, list | tuple) or (isinstance(clip, np.ndarray) and clip.ndim > 0)
    return [*cast("Sequence[Any]", clip)] if sequence else []


def _broadcasts(end: NDArray[Any], full: Shape) -> bool:
    if end.dtype.kind not in "iuf":
        return False
    sides = zip(end.shape, full, strict=False)
    return not end.ndim or (end.ndim == len(full) and all(a in (1, b) for a, b in sides))


def _check_clipped(name: str, points: Array, clip: tuple[Array, Array]) -> None:
    low, high = (np.broadcast_to(end, points.shape) for end in clip)
    outside = np.argwhere((points < low) | (points > high))
    if outside.size:
        place = tuple(int(i) for i in outside[0])
        raise ValueError(
            f"{name} must lie within clip=({low[place]}, {high[place]}), the valid range of "
            "inputs; scale the samples, or pass another clip or None"
            + (", for each input if they differ. " if name != "x" else ". ")
            + f"Received: {points[place]} in sample {place[0]} at position {place[1:]}"
        )
