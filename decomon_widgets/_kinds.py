"""How samples are drawn: as pictures, as rows of features or as signals."""

import math
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Kind", "check_kind", "value_range"]

Kind = Literal["image", "row", "signal"]

KINDS: tuple[Kind, ...] = ("image", "row", "signal")
"""As a picture, as one bar per feature, or as one line per channel."""

# Below this number of values nobody would call a vector a picture or a signal.
_LEAST_VALUES = 16
_MOST_CHANNELS = 16


def check_kind(
    given: tuple[int, ...],
    input_shape: tuple[int, ...] | None,
    kind: str | None,
    image_shape: tuple[int, ...] | None,
) -> tuple[Kind, tuple[int, int, int]]:
    """Decide how samples are drawn.

    Parameters
    ----------
    given
        Shape of one sample.
    input_shape
        Shape of one input of the model, which flat samples get; None if it is not known.
    kind
        One of :data:`KINDS`, None to guess.
    image_shape
        `(height, width)` or `(height, width, channels)` of a picture, None to guess.

    Returns
    -------
    Kind
    tuple of int
        As in :attr:`Samples.image_shape`.

    Raises
    ------
    ValueError
        If samples of this shape cannot be drawn like that.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(
            f"kind must be one of {', '.join(map(repr, KINDS))}, or None to guess. "
            f"Received: kind={kind!r}"
        )
    if image_shape is not None:
        if kind not in (None, "image"):
            raise ValueError(
                "image_shape is for pictures: leave it out, or pass kind='image'. "
                f"Received: kind={kind!r}, image_shape={image_shape}"
            )
        return "image", _check_image_shape(given, image_shape)
    shapes = [given]
    if len(given) == 1 and input_shape is not None and len(input_shape) > 1:
        shapes = [input_shape, given]
    for shape in shapes:
        chosen = cast("Kind", kind) if kind is not None else _guess_kind(shape)
        drawn = chosen and _drawn_shape(shape, chosen)
        if chosen and drawn:
            return chosen, drawn
    raise ValueError(
        "How to draw these inputs is not clear: pass image_shape=(height, width) or "
        "image_shape=(height, width, 3) for pictures, kind='signal' for lines, or kind='row' for "
        f"one bar per value. Received: inputs of shape {given}, kind={kind!r}"
    )


def _is_picture(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))


def _guess_kind(shape: tuple[int, ...]) -> Kind | None:
    """A vector of a square number of values is a picture, a long and narrow array a signal."""
    size = math.prod(shape)
    if len(shape) == 1:
        return "image" if size >= _LEAST_VALUES and math.isqrt(size) ** 2 == size else "row"
    long = tuple(n for n in shape if n != 1)
    if len(long) <= 1:
        return "signal" if size >= _LEAST_VALUES else "row"
    n, channels = long[0], long[-1]
    thin = n >= _LEAST_VALUES and n >= 4 * channels and channels <= _MOST_CHANNELS
    if len(long) == 2 and thin and (len(shape) == 2 or 1 in shape[:2]):
        return "signal"
    return "image" if _is_picture(shape) else None


def _drawn_shape(shape: tuple[int, ...], kind: Kind) -> tuple[int, int, int] | None:
    """`Samples.image_shape` of inputs of some shape; None if they cannot be drawn like that."""
    size = math.prod(shape)
    if kind == "row":
        return 1, size, 1
    if kind == "signal":
        long = tuple(n for n in shape if n != 1)
        return (1, long[0], math.prod(long[1:])) if long else (1, size, 1)
    side = math.isqrt(size)
    if len(shape) == 1 and side * side == size:
        return side, side, 1
    if not _is_picture(shape):
        return None
    height, width, channels = (*shape, 1)[:3]
    return height, width, channels


def _check_image_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, int, int]:
    size = math.prod(shape)
    full = (*wanted, 1) if len(wanted) == 2 else tuple(wanted)
    if len(full) != 3 or full[2] not in (1, 3) or min(full) < 1 or math.prod(full) != size:
        raise ValueError(
            "image_shape must be (height, width) or (height, width, 1 or 3) and have as many "
            f"values as one input, which has {size}. Received: image_shape={wanted}"
        )
    return full[0], full[1], full[2]


def value_range(
    x: NDArray[np.generic], kind: Kind, clip: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Ends of the scale on which values are drawn; a signal fills its plot.

    Parameters
    ----------
    x
        All samples, flat, of shape `(N, n)`.
    kind
        How they are drawn.
    clip
        Smallest and largest value that an input may have, None for no limit.

    Returns
    -------
    numpy.ndarray
        As in :attr:`Samples.value_range`.
    """
    if kind == "row":
        if clip is not None:
            return np.repeat(np.array(clip, np.float64), x.shape[1])
        return np.concatenate([x.min(axis=0), x.max(axis=0)]).astype(np.float64)
    ends = clip if clip is not None and kind == "image" else (x.min(), x.max())
    return np.array(ends, np.float64)
