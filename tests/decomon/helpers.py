"""What several test files share: networks, sampling, an attack of its own, rounding errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras as _keras
import numpy as np
import tensorflow as _tf
from numpy.typing import NDArray

keras: Any = _keras
tf: Any = _tf
layers: Any = _keras.layers

Array = NDArray[Any]

METHODS = (
    "forward-ibp",
    "forward-affine",
    "forward-hybrid",
    "crown-forward-ibp",
    "crown-forward-affine",
    "crown-forward-hybrid",
    "crown",
)
ALIASES = {
    "ibp": "forward-ibp",
    "forward": "forward-affine",
    "hybrid": "forward-hybrid",
    "crown-ibp": "crown-forward-ibp",
    "crown-forward": "crown-forward-affine",
    "crown-hybrid": "crown-forward-hybrid",
}


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Build layers of a dtype."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy(dtype)
    keras.config.set_floatx(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(floatx)


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def randomise(model: Any, seed: int = 0, scale: float = 1.0) -> Any:
    """Give a model random weights and biases; variances stay positive."""
    rng = rng_of(seed)
    for variable in model.weights:
        fan_in = max(1, int(np.prod(variable.shape[:-1])))
        value = rng.normal(size=variable.shape) * scale / np.sqrt(fan_in)
        if variable.name == "moving_variance":
            value = rng.uniform(0.5, 2.0, size=variable.shape)
        elif variable.name == "gamma":
            value = rng.choice([-1, 1], variable.shape) * rng.uniform(0.5, 1.5, variable.shape)
        variable.assign(value)
    return model


def dense_net(
    widths: Sequence[int], seed: int = 0, *, dtype: str = "float32", softmax: bool = False
) -> Any:
    """A ReLU network with random weights; ``widths`` are inputs, hidden layers, classes."""
    with precision(dtype):
        parts = [keras.Input((widths[0],))]
        parts += [layers.Dense(w, activation="relu") for w in widths[1:-1]]
        parts.append(layers.Dense(widths[-1], activation="softmax" if softmax else None))
        return randomise(keras.Sequential(parts), seed)


def matrices(model: Any) -> list[tuple[Array, Array]]:
    """Kernels and biases of a dense network in float64."""
    weights = [np.asarray(w, np.float64) for w in model.get_weights()]
    return list(zip(weights[::2], weights[1::2], strict=True))


def boxes(
    model: Any, count: int, radius: float, seed: int = 0, dtype: str = "float32"
) -> tuple[Array, Array]:
    """Random boxes around random points, uneven sides; some sides have no width."""
    rng = rng_of(seed)
    shape = (count, *model.input_shape[1:])
    center = rng.normal(size=shape)
    radii = radius * rng.uniform(0, 2, size=shape) * (rng.uniform(size=shape) > 0.1)
    return (center - radii).astype(dtype), (center + radii).astype(dtype)


def sample(x_min: Array, x_max: Array, count: int, seed: int = 0) -> Array:
    """Points of boxes, corners and edges included: ``(count, batch, *shape)``, same dtype."""
    rng = rng_of(seed)
    ratio = rng.uniform(size=(count, *x_min.shape))
    corner = rng.integers(0, 2, size=ratio.shape)
    ratio = np.where(rng.uniform(size=(count, *[1] * x_min.ndim)) < 0.5, corner, ratio)
    wide = x_min.astype(np.float64) * (1 - ratio) + x_max.astype(np.float64) * ratio
    return np.clip(wide.astype(x_min.dtype), x_min, x_max)


def evaluate(model: Any, points: Array) -> Array:
    """Outputs at ``(count, batch, *shape)`` points, ``(count, batch, *output shape)``."""
    flat = points.reshape(-1, *points.shape[2:])
    outputs = np.asarray(model(tf.constant(flat), training=False))
    return outputs.reshape(*points.shape[:2], *outputs.shape[1:])


def ascend(
    model: Any, x_min: Array, x_max: Array, rows: Array, *, steps: int = 60, restarts: int = 4
) -> tuple[Array, Array]:
    """Maximise ``rows . model(x)`` over boxes by signed and plain gradient ascent with restarts.

    ``rows`` is ``(batch, *output shape)``.  Returns values ``(batch,)`` and points.  Half of the
    restarts begin at corners; steps shrink; the best point of every path counts.
    """
    low, high = tf.constant(x_min), tf.constant(x_max)
    weight = tf.constant(rows.astype(x_min.dtype))
    axes = list(range(1, rows.ndim))

    @tf.function
    def grad(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(model(x, training=False) * weight, axis=axes)
        return value, tape.gradient(value, x)

    best_value = np.full(len(x_min), -np.inf)
    best = x_min.copy()
    starts = sample(x_min, x_max, restarts, seed=1)
    starts[0] = np.clip((x_min + x_max) / 2, x_min, x_max)
    for start in starts:
        x = tf.constant(start)
        for step in range(steps):
            value, gradient = grad(x)
            better = value.numpy() > best_value
            best_value = np.where(better, value.numpy(), best_value)
            best[better] = x.numpy()[better]
            rate = (high - low) * 0.5 / (1 + step / 4)
            x = tf.clip_by_value(x + rate * tf.sign(gradient), low, high)
    return best_value, best


def margin_rows(n_classes: int, source: Array) -> Array:
    """All rows ``e_j - e_source`` with ``j != source``: ``(batch, n_classes - 1, n_classes)``."""
    eye = np.eye(n_classes)
    return np.stack(
        [np.stack([eye[j] - eye[i] for j in range(n_classes) if j != i]) for i in source]
    )


def largest_margin(logits: Array, source: Array) -> Array:
    """``max_j f_j - f_i`` for logits ``(..., batch, classes)`` and one source per sample."""
    wide = logits.astype(np.float64)
    own = np.take_along_axis(
        wide, np.broadcast_to(source[:, None], (*wide.shape[:-1], 1)).astype(int), axis=-1
    )
    others = np.where(np.arange(wide.shape[-1]) == source[:, None], -np.inf, wide)
    return others.max(axis=-1) - own[..., 0]


def absolute_model(model: Any) -> Any:
    """The same network with every weight replaced by its size, in float64.

    With 1-Lipschitz activations that vanish at zero it bounds, at ``|x|``, every partial sum of
    an evaluation of the network or of a backward substitution through it.
    """
    with_sizes = keras.models.clone_model(
        model,
        clone_function=lambda layer: type(layer).from_config(
            {**layer.get_config(), "dtype": "float64"}
        ),
        recursive=True,
        call_function=None,
    )
    for source, target in zip(model.weights, with_sizes.weights, strict=True):
        value = np.abs(np.asarray(source, np.float64))
        if source.name == "moving_variance":
            value = np.asarray(source, np.float64)
        target.assign(-value if source.name == "moving_mean" else value)
    return with_sizes


def operations(model: Any) -> tuple[int, int]:
    """The length of the longest chain of additions through a model, and its number of layers."""
    total, depth = 0, 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            inner, inner_depth = operations(layer)
            total, depth = total + 2 * inner, depth + 2 * inner_depth  # it may be used twice
        else:
            kernels = [int(np.prod(w.shape[:-1])) for w in layer.weights if len(w.shape) > 1]
            total, depth = total + sum(kernels) + 12, depth + 1
    return total, depth


def rounding(model: Any, x_min: Array, x_max: Array, dtype: str = "float32") -> Array:
    """How far rounding can move a bound or a margin of each box, ``(batch,)``.

    Let S be the largest output of the network with all weights replaced by their sizes, at the
    largest ``|x|``: it bounds ``|W_L| ... (|W_1| |x| + |b_1|) ...`` and so every partial sum.
    A chain of n operations on such sums is off by at most gamma_n S with gamma_n = n u / (1 - n u)
    (Higham 2002, section 3).  Every one of the d layers has intermediate intervals with such an
    error, which reaches the output multiplied by the weights that S contains already; a line
    moves by at most twice the error of its interval; a margin has two logits; the model's own
    evaluation rounds too.  Hence 2 * 2 * 2 * (d + 1) * gamma_n * S.
    """
    unit = np.finfo(dtype).eps / 2
    count, depth = operations(model)
    count += int(np.prod(x_min.shape[1:])) + 10
    gamma = count * unit / (1 - count * unit)
    size = np.maximum(np.abs(x_min), np.abs(x_max)).astype(np.float64)
    sizes = absolute_model(strip(model))(size.reshape(-1, *model.input_shape[1:]))
    largest = np.abs(np.asarray(sizes)).reshape(len(x_min), -1).max(axis=1)
    return 8 * (depth + 1) * gamma * largest


def strip(model: Any) -> Any:
    """The model up to its logits, if its last layer has a softmax; weights are shared."""
    last = model.layers[-1]
    if isinstance(last, layers.Softmax):
        return keras.Model(model.inputs[0], last.input)
    if getattr(last, "activation", None) is not keras.activations.softmax:
        return model
    bare = type(last).from_config({**last.get_config(), "activation": None})
    outputs = bare(last.input)
    bare.set_weights(last.get_weights())
    return keras.Model(model.inputs[0], outputs)
