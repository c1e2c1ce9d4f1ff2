"""Every registered layer, in all its configurations: evaluation, intervals, transpose, |W|."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.bounds import Interval
from decomon.graph import Graph, from_keras
from decomon.ops import AffineOp, NonlinearOp, Op
from decomon.ops._registry import Call, rule_for
from decomon.ops.terminal import Terminal
from decomon.rounding import gamma
from tests.decomon.helpers import Array, keras, layers, precision, rng_of, tf
from tests.decomon.layer_cases import ALL, CASES, LayerCase

EACH = pytest.mark.parametrize(
    "case", [case for _, case in ALL], ids=[f"{name}-{case.label}" for name, case in ALL]
)
FAST = {*(cases[-1] for cases in CASES.values()), *CASES["Add"], *CASES["Conv2D"][-3:]}
INSIDE = [
    pytest.param(
        case,
        id=f"{name}-{case.label}",
        marks=[] if case in FAST and "Dropout" not in name else pytest.mark.slow,
    )
    for name, case in ALL
]
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
# What an interval may look like: (centre scale, radius scale).
SIZES = [(1.0, 0.0), (1.0, 1e-7), (1.0, 0.3), (0.0, 1.0), (1e4, 1.0), (1.0, 1e4), (0.0, 1e-30)]


@dataclass(frozen=True)
class Step:
    """One op of a layer and the shapes of what it gets."""

    op: Op
    shapes: tuple[tuple[int, ...], ...]


def steps(case: LayerCase) -> tuple[Any, list[Step]]:
    """The Keras layer and the ops that it is made of."""
    model = case.model()
    layer = model.layers[-1]
    shapes = case.shapes
    ops = rule_for(layer)(Call(layer, shapes, tuple(layer.output.shape[1:])))
    found = []
    for op in ops:
        found.append(Step(op, shapes))
        outputs = op(*(tf.zeros([1, *shape], layer.compute_dtype) for shape in shapes))
        shapes = (tuple(outputs.shape[1:]),)
    return layer, found


def call(layer: Any, inputs: list[Array]) -> Array:
    tensors = [tf.constant(x) for x in inputs]
    return np.asarray(layer(tensors if len(tensors) > 1 else tensors[0], training=False))


def needs_gpu(layer: Any) -> bool:
    return type(layer) is layers.Conv2D and layer.data_format == "channels_first"


def matrix(op: Op, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[Array], Array]:
    """Explicit ``W_i`` of shape ``(output size, input size)`` and ``b``, in float64."""
    zeros = [np.zeros((1, *shape)) for shape in shapes]
    offset = np.asarray(op(*(tf.constant(z) for z in zeros)))[0]
    parts = []
    for i, shape in enumerate(shapes):
        units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
        arguments = [np.repeat(z, len(units), axis=0) for z in zeros]
        arguments[i] = units
        columns = np.asarray(op(*(tf.constant(a) for a in arguments))) - offset
        parts.append(columns.reshape(len(units), -1).T)
    return parts, offset.ravel()


def random_intervals(
    shapes: tuple[tuple[int, ...], ...], dtype: str, seed: int
) -> list[tuple[Array, Array]]:
    """Per input, one interval of each size, some of them on one side of zero."""
    rng = rng_of(seed)
    result = []
    for shape in shapes:
        lows, highs = [], []
        for center, radius in SIZES:
            middle = center * rng.normal(size=shape)
            half = radius * rng.uniform(0, 1, size=shape)
            lows.append(middle - half)
            highs.append(middle + half)
        lows.append(np.zeros(shape))
        highs.append(rng.uniform(0, 1, size=shape))
        lows.append(-rng.uniform(0, 1, size=shape))
        highs.append(np.zeros(shape))
        low, high = np.stack(lows).astype(dtype), np.stack(highs).astype(dtype)
        result.append((np.minimum(low, high), np.maximum(low, high)))
    return result


def test_every_registered_layer_has_an_entry() -> None:
    assert set(decomon.ops.supported()) == set(CASES)


@EACH
@DTYPES
def test_evaluates_as_keras_does(case: LayerCase, dtype: str) -> None:
    with precision(dtype):
        layer, chain = steps(case)
    if dtype == "float64" and needs_gpu(layer):
        pytest.skip("TensorFlow convolves float64 channels-first images on GPUs only")
    inputs = [
        rng_of(i).normal(size=(5, *shape)).astype(dtype) for i, shape in enumerate(case.shapes)
    ]
    values: list[Any] = [tf.constant(x) for x in inputs]
    for step in chain:
        values = [step.op(*values)]
    expected = call(layer, inputs)
    if not chain:
        np.testing.assert_array_equal(values[0].numpy(), expected)
        return
    assert values[0].dtype == dtype
    assert values[0].shape == expected.shape
    fan_in = sum(int(np.prod(shape)) for shape in case.shapes) + 8
    scale = np.abs(expected).max() + sum(np.abs(x).max() for x in inputs)
    # gamma_n |W| |x|, with |W||x| at most n times the largest product of a weight and an input
    weight = max([1.0, *(float(np.abs(np.asarray(w)).max()) for w in layer.weights)])
    assert (
        np.abs(values[0].numpy() - expected).max()
        <= gamma(fan_in, dtype) * fan_in * weight**2 * scale
    )


@EACH
@DTYPES
def test_no_sample_leaves_the_interval(case: LayerCase, dtype: str) -> None:
    with precision(dtype):
        _, chain = steps(case)
    for step in chain:
        pairs = random_intervals(step.shapes, dtype, seed=7)
        got = step.op.interval(*(Interval(tf.constant(a), tf.constant(b)) for a, b in pairs))
        low, high = got.lower.numpy(), got.upper.numpy()
        assert low.dtype == dtype
        assert (low <= high).all()
        slack = interval_error(step, pairs, dtype)
        rng = rng_of(1)
        for _ in range(40):
            points = []
            for a, b in pairs:
                ratio = rng.choice([0, 1, rng.uniform()], size=a.shape)
                wide = a.astype(np.float64) * (1 - ratio) + b.astype(np.float64) * ratio
                points.append(np.clip(wide, a.astype(np.float64), b.astype(np.float64)))
            value = np.asarray(step.op(*(tf.constant(p) for p in points)))
            assert (value >= low - slack).all()
            assert (value <= high + slack).all()
        if isinstance(step.op, AffineOp):
            check_exact_range(step, pairs, low, high, slack)


def interval_error(step: Step, pairs: list[tuple[Array, Array]], dtype: str) -> Array | float:
    """gamma_n (|W| m + |b|), m the largest |input|: rounding of one affine op (Higham, 3.1).

    Weights derived from the layer's (a normalisation's scale) take at most ten operations more, and
    centre and radius three; each is rounded, and used, on its own: twice.
    """
    if not isinstance(step.op, AffineOp):
        # one multiplication by a slope of at most one, or a softmax, which sums to one
        largest = np.maximum(*(np.abs(side).astype(np.float64) for side in pairs[0]))
        return float(np.finfo(dtype).eps) * np.maximum(largest, 1)
    parts, offset = matrix(step.op, step.shapes)
    count = sum(w.shape[1] for w in parts) + 13
    most = np.abs(offset) + sum(
        np.maximum(np.abs(a), np.abs(b)).astype(np.float64).reshape(len(a), -1) @ np.abs(w).T
        for w, (a, b) in zip(parts, pairs, strict=True)
    )
    # Batch normalisation's shift is a difference; its terms are as large as scale times mean.
    inner = getattr(getattr(step.op, "layer", None), "moving_mean", None)
    extra = 0.0 if inner is None else 20 * float(np.abs(np.asarray(inner)).max())
    tiny = float(np.finfo(dtype).tiny)
    out = np.asarray(step.op(*(tf.constant(a.astype(np.float64)) for a, _ in pairs))).shape
    return (2 * gamma(count, dtype) * (most + extra) + count * tiny).reshape(out)


def check_exact_range(
    step: Step, pairs: list[tuple[Array, Array]], low: Array, high: Array, slack: Array | float
) -> None:
    """Looseness fails too: the interval is W+ u + W- l + b and no more."""
    parts, offset = matrix(step.op, step.shapes)
    upper, lower = offset, offset
    for w, (a, b) in zip(parts, pairs, strict=True):
        up, down = np.maximum(w, 0), np.minimum(w, 0)
        a, b = (side.astype(np.float64).reshape(len(side), -1) for side in (a, b))
        upper = upper + b @ up.T + a @ down.T
        lower = lower + a @ up.T + b @ down.T
    assert (np.abs(high - upper.reshape(high.shape)) <= slack).all()
    assert (np.abs(low - lower.reshape(low.shape)) <= slack).all()


@EACH
@DTYPES
def test_affine_ops_have_the_right_transpose_absolute_and_offset(
    case: LayerCase, dtype: str
) -> None:
    with precision(dtype):
        _, chain = steps(case)
    rng = rng_of(3)
    for step in chain:
        if not isinstance(step.op, AffineOp):
            continue
        parts, offset = matrix(step.op, step.shapes)
        count = sum(w.shape[1] for w in parts) + 13
        size = sum(np.abs(w).sum() for w in parts) + np.abs(offset).sum() + 1
        slack = gamma(count + len(offset), dtype) * size * 8
        inputs = [rng.uniform(-1, 1, size=(4, *shape)) for shape in step.shapes]
        out = np.asarray(step.op(*(tf.constant(x) for x in inputs))).shape[1:]
        rows = rng.uniform(-1, 1, size=(4, *out))
        # <A, Lx> = <L^T A, x>, with L x = op(x) - op(0)
        sent = step.op.transpose(tf.constant(rows.astype(dtype)), step.shapes)
        assert len(sent) == len(step.shapes)
        arrived = sum(
            (np.asarray(s, np.float64) * x).reshape(4, -1).sum(axis=1)
            for s, x in zip(sent, inputs, strict=True)
        )
        linear = sum(x.reshape(4, -1) @ w.T for x, w in zip(inputs, parts, strict=True))
        assert (np.abs(arrived - (rows.reshape(4, -1) * linear).sum(axis=1)) <= slack).all()
        for s, w in zip(sent, parts, strict=True):
            assert (np.abs(s.numpy().reshape(4, -1) - rows.reshape(4, -1) @ w) <= slack).all()
        # |W| r
        radii = [np.abs(x) for x in inputs]
        got = step.op.absolute(*(tf.constant(r.astype(dtype)) for r in radii)).numpy()
        wanted = sum(r.reshape(4, -1) @ np.abs(w).T for r, w in zip(radii, parts, strict=True))
        assert (np.abs(got.reshape(4, -1) - wanted) <= slack).all()
        # b
        found = step.op.offset(step.shapes, tf.as_dtype(dtype))
        found = np.zeros((1, *out)) if found is None else found.numpy()
        assert found.shape == (1, *out)
        assert (np.abs(found.ravel() - offset) <= slack).all()
        if step.op.diagonal:
            assert all(
                ((np.abs(w) > 0).sum(axis=0) <= 1).all()
                and ((np.abs(w) > 0).sum(axis=1) <= 1).all()
                for w in parts
            )


@pytest.mark.parametrize("case", INSIDE)
def test_layer_inside_a_model(case: LayerCase) -> None:
    """The graph of a model with the layer evaluates to the model, and bounds hold."""
    size = [int(np.prod(shape)) for shape in case.shapes]
    dtype = "float32" if needs_gpu(case.model().layers[-1]) else "float64"
    slack = 1e-4 if dtype == "float32" else 1e-12
    with precision(dtype):
        x = keras.Input((sum(size),))
        starts = np.concatenate([[0], np.cumsum(size)[:-1]])
        pieces = []
        for begin, n, shape in zip(starts, size, case.shapes, strict=True):
            cut = layers.Dense(n, use_bias=False)
            piece = cut(x)
            cut.set_weights([np.eye(sum(size))[:, begin : begin + n]])
            pieces.append(layers.Reshape(shape)(piece))
        layer = case.make()
        y = layer(pieces if len(pieces) > 1 else pieces[0])
        model = keras.Model(x, y)
    graph: Graph = from_keras(model)
    points = rng_of(0).normal(size=(30, sum(size))).astype(dtype)
    expected = np.asarray(model(points, training=False))
    got = np.asarray(graph(tf.constant(points)))
    if graph.stripped:
        got = np.asarray(tf.nn.softmax(got))
    np.testing.assert_allclose(got, expected, atol=slack)
    if graph.stripped:
        return
    low, high = points.min(axis=0)[None], points.max(axis=0)[None]
    bound = decomon.clone(model, method="crown")
    upper, lower = decomon.get_range_box(bound, low, high)
    assert (expected <= upper + slack).all()
    assert (expected >= lower - slack).all()


@DTYPES
def test_terminal_activations_are_increasing_and_inside_their_interval(dtype: str) -> None:
    for make in (lambda: layers.Softmax(), lambda: layers.Activation("sigmoid")):
        with precision(dtype):
            _, chain = steps(LayerCase("", make, ((4,),)))
        (step,) = chain
        assert isinstance(step.op, Terminal)
        logits = rng_of(0).normal(size=(50, 4)).astype(dtype) * 5
        scores = step.op(tf.constant(logits)).numpy()
        assert (scores.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_every_nonlinear_op_is_a_kind_that_is_tested() -> None:
    """Nonlinear ops of the registry are hinges, which test_hinge.py covers."""
    kinds = set()
    for _, case in ALL:
        kinds |= {type(step.op) for step in steps(case)[1] if isinstance(step.op, NonlinearOp)}
    assert {kind.__name__ for kind in kinds} == {"Hinge"}


@pytest.mark.parametrize(
    ("a", "b"), list(itertools.combinations(["channels_last", "channels_first"], 2))
)
def test_channel_order_is_only_a_matter_of_axes(a: str, b: str) -> None:
    """The same convolution in both data formats gives the same bounds."""
    first = keras.Sequential([keras.Input((5, 4, 3)), layers.Conv2D(2, 2, data_format=a)])
    second = keras.Sequential([keras.Input((3, 5, 4)), layers.Conv2D(2, 2, data_format=b)])
    second.set_weights(first.get_weights())
    x = rng_of(0).normal(size=(2, 5, 4, 3)).astype("float32")
    high, low = decomon.get_range_box(first, x - 0.1, x + 0.1)
    moved = np.moveaxis(x, -1, 1)
    high2, low2 = decomon.get_range_box(second, moved - 0.1, moved + 0.1)
    np.testing.assert_allclose(np.moveaxis(high2, 1, -1), high, atol=1e-5)
    np.testing.assert_allclose(np.moveaxis(low2, 1, -1), low, atol=1e-5)
