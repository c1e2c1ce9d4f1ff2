"""Labelled data for the widgets: images, tabular rows and signals, and which of them are drawn."""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._kinds import Kind, check_kind, value_range

__all__ = [
    "Samples",
    "check_clip",
    "check_n_samples",
    "check_names",
    "draw_indices",
    "next_seed",
]

_MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Samples:
    """A checked data set of labelled samples.

    Attributes
    ----------
    x
        Inputs of the network, each of them flat, of shape `(N, n)`.
    labels
        Class of each input, of shape `(N,)`.
    kind
        How a sample is drawn: "image", "row" (one bar per feature) or "signal" (one line per
        channel).
    image_shape
        `(height, width, channels)` of a picture, with 1 or 3 channels; `(1, n, 1)` of a row of
        `n` features; `(1, n, channels)` of a signal of `n` points.
    value_range
        Ends of the scale on which values are drawn: for rows the low ends of all features and then
        their high ends, of shape `(2 n,)`; else `(low, high)`.
    """

    x: NDArray[np.generic]
    labels: NDArray[np.int32]
    kind: Kind
    image_shape: tuple[int, int, int]
    value_range: NDArray[np.float64]

    @classmethod
    def check(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        image_shape: tuple[int, ...] | None,
        clip: tuple[float, float] | None,
        *,
        kind: str | None = None,
        input_shape: tuple[int, ...] | None = None,
        n_classes: int | None = None,
    ) -> "Samples":
        """Check inputs and labels.

        Parameters
        ----------
        x
            Images of shape `(N, n)`, `(N, height, width)` or `(N, height, width, channels)`, rows
            of shape `(N, n)`, or signals of shape `(N, n)` or `(N, n, channels)`.
        y
            Labels of shape `(N,)`, or one-hot of shape `(N, classes)`.
        image_shape
            How to draw one image, `(height, width)` or `(height, width, channels)`; None guesses.
        clip
            Smallest and largest value that an input may have, None for no limit.
        kind
            How to draw a sample, "image", "row" or "signal"; None guesses from the shapes.
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
        values = np.asarray(x)
        if values.dtype.kind not in "fiub" or values.ndim < 2 or 0 in values.shape:
            raise ValueError(
                "x must hold numbers and have shape (N, n), (N, height, width) or "
                f"(N, height, width, channels) with N > 0. Received: dtype {values.dtype}, "
                f"shape {values.shape}"
            )
        _check_input_shape(values.shape, input_shape)
        flat = values.reshape(len(values), -1)
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            bad = int(np.flatnonzero(~np.isfinite(flat).all(axis=1))[0])
            raise ValueError(f"x must be finite. Received: NaN or infinite values in sample {bad}")
        if clip is not None and (low < clip[0] or high > clip[1]):
            raise ValueError(
                f"x must lie inside clip={clip}: scale it, for example x / 255, or pass the range "
                f"of your inputs as clip, or clip=None. Received: x from {low:g} to {high:g}"
            )
        labels = _check_labels(y, len(values))
        if n_classes is not None:
            _check_classes(labels, np.shape(y), n_classes)
        found, shape = check_kind(values.shape[1:], input_shape, kind, image_shape)
        return cls(flat, labels, found, shape, value_range(flat, found, clip))

    def __len__(self) -> int:
        return len(self.x)

    @property
    def n_names(self) -> int:
        """Number of the features, or of the channels of signals and pictures, that have a name."""
        return self.image_shape[1 if self.kind == "row" else 2]

    def pixels(self, indices: tuple[int, ...]) -> NDArray[np.uint8]:
        """Pictures of some samples, of shape `(len(indices), height, width, channels)`."""
        low, high = self.value_range
        values = self.x[list(indices)].astype(np.float64)
        scaled = (values - low) / ((high - low) or 1.0)
        return np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8).reshape(-1, *self.image_shape)

    def drawn(self, indices: tuple[int, ...]) -> bytes:
        """What the front end draws of some samples, one after the other.

        Parameters
        ----------
        indices
            Positions in `x`.

        Returns
        -------
        bytes
            Pixels (uint8) of images; the values of rows and signals as little-endian float32.
        """
        if self.kind == "image":
            return self.pixels(indices).tobytes()
        largest = np.finfo(np.float32).max
        return np.clip(self.x[list(indices)], -largest, largest).astype("<f4").tobytes()

    def pictures(self, indices: tuple[int, ...]) -> NDArray[np.generic]:
        """The same as arrays, of shape `(len(indices), *image_shape)`."""
        dtype = np.uint8 if self.kind == "image" else np.dtype("<f4")
        return np.frombuffer(self.drawn(indices), dtype).reshape(-1, *self.image_shape)


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


def check_names(names: Iterable[str], n: int | None, argument: str) -> tuple[str, ...]:
    """Check the names of features or classes.

    Parameters
    ----------
    names
        One name each, or none at all.
    n
        How many are needed, None if that is not known.
    argument
        Name of the argument, for the error.

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If they are not strings, or not `n` of them.
    """
    found: tuple[Any, ...] = (names,) if isinstance(names, str) else tuple(names)
    strings = not isinstance(names, str) and all(isinstance(name, str) for name in found)
    if not strings or (found and n is not None and len(found) != n):
        wanted = "" if n is None else f"{n} "
        raise ValueError(
            f"{argument} must hold {wanted}strings, one each. "
            f"Received: {argument}={names!r}, which has {len(found)}"
        )
    return tuple(map(str, found))


def draw_indices(seed: int, size: int, n: int, pinned: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Draw `n` different positions out of `size`, the pinned ones first.

    Consecutive seeds walk through one shuffled order of all positions in blocks, so they share
    none but the pinned ones until the order is used up; then another order begins.

    Parameters
    ----------
    seed
        Integer >= 0. It alone decides the result, together with `pinned`.
    size
        Number of positions to draw from.
    n
        Number of positions to draw, at most `size`.
    pinned
        Positions that are part of every draw; all of them, even where they are more than `n`.

    Returns
    -------
    tuple of int
    """
    fresh = n - len(pinned)
    if fresh <= 0:
        return tuple(pinned)
    order, block = divmod(seed, (size - len(pinned)) // fresh)
    shuffled = np.random.default_rng(order).permutation(size)
    others = shuffled[~np.isin(shuffled, pinned)]
    return (*pinned, *(int(k) for k in others[block * fresh : (block + 1) * fresh]))


def next_seed(
    seed: int, size: int, n: int, current: tuple[int, ...], pinned: tuple[int, ...] = ()
) -> int:
    """Find the next seed that draws other samples than the current ones.

    Parameters
    ----------
    seed, size, n, pinned
        As in :func:`draw_indices`.
    current
        The positions shown now.

    Returns
    -------
    int
        A seed that draws none of the current positions but the pinned ones if they were drawn by
        `seed` and enough others are left; else one with another set of positions, if there is one.
    """
    fresh = n - len(pinned)
    if fresh <= 0:
        return seed
    shown, blocks = set(current) - set(pinned), (size - len(pinned)) // fresh
    order = seed // blocks
    # Later seeds first; the other blocks of the same order share nothing with this one.
    later = ((seed + ahead) % _MAX_SEED for ahead in range(1, 51))
    same_order = range(order * blocks, (order + 1) * blocks)
    fewest_possible = max(0, len(shown) + fresh - (size - len(pinned)))
    best, fewest = seed, len(shown) + 1
    for candidate in itertools.chain(later, same_order):
        shared = len(shown.intersection(draw_indices(candidate, size, n, pinned)))
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
