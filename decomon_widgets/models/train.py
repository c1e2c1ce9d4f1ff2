"""Trains the two embedded networks: ``python -m decomon_widgets.models.train MNIST.npz``.

Both are trained on the full MNIST with pixels in [0, 1]. Gaussian noise on the images and weight
decay keep the slopes of the networks small, which leaves more for a verifier to prove; nothing else
is done for robustness. The weights are rounded to multiples of 2^-12 and the files are compressed,
which makes the convolutional network five times smaller. The accuracies printed are those of the
files as they are loaded again.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import keras
import numpy as np
import tensorflow as tf

SEED: Final = 0
NOISE: Final = 0.15
WEIGHT_STEP: Final = 2.0**-12
EPOCHS: Final = {"dense": 15, "conv": 6}


def dense_network() -> keras.Sequential:
    """Two hidden layers of 100 neurons, as in tutorial 3."""
    return keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name="mnist_dense",
    )


def conv_network() -> keras.Sequential:
    """Two convolutions and two dense layers on a flat input; the outputs are logits."""
    return keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Conv2D(32, 6, activation="relu"),
            keras.layers.Conv2D(32, 6),
            keras.layers.Flatten(),
            keras.layers.Dense(130, activation="relu"),
            keras.layers.Dense(10),
        ],
        name="mnist_conv",
    )


NETWORKS: Final[dict[str, Callable[[], keras.Sequential]]] = {
    "dense": dense_network,
    "conv": conv_network,
}


def train(model: keras.Sequential, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train `model` in place on noisy images, then round its weights.

    Parameters
    ----------
    model : keras.Sequential
        Network whose last layer has a softmax or none.
    x : np.ndarray
        Images, shape ``(n, 784)``, in [0, 1].
    y : np.ndarray
        Digits, shape ``(n,)``.
    epochs : int
        How often all images are seen.
    """
    batch_size = 128
    # The noise is a layer of the trainer only, so the saved network does not have it.
    trainer = keras.Sequential([keras.Input((784,)), keras.layers.GaussianNoise(NOISE), model])
    ends_with_softmax = model.layers[-1].activation is keras.activations.softmax
    trainer.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(x) // batch_size),
            weight_decay=0.1,
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not ends_with_softmax),
        metrics=["accuracy"],
    )
    trainer.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=2)
    model.set_weights([np.round(w / WEIGHT_STEP) * WEIGHT_STEP for w in model.get_weights()])


def save(model: keras.Sequential, path: Path) -> None:
    """Save `model` as a compressed ``.keras`` file, the same bytes for the same content.

    Parameters
    ----------
    model : keras.Sequential
        Network that was not compiled, so that there is no optimizer to save.
    path : Path
        Where to write.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.keras"
        model.save(plain)
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
            for name in sorted(source.namelist()):
                content = source.read(name)
                if name == "metadata.json":
                    metadata = json.loads(content)
                    metadata.pop("date_saved", None)
                    content = json.dumps(metadata).encode()
                if name == "config.json":
                    content = _renumbered(content.decode()).encode()
                target.writestr(
                    zipfile.ZipInfo(name),
                    content,
                    compress_type=zipfile.ZIP_DEFLATED,
                    compresslevel=9,
                )


def _renumbered(config: str) -> str:
    """Number shared objects 1, 2, ...: Keras takes their addresses in memory."""
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"{found[1]}{numbers.setdefault(found[2], len(numbers) + 1)}"

    return re.sub(r'("shared_object_id": )(\d+)', number, config)


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """Share of the images, shape ``(n, 784)``, that get their digit `y`, shape ``(n,)``."""
    return float(np.mean(model.predict(x, verbose=0).argmax(axis=-1) == y))


def main() -> None:
    """Train both networks, or the ones that are named, and write them next to this file."""
    parser = argparse.ArgumentParser(description="Train the embedded networks.")
    parser.add_argument("mnist", type=Path, help="the full MNIST, an .npz file")
    parser.add_argument("--network", choices=tuple(NETWORKS), action="append", help="default: both")
    arguments = parser.parse_args()
    with np.load(arguments.mnist, allow_pickle=False) as data:
        x_train = data["x_train"].reshape(-1, 784).astype(np.float32) / 255
        x_test = data["x_test"].reshape(-1, 784).astype(np.float32) / 255
        y_train, y_test = data["y_train"].astype(np.int64), data["y_test"].astype(np.int64)
    tf.config.experimental.enable_op_determinism()
    for name in arguments.network or NETWORKS:
        keras.utils.set_random_seed(SEED)
        model = NETWORKS[name]()
        train(model, x_train, y_train, EPOCHS[name])
        path = Path(__file__).parent / f"mnist_{name}.keras"
        save(model, path)
        share = accuracy(keras.saving.load_model(path), x_test, y_test)
        print(f"{path}: test accuracy {share:.2%}, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
