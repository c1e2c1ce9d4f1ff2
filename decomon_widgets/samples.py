"""Images, labels and the drawing of samples for :class:`decomon_widgets.SampleGrid`."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Samples", "check_clip", "check_n_samples", "draw_indices", "next_seed"]

_MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Samples:
    """A checked data set of labelled images.

    Attributes
    ----------
    x
        Inputs of the network, each of them flat, of shape `(N, n)`.
    labels
        Class of each input, of shape `(N,)`.
    image_shape
        `(height, width, channels)` of the pictures, with 1 or 3 channels.
    low, high
        Values drawn black and white.
    """

    x: NDArray[np.generic]
    labels: NDArray[np.int32]
    image_shape: tuple[int, int, int]
    low: float
    high: float

    @classmethod
    def check(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        image_shape: tuple[int, ...] | None,
        clip: tuple[float, float] | None,
        *,
        input_shape: tuple[int, ...] | None = None,
        n_classes: int | None = None,
    ) -> "Samples":
        """Check images and labels.

        Parameters
        ----------
        x
            Images of shape `(N, n)`, `(N, height, width)` or `(N, height, width, channels)`.
        y
            Labels of shape `(N,)`, or one-hot of shape `(N, classes)`.
        image_shape
            How to draw one image, `(height, width)` or `(height, width, channels)`; None guesses.
        clip
            Smallest and largest value that an input may have, None for no limit.
        input_shape
            Shape of one input of the model, None if it is not known.
        n_classes
            Number of classes of the model, None if it is not known.

        Returns
        -------
        Samples

        Raises
        ------
        ValueError
            If they are not numbers, not finite, outside of `clip`, of unusable shape, or do not
            match each other or the model.
        """
        images = np.asarray(x)
        if images.dtype.kind not in "fiub" or images.ndim < 2 or len(images) == 0:
            raise ValueError(
                "x must hold numbers and have shape (N, n), (N, height, width) or "
                f"(N, height, width, channels) with N > 0. Received: dtype {images.dtype}, "
                f"shape {images.shape}"
            )
        _check_input_shape(images.shape, input_shape)
        low, high = float(images.min()), float(images.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            bad = int(
                np.flatnonzero(~np.isfinite(images).all(axis=tuple(range(1, images.ndim))))[0]
            )
            raise ValueError(f"x must be finite. Received: NaN or infinite values in sample {bad}")
        if clip is not None and (low < clip[0] or high > clip[1]):
            raise ValueError(
                f"x must lie inside clip={clip}: scale it, for example x / 255, or pass the range "
                f"of your inputs as clip, or clip=None. Received: x from {low:g} to {high:g}"
            )
        labels = _check_labels(y, len(images))
        if n_classes is not None:
            _check_classes(labels, np.shape(y), n_classes)
        drawn = images.shape[1:]
        if len(drawn) == 1 and input_shape is not None and _is_picture(input_shape):
            drawn = input_shape
        shape = _check_image_shape(drawn, image_shape)
        return cls(images.reshape(len(images), -1), labels, shape, *(clip or (low, high)))

    def __len__(self) -> int:
        return len(self.x)

    def pixels(self, indices: tuple[int, ...]) -> NDArray[np.uint8]:
        """Pictures of some samples, of shape `(len(indices), height, width, channels)`."""
        values = self.x[list(indices)].astype(np.float64)
        scaled = (values - self.low) / ((self.high - self.low) or 1.0)
        return np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8).reshape(-1, *self.image_shape)


def _check_input_shape(given: tuple[int, ...], wanted: tuple[int, ...] | None) -> None:
    """Flat samples fit a model for images and the reverse; axes of length 1 do not count."""
    if wanted is None:
        return
    ours, theirs = (tuple(n for n in shape if n != 1) for shape in (given[1:], wanted))
    flat = min(len(ours), len(theirs)) <= 1
    if not (ours == theirs or (flat and math.prod(ours) == math.prod(theirs))):
        raise ValueError(
            f"x must fit the inputs of the model, which have shape {wanted}: pass x of shape "
            f"{('N', *wanted)} or (N, {math.prod(wanted)}). "
            f"Received: x of shape {given}, so samples of shape {given[1:]}".replace("'", "")
        )


def _check_classes(labels: NDArray[np.int32], given: tuple[int, ...], n_classes: int) -> None:
    if len(given) == 2 and given[1] not in (1, n_classes):
        raise ValueError(
            f"y must have one column for each of the {n_classes} classes of the model, or be class "
            f"indices of shape (N,). Received: y of shape {given}"
        )
    wrong = np.flatnonzero(labels >= n_classes)
    if wrong.size:
        raise ValueError(
            f"y must hold classes of the model, from 0 to {n_classes - 1}. "
            f"Received: {labels[wrong[0]]} for sample {wrong[0]} ({wrong.size} such labels)"
        )


def _check_labels(y: ArrayLike, n: int) -> NDArray[np.int32]:
    given = np.asarray(y)
    received = f"Received: y of dtype {given.dtype} and shape {given.shape}, for {n} samples"
    expected = "y must be class indices of shape (N,) or one-hot of shape (N, classes)."
    if given.dtype.kind not in "fiub" or given.ndim not in (1, 2) or len(given) != n:
        raise ValueError(f"{expected} {received}")
    if given.ndim == 2 and given.shape[1] > 1:
        if not (np.isin(given, (0, 1)).all() and (given.sum(axis=1) == 1).all()):
            raise ValueError(f"{expected} A row of y does not have exactly one 1. {received}")
        return given.argmax(axis=1).astype(np.int32)
    flat = given.reshape(n)
    if not (np.isfinite(flat).all() and (flat == np.floor(flat)).all() and (flat >= 0).all()):
        raise ValueError(f"{expected} Class indices are integers >= 0. {received}")
    return flat.astype(np.int32)


def _is_picture(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))


def _check_image_shape(
    shape: tuple[int, ...], wanted: tuple[int, ...] | None
) -> tuple[int, int, int]:
    size = math.prod(shape)
    if wanted is not None:
        full = (*wanted, 1) if len(wanted) == 2 else tuple(wanted)
        if len(full) != 3 or full[2] not in (1, 3) or min(full) < 1 or math.prod(full) != size:
            raise ValueError(
                "image_shape must be (height, width) or (height, width, 1 or 3) and have as many "
                f"values as one input, which has {size}. Received: image_shape={wanted}"
            )
        return full[0], full[1], full[2]
    side = math.isqrt(size)
    if len(shape) == 1 and side * side == size:
        return side, side, 1
    if _is_picture(shape):
        height, width, channels = (*shape, 1)[:3]
        return height, width, channels
    raise ValueError(
        "How to draw these inputs is not clear: pass image_shape=(height, width) or "
        f"image_shape=(height, width, 3). Received: inputs of shape {shape}"
    )


def draw_indices(seed: int, size: int, n: int) -> tuple[int, ...]:
    """Draw `n` different positions out of `size`.

    Consecutive seeds walk through one shuffled order of all positions in blocks of `n`, so they
    share no position until the order is used up; then another order begins.

    Parameters
    ----------
    seed
        Integer >= 0. It alone decides the result.
    size
        Number of positions to draw from.
    n
        Number of positions to draw, at most `size`.

    Returns
    -------
    tuple of int
    """
    order, block = divmod(seed, size // n)
    shuffled = np.random.default_rng(order).permutation(size)
    return tuple(int(k) for k in shuffled[block * n : (block + 1) * n])


def next_seed(seed: int, size: int, n: int, current: tuple[int, ...]) -> int:
    """Find the next seed that draws other samples than the current ones.

    Parameters
    ----------
    seed, size, n
        As in :func:`draw_indices`.
    current
        The positions shown now.

    Returns
    -------
    int
        A seed that draws none of the current positions if they were drawn by `seed` from `2 n` or
        more positions; else one with another set of positions, if there is one.
    """
    shown = set(current)
    order, blocks = seed // (size // n), size // n
    # Later seeds first; the other blocks of the same order share nothing with this one.
    later = ((seed + ahead) % _MAX_SEED for ahead in range(1, 51))
    same_order = range(order * blocks, (order + 1) * blocks)
    fewest_possible = max(0, len(shown) + n - size)
    best, fewest = seed, len(shown) + 1
    for candidate in itertools.chain(later, same_order):
        shared = len(shown.intersection(draw_indices(candidate, size, n)))
        if shared < fewest:
            best, fewest = candidate, shared
        if shared == fewest_possible:
            break
    return best


def check_clip(clip: Any) -> tuple[float, float] | None:
    """Check the range of the inputs; raises ValueError."""
    if clip is None:
        return None
    try:
        pair = np.asarray(clip)
    except ValueError:  # rows of different lengths
        pair = np.empty(0)
    if pair.shape == (2,) and pair.dtype.kind in "iuf":
        low, high = float(pair[0]), float(pair[1])
        if math.isfinite(low) and math.isfinite(high) and low < high:
            return low, high
    raise ValueError(f"clip must be (low, high) with low < high, or None. Received: clip={clip!r}")


def check_n_samples(n_samples: Any, size: int) -> int:
    """Check the number of samples to draw out of `size`; raises TypeError or ValueError."""
    if isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer):
        raise TypeError(f"n_samples must be an integer. Received: n_samples={n_samples!r}")
    if not 1 <= n_samples <= size:
        raise ValueError(
            f"n_samples must be from 1 to {size}, the number of samples in x. "
            f"Received: n_samples={n_samples}"
        )
    return int(n_samples)
