"""Writes the embedded subset of MNIST: ``python -m decomon_widgets.data.subset MNIST.npz``.

Of each digit, 800 of the 60 000 training images and 200 of the 10 000 test images are kept,
evenly spaced over the positions at which the digit occurs, and in their original order. Nothing is
drawn at random, so the same input always gives the same subset.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np

N_CLASSES: Final = 10
TRAIN_PER_CLASS: Final = 800
TEST_PER_CLASS: Final = 200
SUBSET_PATH: Final = Path(__file__).parent / "mnist_subset.npz"


def stratified_positions(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Positions of `per_class` samples of every digit, evenly spaced over its occurrences.

    Parameters
    ----------
    labels : np.ndarray
        Digits, shape ``(n,)``.
    per_class : int
        How many positions to keep of each digit.

    Returns
    -------
    np.ndarray
        Increasing positions, shape ``(10 * per_class,)``.
    """
    kept: list[np.ndarray] = []
    for digit in range(N_CLASSES):
        positions = np.flatnonzero(labels == digit)
        if len(positions) < per_class:
            raise ValueError(
                f"{per_class} images of each digit are wanted. "
                f"Received: {len(positions)} images of the digit {digit}"
            )
        spaced = np.linspace(0, len(positions) - 1, per_class).round().astype(int)
        kept.append(positions[spaced])
    return np.sort(np.concatenate(kept))


def make_subset(full_path: Path) -> dict[str, np.ndarray]:
    """The embedded subset, from the file of the full set.

    Parameters
    ----------
    full_path : Path
        File with the four usual keys ``x_train``, ``y_train``, ``x_test``, ``y_test`` (uint8).

    Returns
    -------
    dict[str, np.ndarray]
        The same four keys with 8 000 training and 2 000 test images, shape ``(n, 28, 28)``.
    """
    with np.load(full_path, allow_pickle=False) as full:
        train = stratified_positions(full["y_train"], TRAIN_PER_CLASS)
        test = stratified_positions(full["y_test"], TEST_PER_CLASS)
        return {
            "x_train": full["x_train"][train],
            "y_train": full["y_train"][train].astype(np.uint8),
            "x_test": full["x_test"][test],
            "y_test": full["y_test"][test].astype(np.uint8),
        }


def main() -> None:
    """Write the subset next to this file."""
    parser = argparse.ArgumentParser(description="Write the embedded subset of MNIST.")
    parser.add_argument("mnist", type=Path, help="the full MNIST, an .npz file")
    subset = make_subset(parser.parse_args().mnist)
    np.savez_compressed(
        SUBSET_PATH,
        x_train=subset["x_train"],
        y_train=subset["y_train"],
        x_test=subset["x_test"],
        y_test=subset["y_test"],
    )
    print(f"{SUBSET_PATH}: {SUBSET_PATH.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
