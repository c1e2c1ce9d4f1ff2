"""``keras.ops`` calls in Functional models: every operation, in all its configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.budget import Budget
from decomon.domains import BoxDomain
from decomon.errors import UnsupportedModelError
from decomon.graph import Graph, from_keras
from decomon.methods import METHODS
from decomon.methods.propagation import State
from decomon.ops._registry import _RULES
from decomon.ops.elementwise.slopes import VolumeSlope
from decomon.ops.keras_ops import _classes
from decomon.rounding import gamma
from tests.decomon.helpers import Array, keras, layers, precision, randomise, rng_of, sample, tf
from tests.decomon.op_cases import (
    ALL,
    ARITHMETIC,
    CONTRACTIONS,
    REDUCTIONS,
    SHAPING,
    OpCase,
    constant,
    ops,
)

NAMED = [*ARITHMETIC, *SHAPING, *CONTRACTIONS, *REDUCTIONS]
CALLS = [
    pytest.param(
        case,
        dtype,
        id=f"{case.label}-{dtype}",
        marks=[] if case in NAMED and "-" not in case.label and dtype == "float32" else slow,
    )
    for slow in [pytest.mark.slow]
    for dtype in ("float32", "float64")
    for case in ALL
]


def flat(outputs: Any, count: int) -> Array:
    """All outputs of a model side by side, as its graph has them, ``(count, n)``."""
    parts = [np.asarray(value).reshape(count, -1) for value in keras.tree.flatten(outputs)]
    return np.concatenate(parts, axis=1)


def bounds(
    graph: Graph, low: Array, high: Array, methods: Iterable[str] = METHODS
) -> dict[str, tuple[Array, Array]]:
    """Upper and lower bounds of all outputs, by nothing but each method itself."""
    domain = BoxDomain(tf.constant(low), tf.constant(high))
    size = graph.nodes[-1].size
    rows = tf.reshape(tf.eye(size, dtype=low.dtype), [1, size, *graph.output_shape])
    states: dict[Any, State] = {}
    found = {}
    for method in (METHODS[name] for name in methods):
        if method.intermediate not in states:
            states[method.intermediate] = state = State(
                graph, domain, method, VolumeSlope(), {}, budget(graph, domain)
            )
            state.propagate()
        state = states[method.intermediate]
        bound = state.bound(graph.output, tf.concat([rows, -rows], axis=1), method.final)
        upper, negated = np.split(state.concretize(bound).numpy(), 2, axis=1)
        found[method.name] = upper, -negated
    return found


def budget(graph: Graph, domain: BoxDomain) -> Budget:
    return Budget(graph, domain.x_min.dtype.size, optimised=False, forward=True)


def boxes(dtype: str) -> tuple[Array, Array]:
    """Boxes in [0, 1]^4: all of it, some of it, a tiny one, a point."""
    rng = rng_of(3)
    center = rng.uniform(0.2, 0.8, size=(4, 4))
    radius = np.array([[1.0], [0.2], [1e-5], [0.0]]) * rng.uniform(0.5, 1, size=(4, 4))
    low, high = np.clip(center - radius, 0, 1), np.clip(center + radius, 0, 1)
    low[0], high[0] = 0, 1
    return low.astype(dtype), high.astype(dtype)


def slack(graph: Graph, low: Array, high: Array) -> float:
    """How far rounding can move an output or a bound.

    Every partial sum is at most a slope times an entry, both below the largest entry S of any
    node's interval, or the bound of the slopes of the functions here (100); a chain of n operations
    on these is off by gamma_n times that, n being the number of all entries and operations.
    """
    domain = BoxDomain(tf.constant(low), tf.constant(high))
    state = State(graph, domain, METHODS["forward-ibp"], VolumeSlope(), {}, budget(graph, domain))
    state.propagate()
    largest = max(
        float(tf.reduce_max(tf.maximum(tf.abs(i.lower), tf.abs(i.upper))))
        for i in state.intervals.values()
    )
    count = sum(node.size for node in graph.nodes) + 10 * len(graph.nodes)
    return gamma(count, low.dtype) * (100 + largest) * (1 + largest)


def operations(graph_of: Any) -> set[type]:
    """The classes of all operations in a model."""
    return {type(op) for op in graph_of._operations}


def test_every_registered_operation_has_a_case() -> None:
    registered = {kind for kind in _RULES if not issubclass(kind, layers.Layer)}
    registered = {kind for kind in registered if kind.__module__.startswith("keras.src")}
    tested: set[type] = set()
    for case in ALL:
        tested |= operations(case.model())
    # Keras never makes these two: it has a function of the same effect.
    aliases = set(_classes.find("numpy.Abs numpy.Fabs core.ConvertToTensor numpy.Array"))
    assert registered - tested - aliases - FIXED_BATCH == set()
    assert len(registered) > 100


FIXED_BATCH: set[type] = set(_classes.find("numpy.BroadcastTo"))
"""Tested below: only models of a fixed batch size have it."""


@pytest.mark.parametrize(("case", "dtype"), CALLS)
def test_a_call(case: OpCase, dtype: str) -> None:
    """The graph evaluates as Keras does, and the bounds of every method hold."""
    with precision(dtype):
        model = case.mixed()
    graph = from_keras(model, strip=False)
    low, high = boxes(dtype)
    error = slack(graph, low, high)
    points = sample(low, high, 60)
    shape = points.shape[:2]
    points = points.reshape(-1, 4)
    expected = flat(model(points, training=False), len(points))
    got = np.asarray(graph(tf.constant(points))).reshape(len(points), -1)
    assert np.abs(got - expected).max(initial=0) <= error
    outputs = expected.reshape(*shape, -1)
    for method, (upper, lower) in bounds(graph, low, high).items():
        assert np.isfinite(upper).all(), method
        assert np.isfinite(lower).all(), method
        assert (outputs <= upper + error).all(), method
        assert (outputs >= lower - error).all(), method


def _layer(make: Callable[[], Any], *, several: bool = False) -> Callable[..., Any]:
    return lambda *values: make()(list(values) if several else values[0])


PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "add": (ops.add, _layer(layers.Add, several=True), ((3, 2), (3, 2))),
    "subtract": (ops.subtract, _layer(layers.Subtract, several=True), ((3, 2), (3, 2))),
    "multiply": (ops.multiply, _layer(layers.Multiply, several=True), ((3, 2), (3, 2))),
    "maximum": (ops.maximum, _layer(layers.Maximum, several=True), ((3, 2), (3, 2))),
    "minimum": (ops.minimum, _layer(layers.Minimum, several=True), ((3, 2), (3, 2))),
    "concatenate": (
        lambda x, y: ops.concatenate([x, y], axis=1),
        _layer(lambda: layers.Concatenate(axis=1), several=True),
        ((3, 2), (1, 2)),
    ),
    "scale": (
        lambda x: x * 2.5 - 0.5,
        _layer(lambda: layers.Rescaling(2.5, -0.5)),
        ((3, 2),),
    ),
    "reshape": (lambda x: ops.reshape(x, (-1, 6)), _layer(layers.Flatten), ((3, 2),)),
    "transpose": (
        lambda x: ops.transpose(x, (0, 2, 1)),
        _layer(lambda: layers.Permute((2, 1))),
        ((3, 2),),
    ),
    "mean": (
        lambda x: ops.mean(x, axis=1),
        _layer(layers.GlobalAveragePooling1D),
        ((3, 2),),
    ),
    "max": (lambda x: ops.max(x, axis=1), _layer(layers.GlobalMaxPooling1D), ((3, 2),)),
    "pad": (
        lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0))),
        _layer(lambda: layers.ZeroPadding1D((1, 2))),
        ((3, 2),),
    ),
    "slice": (lambda x: x[:, 1:-1], _layer(lambda: layers.Cropping1D(1)), ((4, 2),)),
    "repeat": (
        lambda x: ops.repeat(x[:, None], 3, axis=1),
        _layer(lambda: layers.RepeatVector(3)),
        ((4,),),
    ),
    "relu": (ops.relu, _layer(layers.ReLU), ((3, 2),)),
    "elu": (ops.elu, _layer(layers.ELU), ((3, 2),)),
    "softmax": (ops.softmax, _layer(layers.Softmax), ((4,),)),
    "tanh": (ops.tanh, _layer(lambda: layers.Activation("tanh")), ((4,),)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_equals_the_equivalent_layer(name: str) -> None:
    """The same bounds, whichever way a user writes it."""
    operation, layer, shapes = PAIRS[name]
    with precision("float64"):
        graphs = [
            from_keras(OpCase(name, call, shapes, low=-2.0).mixed(), strip=False)
            for call in (operation, layer)
        ]
    low, high = boxes("float64")
    got, expected = (bounds(graph, low, high, ("forward-hybrid", "crown")) for graph in graphs)
    error = slack(graphs[0], low, high)
    for method, both in expected.items():
        np.testing.assert_allclose(got[method], both, rtol=0, atol=error)


def test_a_matrix_is_a_dense_layer() -> None:
    with precision("float64"):
        x = keras.Input((3,))
        first, last = layers.Dense(4), layers.Dense(2)
        model = randomise(keras.Model(x, last(ops.relu(first(x)))))
        hidden = ops.relu(x @ first.kernel + first.bias)
        written = keras.Model(x, ops.add(ops.matmul(hidden, last.kernel), last.bias))
    low = rng_of(0).normal(size=(3, 3))
    got, expected = (bounds(from_keras(m), low, low + 0.5) for m in (written, model))
    for method, both in expected.items():
        np.testing.assert_allclose(got[method], both, rtol=1e-12, atol=1e-12)


def test_variables_are_read_at_run_time() -> None:
    scale, shift = keras.Variable(constant(2)), keras.Variable(constant(3, 1))
    matrix, divisor = keras.Variable(constant(2, 4)), keras.Variable(constant(4))
    x = keras.Input((3, 2))
    y = ops.maximum((x * scale - shift) @ matrix / divisor, scale[0] * 0.0)
    model = keras.Model(x, y)
    graph = from_keras(model)
    points = rng_of(0).normal(size=(5, 3, 2)).astype("float32")
    for factor in (1.0, -1.5):
        for value in (scale, shift, matrix, divisor):
            value.assign(value * factor)
        expected = np.asarray(model(points))
        np.testing.assert_allclose(graph(tf.constant(points)), expected, rtol=1e-5, atol=1e-5)


def test_a_constant_is_rounded_as_keras_rounds_it() -> None:
    """In double precision too, the function of a single-precision model stays the same."""
    x = keras.Input((2,))
    graph = from_keras(keras.Model(x, x * 0.1 + np.full(2, 1e-3, "float32")))
    got = np.asarray(graph(tf.zeros([1, 2], tf.float64) + 1))
    np.testing.assert_array_equal(got, np.float64(np.float32(0.1)) + np.float64(np.float32(1e-3)))


def test_the_same_tensor_twice_is_known_to_be_the_same() -> None:
    """Bounds of ``x + x``, ``x - x``, ``x * x`` and ``x / x`` are the exact ranges."""
    low, high = np.full((1, 1), 0.5), np.full((1, 1), 2.0)
    with precision("float64"):
        x = keras.Input((1,))
        cases = {(1.0, 4.0): x + x, (0.0, 0.0): x - x, (1.0, 1.0): x / x, (0.25, 4.0): x * x}
    for (least, most), y in cases.items():
        graph = from_keras(keras.Model(x, y))
        ((upper, lower),) = bounds(graph, low, high, ["forward-ibp"]).values()
        np.testing.assert_allclose([lower.item(), upper.item()], [least, most], atol=1e-14)
    zero = from_keras(keras.Model(x, x * x))
    ((upper, lower),) = bounds(zero, -high, high, ["forward-ibp"]).values()
    assert upper.item() >= 4
    assert abs(lower.item()) <= 1e-14
    with pytest.raises(ArithmeticError):
        decomon.get_range_box(keras.Model(x, x / x), -high, high)


DOMAINS: dict[str, Callable[..., Any]] = {
    "log": ops.log,
    "sqrt": ops.sqrt,
    "rsqrt": ops.rsqrt,
    "reciprocal": ops.reciprocal,
    "divide": lambda x: 1.0 / x,
    "quotient": lambda x: x[:, :1] / x[:, 1:],
    "power": lambda x: x**-1,
    "root": lambda x: x**0.5,
}


@pytest.mark.parametrize("name", DOMAINS)
def test_a_value_outside_the_domain_is_an_error(name: str) -> None:
    """Never a bound, and never a verdict."""
    x = keras.Input((2,))
    model = keras.Model(x, DOMAINS[name](x))
    low = -np.ones((1, 2), "float32")
    with pytest.raises(ArithmeticError):
        decomon.get_range_box(model, low, -2 * low)
    upper, lower = decomon.get_range_box(model, -low, -2 * low)
    assert np.isfinite(upper).all()
    assert (lower <= upper).all()


BATCH: dict[str, Callable[..., Any]] = {
    "sum": lambda x: ops.sum(x, axis=0),
    "sum-all": ops.sum,
    "mean-all": lambda x: ops.mean(x, keepdims=True),
    "mean-negative": lambda x: ops.mean(x, axis=(-3, 1)),
    "max": lambda x: ops.max(x, axis=(0, 1)),
    "var": lambda x: ops.var(x, axis=0, keepdims=True),
    "logsumexp": ops.logsumexp,
    "average": ops.average,
    "softmax": lambda x: ops.softmax(x, axis=0),
    "normalize": lambda x: ops.normalize(x, axis=0),
    "cumsum": lambda x: ops.cumsum(x, axis=0),
    "transpose": ops.transpose,
    "swapaxes": lambda x: ops.swapaxes(x, 0, 1),
    "moveaxis": lambda x: ops.moveaxis(x, 0, -1),
    "reshape": lambda x: ops.reshape(x, (-1, 2)),
    "reshape-front": lambda x: ops.reshape(x, (2, -1)),
    "ravel": ops.ravel,
    "squeeze": lambda x: ops.squeeze(x[:, :1]),
    "expand_dims": lambda x: ops.expand_dims(x, 0),
    "flip": ops.flip,
    "flip-batch": lambda x: ops.flip(x, axis=0),
    "flipud": ops.flipud,
    "roll": lambda x: ops.roll(x, 1),
    "roll-batch": lambda x: ops.roll(x, 1, axis=0),
    "repeat": lambda x: ops.repeat(x, 2, axis=0),
    "repeat-all": lambda x: ops.repeat(x, 2),
    "tile": lambda x: ops.tile(x, (2, 1, 1)),
    "tile-more": lambda x: ops.tile(x, (1, 1, 1, 2)),
    "concatenate": lambda x: ops.concatenate([x, x], axis=0),
    "stack": lambda x: ops.stack([x, x], axis=0),
    "vstack": lambda x: ops.vstack([x, x]),
    "split": lambda x: ops.split(x, [1], axis=0)[0],
    "take": lambda x: ops.take(x, [0], axis=0),
    "take-all": lambda x: ops.take(x, [0, 1]),
    "getitem": lambda x: x[0],
    "getitem-slice": lambda x: x[1:, :],
    "getitem-reverse": lambda x: x[::-1, :],
    "getitem-new": lambda x: x[None, :],
    "slice": lambda x: ops.slice(x, (1, 0, 0), (-1, 3, 2)),
    "pad": lambda x: ops.pad(x, 1),
    "add-rows": lambda x: x + constant(5, 3, 2),
    "add-ranks": lambda x: x + ops.sum(x, axis=1),
    "multiply-rank": lambda x: x * constant(2, 1, 3, 2),
    "where": lambda x: ops.where(constant(4, 1, 1) > 0, x, 0.0),
    "matmul-ranks": lambda x: ops.matmul(x, x[:, 0]),
    "matmul-batch": lambda x: ops.matmul(constant(4, 2, 3), x),
    "dot": lambda x: ops.dot(x, ops.transpose(x, (0, 2, 1))),
    "tensordot": lambda x: ops.tensordot(x, x, axes=[[1, 2], [1, 2]]),
    "einsum-sum": lambda x: ops.einsum("bij->ij", x),
    "einsum-order": lambda x: ops.einsum("bij->ibj", x),
    "einsum-pairs": lambda x: ops.einsum("bij,cij->bc", x, x),
    "einsum-constant": lambda x: ops.einsum("bij,bk->bijk", x, constant(4, 2)),
    "vdot": lambda x: ops.vdot(x, x),
    "outer": lambda x: ops.outer(x, constant(3)),
    "diagonal": lambda x: ops.diagonal(x),
    "broadcast_to": lambda x: ops.broadcast_to(x, (4, 3, 2)),
}


@pytest.mark.parametrize("name", BATCH)
def test_whatever_touches_the_batch_axis_is_refused(name: str) -> None:
    x = keras.Input((3, 2))
    y = BATCH[name](x)
    with pytest.raises(UnsupportedModelError, match="batch"):
        decomon.clone(keras.Model(x, y))


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "mask": (lambda x: ops.where(x > 0, x, 0.0), "Greater|condition"),
    "exponent": (lambda x: x**1.5, "exponent"),
    "exponents": (lambda x: ops.power(x, np.array([2.0, 3.0, 2.0])), "exponents differ"),
    "both": (lambda x: ops.power(x, x), "depend on the input"),
    "base": (lambda x: ops.power(-2.0, x), "positive"),
    "zero": (lambda x: x / np.array([1.0, 0.0, 2.0], "float32"), "zeros"),
    "infinite": (lambda x: x + np.inf, "not finite"),
    "integer": (lambda x: ops.cast(x, "int32"), "int32"),
    "half": (lambda x: ops.cast(x, "float16"), "float16"),
    "bool": (lambda x: ops.cast(x, "bool"), "bool"),
    "argmax": (lambda x: ops.argmax(x, axis=-1), "argmax"),
    "limits": (lambda x: ops.clip(x, 1.0, 0.0), "x_min exceeds"),
    "indices": (lambda x: ops.take(x, [7], axis=1), "leave the axis"),
    "bias": (
        lambda x: x[:, :, None] * np.ones(3, "float32") + constant(3, 1),
        "bias of the channels",
    ),
    "order": (lambda x: ops.einsum("aij,jb", x[:, None], constant(3, 2)), "->"),
    "synchronized": (lambda x: ops.moments(x, axes=[1], synchronized=True)[0], "synchronized"),
    "norm": (lambda x: ops.norm(x, ord=3, axis=1), "ord=3"),
    "weights": (lambda x: ops.average(x, axis=1, weights=ops.abs(x)), "depends on the input"),
    "token": (lambda x: ops.concatenate([x, np.ones((1, 3), "float32")], axis=1), "constants"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_covered_is_refused_with_the_reason(name: str) -> None:
    call, reason = REFUSED[name]
    x = keras.Input((3,))
    with pytest.raises(decomon.UnsupportedModelError, match=f"(?i){reason}"):
        decomon.clone(keras.Model(x, call(x)))


def test_rounding_conversions_are_refused() -> None:
    x = keras.Input((3,), dtype="float64")
    with pytest.raises(decomon.UnsupportedModelError, match="rounds float64 to float32"):
        decomon.clone(keras.Model(x, ops.cast(x, "float32")))


def test_integer_pixels_are_cast_to_floats() -> None:
    x = keras.Input((3,), dtype="uint8")
    model = keras.Model(x, ops.cast(x, "float32") / 255.0)
    got = from_keras(model)(tf.constant([[0.0, 128.0, 255.0]]))
    np.testing.assert_array_equal(got, model(np.array([[0, 128, 255]], "uint8")))


def test_a_fixed_batch_size() -> None:
    """What names that size keeps samples apart."""
    x = keras.Input(batch_shape=(5, 1, 2))
    y = ops.reshape(ops.broadcast_to(x, (5, 3, 2)), (5, 6))
    y = ops.slice(y, (0, 1), (5, 4)) * 2.0
    graph = from_keras(keras.Model(x, y))
    points = rng_of(0).normal(size=(5, 1, 2)).astype("float32")
    np.testing.assert_array_equal(graph(tf.constant(points)), keras.Model(x, y)(points))


def test_one_operation_object_used_twice() -> None:
    """As with a shared layer, each call is a node of its own."""
    (kind,) = _classes.find("numpy.Sum")
    total = kind(axis=1)
    x, y = keras.Input((3, 2)), keras.Input((4, 2))
    model = keras.Model([x, y], total(x) * total(y))
    graph = from_keras(model)
    a, b = (rng_of(i).normal(size=(5, n, 2)).astype("float32") for i, n in ((0, 3), (1, 4)))
    flat_input = np.concatenate([a.reshape(5, -1), b.reshape(5, -1)], axis=1)
    np.testing.assert_allclose(graph(tf.constant(flat_input)), model([a, b]), rtol=1e-5, atol=1e-5)


def test_a_network_written_with_operations_is_certified() -> None:
    """Verdicts come out of the public interface, and the attack agrees."""
    x = keras.Input((4,))
    hidden = layers.Dense(6, activation="relu")(x)
    gate = ops.sigmoid(layers.Dense(6)(x))
    y = 0.1 * ops.mean(hidden, axis=-1, keepdims=True) + hidden * gate
    model = randomise(keras.Model(x, layers.Dense(3)(ops.maximum(y, 0.2 * y))))
    points = rng_of(1).normal(size=(6, 4)).astype("float32")
    low, high = points - 0.05, points + 0.05
    upper, lower = decomon.get_range_box(model, low, high)
    values = np.asarray(model(sample(low, high, 100).reshape(-1, 4))).reshape(100, 6, 3)
    error = slack(from_keras(model), low, high)
    assert (values <= upper + error).all()
    assert (values >= lower - error).all()
