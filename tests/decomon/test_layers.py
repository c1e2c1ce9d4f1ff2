"""Every registered layer, in all its configurations: evaluation, intervals, transpose, |W|."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.bounds import Interval
from decomon.domains import BoxDomain
from decomon.graph import Graph, from_keras
from decomon.methods import METHODS
from decomon.ops import AffineOp, Op
from decomon.ops.elementwise.hinge import Hinge
from decomon.ops.elementwise.prelu import ParametricHinge
from decomon.ops.elementwise.slopes import VolumeSlope
from decomon.ops.elementwise.smooth import Smooth
from decomon.ops.time_distributed import FoldedElementwise
from decomon.rounding import gamma
from decomon.verifier import Verifier
from tests.decomon.all_cases import ALL, CASES
from tests.decomon.helpers import Array, keras, layers, precision, rng_of, tf
from tests.decomon.layer_cases import LayerCase

# Of each layer, two configurations always, and all of them in slow runs.
FAST = {case for cases in CASES.values() for case in (cases[0], cases[-1])}


# Their bounds take seconds to trace; other test files bound some of them in every run.
_LONG = ("RNN", "GRU", "LSTM", "Attention", "Bidirectional")


def _parameters(*, bounds: bool) -> list[Any]:
    """All configurations; bounds of layers that do nothing at inference say nothing new."""

    def quick(name: str) -> bool:
        return not (bounds and ("Dropout" in name or any(part in name for part in _LONG)))

    return [
        pytest.param(
            case,
            id=f"{name}-{case.label}",
            marks=[] if case in FAST and quick(name) else pytest.mark.slow,
        )
        for name, case in ALL
    ]


EACH = pytest.mark.parametrize("case", _parameters(bounds=False))
BOUNDED = pytest.mark.parametrize("case", _parameters(bounds=True))
DTYPES = pytest.mark.parametrize(
    "dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)]
)
# What an interval may look like: (centre scale, radius scale).
SIZES = [(1.0, 0.0), (1.0, 1e-7), (1.0, 0.3), (0.0, 1.0), (1e4, 1.0), (1.0, 1e4), (0.0, 1e-30)]


@dataclass(frozen=True)
class Step:
    """One op of a layer and the shapes of what it gets."""

    op: Op
    shapes: tuple[tuple[int, ...], ...]


def read(case: LayerCase, dtype: str = "float32") -> tuple[Any, Graph, list[Step]]:
    """The model that is only the layer, its graph, and the different ops in it."""
    with precision(dtype):
        model = case.model()
    graph = from_keras(model, strip=False)
    found: dict[Any, Step] = {}
    for node in graph.nodes[1:]:
        shapes = tuple(graph.nodes[i].shape for i in node.inputs)
        # Recurrent layers repeat the same few kinds of op.
        key = (type(node.op), shapes, node.shape) if len(graph.nodes) > 20 else len(found)
        found[key] = Step(node.evaluate, shapes)
    return model, graph, list(found.values())


def needs_gpu(model: Any) -> bool:
    """TensorFlow computes some layers in float64 on GPUs only."""

    def needs(layer: Any) -> bool:
        name = type(layer).__name__
        first = getattr(layer, "data_format", None) == "channels_first" and "Conv" in name
        rates = keras.tree.flatten(getattr(layer, "dilation_rate", 1))
        dilated = name.endswith("Transpose") and any(rate != 1 for rate in rates)
        pooled = name.endswith("Pooling3D") and not name.startswith("Global")
        return first or dilated or pooled

    return any(needs(layer) for layer in model.layers)


def interpolates(model: Any) -> bool:
    """TensorFlow resizes images in float32, whatever the layer computes in."""
    return any(
        type(layer).__name__ in ("Resizing", "CenterCrop")
        or getattr(layer, "interpolation", "nearest") != "nearest"
        for layer in model.layers
    )


def outputs(model: Any, points: Array) -> Array:
    """What the model itself computes at points of the graph's flat input, all outputs flat."""
    inputs = [points]
    if len(model.inputs) > 1:
        sizes = [int(np.prod(t.shape[1:])) for t in model.inputs]
        parts = np.split(points, np.cumsum(sizes)[:-1], axis=1)
        inputs = [
            part.reshape(-1, *t.shape[1:]) for part, t in zip(parts, model.inputs, strict=True)
        ]
    result = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    flat = [np.asarray(value) for value in keras.tree.flatten(result)]
    if len(flat) == 1:
        return flat[0]
    return np.concatenate([value.reshape(len(value), -1) for value in flat], axis=1)


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
    # Other tests register layers of their own.
    own = {name for name in decomon.ops.supported() if name in vars(layers)}
    assert own == set(CASES)


@EACH
@DTYPES
def test_evaluates_as_keras_does(case: LayerCase, dtype: str) -> None:
    model, graph, _ = read(case, dtype)
    if dtype == "float64" and needs_gpu(model):
        pytest.skip("TensorFlow computes this layer in float64 on GPUs only")
    points = rng_of(0).normal(size=(5, *graph.input_shape)).astype(dtype)
    expected = outputs(model, points)
    got = np.asarray(graph(tf.constant(points)))
    assert got.dtype == dtype
    assert got.shape == expected.shape
    assert got.shape[1:] == graph.output_shape
    fan_in = graph.nodes[0].size + 8 * len(graph.nodes)
    scale = np.abs(expected).max() + np.abs(points).max()
    # gamma_n |W| |x|, with |W||x| at most n times the largest product of a weight and an input
    weight = max([1.0, *(float(np.abs(np.asarray(w)).max()) for w in model.weights)])
    own = "float32" if interpolates(model) else dtype
    assert np.abs(got - expected).max() <= gamma(fan_in, own) * fan_in * weight**2 * scale


@EACH
@DTYPES
def test_no_sample_leaves_the_interval(case: LayerCase, dtype: str) -> None:
    _, _, chain = read(case, dtype)
    for step in chain:
        pairs = random_intervals(step.shapes, dtype, seed=7)
        intervals = [Interval(tf.constant(a), tf.constant(b)) for a, b in pairs]
        got = step.op.interval(*intervals)
        low, high = got.lower.numpy(), got.upper.numpy()
        assert low.dtype == dtype
        known = np.isfinite(low) & np.isfinite(high)
        if isinstance(step.op, AffineOp):
            assert known.all() or step.op.narrows
        slack = interval_error(step, pairs, dtype)
        assert (low <= high + slack)[known].all()
        rng = rng_of(1)
        for _ in range(40):
            points = []
            for a, b in pairs:
                ratio = rng.choice([0, 1, rng.uniform()], size=a.shape)
                wide = a.astype(np.float64) * (1 - ratio) + b.astype(np.float64) * ratio
                points.append(np.clip(wide, a.astype(np.float64), b.astype(np.float64)))
            if step.op.narrows:
                continue  # the extra inputs are not independent of the first one
            curve = step.op.op if isinstance(step.op, FoldedElementwise) else step.op
            if isinstance(curve, Smooth) and curve.floor is not None:
                points = [np.maximum(point, curve.floor) for point in points]
            value = np.asarray(step.op(*(tf.constant(p) for p in points)))
            assert (value >= low - slack)[known].all()
            assert (value <= high + slack)[known].all()
        if isinstance(step.op, AffineOp) and not step.op.narrows:
            check_exact_range(step, pairs, low, high, slack)


def interval_error(step: Step, pairs: list[tuple[Array, Array]], dtype: str) -> Array | float:
    """gamma_n (|W| m + |b|), m the largest |input|: rounding of one affine op (Higham, 3.1).

    Weights derived from the layer's (a normalisation's scale) take at most ten operations more, and
    centre and radius three; each is rounded, and used, on its own: twice.
    """
    if not isinstance(step.op, AffineOp):
        # Hinges and slopes are multiplications, rounded once in the op and once in its constants;
        # all other ops move their intervals outward themselves.
        rounded = isinstance(step.op, (Hinge, ParametricHinge))
        largest = np.maximum(*(np.abs(side).astype(np.float64) for side in pairs[0]))
        return float(np.finfo(dtype).eps) * 2 * largest if rounded else 0.0
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
    _, _, chain = read(case, dtype)
    rng = rng_of(3)
    for step in chain:
        if not isinstance(step.op, AffineOp) or step.op.narrows:
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
        sent = [
            tf.zeros((4, *shape), dtype) if part is None else part
            for part, shape in zip(sent, step.shapes, strict=True)
        ]
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


@BOUNDED
def test_bounds_of_the_layer(case: LayerCase) -> None:
    """No point beats the bounds, which the interval contains if all inputs are independent."""
    single = needs_gpu(case.model()) or interpolates(case.model())
    dtype = "float32" if single else "float64"
    model, graph, _ = read(case, dtype)
    points = rng_of(0).normal(size=(200, *graph.input_shape)).astype(dtype)
    points[::2] = np.sign(points[::2])
    expected = outputs(model, points).reshape(200, -1)
    low, high = points.min(axis=0)[None], points.max(axis=0)[None]
    slack = (1e-4 if dtype == "float32" else 1e-11) * (1 + np.abs(expected).max())
    size = graph.nodes[-1].size
    rows = np.concatenate([np.eye(size), -np.eye(size)]).reshape(1, -1, *graph.output_shape)
    bounds = {}
    for method in ("forward-ibp", "crown"):
        verifier = Verifier(graph, METHODS[method], VolumeSlope(), dtype=dtype)
        domain = BoxDomain(tf.constant(low), tf.constant(high))
        found = verifier.bounds(domain, tf.constant(rows, dtype)).upper.numpy()[0]
        upper, lower = bounds[method] = found[:size], -found[size:]
        assert (expected <= upper + slack).all()
        assert (expected >= lower - slack).all()
    assert (bounds["crown"][0] <= bounds["forward-ibp"][0] + slack).all()
    assert (bounds["crown"][1] >= bounds["forward-ibp"][1] - slack).all()


@DTYPES
def test_terminal_activations_are_increasing_and_recognised(dtype: str) -> None:
    for make, name in (
        (lambda: layers.Softmax(), "softmax"),
        (lambda: layers.Activation("sigmoid"), "sigmoid"),
    ):
        with precision(dtype):
            model = LayerCase("", make, ((4,),)).model()
        assert from_keras(model).stripped == name
        assert from_keras(model, strip=False).stripped == ""
        logits = rng_of(0).normal(size=(50, 4)).astype(dtype) * 5
        scores = outputs(model, logits)
        assert (scores.argmax(axis=1) == logits.argmax(axis=1)).all()


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
