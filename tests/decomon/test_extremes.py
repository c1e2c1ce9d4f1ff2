"""Networks that multiply, compare and pool by maxima, under every method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.bounds import Interval
from decomon.graph import from_keras
from decomon.ops.extremes import LargestOf
from decomon.ops.maxima import Max
from tests.decomon.helpers import (
    METHODS,
    Array,
    ascend,
    boxes,
    evaluate,
    keras,
    layers,
    precision,
    randomise,
    rng_of,
    sample,
    tf,
)

Net = tuple[Any, Array, Array]


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Tracing eight methods of each network would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def image(*middle: Any, shape: tuple[int, ...] = (6, 5, 1)) -> Any:
    rank = len(shape) - 1
    convolution = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1]
    parts = [keras.Input(shape), convolution(2, 2), *middle]
    return keras.Sequential([*parts, layers.Flatten(), layers.Dense(3)])


def merged(layer: Any, *shapes: tuple[int, ...]) -> Any:
    """Branches that depend on the same inputs, so that they are correlated."""
    x = keras.Input((5,))
    branches = [layers.Reshape(shape)(layers.Dense(int(np.prod(shape)))(x)) for shape in shapes]
    hidden = layers.Dense(4, activation="relu")(layers.Flatten()(layer(branches)))
    return keras.Model(x, layers.Dense(2)(hidden))


NETS: dict[str, Callable[[], Any]] = {
    "pool": lambda: image(layers.ReLU(), layers.MaxPooling2D((2, 1)), layers.Conv2D(2, 2)),
    "pool-overlap": lambda: image(
        layers.MaxPooling2D((3, 2), strides=(2, 1), padding="same"),
        layers.MaxPooling2D((2, 3), strides=(1, 2)),
    ),
    "pool-line": lambda: image(layers.MaxPooling1D(3, 2, "same"), shape=(7, 2)),
    "pool-volume": lambda: image(layers.MaxPooling3D(2, 1), shape=(4, 3, 3, 1)),
    "global": lambda: keras.Sequential(
        [keras.Input((4, 3, 1)), layers.Conv2D(3, 2), layers.GlobalMaxPooling2D(), layers.Dense(2)]
    ),
    "adaptive": lambda: image(layers.AdaptiveMaxPooling2D((3, 2))),
    "maximum": lambda: merged(layers.Maximum(), (3,), (3,)),
    "maximum-three": lambda: merged(layers.Maximum(), (2, 3), (3,), (2, 1)),
    "minimum": lambda: merged(layers.Minimum(), (3,), (3,)),
    "minimum-three": lambda: merged(layers.Minimum(), (3,), (3,), (3,)),
    "multiply": lambda: merged(layers.Multiply(), (2, 3), (3,)),
    "multiply-three": lambda: merged(layers.Multiply(), (3,), (3,), (1,)),
    "dot": lambda: merged(layers.Dot((1, 2)), (3, 2), (2, 3)),
    "cosine": lambda: merged(layers.Dot(1, normalize=True), (4,), (4,)),
    "prelu": lambda: keras.Sequential(
        [keras.Input((4,)), layers.Dense(5), layers.PReLU(), layers.Dense(3)]
    ),
    "prelu-shared": lambda: image(layers.PReLU(shared_axes=[1, 2])),
}


@cache
def network(name: str) -> tuple[Net, Array, Array]:
    """A network in double precision, boxes, and the largest and smallest outputs found."""
    # TensorFlow has no max pooling of volumes in double precision.
    dtype = "float32" if name == "pool-volume" else "float64"
    with precision(dtype):
        model = randomise(NETS[name](), seed=1)
    for layer in model.layers:
        if isinstance(layer, layers.PReLU):  # both convex and concave
            layer.alpha.assign(
                np.linspace(-1, 3, int(np.prod(layer.alpha.shape))).reshape(layer.alpha.shape)
            )
    x_min, x_max = boxes(model, 3, 0.2, dtype=dtype)
    values = evaluate(model, sample(x_min, x_max, 200))
    high, low = values.max(axis=0), values.min(axis=0)
    count = high.shape[1]
    rows = np.concatenate([np.eye(count), -np.eye(count)])[:, None] * np.ones((1, 3, 1))
    many = [np.repeat(end[None], 2 * count, axis=0) for end in (x_min, x_max)]
    lowest, highest = (end.reshape(-1, *end.shape[2:]) for end in many)
    found, _ = ascend(
        model,
        lowest,
        highest,
        rows.reshape(-1, count),
        steps=15,
        restarts=2,
    )
    up, down = found.reshape(2, count, 3).transpose(0, 2, 1)
    high, low = np.maximum(high, up), np.minimum(low, -down)
    return (model, x_min, x_max), high, low


def slack(high: Array, low: Array, dtype: Any) -> Array:
    """Rounding of the model's own evaluation: some hundred operations on numbers of that size."""
    return 1000 * np.finfo(dtype).eps * (1 + np.maximum(np.abs(high), np.abs(low)))


QUICK = [
    *((name, "crown") for name in NETS),
    *((name, "forward-ibp") for name in NETS),
    ("pool", "forward-hybrid"),
    ("maximum", "crown-forward-affine"),
    ("maximum", "finetune"),
    ("multiply", "finetune"),
]
EVERY = [(name, method) for name in NETS for method in (*METHODS, "finetune")]


@pytest.mark.parametrize(
    ("name", "method"),
    [case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow) for case in EVERY],
)
def test_no_attack_beats_the_bounds(name: str, method: str) -> None:
    (model, x_min, x_max), high, low = network(name)
    options: dict[str, Any] = {"method": method}
    if method == "finetune":
        options = {"method": "crown", "finetune": True}
    upper, lower = decomon.get_range_box(decomon.clone(model, **options), x_min, x_max)
    assert np.isfinite(upper).all()
    assert np.isfinite(lower).all()
    room = slack(high, low, x_min.dtype)
    assert (upper >= high - room).all()
    assert (lower <= low + room).all()
    if method == "finetune":
        plain = decomon.get_range_box(decomon.clone(model, method="crown"), x_min, x_max)
        assert (upper <= plain[0] + room).all()
        assert (lower >= plain[1] - room).all()


@pytest.mark.parametrize("name", NETS)
def test_the_graph_is_the_model(name: str) -> None:
    (model, x_min, x_max), _, _ = network(name)
    points = sample(x_min, x_max, 5).reshape(-1, *x_min.shape[1:])
    expected = np.asarray(model(points))
    got = np.asarray(from_keras(model)(tf.constant(points)))
    assert (np.abs(got - expected) <= slack(expected, expected, x_min.dtype)).all()


@pytest.mark.parametrize("kind", [layers.Maximum, layers.Minimum])
def test_extremes_are_never_wider_than_their_interval_image(kind: Any) -> None:
    """Of values that are independent of each other, every method finds the image itself."""
    with precision("float64"):
        x, y = keras.Input((6,)), keras.Input((6,))
        model = keras.Model([x, y], kind()([x, y]))
    rng = rng_of(0)
    low = rng.normal(size=(4, 12))
    high = low + rng.exponential(size=low.shape)
    pick = np.maximum if kind is layers.Maximum else np.minimum
    graph = from_keras(model)
    interval = [Interval(tf.constant(low), tf.constant(high))]
    for node in graph.nodes[1:]:
        interval.append(node.evaluate.interval(*(interval[i] for i in node.inputs)))
    np.testing.assert_array_equal(interval[-1].upper, pick(high[:, :6], high[:, 6:]))
    np.testing.assert_array_equal(interval[-1].lower, pick(low[:, :6], low[:, 6:]))
    for method in ("forward-ibp", "crown"):
        upper, lower = decomon.get_range_box(
            decomon.clone(model, method=method),
            [low[:, :6], low[:, 6:]],
            [high[:, :6], high[:, 6:]],
        )
        assert (upper <= pick(high[:, :6], high[:, 6:]) + 1e-12).all()
        assert (lower >= pick(low[:, :6], low[:, 6:]) - 1e-12).all()


def test_the_maximum_of_two_profits_from_their_difference() -> None:
    """Of ``x`` and ``x + 1`` it is known which is larger, though their intervals overlap."""
    with precision("float64"):
        x = keras.Input((3,))
        shifted = layers.Rescaling(1.0, 1.0)(x)
        model = keras.Model(x, layers.Subtract()([layers.Maximum()([x, shifted]), x]))
    low = rng_of(1).normal(size=(2, 3))
    bound = decomon.clone(model, method="crown")
    upper, lower = decomon.get_range_box(bound, low, low + 5)
    np.testing.assert_allclose(upper, 1, atol=1e-12)
    np.testing.assert_allclose(lower, 1, atol=1e-12)


def test_a_value_compared_with_itself_is_itself() -> None:
    x = keras.Input((3,))
    hidden = layers.Dense(4)(x)
    for kind in (layers.Maximum, layers.Minimum):
        nodes = from_keras(keras.Model(x, kind()([hidden, hidden]))).nodes
        assert not any(isinstance(node.op, (Max, LargestOf)) for node in nodes)
