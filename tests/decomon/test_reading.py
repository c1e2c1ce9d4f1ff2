"""What is read of a Keras model besides layers with rules of their own, and what is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.errors import UnsupportedModelError
from decomon.graph import from_keras
from tests.decomon.helpers import (
    Array,
    boxes,
    evaluate,
    keras,
    layers,
    precision,
    randomise,
    sample,
    tf,
)

ops: Any = keras.ops

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "partial": functools.partial(keras.activations.elu, alpha=0.3),
    "threshold": functools.partial(keras.activations.threshold, threshold=0.1, default_value=0.0),
    "lambda": lambda x: x * ops.sigmoid(1.7 * x),
    "identity": lambda x: x,
}


def _net(activation: Any) -> Any:
    with precision("float64"):
        return randomise(
            keras.Sequential(
                [keras.Input((3,)), layers.Dense(4, activation=activation), layers.Dense(2)]
            )
        )


def _check(model: Any, method: str) -> None:
    """The graph is the model, and no sample leaves the bounds."""
    low, high = boxes(model, 3, 0.3, dtype="float64")
    values = evaluate(model, sample(low, high, 100))
    graph = from_keras(model)
    np.testing.assert_allclose(
        np.asarray(graph(tf.constant(low))), np.asarray(model(low)), atol=1e-12
    )
    upper, lower = decomon.get_range_box(decomon.clone(model, method), low, high)
    assert np.isfinite(upper).all()
    room = 1e-12 * (1 + np.abs(values).max())
    assert (values <= upper + room).all()
    assert (values >= lower - room).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_made_of_keras_operations_are_read(name: str) -> None:
    _check(_net(ACTIVATIONS[name]), "crown")


def _random(x: Any) -> Any:
    return x + keras.random.normal((4,))


def _foreign(x: Any) -> Any:
    return tf.math.lgamma(x)


def _summed(x: Any) -> Any:
    return ops.sum(x, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_random, "_random.*does not compute the same"),
        (_foreign, "_foreign.*not made of keras.ops"),
        (_summed, "_summed.*changes the shape"),
    ],
)
def test_other_activations_are_refused(function: Any, reason: str) -> None:
    x = keras.Input((4,))
    model = keras.Model(x, layers.Activation(function)(x)) if function is not _summed else None
    if model is None:
        dense = layers.Dense(4, activation=function)
        model = keras.Model(x, dense(x))
    with pytest.raises(UnsupportedModelError, match=reason):
        decomon.clone(model)


@pytest.mark.parametrize("method", ["forward-ibp", "crown"])
def test_a_model_is_applied_to_every_step(method: str) -> None:
    with precision("float64"):
        inner = keras.Sequential(
            [keras.Input((2, 3)), layers.Flatten(), layers.Dense(3, activation="tanh")]
        )
        x = keras.Input((3, 2, 3))
        y = layers.Flatten()(layers.TimeDistributed(inner)(x))
        model = randomise(keras.Model(x, layers.Dense(2)(y)))
    _check(model, method)


def test_a_model_with_a_call_of_its_own_is_refused() -> None:
    class Doubled(keras.Model):
        def call(self, inputs: Any) -> Any:
            return 2 * super().call(inputs)

    x = keras.Input((3,))
    with pytest.raises(UnsupportedModelError, match="Doubled has a call method of its own"):
        decomon.clone(Doubled(x, layers.Dense(2)(x)))


@pytest.mark.parametrize("merge", [layers.Add, layers.Multiply, layers.Average])
def test_arithmetic_on_integers_is_refused(merge: Any) -> None:
    first, second = keras.Input((3,), dtype="uint8"), keras.Input((3,), dtype="uint8")
    moved = layers.Reshape((3,))(first)
    model = keras.Model([first, second], layers.Dense(2)(merge()([moved, second])))
    with pytest.raises(UnsupportedModelError, match="integers.*Rescaling"):
        decomon.clone(model)


POSITIVE: dict[str, Callable[[Any], Any]] = {
    "log1p": lambda h: ops.log1p(ops.relu(h)),
    "reciprocal": lambda h: 1 / (1 + h * h),
    "rsqrt": lambda h: ops.rsqrt(ops.abs(h) + 0.3),
}


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("method", ["forward-affine", "crown-forward-affine"])
def test_affine_bounds_do_not_leave_a_domain_that_intervals_stay_in(name: str, method: str) -> None:
    with precision("float64"):
        x = keras.Input((4,))
        y = layers.Dense(2)(POSITIVE[name](layers.Dense(4)(x)))
        model = randomise(keras.Model(x, y))
    center: Array = np.zeros((1, 4))
    upper, lower = decomon.get_range_box(decomon.clone(model, method), center - 5, center + 5)
    values = evaluate(model, sample(center - 5, center + 5, 500))[:, 0]
    assert (values <= upper).all()
    assert (values >= lower).all()
