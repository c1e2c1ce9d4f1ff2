"""Checking what users pass, before anything is computed."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon.domains import BoxDomain
from decomon.rounding import round_down, round_up
from decomon.signature import Port, Signature, entries
from decomon.verifier import Verifier, as_tensor


@final
@dataclass(frozen=True)
class Boxes:
    """A batch of checked boxes, corners of shape ``(batch, *input shape)``, any float dtype.

    Several inputs are one flat input.  ``whole`` says, with a batch axis of 1, which coordinates
    the model cuts decimals off; it is None if there are none.
    """

    x_min: NDArray[np.floating]
    x_max: NDArray[np.floating]
    whole: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.x_min)

    def __getitem__(self, chosen: Any) -> Boxes:
        """Select samples."""
        return Boxes(self.x_min[chosen], self.x_max[chosen], self.whole)

    def outer(self, verifier: Verifier) -> BoxDomain:
        """Return a box that contains every point that the model can see.

        The model rounds its inputs to its own type, so corners are rounded outward to that
        type first, and then to the compute type.
        """
        lower, upper = self._cut(self.x_min), self._cut(self.x_max)
        for dtype in _grids(verifier):
            lower, upper = round_down(lower, dtype), round_up(upper, dtype)
        return BoxDomain(as_tensor(lower, verifier.dtype), as_tensor(upper, verifier.dtype))

    def nearest(self, verifier: Verifier) -> BoxDomain:
        """Return the box whose corners are rounded as the model rounds its inputs."""
        lower, upper = self._cut(self.x_min), self._cut(self.x_max)
        for dtype in _grids(verifier):
            lower, upper = lower.astype(dtype), upper.astype(dtype)
        return BoxDomain(as_tensor(lower, verifier.dtype), as_tensor(upper, verifier.dtype))

    def reachable(self, points: Tensor) -> Tensor:
        """Return the nearest points that the model can see; ``points`` is ``(batch, count, ...)``.

        The corners of :meth:`nearest` are whole where decimals are cut off, so no point leaves it.
        """
        return points if self.whole is None else tf.where(self.whole, tf.round(points), points)

    def clip(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return points that lie in the box as it was given, in its own dtype."""
        return np.clip(points.astype(self.x_min.dtype), self.x_min, self.x_max)

    def seen(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return what the model makes of points of the box, up to rounding."""
        return self._cut(points)

    def _cut(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        return points if self.whole is None else np.where(self.whole, np.trunc(points), points)


def _grids(verifier: Verifier) -> tuple[Any, Any]:
    return np.dtype(verifier.graph.input_dtype).type, verifier.dtype.as_numpy_dtype


def check_boxes(x_min: Any, x_max: Any, signature: Signature) -> Boxes:
    """Return checked boxes; ValueError if they are not boxes of the model's inputs."""
    given = entries("x_max", x_max, signature.inputs)
    lower = check_inputs("x_min", x_min, signature)
    if len(given) > 1:
        held = zip(given.items(), lower, strict=True)
        given = {name: low if value is None else value for (name, value), low in held}
    upper = _check_parts(given, signature)
    if len(lower[0]) != len(upper[0]):
        raise ValueError(
            "x_min and x_max must have the same number of samples. "
            f"Received: x_min of shape {_shapes(lower)}, x_max of shape {_shapes(upper)}"
        )
    names = entries("x_min", x_min, signature.inputs)
    dtype = np.result_type(*lower, *upper)
    for name, name_max, low, high in zip(names, given, lower, upper, strict=True):
        crossed = np.argwhere(low.astype(dtype) > high.astype(dtype))
        if crossed.size:
            place = tuple(int(i) for i in crossed[0])
            raise ValueError(
                "x_min must not exceed x_max anywhere. "
                f"Received: {name}={low[place]} > {name_max}={high[place]} in sample {place[0]} at "
                f"position {place[1:]} ({len(crossed)} such entries)"
            )
    joined_lower, joined_upper = (
        signature.join([part.astype(dtype) for part in parts]) for parts in (lower, upper)
    )
    return Boxes(joined_lower, joined_upper, signature.whole())


def check_inputs(name: str, values: Any, signature: Signature) -> list[NDArray[np.floating]]:
    """Return the points of every input, ``(batch, *shape)`` each, in the model's order."""
    return _check_parts(entries(name, values, signature.inputs), signature)


def _check_parts(given: dict[str, Any], signature: Signature) -> list[NDArray[np.floating]]:
    parts = [
        check_points(name, value, port.shape)
        for (name, value), port in zip(given.items(), signature.inputs, strict=True)
    ]
    for name, part, port in zip(given, parts, signature.inputs, strict=True):
        if len(part) != len(parts[0]):
            raise ValueError(
                "All inputs must have the same number of samples. "
                f"Received: {next(iter(given))} of shape {parts[0].shape}, "
                f"{name} of shape {part.shape}"
            )
        if port.whole:
            _check_range(name, part, port)
    return parts


def _check_range(name: str, part: NDArray[np.floating], port: Port) -> None:
    """Refuse values that would wrap around."""
    limits = np.iinfo(port.dtype)
    wrong = np.argwhere((part < float(limits.min)) | (part >= float(int(limits.max) + 1)))
    if wrong.size:
        place = tuple(int(i) for i in wrong[0])
        raise ValueError(
            f"{name} must lie between {limits.min} and {limits.max}, because input {port.name!r} "
            f"is of type {port.dtype}. Received: {part[place]} in sample {place[0]} at position "
            f"{place[1:]} ({len(wrong)} such entries)"
        )


def _shapes(parts: list[NDArray[np.floating]]) -> str:
    return ", ".join(str(part.shape) for part in parts)


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Make an array, or say which argument cannot be one."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} must be an array: all its rows need the same length. "
            f"Received: {type(values).__name__} of {len(values)} items that differ in length"
        ) from error


def check_points(name: str, values: Any, shape: Shape) -> NDArray[np.floating]:
    """Return finite points of shape ``(batch, *shape)``; flattened samples are accepted."""
    array = as_array(name, values)
    if array.dtype.kind not in "iubf":
        raise ValueError(
            f"{name} must hold real numbers. Received: dtype {array.dtype} of shape {array.shape}"
        )
    array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
    size = int(np.prod(shape))
    if array.ndim < 1 or (array.shape[1:] != shape and array.shape[1:] != (size,)):
        flat = f" or (batch, {size})" if shape != (size,) else ""
        raise ValueError(
            f"{name} must have the shape (batch, {', '.join(map(str, shape))}){flat} of the "
            f"model's inputs. Received: {name} of shape {array.shape}"
        )
    array = array.reshape(array.shape[0], *shape)
    wrong = np.argwhere(~np.isfinite(array))
    if wrong.size:
        place = tuple(int(i) for i in wrong[0])
        raise ValueError(
            f"{name} must be finite. Received: {array[place]} in sample {place[0]} at position "
            f"{place[1:]} ({len(wrong)} such entries)"
        )
    return array


def check_count(name: str, value: Any, *, minus_one: bool = False) -> int:
    """Return a positive integer, or -1 where that is allowed."""
    allowed = "a positive integer or -1" if minus_one else "a positive integer"
    integer = int(value) if isinstance(value, numbers.Integral) else 0
    usable = integer > 0 or (minus_one and integer == -1)
    if isinstance(value, bool) or not usable:
        raise ValueError(f"{name} must be {allowed}. Received: {name}={value!r}")
    return integer


def batches(count: int, batch_size: int, limit: int) -> Iterator[slice]:
    """Cut ``count`` samples into batches; -1 takes as many as memory allows."""
    size = limit if batch_size == -1 else min(batch_size, limit)
    for begin in range(0, count, size):
        yield slice(begin, min(begin + size, count))
