"""Checking what users pass, before anything is computed."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape
from decomon.domains import BoxDomain
from decomon.errors import NonFiniteBoundError
from decomon.rounding import round_down, round_up
from decomon.verifier import Verifier, as_tensor


@final
@dataclass(frozen=True)
class Boxes:
    """A batch of checked boxes, corners of shape ``(batch, *input shape)``, any float dtype."""

    x_min: NDArray[np.floating]
    x_max: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.x_min)

    def __getitem__(self, chosen: Any) -> Boxes:
        """Select samples."""
        return Boxes(self.x_min[chosen], self.x_max[chosen])

    def outer(self, verifier: Verifier) -> BoxDomain:
        """Return a box that contains every point that the model can see.

        The model rounds its inputs to its own type, so corners are rounded outward to that
        type first, and then to the compute type.
        """
        lower, upper = self.x_min, self.x_max
        for dtype in _grids(verifier):
            lower, upper = round_down(lower, dtype), round_up(upper, dtype)
        return BoxDomain(as_tensor(lower, verifier.dtype), as_tensor(upper, verifier.dtype))

    def nearest(self, verifier: Verifier) -> BoxDomain:
        """Return the box whose corners are rounded as the model rounds its inputs."""
        lower, upper = self.x_min, self.x_max
        for dtype in _grids(verifier):
            lower, upper = lower.astype(dtype), upper.astype(dtype)
        return BoxDomain(as_tensor(lower, verifier.dtype), as_tensor(upper, verifier.dtype))

    def clip(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return points that lie in the box as it was given, in its own dtype."""
        return np.clip(points.astype(self.x_min.dtype), self.x_min, self.x_max)


def _grids(verifier: Verifier) -> tuple[Any, Any]:
    return np.dtype(verifier.graph.input_dtype).type, verifier.dtype.as_numpy_dtype


def check_boxes(x_min: Any, x_max: Any, shape: Shape) -> Boxes:
    """Return checked boxes; ValueError if they are not boxes of the model's inputs."""
    lower = check_points("x_min", x_min, shape)
    upper = check_points("x_max", x_max, shape)
    if lower.shape != upper.shape:
        raise ValueError(
            "x_min and x_max must have the same number of samples. "
            f"Received: x_min of shape {np.shape(x_min)}, x_max of shape {np.shape(x_max)}"
        )
    dtype = np.result_type(lower, upper)
    lower, upper = lower.astype(dtype), upper.astype(dtype)
    crossed = np.argwhere(lower > upper)
    if crossed.size:
        place = tuple(int(i) for i in crossed[0])
        raise ValueError(
            "x_min must not exceed x_max anywhere. "
            f"Received: x_min={lower[place]} > x_max={upper[place]} in sample {place[0]} at "
            f"position {place[1:]} ({len(crossed)} such entries)"
        )
    return Boxes(lower, upper)


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


def check_bounds(values: NDArray[np.floating], first: int) -> NDArray[np.floating]:
    """Raise if a bound is not finite: it proves nothing.  ``first`` is the first sample."""
    wrong = np.argwhere(~np.isfinite(values))
    if wrong.size:
        raise NonFiniteBoundError(
            f"The bounds of sample {first + int(wrong[0][0])} are not finite: the arithmetic "
            "overflowed, so nothing is proven. Check the model's weights and the size of the "
            f"inputs, or use clone(model, dtype='float64'). Received: {values[tuple(wrong[0])]}"
        )
    return values
