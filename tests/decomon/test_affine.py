"""Affine building blocks, and where affine layers are refused or follow their variables."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from decomon.bounds import Interval
from decomon.errors import UnsupportedModelError
from decomon.graph import from_keras
from decomon.ops import AffineOp, UnsupportedError
from decomon.ops.convolution import SeparableConvolution
from decomon.ops.linear import (
    AlongAxes,
    Constant,
    Einsum,
    Matrix,
    Mean,
    Negate,
    Scale,
    Shift,
    Subtract,
    Sum,
    add_bias,
)
from decomon.ops.merging import Add, Average, Concatenate, check_sum
from decomon.ops.shaping import (
    BroadcastTo,
    Gather,
    Permute,
    Reshape,
    Slice,
    Stack,
    ZeroPadding,
)
from decomon.rounding import gamma
from tests.decomon.helpers import Array, keras, layers, rng_of, tf

KERNEL = rng_of(0).normal(size=(3, 4))
VARIABLE = keras.Variable(KERNEL, dtype="float32")
Shapes = tuple[tuple[int, ...], ...]
BLOCKS: list[tuple[AffineOp, Shapes]] = [
    (Reshape((2, 3)), ((3, 2),)),
    (Permute((0, 2, 1)), ((3, 2),)),
    (Slice(((0, 3, 2), (1, 2, 1))), ((3, 2),)),
    (ZeroPadding(((0, 0), (1, 2), (0, 1))), ((3, 2),)),
    (Gather((2, 0, 2), 1), ((3, 2),)),
    (Gather((3, 0), 2), ((3, 4),)),
    (Gather(1, 1), ((3, 2),)),
    (BroadcastTo((2, 3, 4)), ((3, 1),)),
    (Stack(2), ((3, 2), (3, 2))),
    (Add(), ((3, 2), (1, 2), (3, 1))),
    (Average(), ((3, 2), (1, 2))),
    (Concatenate(2), ((3, 2), (3, 1))),
    (Sum((1,)), ((3, 2),)),
    (Sum((1, 2), keepdims=True), ((3, 2),)),
    (Mean((2,)), ((3, 2),)),
    (Negate(), ((3, 2),)),
    (Subtract(), ((3, 2), (1, 2))),
    (Scale(np.array([1.0, -2.0, 0.0])), ((2, 3),)),
    (Scale(-0.3), ((2, 3),)),
    (Shift(lambda: VARIABLE[0] * 2), ((2, 4),)),
    (Constant(VARIABLE), ((2, 3),)),
    (Matrix(VARIABLE), ((2, 3),)),
    (Einsum("bik,kl->bil", VARIABLE), ((2, 3),)),
    (Einsum("bik,kl->bi", VARIABLE), ((2, 3),)),
    (Einsum("b...k,kl->bl...", VARIABLE), ((2, 2, 3),)),
    (Einsum("bij,kl->bk", VARIABLE), ((2, 3),)),
    (Einsum("bij,ij->bij", VARIABLE), ((3, 4),)),
    (AlongAxes((1,), (KERNEL,)), ((4, 2),)),
    (AlongAxes((1, 2), (KERNEL, KERNEL.T)), ((4, 3, 2),)),
    (AlongAxes((2,), (np.abs(KERNEL),)), ((2, 4),)),
]


def matrices(op: AffineOp, shapes: Shapes) -> tuple[list[Array], Array]:
    """``W_i`` of shape ``(output size, input size)`` and ``b``, from unit vectors."""
    zeros = [tf.zeros([1, *shape], tf.float64) for shape in shapes]
    offset = op(*zeros).numpy()[0]
    parts = []
    for i, shape in enumerate(shapes):
        size = int(np.prod(shape))
        arguments = [tf.repeat(zero, size, axis=0) for zero in zeros]
        arguments[i] = tf.constant(np.eye(size).reshape(size, *shape))
        parts.append((op(*arguments).numpy() - offset).reshape(size, -1).T)
    return parts, offset


@pytest.mark.parametrize(
    ("op", "shapes"), BLOCKS, ids=[f"{type(op).__name__}-{i}" for i, (op, _) in enumerate(BLOCKS)]
)
def test_block_is_its_matrix(op: AffineOp, shapes: Shapes) -> None:
    parts, offset = matrices(op, shapes)
    rng = rng_of(1)
    count = 3
    size = sum(part.shape[1] for part in parts)
    slack = 8 * gamma(size + 4, np.float64) * max(1, size) * 3

    specs = [tf.TensorSpec([None, *shape], tf.float32) for shape in shapes]
    traced = tf.function(op, autograph=False).get_concrete_function(*specs).output_shapes
    assert tuple(traced[1:]) == offset.shape

    radii = [np.abs(rng.normal(size=(count, *shape))) for shape in shapes]
    flat = [radius.reshape(count, -1) for radius in radii]
    spread = sum(r @ np.abs(part).T for r, part in zip(flat, parts, strict=True))
    found = op.absolute(*map(tf.constant, radii)).numpy().reshape(count, -1)
    np.testing.assert_allclose(found, spread, rtol=0, atol=slack)

    shift = op.offset(shapes, tf.float64)
    if shift is None:
        assert not offset.any()
    else:
        np.testing.assert_allclose(shift.numpy(), offset[None], rtol=0, atol=slack)

    rows = rng.normal(size=(4, *offset.shape))
    sent = tf.function(lambda r: op.transpose(r, shapes), autograph=False)(tf.constant(rows))
    for found, part, shape in zip(sent, parts, shapes, strict=True):
        expected = (rows.reshape(4, -1) @ part).reshape(4, *shape)
        if found is None:
            assert not part.any()
        else:
            np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=slack)

    box = op.interval(*(Interval(tf.constant(-r), tf.constant(2 * r)) for r in radii))
    low = sum(
        2 * r @ np.minimum(part, 0).T - r @ np.maximum(part, 0).T
        for r, part in zip(flat, parts, strict=True)
    )
    high = sum(
        2 * r @ np.maximum(part, 0).T - r @ np.minimum(part, 0).T
        for r, part in zip(flat, parts, strict=True)
    )
    lower, upper = (side.numpy().reshape(count, -1) for side in (box.lower, box.upper))
    np.testing.assert_allclose(lower, low + offset.ravel(), rtol=0, atol=slack)
    np.testing.assert_allclose(upper, high + offset.ravel(), rtol=0, atol=slack)

    if op.diagonal and len(shapes) == 1:
        assert (np.count_nonzero(parts[0], axis=0) <= 1).all()
        assert (np.count_nonzero(parts[0], axis=1) <= 1).all()


def test_constants_must_not_enlarge() -> None:
    for op in (Scale(np.ones((3, 1, 2))), Shift(np.ones((2, 5)))):
        with pytest.raises(ValueError, match="must not enlarge the tensor.*Received"):
            op(tf.zeros([2, 1]))


SIDES = [(2, 3), (3, 3), (2, 2, 3), (3, 2, 3), (2, 3, 4), (1, 3), (3, 1)]


@pytest.mark.parametrize("shape", SIDES, ids=str)
def test_bias_is_added_as_keras_adds_it(shape: tuple[int, ...]) -> None:
    rng = rng_of(2)
    x = tf.constant(rng.normal(size=(4, *shape)))
    for kept in itertools.product([False, True], repeat=len(shape)):
        bias = tf.constant(
            rng.normal(size=[s if k else 1 for s, k in zip(shape, kept, strict=True)])
        )
        np.testing.assert_array_equal(add_bias(x, bias), keras.ops.add(x, bias))


@pytest.mark.parametrize("first", SIDES, ids=str)
def test_sums_are_refused_where_they_depend_on_the_batch(first: tuple[int, ...]) -> None:
    """What is refused is wrong for some size of the batch, what is not is right for all."""
    rng = rng_of(3)
    for sides in itertools.product([1, 2, 3, 4], repeat=len(first)):
        if any(1 not in pair and len(set(pair)) > 1 for pair in zip(first, sides, strict=True)):
            continue
        right = True
        for batch in range(1, 6):
            x, y = rng.normal(size=(batch, *first)), rng.normal(size=(batch, *sides))
            found = np.asarray(keras.ops.add(tf.constant(x), tf.constant(y)))
            right &= found.shape == (x + y).shape and bool((found == x + y).all())
        if right:
            check_sum(first, sides)
        else:
            with pytest.raises(UnsupportedError, match="depends on the batch"):
                check_sum(first, sides)


def test_separable_convolution_is_tighter_than_its_two_halves() -> None:
    layer = layers.SeparableConv2D(3, 2, depth_multiplier=2)
    layer(np.zeros((1, 4, 4, 2), np.float32))
    op = SeparableConvolution(layer)
    parts, _ = matrices(op, ((4, 4, 2),))
    radius = np.abs(rng_of(4).normal(size=(1, 4, 4, 2)))
    found = op.absolute(tf.constant(radius)).numpy().ravel()
    expected = np.abs(parts[0]) @ radius.ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for kernel in (layer.depthwise_kernel, layer.pointwise_kernel):
        kernel.assign(np.abs(np.asarray(kernel)))
    assert (op(tf.constant(radius)).numpy().ravel() >= found - 1e-12).all()
    assert (op(tf.constant(radius)).numpy().ravel() > found + 1e-6).any()


def _evaluations(model: Any, seed: int = 6) -> tuple[Array, Array]:
    x = rng_of(seed).normal(size=(4, *model.input_shape[1:])).astype(np.float32)
    return np.asarray(from_keras(model)(tf.constant(x))), np.asarray(model(x))


def test_normalization_follows_a_later_adaptation() -> None:
    layer = layers.Normalization()
    layer.adapt(rng_of(0).normal(size=(50, 3)))
    x = keras.Input((3,))
    model = keras.Model(x, layer(x))
    graph = tf.function(from_keras(model), autograph=False)
    points = rng_of(1).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_allclose(graph(points), model(points), rtol=1e-5, atol=1e-6)
    layer.adapt(rng_of(2).normal(size=(50, 3)) * 5 + 2)
    np.testing.assert_allclose(graph(points), model(points), rtol=1e-5, atol=1e-6)


def test_normalization_uses_what_the_layer_uses() -> None:
    """Assigned statistics have no effect before ``finalize_state``, in Keras as here."""
    layer = layers.Normalization()
    x = keras.Input((3,))
    model = keras.Model(x, layer(x))
    layer.adapt_mean.assign([1.0, 2.0, 3.0])
    np.testing.assert_allclose(*_evaluations(model), rtol=1e-5, atol=1e-6)
    layer.finalize_state()
    np.testing.assert_allclose(*_evaluations(model), rtol=1e-5, atol=1e-6)


def test_spectral_normalization_is_its_layer_as_training_left_it() -> None:
    x = keras.Input((4,))
    model = keras.Model(x, layers.SpectralNormalization(layers.Dense(3))(x))
    before = np.asarray(model.layers[-1].layer.kernel)
    model(np.ones((2, 4), np.float32), training=True)
    assert np.abs(np.asarray(model.layers[-1].layer.kernel) - before).max() > 0
    np.testing.assert_allclose(*_evaluations(model), rtol=1e-5, atol=1e-6)


def _resized_integers() -> Any:
    x = keras.Input((4, 4, 1), dtype="uint8")
    return keras.Model(x, layers.Resizing(3, 3)(x))


def _on(layer: Any, *shapes: tuple[int, ...]) -> Any:
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: _on(layers.Concatenate(axis=0), (3,), (3,)), "joins batches"),
        (lambda: _on(layers.Add(), (3, 3), (3, 1)), "depends on the batch"),
        (lambda: _on(layers.Average(), (5,), (1,)), "depends on the batch"),
        (_resized_integers, "round"),
        (lambda: _on(layers.Rescaling(np.ones((4, 3))), (1, 3)), "enlarges"),
    ],
)
def test_what_mixes_samples_or_rounds_is_refused(make: Any, reason: str) -> None:
    model = make()
    with pytest.raises(UnsupportedModelError, match=reason):
        from_keras(model)
