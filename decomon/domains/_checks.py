"""Checking the parameters of sets, before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, tf


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Make an array, or say which argument cannot be one."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} must be an array: all its rows need the same length. "
            f"Received: {type(values).__name__} of {len(values)} items that differ in length"
        ) from error


def as_parameter(name: str, values: Any) -> Any:
    """Return a tensor as it is, and anything else as an array of floating-point numbers."""
    if tf.is_tensor(values):
        return values
    return as_floats(name, values)


def as_floats(name: str, values: Any) -> NDArray[np.floating]:
    """Return an array of floating-point numbers."""
    array = as_array(name, values)
    if array.dtype.kind not in "iubf":
        raise ValueError(
            f"{name} must hold real numbers. Received: dtype {array.dtype} of shape {array.shape}"
        )
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)


def check_points(name: str, values: Any, shape: Shape) -> NDArray[np.floating]:
    """Return finite points of shape ``(batch, *shape)``; flattened samples are accepted."""
    array = as_floats(name, values)
    size = int(np.prod(shape))
    if array.ndim < 1 or (array.shape[1:] != shape and array.shape[1:] != (size,)):
        flat = f" or (batch, {size})" if shape != (size,) else ""
        raise ValueError(
            f"{name} must have the shape (batch, {', '.join(map(str, shape))}){flat} of the "
            f"model's inputs. Received: {name} of shape {array.shape}"
        )
    array = array.reshape(array.shape[0], *shape)
    check_finite(name, array)
    return array


def check_finite(name: str, array: NDArray[np.floating]) -> None:
    """Refuse NaN and infinity, with the place of the first one."""
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        where = f" in sample {place[0]} at position {place[1:]}" if place else ""
        raise ValueError(
            f"{name} must be finite. Received: {array[place]}{where} ({len(wrong)} such entries)"
        )


def check_order(
    names: tuple[str, str], lower: NDArray[np.floating], upper: NDArray[np.floating]
) -> None:
    """Refuse a lower corner above the upper one."""
    crossed = np.argwhere(lower > upper)
    if crossed.size:
        place = tuple(int(i) for i in crossed[0])
        raise ValueError(
            "x_min must not exceed x_max anywhere. "
            f"Received: {names[0]}={lower[place]} > {names[1]}={upper[place]} in sample {place[0]} "
            f"at position {place[1:]} ({len(crossed)} such entries)"
        )


def check_batches(names: tuple[str, str], *arrays: NDArray[np.floating]) -> None:
    """Refuse different numbers of samples."""
    if len({len(array) for array in arrays}) > 1:
        shapes = [f"{name} of shape {a.shape}" for name, a in zip(names, arrays, strict=True)]
        raise ValueError(
            f"{' and '.join(names)} must have the same number of samples. "
            f"Received: {', '.join(shapes)}"
        )
