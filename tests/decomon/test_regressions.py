"""Kinds of networks for which wrong bounds are easily computed."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import decomon
from tests.decomon.helpers import (
    METHODS,
    Array,
    ascend,
    dense_net,
    keras,
    layers,
    randomise,
    rng_of,
    sample,
    tf,
)

OTHERS = [method for method in METHODS if method != "crown"]

Build = Callable[[], Any]


@pytest.fixture(autouse=True)
def _logits() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", decomon.LogitsWarning)
        yield


def chain(shape: tuple[int, ...], *parts: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *parts])


def wide(activation: Any) -> Any:
    """Neurons that see [-5, 50] and more when the input does."""
    return chain((3,), layers.Activation(activation), layers.Dense(4, activation), layers.Dense(3))


def permuted() -> Any:
    return chain(
        (2, 3, 4),
        layers.Permute((3, 1, 2)),
        layers.Dense(5, "tanh"),
        layers.Permute((2, 3, 1)),
        layers.Flatten(),
        layers.Dense(3),
    )


def concatenated() -> Any:
    x = keras.Input((2, 3, 2))
    a = layers.Dense(2, "relu")(x)
    b = layers.Permute((1, 2, 3))(layers.Dense(2)(x[:, :, :1]))
    y = layers.Concatenate(axis=2)([a, x, b])
    y = layers.Concatenate(axis=1)([y, layers.Activation("softsign")(y)])
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(y)))


def pooled(kind: Any, padding: str, data_format: str) -> Any:
    """Windows that are not square, overlap or leave gaps, and hang over the border."""
    shape = (2, 7, 5) if data_format == "channels_first" else (7, 5, 2)
    options = {"padding": padding, "data_format": data_format}
    return chain(
        shape,
        kind((3, 2), strides=(2, 3), **options),
        layers.Conv2D(3, 2, padding="same", data_format=data_format, activation="relu"),
        kind((1, 2), strides=(2, 1), **options),
        layers.Flatten(),
        layers.Dense(3),
    )


def sub_model_twice() -> Any:
    """The same sub-model on two different inputs: its neurons have two sets of bounds."""
    sub = chain((3,), layers.Dense(4, "relu"), layers.Dense(3, "tanh"))
    x, z = keras.Input((3,)), keras.Input((3,))
    y = layers.Subtract()([sub(x), sub(layers.Rescaling(-2.0, 1.0)(z))])
    return keras.Model([x, z], layers.Dense(3)(layers.Concatenate()([y, sub(y)])))


def softmax_inside() -> Any:
    return chain(
        (4,),
        layers.Dense(5, "softmax"),
        layers.Dense(4),
        layers.Softmax(),
        layers.Dense(3),
    )


def normalised(axis: int) -> Any:
    return chain(
        (3, 4, 2),
        layers.BatchNormalization(axis=axis),
        layers.Dense(3, "relu"),
        layers.BatchNormalization(axis=axis),
        layers.Flatten(),
        layers.Dense(3),
    )


def channels_first() -> Any:
    return chain(
        (2, 6, 5),
        layers.ZeroPadding2D(((1, 0), (0, 2)), data_format="channels_first"),
        layers.Conv2D(3, (3, 2), strides=(2, 1), data_format="channels_first", activation="elu"),
        layers.BatchNormalization(axis=1),
        layers.DepthwiseConv2D(2, padding="same", data_format="channels_first"),
        layers.Conv2DTranspose(2, 3, strides=2, data_format="channels_first", activation="relu"),
        layers.UpSampling2D((1, 2), data_format="channels_first"),
        layers.GlobalMaxPooling2D(data_format="channels_first", keepdims=True),
        layers.Flatten(data_format="channels_first"),
        layers.Dense(3),
    )


NETWORKS: dict[str, Build] = {
    **{
        f"wide-{name}": lambda name=name: wide(name)
        for name in ("sigmoid", "tanh", "softplus", "softsign", "gelu", "silu", "elu")
    },
    "wide-abs": lambda: wide(keras.ops.abs),
    "permute": permuted,
    "concatenate": concatenated,
    **{
        f"{kind.__name__}-{padding}-{data_format}": (
            lambda kind=kind, padding=padding, data_format=data_format: pooled(
                kind, padding, data_format
            )
        )
        for kind, padding, data_format in itertools.product(
            (layers.MaxPooling2D, layers.AveragePooling2D),
            ("same", "valid"),
            ("channels_last", "channels_first"),
        )
    },
    "sub-model-twice": sub_model_twice,
    "softmax": softmax_inside,
    **{
        f"batch-normalization-{axis}": lambda axis=axis: normalised(axis)
        for axis in (1, 2, 3, -1, -2, -3)
    },
    "channels-first": channels_first,
}

# Corners of boxes, per coordinate.
INTERVALS = {
    "wide": (-5.0, 50.0),
    "from-zero": (0.0, 2.0),
    "to-zero": (-2.0, 0.0),
    "at-zero": (0.0, 0.0),
    "small": (0.3, 0.30001),
    "usual": (-0.4, 0.9),
}


class Flat:
    """A model as a function of one flat input."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.shapes = [tuple(port.shape[1:]) for port in model.inputs]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]

    def split(self, x: Any) -> list[Any]:
        parts = tf.split(x, self.sizes, axis=-1)
        return [tf.reshape(p, [-1, *shape]) for p, shape in zip(parts, self.shapes, strict=True)]

    def __call__(self, x: Any, training: bool = False) -> Any:
        parts = self.split(x)
        return self.model(parts if len(parts) > 1 else parts[0], training=training)


def corners(size: int) -> tuple[Array, Array]:
    """A box for each kind of interval, and random mixtures of the kinds."""
    ends = np.array(list(INTERVALS.values()))
    chosen = np.concatenate(
        [
            np.repeat(np.arange(len(ends))[:, None], size, axis=1),
            rng_of(0).integers(len(ends), size=(6, size)),
        ]
    )
    return ends[chosen, 0].astype(np.float32), ends[chosen, 1].astype(np.float32)


@pytest.mark.parametrize(
    "method", ["crown", *(pytest.param(method, marks=pytest.mark.slow) for method in OTHERS)]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_no_point_beats_a_bound(name: str, method: str) -> None:
    model = randomise(NETWORKS[name](), seed=4)
    flat = Flat(model)
    x_min, x_max = corners(sum(flat.sizes))
    points = sample(x_min, x_max, 300)
    outputs = np.asarray(flat(tf.constant(points.reshape(-1, points.shape[-1]))))
    outputs = outputs.reshape(*points.shape[:2], -1)
    best = [outputs.max(axis=0), outputs.min(axis=0)]
    row = rng_of(2).normal(size=(1, outputs.shape[-1]))
    for rows in (np.repeat(row, len(x_min), axis=0), -np.repeat(row, len(x_min), axis=0)):
        _, found = ascend(flat, x_min, x_max, rows, steps=10, restarts=2)
        values = np.asarray(flat(tf.constant(found)))
        best = [np.maximum(best[0], values), np.minimum(best[1], values)]
    sides = [[part.numpy() for part in flat.split(x)] for x in (x_min, x_max)]
    verified = decomon.clone(model, method=method)
    first, last = (side if len(side) > 1 else side[0] for side in sides)
    high, low = decomon.get_range_box(verified, first, last)
    # A point box has nothing but rounding between a bound and the value: ten layers of sums of
    # at most 200 terms, of this size.
    slack = 10 * 200 * np.finfo(np.float32).eps * (1 + np.abs(outputs).max(axis=(0, 2)))[:, None]
    assert (best[0] <= high + slack).all(), (best[0] - high - slack).max()
    assert (best[1] >= low - slack).all(), (low - slack - best[1]).max()
    assert np.isfinite(high).all()
    assert np.isfinite(low).all()
    assert (low <= high + slack).all()


def exact_sides(function: Callable[[Array], Array], low: float, high: float) -> tuple[float, float]:
    grid = function(np.linspace(low, high, 200_001))
    return float(grid.max()), float(grid.min())


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=INTERVALS)
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "abs", "relu"])
def test_a_single_curve_has_its_exact_image(name: str, interval: tuple[float, float]) -> None:
    functions: dict[str, Callable[[Array], Array]] = {
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "tanh": np.tanh,
        "softplus": lambda z: np.logaddexp(0, z),
        "abs": np.abs,
        "relu": lambda z: np.maximum(z, 0),
    }
    activation = keras.ops.abs if name == "abs" else name
    model = chain((2,), layers.Activation(activation), layers.Identity())
    low, high = (np.full((1, 2), end, np.float32) for end in interval)
    most, least = exact_sides(functions[name], float(low[0, 0]), float(high[0, 0]))
    for method in ("forward-ibp", "crown"):
        verified = decomon.clone(model, method=method, rm_last_softmax=False)
        upper, lower = decomon.get_range_box(verified, low, high)
        # the grid may miss the extremes by its step, and values are rounded to single precision
        room = 1e-5 * max(1.0, abs(most), abs(least))
        assert (np.abs(upper - most) <= room).all()
        assert (np.abs(lower - least) <= room).all()


@pytest.mark.parametrize("p", [1, 2, np.inf])
@pytest.mark.parametrize(
    ("eps", "clip"),
    [(np.nan, None), (-0.1, None), (np.inf, None), (0.1, (2.0, 3.0)), (0.1, (1, 0))],
)
def test_balls_made_of_tensors_are_checked_too(p: float, eps: float, clip: Any) -> None:
    """NaN was taken for a radius of zero."""
    model = dense_net([3, 4, 2])
    x = tf.constant(np.full((2, 3), 0.5, np.float32))
    with pytest.raises(ValueError, match="Received"):
        decomon.get_adv(model, decomon.BallDomain(x, tf.constant(eps), p, clip), 0)


def test_attention_with_one_head() -> None:
    """The static size of an axis of length 1 was lost."""
    x = keras.Input((3, 4))
    model = keras.Model(x, keras.layers.MultiHeadAttention(1, 2)(x, x))
    low, high = np.zeros((2, 3, 4), np.float32), np.full((2, 3, 4), 0.1, np.float32)
    upper, lower = decomon.get_range_box(model, low, high)
    value = np.asarray(model((low + high) / 2))
    assert (lower <= value).all()
    assert (value <= upper).all()


def test_a_cloned_model_whose_layers_change() -> None:
    """It went on to bound the network that it was cloned from."""
    model = dense_net([3, 4, 2])
    verified = decomon.clone(model)
    x = np.zeros((1, 3), np.float32)
    box = decomon.BoxDomain(x, x)
    verified(box)
    model.layers[0].activation = keras.activations.tanh
    for ask in (verified, verified.intermediate_bounds, lambda d: decomon.get_adv(verified, d, 0)):
        with pytest.raises(ValueError, match="Clone it again"):
            ask(box)


def test_a_network_whose_own_rounding_decides() -> None:
    """Large values that cancel: robust in exact arithmetic, but not in that of the model."""
    rng = rng_of(0)
    model = keras.Sequential([keras.Input((3,)), *(layers.Dense(n) for n in (8, 8, 2))])
    kernels = [1e2 * rng.normal(size=shape) for shape in ((3, 8), (8, 8))]
    null = np.linalg.svd(kernels[0] @ kernels[1])[2][3]
    last = np.stack([np.zeros(8), null], axis=1)
    x = rng.uniform(size=(1, 3))
    points = x + rng.uniform(-0.1, 0.1, size=(4000, 3))
    broken = 0
    for bias in np.linspace(0, 0.02, 20):
        zeros = [np.zeros(8), np.zeros(8)]
        model.set_weights([kernels[0], zeros[0], kernels[1], zeros[1], last, np.array([bias, 0.0])])
        broken += (np.asarray(model(points)).argmax(axis=1) != 0).any()
        if (np.asarray(model(points)).argmax(axis=1) != 0).any():
            found = decomon.certify(model, x, [0], 0.1, clip=None)
            assert found.verdicts[0] != decomon.Verdict.ROBUST, bias
    assert broken > 2
