"""Rules that users write: what `affine` accepts, and what `check_layer` finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import decomon
from decomon.ops import AffineFunction, _registry, affine, read, register
from decomon.ops.elementwise.curves import TANH
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.elementwise.smooth import Smooth
from decomon.testing import check_layer, lines
from tests.decomon.helpers import keras, layers, rng_of, tf


@pytest.fixture(autouse=True)
def _rules_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(_registry, "_RULES", dict(_registry._RULES))


class Mix(layers.Layer):
    """``x_1 K - 2 x_2 + 1``, an affine layer of two inputs."""

    def build(self, shapes: Any) -> None:
        self.kernel = self.add_weight(shape=(shapes[0][-1], shapes[1][-1]), name="kernel")

    def call(self, inputs: Any) -> Any:
        return mix(inputs[0], inputs[1], self.kernel)


def mix(x: Any, y: Any, kernel: Any) -> Any:
    return tf.matmul(x, tf.convert_to_tensor(kernel)) - 2 * y + 1


class Curve(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.tanh(x)


class Scaled(layers.Layer):
    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def call(self, x: Any) -> Any:
        return self.factor * x


def test_affine_finds_the_matrix() -> None:
    rng = rng_of(0)
    first, second = rng.normal(size=(3, 4)), rng.normal(size=(2, 4))
    op = AffineFunction(lambda x, y: tf.matmul(x, first) - tf.matmul(y, second) + 5.0)
    radii = [np.abs(rng.normal(size=(6, n))) for n in (3, 2)]
    expected = radii[0] @ np.abs(first) + radii[1] @ np.abs(second)
    found = op.absolute(*(tf.constant(radius) for radius in radii)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    offset = op.offset([(3,), (2,)], tf.float64)
    np.testing.assert_allclose(np.asarray(offset), np.full((1, 4), 5.0))


def test_an_affine_layer_of_two_inputs() -> None:
    @register(Mix)
    def rule(call: Any) -> Any:
        return affine(call, lambda x, y: mix(x, y, read(call.layer.kernel, x.dtype)))

    check_layer(Mix(), (3,), (2,))


def test_an_affine_rule_follows_the_weights() -> None:
    @register(Scaled)
    def rule(call: Any) -> Any:
        return affine(call, lambda x: read(call.layer.factor, x.dtype) * x)

    x = keras.Input((2,))
    layer = Scaled()
    verified = decomon.clone(keras.Model(x, layer(x)))
    corner = np.ones((1, 2), np.float32)
    for factor in (3.0, -2.0):
        layer.factor.assign(factor)
        high, low = decomon.get_range_box(verified, -corner, corner)
        np.testing.assert_allclose(high, abs(factor) * corner, rtol=1e-6)
        np.testing.assert_allclose(low, -abs(factor) * corner, rtol=1e-6)


@pytest.mark.parametrize("function", [tf.nn.relu, tf.square, tf.tanh, lambda x: x * x + 1])
def test_affine_refuses_what_is_not(function: Any) -> None:
    register(Scaled)(lambda call: affine(call, function))
    with pytest.raises(ValueError, match=r"must be affine.*Received"):
        check_layer(Scaled(), (3,))


def test_affine_wants_the_dtype_of_the_input() -> None:
    constant = tf.constant(2.0, tf.float32)
    for function in (lambda x: constant * x, lambda x: tf.cast(x, tf.float32)):
        register(Scaled)(lambda call, function=function: affine(call, function))
        with pytest.raises(ValueError, match=r"decomon\.ops\.read.*Received.*float64"):
            check_layer(Scaled(), (3,))


def test_check_layer_accepts_a_right_rule() -> None:
    register(Curve)(lambda call: [TANH])
    check_layer(Curve(), (3,))
    check_layer(layers.Dense(2, "gelu", bias_initializer="normal"), (3,))


def test_check_layer_finds_another_function() -> None:
    register(Curve)(lambda call: [Hinge()])
    with pytest.raises(AssertionError, match="computes something else than the layer"):
        check_layer(Curve(), (3,))


@pytest.mark.parametrize("options", [{"first": 0.0}, {}, {"first": float("inf")}])
def test_check_layer_finds_a_curve_that_bends_otherwise(options: dict[str, Any]) -> None:
    bent = Smooth("bent", tf.tanh, lambda z: 1 - tf.tanh(z) ** 2, **options)
    register(Curve)(lambda call: [bent])
    with pytest.raises(AssertionError, match="is wrong"):
        check_layer(Curve(), (2,))


def test_check_layer_finds_an_interval_that_is_too_small() -> None:
    small = Smooth("small", tf.tanh, TANH.slope, last=0.0, image=(-0.5, 0.5))
    register(Curve)(lambda call: [small])
    with pytest.raises(AssertionError, match="'forward-ibp' is wrong"):
        check_layer(Curve(), (1,))


def test_check_layer_needs_a_rule() -> None:
    class Unknown(layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    with pytest.raises(decomon.UnsupportedModelError, match="Unknown"):
        check_layer(Unknown(), (3,))


@pytest.mark.parametrize("ends", [(-2.0, 5.0), (0.0, 1.0), (-1.0, -1.0)])
def test_lines_enclose_the_curve(ends: tuple[float, float]) -> None:
    z = np.linspace(*ends, 1000)
    for curve in (TANH, Hinge()):
        value = np.asarray(curve(tf.constant(z)))
        lower, upper = (slope * z + offset for slope, offset in lines(curve, *ends))
        assert (lower <= value + 1e-12).all()
        assert (value <= upper + 1e-12).all()


@pytest.mark.parametrize("wrong", [None, 3.0, "ops", [1]])
def test_a_rule_that_returns_something_else_is_an_error(wrong: Any) -> None:
    class Odd(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs

    decomon.ops.register(Odd)(lambda call: wrong)
    x = keras.Input((2,))
    with pytest.raises(TypeError, match="rule of .*Odd.*must return.*Received"):
        decomon.clone(keras.Model(x, Odd()(x)))
