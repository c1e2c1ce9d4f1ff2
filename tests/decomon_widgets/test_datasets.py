from __future__ import annotations

import hashlib
import http.server
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from decomon_widgets import datasets
from decomon_widgets.data import subset

ROOT = Path(__file__).parents[2]
FULL_MNIST = ROOT.parent / "shared" / "data" / "mnist.npz"


def full_like(**changes: np.ndarray) -> bytes:
    """A file with the keys, shapes and types of the full MNIST."""
    arrays = {
        "x_train": np.zeros((60_000, 28, 28), np.uint8),
        "y_train": np.zeros(60_000, np.uint8),
        "x_test": np.full((10_000, 28, 28), 255, np.uint8),
        "y_test": np.full(10_000, 7, np.uint8),
    }
    file = io.BytesIO()
    np.savez_compressed(file, **{**arrays, **changes})
    return file.getvalue()


@pytest.fixture(scope="module")
def full_file() -> bytes:
    return full_like()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, on a computer without a connection."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(datasets, "_URL", "http://127.0.0.1:9/mnist.npz")
    return tmp_path / "keras" / "datasets" / "mnist.npz"


class Server:
    """A server on this computer whose answer is chosen by the test."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        self.length: int | None = None
        self.released = threading.Event()
        self.released.set()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.released.wait()
                self.send_response(owner.status)
                self.send_header("Content-Length", str(owner.length or len(owner.body)))
                self.end_headers()
                self.wfile.write(owner.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/mnist.npz"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = Server()
    monkeypatch.setattr(datasets, "_URL", running.url)
    yield running
    running.close()


def test_embedded_is_used_offline(cache: Path) -> None:
    mnist = datasets.load_mnist()
    assert mnist.source == "embedded"
    assert mnist.reason
    assert "embedded" in repr(mnist)
    assert mnist.x_train.shape == (8000, 784)
    assert mnist.x_test.shape == (2000, 784)
    assert not cache.exists()


def test_embedded_images() -> None:
    (x_train, y_train), (x_test, y_test) = datasets.load_mnist(source="embedded")
    for x, y, per_class in ((x_train, y_train, 800), (x_test, y_test, 200)):
        assert x.dtype == np.float32
        assert x.min() == 0
        assert x.max() == 1
        assert np.bincount(y).tolist() == [per_class] * 10
        assert y.dtype == np.int64


def test_shapes_and_one_hot() -> None:
    flat = datasets.load_mnist(source="embedded")
    image = datasets.load_mnist(source="embedded", flatten=False, one_hot=True)
    assert image.x_test.shape == (2000, 28, 28, 1)
    np.testing.assert_array_equal(image.x_test.reshape(-1, 784), flat.x_test)
    assert image.y_train.shape == (8000, 10)
    np.testing.assert_array_equal(image.y_train.argmax(axis=1), flat.y_train)
    np.testing.assert_array_equal(image.y_train.sum(axis=1), 1)


def test_subset_is_what_its_script_makes() -> None:
    if not FULL_MNIST.is_file():
        pytest.skip(f"the full MNIST is not at {FULL_MNIST}")
    expected = subset.make_subset(FULL_MNIST)
    with np.load(subset.SUBSET_PATH, allow_pickle=False) as embedded:
        assert set(embedded.files) == set(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(embedded[key], array)
            assert embedded[key].dtype == np.uint8


def test_subset_needs_enough_of_each_digit() -> None:
    with pytest.raises(ValueError, match="Received: 2 images of the digit 0"):
        subset.stratified_positions(np.array([0, 0, 1, 1, 1]), 3)


def test_full_is_taken_from_the_cache(cache: Path, full_file: bytes) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_bytes(full_file)
    mnist = datasets.load_mnist(flatten=False)
    assert mnist.source == "full"
    assert mnist.path == cache
    assert mnist.x_train.shape == (60_000, 28, 28, 1)
    assert mnist.y_test[0] == 7
    assert "full" in repr(mnist)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file[: len(file) // 2],
        lambda _: b"",
        lambda _: b"no archive",
        lambda file: file[:5000] + bytes(200) + file[5200:],
        lambda _: full_like(x_train=np.zeros((5, 28, 28), np.uint8)),
        lambda _: full_like(y_test=np.zeros(10_000)),
    ],
    ids=["truncated", "empty", "garbage", "flipped bytes", "fewer images", "other type"],
)
def test_damaged_cache_never_breaks(cache: Path, full_file: bytes, spoil) -> None:
    cache.parent.mkdir(parents=True)
    spoiled = spoil(full_file)
    cache.write_bytes(spoiled)
    mnist = datasets.load_mnist()
    assert mnist.source == "embedded"
    assert str(cache) in mnist.reason
    assert cache.read_bytes() == spoiled
    with pytest.raises(datasets.MnistUnavailableError, match=r"mnist\.npz"):
        datasets.load_mnist(source="full")


def test_download(
    cache: Path, server: Server, full_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = full_file
    monkeypatch.setattr(datasets, "_SHA256", hashlib.sha256(full_file).hexdigest())
    assert datasets.load_mnist().source == "full"
    assert cache.read_bytes() == full_file
    assert list(cache.parent.iterdir()) == [cache]


def test_download_repairs_the_cache(
    cache: Path, server: Server, full_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_bytes(full_file[:1000])
    server.body = full_file
    monkeypatch.setattr(datasets, "_SHA256", hashlib.sha256(full_file).hexdigest())
    assert datasets.load_mnist().source == "full"
    assert cache.read_bytes() == full_file


@pytest.mark.parametrize("fault", ["checksum", "too short", "not found"])
def test_failed_download_leaves_nothing_behind(
    cache: Path, server: Server, full_file: bytes, fault: str
) -> None:
    server.body = full_file
    if fault == "too short":
        server.body, server.length = full_file[:1000], len(full_file)
    if fault == "not found":
        server.status = 404
    assert datasets.load_mnist().source == "embedded"
    assert not cache.parent.exists() or list(cache.parent.iterdir()) == []


def test_silent_server_is_given_up(cache: Path, server: Server) -> None:
    server.released.clear()
    start = time.monotonic()
    mnist = datasets.load_mnist(timeout=0.3)
    assert mnist.source == "embedded"
    # Far more than the timeout, far less than the minutes of a connection without one.
    assert time.monotonic() - start < 30
    assert not cache.exists()


def test_cache_that_cannot_be_written(
    cache: Path, server: Server, full_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = full_file
    monkeypatch.setattr(datasets, "_SHA256", hashlib.sha256(full_file).hexdigest())
    cache.parent.parent.mkdir(parents=True)
    cache.parent.write_text("a file where a folder should be")
    assert datasets.load_mnist().source == "embedded"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"source": "web"}, "Received: source='web'"),
        ({"timeout": 0}, "Received: timeout=0"),
        ({"timeout": float("nan")}, "Received: timeout=nan"),
    ],
)
def test_bad_arguments(arguments: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        datasets.load_mnist(**arguments)


@pytest.mark.parametrize(
    ("name", "layers", "least_accuracy"),
    [
        ("dense", ["Dense", "Dense", "Dense"], 0.97),
        (
            "conv",
            ["Reshape", "Conv2D", "Conv2D", "Flatten", "Dense", "Dense"],
            0.98,
        ),
    ],
)
def test_models(name: datasets.ModelName, layers: list[str], least_accuracy: float) -> None:
    model = datasets.load_model(name)
    assert model.input_shape == (None, 784)
    assert model.output_shape == (None, 10)
    assert [type(layer).__name__ for layer in model.layers] == layers
    mnist = datasets.load_mnist(source="embedded")
    predicted = model.predict(mnist.x_test, verbose=0).argmax(axis=1)
    assert np.mean(predicted == mnist.y_test) >= least_accuracy
    # Rounded weights are what makes the files small.
    assert all(np.array_equal(w * 2**12, np.round(w * 2**12)) for w in model.get_weights())


def test_models_are_those_of_the_training_script() -> None:
    from decomon_widgets.models import train

    assert set(train.NETWORKS) == set(datasets.MODEL_NAMES)
    for name in datasets.MODEL_NAMES:
        loaded, fresh = datasets.load_model(name), train.NETWORKS[name]()
        assert [w.shape for w in loaded.get_weights()] == [w.shape for w in fresh.get_weights()]
        assert loaded.layers[-1].activation is fresh.layers[-1].activation


def test_saved_file_depends_on_the_weights_only(tmp_path: Path) -> None:
    from decomon_widgets.models import train

    model = datasets.load_model("dense")
    for name in ("a.keras", "b.keras"):
        train.save(model, tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_unknown_model() -> None:
    with pytest.raises(ValueError, match="Received: name='big'"):
        datasets.load_model("big")  # pyright: ignore[reportArgumentType]
