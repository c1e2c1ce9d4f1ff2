"""MNIST and two small networks that are always at hand, also without an internet connection.

`load_mnist` gives the full set where it is in Keras's cache or can be downloaded, and the embedded
subset otherwise; its result says which. `load_model` gives one of the two embedded networks.

The embedded images are a part of the MNIST database (Y. LeCun, C. Cortes, C. J. C. Burges),
licensed under CC BY-SA 3.0, see ``data/README.md``.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    import keras

Source = Literal["auto", "full", "embedded"]
ModelName = Literal["dense", "conv"]
MODEL_NAMES: Final[tuple[ModelName, ...]] = get_args(ModelName)

# The address and checksum that keras.datasets.mnist uses, so both share one file in Keras's cache.
_URL: Final = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_SHA256: Final = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
# Seconds for the whole file: more than for an answer, as connections may be slow, but not for ever.
_DOWNLOAD_BUDGET: Final = 60.0

_EMBEDDED_PATH: Final = Path(__file__).parent / "data" / "mnist_subset.npz"
_MODELS_FOLDER: Final = Path(__file__).parent / "models"
_FULL_SIZES: Final = {"x_train": 60_000, "y_train": 60_000, "x_test": 10_000, "y_test": 10_000}
_N_CLASSES: Final = 10


class MnistUnavailableError(OSError):
    """The full MNIST is neither in Keras's cache nor can it be downloaded now."""


@dataclass(frozen=True, eq=False)
class Mnist:
    """Images and labels of MNIST; unpacks as ``(x_train, y_train), (x_test, y_test)``.

    Parameters
    ----------
    x_train, x_test : np.ndarray
        Images with pixels in [0, 1], float32, shape ``(n, 784)`` or ``(n, 28, 28, 1)``.
    y_train, y_test : np.ndarray
        Digits, int64, shape ``(n,)``; or one-hot, float32, shape ``(n, 10)``.
    source : {"full", "embedded"}
        Whether this is all of MNIST, or the embedded subset of it.
    path : Path
        The file that was read.
    reason : str
        Why the embedded subset was taken; empty for the full set.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    source: Literal["full", "embedded"]
    path: Path
    reason: str = ""

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield self.x_train, self.y_train
        yield self.x_test, self.y_test

    def __repr__(self) -> str:
        what = "full MNIST" if self.source == "full" else "embedded subset of MNIST"
        why = f" ({self.reason})" if self.reason else ""
        return f"{what}: {len(self.x_train)} training and {len(self.x_test)} test images{why}"


def load_mnist(
    *,
    flatten: bool = True,
    one_hot: bool = False,
    source: Source = "auto",
    timeout: float = 3.0,
) -> Mnist:
    """MNIST, as complete as it can be had here.

    The full set is read from Keras's cache (``~/.keras/datasets/mnist.npz``, or below the folder in
    the environment variable ``KERAS_HOME``), or downloaded into it. Without an internet connection
    the embedded subset is taken instead: 8 000 training and 2 000 test images.

    Parameters
    ----------
    flatten : bool, default=True
        Whether an image has the shape ``(784,)`` or ``(28, 28, 1)``.
    one_hot : bool, default=False
        Whether the labels are digits or one-hot rows.
    source : {"auto", "full", "embedded"}, default="auto"
        ``"full"`` insists on the full set; ``"embedded"`` takes the subset at once, so the result
        is the same on every machine.
    timeout : float, default=3.0
        Seconds after which a server that does not answer is given up.

    Returns
    -------
    Mnist
        Images and labels; ``source`` says where they come from, and so does printing it.

    Raises
    ------
    MnistUnavailableError
        With ``source="full"`` only: the full set cannot be had.
    ValueError
        Unknown `source`, or a `timeout` that is not positive.
    """
    if source not in get_args(Source):
        raise ValueError(f"`source` must be one of {get_args(Source)}. Received: source={source!r}")
    if not timeout > 0:
        raise ValueError(f"`timeout` must be positive. Received: timeout={timeout!r}")
    found: Literal["full", "embedded"] = "embedded"
    path, reason = _EMBEDDED_PATH, "as asked for"
    arrays: dict[str, np.ndarray] | None = None
    if source != "embedded":
        path = _cache_path()
        try:
            arrays = _read_full(path, timeout)
            found, reason = "full", ""
        except MnistUnavailableError as error:
            if source == "full":
                raise
            path, reason = _EMBEDDED_PATH, str(error)
    if arrays is None:
        with np.load(_EMBEDDED_PATH, allow_pickle=False) as file:
            arrays = {key: file[key] for key in _FULL_SIZES}
    return Mnist(
        x_train=_images(arrays["x_train"], flatten),
        y_train=_labels(arrays["y_train"], one_hot),
        x_test=_images(arrays["x_test"], flatten),
        y_test=_labels(arrays["y_test"], one_hot),
        source=found,
        path=path,
        reason=reason,
    )


def load_model(name: ModelName = "dense") -> keras.Model:
    """One of the two embedded networks, trained on the full MNIST; both take flat images.

    Parameters
    ----------
    name : {"dense", "conv"}, default="dense"
        ``"dense"``: 784, Dense 100, relu, Dense 100, relu, Dense 10, softmax.
        ``"conv"``: Reshape (28, 28, 1), Conv2D 32 of 6 x 6, relu, Conv2D 32 of 6 x 6, Flatten,
        Dense 130, relu, Dense 10; its outputs are logits.

    Returns
    -------
    keras.Model
        A new, uncompiled model: input ``(batch, 784)`` in [0, 1], output ``(batch, 10)``.

    Raises
    ------
    ValueError
        Unknown name.
    """
    path = model_path(name)
    import keras  # here, so that the images alone can be had without loading TensorFlow

    return keras.saving.load_model(path)


def model_path(name: ModelName = "dense") -> Path:
    """The ``.keras`` file of an embedded network; the names are those of `load_model`."""
    if name not in MODEL_NAMES:
        raise ValueError(f"`name` must be one of {MODEL_NAMES}. Received: name={name!r}")
    return _MODELS_FOLDER / f"mnist_{name}.keras"


def _images(pixels: np.ndarray, flatten: bool) -> np.ndarray:
    shape = (784,) if flatten else (28, 28, 1)
    return pixels.reshape(-1, *shape).astype(np.float32) / np.float32(255)


def _labels(digits: np.ndarray, one_hot: bool) -> np.ndarray:
    if one_hot:
        return np.eye(_N_CLASSES, dtype=np.float32)[digits]
    return digits.astype(np.int64)


def _cache_path() -> Path:
    """Where Keras keeps its copy: the rule of ``keras.utils.get_file``."""
    base = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser())
    # Keras makes this folder when it is imported, which may still be to come.
    existing = next((folder for folder in (base, *base.parents) if folder.exists()), base)
    if not os.access(existing, os.W_OK):
        base = Path(tempfile.gettempdir()) / ".keras"
    return base / "datasets" / "mnist.npz"


def _read_full(path: Path, timeout: float) -> dict[str, np.ndarray]:
    """The full set from the cache, downloaded into it where it is missing or damaged."""
    if path.exists():
        try:
            return _read_checked(path)
        except MnistUnavailableError as damaged:
            try:
                _download(path, timeout)
            except MnistUnavailableError as error:
                raise MnistUnavailableError(f"{damaged}; {error}") from error
    else:
        _download(path, timeout)
    return _read_checked(path)


def _read_checked(path: Path) -> dict[str, np.ndarray]:
    """Read a file of the full set; anything else than the full set is an error.

    The content is checked, not the checksum: the same images packed by another program will do.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in _FULL_SIZES}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise MnistUnavailableError(f"{path} is damaged") from error
    for key, size in _FULL_SIZES.items():
        shape = (size, 28, 28) if key.startswith("x") else (size,)
        if arrays[key].shape != shape or arrays[key].dtype != np.uint8:
            raise MnistUnavailableError(f"{path} is not the full MNIST")
    return arrays


def _download(path: Path, timeout: float) -> None:
    """Download the full set to `path`, which appears only when it is complete and checked.

    The work is done on a thread that is left behind when its time is up, because the look-up of a
    host name cannot be interrupted.
    """
    failures: list[Exception] = []
    answered = threading.Event()

    def work() -> None:
        try:
            _fetch(path, timeout, answered)
        except Exception as error:
            failures.append(error)
        finally:
            answered.set()

    worker = threading.Thread(target=work, name="mnist-download", daemon=True)
    worker.start()
    if answered.wait(timeout):
        worker.join(_DOWNLOAD_BUDGET + timeout)
    if worker.is_alive():
        raise MnistUnavailableError("the server of the full set is too slow")
    if failures:
        raise MnistUnavailableError("the full set cannot be downloaded here") from failures[0]


def _fetch(path: Path, timeout: float, answered: threading.Event) -> None:
    deadline = time.monotonic() + _DOWNLOAD_BUDGET
    with urllib.request.urlopen(_URL, timeout=timeout) as response:
        answered.set()
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix="mnist-", delete=False) as part:
            try:
                while block := response.read(1 << 16):
                    digest.update(block)
                    part.write(block)
                    if time.monotonic() > deadline:
                        raise TimeoutError("the download is too slow")
                part.close()
                if digest.hexdigest() != _SHA256:
                    raise ValueError("the checksum is wrong")
                Path(part.name).replace(path)
            except BaseException:
                part.close()
                Path(part.name).unlink(missing_ok=True)
                raise
