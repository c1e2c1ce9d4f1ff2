"""For every operation that has a rule, calls to test and the shapes and values of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from decomon.ops.keras_ops import _classes
from tests.decomon.helpers import keras, layers, rng_of, tf

ops: Any = keras.ops
activations: Any = keras.activations
Shape = tuple[int, ...]


@dataclass(frozen=True)
class OpCase:
    """One way to call an operation, on tensors whose values lie in a range."""

    label: str
    call: Callable[..., Any]
    shapes: tuple[Shape, ...]
    low: float = -1.0
    high: float = 1.5

    def model(self) -> Any:
        """A model that is only this call."""
        inputs = [keras.Input(shape) for shape in self.shapes]
        return keras.Model(inputs, self.call(*inputs))

    def mixed(self, seed: int = 0) -> Any:
        """A model that calls it on values that depend on one another.

        Inputs in [0, 1] give values in the range of the case: they are averaged.
        """
        rng = rng_of(seed)
        x = keras.Input((4,))
        values = []
        for shape in self.shapes:
            size = int(np.prod(shape))
            layer = layers.Dense(size)
            flat = layer(x)
            kernel = rng.uniform(size=(4, size)) ** 3
            kernel *= (self.high - self.low) / kernel.sum(axis=0)
            layer.set_weights([kernel, np.full(size, self.low)])
            values.append(layers.Reshape(shape)(flat))
        return keras.Model(x, self.call(*values))


def constant(*shape: int, seed: int = 5) -> Any:
    """Numbers of either sign, none near zero."""
    rng = rng_of(seed)
    return (rng.choice([-1, 1], shape) * rng.uniform(0.5, 2, shape)).astype(keras.config.floatx())


def variable(*shape: int) -> Any:
    return keras.Variable(constant(*shape))


def _one(label: str, call: Callable[..., Any], *shapes: Shape, **values: float) -> OpCase:
    return OpCase(label, call, shapes or ((3, 2),), **values)


def _curves() -> list[OpCase]:
    """Functions of each entry alone."""
    everywhere = "relu relu6 selu softplus softsign silu hard_silu sigmoid log_sigmoid tanh"
    everywhere += " hard_sigmoid hard_tanh tanh_shrink sparse_plus sparse_sigmoid square sin cos"
    everywhere += " arctan exp exp2 expm1 sign floor ceil abs absolute negative erf erfc"
    everywhere += " leaky_relu elu celu gelu squareplus soft_shrink hard_shrink copy stop_gradient"
    cases = [
        _one(name, getattr(ops, name), (4,), low=-4.0, high=5.0) for name in everywhere.split()
    ]
    positive = "log log1p log2 log10 sqrt rsqrt reciprocal"
    cases += [_one(name, getattr(ops, name), (4,), low=0.3, high=4.0) for name in positive.split()]
    options: dict[str, Callable[..., Any]] = {
        "leaky_relu-slope": lambda x: ops.leaky_relu(x, negative_slope=0.3),
        "leaky_relu-steep": lambda x: ops.leaky_relu(x, negative_slope=1.3),
        "elu-alpha": lambda x: ops.elu(x, alpha=1.7),
        "celu-alpha": lambda x: ops.celu(x, alpha=0.4),
        "gelu-exact": lambda x: ops.gelu(x, approximate=False),
        "squareplus-b": lambda x: ops.squareplus(x, b=2),
        "soft_shrink-wide": lambda x: ops.soft_shrink(x, threshold=1.1),
        "hard_shrink-wide": lambda x: ops.hard_shrink(x, threshold=1.1),
        "threshold": lambda x: ops.threshold(x, 0.3, -1.0),
        "abs-operator": abs,
        "negative-operator": lambda x: -x,
        "mish": lambda x: mish()(x),
        "relu-all": lambda x: activations.relu(x, 0.1, 3.0, 0.5),
        "relu-slope": lambda x: activations.relu(x, negative_slope=0.3),
        "relu-max": lambda x: activations.relu(x, max_value=2.0),
        "reciprocal-negative": lambda x: ops.reciprocal(x - 7.0),
    }
    cases += [_one(label, call, (4,), low=-4.0, high=5.0) for label, call in options.items()]
    return cases


def mish() -> Any:
    """The operation that Keras has for mish; its function does not take symbolic tensors."""
    (kind,) = _classes.find("activations.Mish")
    return kind()


ARITHMETIC = [
    _one("add", ops.add, (3, 2), (3, 2)),
    _one("add-self", lambda x: x + x),
    _one("add-broadcast", lambda x, y: x + y, (1, 2), (3, 2)),
    _one("add-number", lambda x: x + 0.1),
    _one("number-add", lambda x: 1 + x),
    _one("add-array", lambda x: x + constant(3, 2)),
    _one("add-row", lambda x: x + constant(2)),
    _one("add-column", lambda x: x + constant(3, 1)),
    _one("add-batch-axis", lambda x: x + constant(1, 3, 2)),
    _one("add-wider", lambda x: x + constant(4, 3, 2), (1, 3, 1)),
    _one("add-tensor", lambda x: x + tf.constant(constant(3, 2))),
    _one("add-variable", lambda x: x + variable(3, 2)),
    _one("array-add", lambda x: ops.add(constant(1, 3, 2), x)),
    _one("add-scalars", lambda x: ops.sum(x, axis=1) + 0.5, (3,)),
    _one("subtract", ops.subtract, (3, 2), (3, 2)),
    _one("subtract-self", lambda x: x - x),
    _one("subtract-broadcast", lambda x, y: x - y, (3, 1), (3, 2)),
    _one("subtract-array", lambda x: x - constant(3, 2)),
    _one("subtract-variable", lambda x: x - variable(1, 3, 2)),
    _one("array-subtract", lambda x: ops.subtract(constant(3, 1), x)),
    _one("array-subtract-wider", lambda x: ops.subtract(constant(5), x), (3, 1)),
    _one("number-subtract", lambda x: 1.0 - x),
    _one("multiply", ops.multiply, (3, 2), (3, 2)),
    _one("multiply-self", lambda x: x * x),
    _one("multiply-broadcast", lambda x, y: x * y, (3, 1), (1, 2)),
    _one("multiply-number", lambda x: x * 2.0),
    _one("multiply-array", lambda x: ops.multiply(constant(3, 2), x)),
    _one("multiply-wider", lambda x: x * constant(4, 1), (1, 2)),
    _one("multiply-variable", lambda x: x * variable(2)),
    _one("multiply-zero", lambda x: x * 0.0),
    _one("divide", ops.divide, (3, 2), (3, 2), low=0.5, high=2.0),
    _one("divide-negative", lambda x, y: x / (y - 3.0), (3, 1), (3, 2), low=0.5, high=2.0),
    _one("divide-self", lambda x: x / x, low=0.5, high=2.0),
    _one("divide-number", lambda x: x / 3.0),
    _one("true-divide-array", lambda x: ops.true_divide(x, constant(3, 1))),
    _one("divide-wider", lambda x: x / constant(5), (3, 1)),
    _one("divide-variable", lambda x: ops.divide(x, variable(2))),
    _one("array-divide", lambda x: ops.divide(constant(2), x), low=0.5, high=2.0),
    _one("number-divide", lambda x: 1.0 / x, low=0.5, high=2.0),
    *(_one(f"power{n}", lambda x, n=n: x**n) for n in (0, 1, 2, 3, 4, 5)),
    *(_one(f"power{n}", lambda x, n=n: ops.power(x, n), low=0.4, high=2.0) for n in (-1, -2, -3)),
    _one("power-root", lambda x: x**0.5, low=0.4, high=2.0),
    _one("power-inverse-root", lambda x: x**-0.5, low=0.4, high=2.0),
    _one("power-array", lambda x: ops.power(x, np.full((3, 1), 3.0, "float32"))),
    _one("number-power", lambda x: 3.0**x),
    _one("array-power", lambda x: ops.power(np.abs(constant(3, 2)), x)),
    _one("maximum", ops.maximum, (3, 2), (3, 2)),
    _one("maximum-self", lambda x: ops.maximum(x, x)),
    _one("maximum-broadcast", ops.maximum, (3, 1), (1, 2)),
    _one("maximum-number", lambda x: ops.maximum(x, 0.25)),
    _one("maximum-array", lambda x: ops.maximum(constant(3, 1), x)),
    _one("minimum", ops.minimum, (3, 2), (3, 2)),
    _one("minimum-array", lambda x: ops.minimum(x, constant(1, 3, 2) / 2)),
    _one("minimum-wider", lambda x: ops.minimum(0.5 * constant(5), x), (3, 1)),
    _one("minimum-variable", lambda x: ops.minimum(x, variable(2))),
    _one("clip", lambda x: ops.clip(x, -0.3, 0.7)),
    _one("clip-arrays", lambda x: ops.clip(x, -np.abs(constant(3, 2)) / 2, 0.7)),
    _one("clip-below", lambda x: ops.clip(x, 0.1, np.inf)),
    _one("clip-above", lambda x: ops.clip(x, -np.inf, 0.1)),
    _one("where", lambda x, y: ops.where(constant(3, 2) > 0, x, y), (3, 2), (3, 2)),
    _one("where-self", lambda x: ops.where(constant(3, 2) > 0, x, x)),
    _one("where-number", lambda x: ops.where(constant(3, 2) > 0, x, 0.5)),
    _one("number-where", lambda x: ops.where(constant(1, 3, 2) > 0, -1e3, x)),
    _one("where-wider", lambda x: ops.where(constant(4, 1, 1) > 0, x, constant(2)), (1, 3, 1)),
    _one("where-broadcast", lambda x, y: ops.where([True, False], x, y), (3, 1), (1, 2)),
]

SHAPING = [
    _one("reshape", lambda x: ops.reshape(x, (-1, 2, 3)), (3, 2)),
    _one("reshape-wildcard", lambda x: ops.reshape(x, (-1, 6)), (3, 2)),
    _one("squeeze", lambda x: ops.squeeze(x, axis=2), (3, 1, 2)),
    _one("squeeze-two", lambda x: ops.squeeze(x, axis=(1, -1)), (1, 3, 1)),
    _one("expand_dims", lambda x: ops.expand_dims(x, 1)),
    _one("expand_dims-two", lambda x: ops.expand_dims(x, (-1, 2))),
    _one("ravel", lambda x: ops.ravel(ops.sum(x, axis=(1, 2)))),
    _one("transpose", lambda x: ops.transpose(x, (0, 2, 3, 1)), (2, 3, 4)),
    _one("transpose-negative", lambda x: ops.transpose(x, (0, -1, -2)), (2, 3)),
    _one("swapaxes", lambda x: ops.swapaxes(x, 1, -1), (2, 3, 4)),
    _one("moveaxis", lambda x: ops.moveaxis(x, 1, -1), (2, 3, 4)),
    _one("moveaxis-two", lambda x: ops.moveaxis(x, (1, 3), (2, 1)), (2, 3, 4)),
    *(_one(f"rot90-{k}", lambda x, k=k: ops.rot90(x, k, axes=(1, 2)), (3, 3, 2)) for k in range(4)),
    _one("rot90-other", lambda x: ops.rot90(x, 1, axes=(3, 1)), (2, 3, 2)),
    _one("concatenate", lambda x, y: ops.concatenate([x, y], axis=1), (3, 2), (1, 2)),
    _one("concatenate-last", lambda x, y: ops.concatenate([x, y, x], axis=-1), (3, 2), (3, 1)),
    _one("append", lambda x, y: ops.append(x, y, axis=2), (3, 2), (3, 1)),
    _one("hstack", lambda x, y: ops.hstack([x, y]), (3, 2), (1, 2)),
    _one("dstack", lambda x, y: ops.dstack([x, y]), (3, 2), (3, 1)),
    _one("dstack-vectors", lambda x, y: ops.dstack([x, y]), (3,), (3,)),
    _one("stack", lambda x, y: ops.stack([x, y], axis=1), (3, 2), (3, 2)),
    _one("stack-last", lambda x, y: ops.stack([x, y, x], axis=-1), (3, 2), (3, 2)),
    _one("split", lambda x: ops.split(x, 2, axis=1), (4, 2)),
    _one("split-indices", lambda x: ops.split(x, [1, 3], axis=-2), (4, 2)),
    _one("split-one", lambda x: ops.split(x, 2, axis=1)[1], (4, 2)),
    _one("hsplit", lambda x: ops.hsplit(x, 2), (4, 2)),
    _one("unstack", lambda x: ops.unstack(x, axis=1), (3, 2)),
    _one("unstack-number", lambda x: ops.unstack(x, num=2, axis=-1), (3, 2)),
    *(
        _one(f"getitem-{i}", call, (4, 3, 5))
        for i, call in enumerate(
            (
                lambda x: x[:, 1:, ::2],
                lambda x: x[:, -1],
                lambda x: x[:, 1, None, :, 2:4],
                lambda x: x[..., 0],
                lambda x: x[..., None],
                lambda x: x[:, ::-1, 0:2],
                lambda x: x[:, 3:0:-2, ..., ::-2],
                lambda x: x[:, None, 1:-1],
                lambda x: x[:, :, -2:100],
            )
        )
    ),
    _one("slice", lambda x: ops.slice(x, (0, 1, 0), (-1, 2, 2)), (4, 2)),
    _one("slice-rest", lambda x: ops.slice(x, np.array([0, 1, 1]), (-1, 2, -1)), (4, 2)),
    _one("take", lambda x: ops.take(x, [2, 0, 2], axis=1), (3, 2)),
    _one("take-one", lambda x: ops.take(x, -1, axis=1), (3, 2)),
    _one("take-many", lambda x: ops.take(x, np.array([[0, -1], [1, 1]]), axis=-1), (3, 2)),
    _one("pad", lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)))),
    _one("pad-value", lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=0.7)),
    _one("pad-reflect", lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), mode="reflect")),
    _one("pad-symmetric", lambda x: ops.pad(x, ((0, 0), (2, 1), (1, 1)), mode="symmetric")),
    _one("flip", lambda x: ops.flip(x, axis=1)),
    _one("flip-two", lambda x: ops.flip(x, axis=(1, -1))),
    _one("fliplr", ops.fliplr),
    _one("roll", lambda x: ops.roll(x, 1, axis=1)),
    _one("roll-two", lambda x: ops.roll(x, (2, -1), axis=(1, -1)), (4, 3)),
    _one("roll-twice", lambda x: ops.roll(x, (1, 1), axis=(1, 1)), (4, 3)),
    _one("repeat", lambda x: ops.repeat(x, 2, axis=1)),
    _one("repeat-each", lambda x: ops.repeat(x, [1, 0, 2], axis=1)),
    _one("tile", lambda x: ops.tile(x, (1, 2, 3))),
    _one("tile-last", lambda x: ops.tile(x, 2)),
    _one("cast", lambda x: ops.cast(x, keras.config.floatx())),
    _one("cast-wider", lambda x: ops.cast(x, "float64")),
    _one("convert_to_tensor", lambda x: ops.convert_to_tensor(x) + 0.0),
    _one("array", lambda x: ops.array(x) + 0.0),
    _one("zeros_like", lambda x: ops.concatenate([x, ops.zeros_like(x)], axis=1)),
    _one("ones_like", lambda x: x + ops.ones_like(x)),
    _one("full_like", lambda x: ops.concatenate([x, ops.full_like(x, 0.3)], axis=2)),
    _one("tril", lambda x: ops.tril(x), (2, 3, 3)),
    _one("tril-below", lambda x: ops.tril(x, -1), (3, 4)),
    _one("triu", lambda x: ops.triu(x, 1), (3, 4)),
    _one("shape", lambda x: ops.reshape(x, (-1, ops.shape(x)[1] * ops.shape(x)[2])), (3, 2)),
]

CONTRACTIONS = [
    _one("matmul", ops.matmul, (3, 2), (2, 4)),
    _one("matmul-self", lambda x: x @ x, (2, 2)),
    _one("matmul-transposed", lambda x: x @ ops.transpose(x, (0, 2, 1)), (3, 2)),
    _one("matmul-broadcast", ops.matmul, (1, 3, 2), (4, 2, 2)),
    _one("matmul-array", lambda x: x @ constant(2, 4)),
    _one("matmul-flat", lambda x: ops.matmul(x, constant(3, 2)), (3,)),
    _one("matmul-vector", lambda x: ops.matmul(x, constant(2))),
    _one("matmul-stack", lambda x: ops.matmul(x, constant(5, 2, 4)), (1, 3, 2)),
    _one("matmul-one", lambda x: ops.matmul(x, constant(1, 2, 4))),
    _one("matmul-variable", lambda x: x @ variable(2, 4)),
    _one("array-matmul", lambda x: ops.matmul(constant(4, 3), x)),
    _one("array-matmul-stack", lambda x: ops.matmul(constant(5, 4, 3), x), (1, 3, 2)),
    _one("vector-matmul", lambda x: ops.matmul(constant(3), x)),
    _one("dot-array", lambda x: ops.dot(x, constant(2, 4))),
    _one("dot-vector", lambda x: ops.dot(x, constant(2))),
    _one("dot-number", lambda x: ops.dot(x, 2.5)),
    _one("vector-dot", lambda x: ops.dot(constant(3), x), (3, 2)),
    _one("dot-stack", lambda x: ops.dot(x, constant(5, 2, 3))),
    _one("inner-array", lambda x: ops.inner(x, constant(4, 2))),
    _one("tensordot", lambda x: ops.tensordot(x, constant(3, 2, 4), axes=2)),
    _one("tensordot-axes", lambda x: ops.tensordot(x, constant(4, 3), axes=[[1], [1]])),
    _one("tensordot-none", lambda x: ops.tensordot(x, constant(4), axes=0)),
    _one("outer", lambda x: ops.outer(ops.sum(x, axis=(1, 2)), constant(2, 2))),
    _one("einsum-array", lambda x: ops.einsum("bij,jk->bki", x, constant(2, 4))),
    _one("einsum-first", lambda x: ops.einsum("kj,bij->bik", constant(4, 2), x)),
    _one("einsum-ellipsis", lambda x: ops.einsum("...j,jk->...k", x, constant(2, 4))),
    _one("einsum-scale", lambda x: ops.einsum("bij,i->bij", x, constant(3))),
    _one("einsum-lone", lambda x: ops.einsum("bij,jk->bi", x, constant(2, 4))),
    _one("einsum-implicit", lambda x: ops.einsum("bij,jk", x, constant(2, 4))),
    _one("einsum-trace", lambda x: ops.einsum("bii->b", x), (3, 3)),
    _one("einsum-diagonal", lambda x: ops.einsum("bijj->bji", x), (2, 3, 3)),
    _one("einsum-sum", lambda x: ops.einsum("bij->bj", x)),
    _one("einsum-dot", lambda x, y: ops.einsum("bi,bi->b", x, y), (3,), (3,)),
    _one("einsum-norm", lambda x: ops.einsum("bi,bi->b", x, x), (3,)),
    _one("einsum-outer", lambda x, y: ops.einsum("bi,bj->bij", x, y), (3,), (2,)),
    _one(
        "einsum-attention",
        lambda q, k: ops.einsum("bqhd,bkhd->bhqk", q, k),
        (2, 2, 3),
        (3, 2, 3),
    ),
    _one(
        "einsum-three",
        lambda x, y: ops.einsum("bi,bj,jk->bik", x, y, constant(2, 3)),
        (3,),
        (2,),
    ),
    _one("einsum-dots", lambda x, y: ops.einsum("...i,...i->...", x, y), (1, 3), (2, 3)),
    _one("einsum-summed", lambda x, y: ops.einsum("bij,bk->bk", x, y), (3, 2), (2,)),
]

REDUCTIONS = [
    _one("sum", lambda x: ops.sum(x, axis=1)),
    _one("sum-all", lambda x: ops.sum(x, axis=(1, 2))),
    _one("sum-keepdims", lambda x: ops.sum(x, axis=-1, keepdims=True)),
    _one("mean", lambda x: ops.mean(x, axis=1)),
    _one("mean-two", lambda x: ops.mean(x, axis=(-1, 1), keepdims=True), (3, 2, 2)),
    _one("average", lambda x: ops.average(x, axis=1)),
    _one("average-vector", lambda x: ops.average(x, axis=1, weights=np.abs(constant(3)))),
    _one("average-array", lambda x: ops.average(x, axis=2, weights=np.abs(constant(1, 3, 2)))),
    _one("max", lambda x: ops.max(x, axis=1)),
    _one("max-keepdims", lambda x: ops.max(x, axis=(1, 3), keepdims=True), (3, 2, 2)),
    _one("max-initial", lambda x: ops.max(x, axis=1, initial=0.5)),
    _one("max-middle", lambda x: ops.max(x, axis=2), (3, 4, 2)),
    _one("min", lambda x: ops.min(x, axis=-1)),
    _one("min-initial", lambda x: ops.min(x, axis=(1, 2), initial=0.2)),
    _one("amax", lambda x: ops.amax(x, axis=1)),
    _one("amin", lambda x: ops.amin(x, axis=(1, 2), keepdims=True)),
    *([_one("ptp", lambda x: ops.ptp(x, axis=1))] if "ptp" in vars(ops) else []),
    _one("logsumexp", lambda x: ops.logsumexp(x, axis=1)),
    _one("logsumexp-keepdims", lambda x: ops.logsumexp(x, axis=(1, 2), keepdims=True)),
    _one("var", lambda x: ops.var(x, axis=1)),
    _one("var-keepdims", lambda x: ops.var(x, axis=(1, -1), keepdims=True), (3, 2, 2)),
    _one("std", lambda x: ops.std(x, axis=1)),
    _one("moments", lambda x: ops.moments(x, axes=[1])),
    _one("moments-keepdims", lambda x: ops.moments(x, axes=(1, 2), keepdims=True)),
    _one("norm", lambda x: ops.norm(x, axis=-1)),
    _one("norm-matrix", lambda x: ops.norm(x, axis=(1, 2), keepdims=True)),
    _one("norm-one", lambda x: ops.norm(x, ord=1, axis=1)),
    _one("norm-largest", lambda x: ops.norm(x, ord=np.inf, axis=1, keepdims=True)),
    _one("normalize", lambda x: ops.normalize(x, axis=-1)),
    _one("normalize-two", lambda x: ops.normalize(x, axis=(1, 2), epsilon=0.3)),
    _one("cumsum", lambda x: ops.cumsum(x, axis=1)),
    _one("diff", lambda x: ops.diff(x, axis=1)),
    _one("diff-twice", lambda x: ops.diff(x, n=2, axis=-2), (4, 2)),
    _one("diagonal", lambda x: ops.diagonal(x, axis1=1, axis2=2), (3, 3)),
    _one("diagonal-offset", lambda x: ops.diagonal(x, offset=1, axis1=3, axis2=1), (3, 2, 4)),
    _one("trace", lambda x: ops.trace(x, axis1=1, axis2=2), (3, 3)),
    _one("softmax", ops.softmax, (4,)),
    _one("softmax-axis", lambda x: ops.softmax(x, axis=1)),
    _one("log_softmax", ops.log_softmax, (4,)),
    _one("log_softmax-axis", lambda x: ops.log_softmax(x, axis=1)),
    _one("sparsemax", ops.sparsemax, (4,)),
    _one("sparsemax-axis", lambda x: ops.sparsemax(x, axis=1)),
    _one("glu", ops.glu, (3, 4)),
    _one("glu-axis", lambda x: ops.glu(x, axis=1), (4, 2)),
]

ALL = [*_curves(), *ARITHMETIC, *SHAPING, *CONTRACTIONS, *REDUCTIONS]
"""Every call."""
