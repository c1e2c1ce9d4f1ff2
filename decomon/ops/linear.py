"""Affine building blocks: sums, constant factors and shifts, constant matrices.

Axes count the batch axis as 0.  A constant is given as a Keras variable (read at run time), an
array, a number, or a function of no arguments that computes one from variables at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import size_of
from decomon.bounds import Interval
from decomon.ops._base import AffineOp, NonnegativeOp
from decomon.ops._registry import read


def evaluate(constant: Any, dtype: Tensor) -> Tensor:
    """Return the present value of a constant (see above) in the compute dtype."""
    value = constant() if callable(constant) else constant
    if isinstance(value, (int, float, list, tuple)):
        value = np.asarray(value, np.float64)  # TensorFlow would round to single precision
    return read(value, dtype)


@final
@dataclass(frozen=True)
class Sum(NonnegativeOp):
    """The sum over some axes of each sample."""

    axes: tuple[int, ...]
    keepdims: bool = False

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tf.reduce_sum(x, axis=self.axes, keepdims=self.keepdims)


@final
@dataclass(frozen=True)
class Mean(NonnegativeOp):
    """The mean over some axes of each sample."""

    axes: tuple[int, ...]
    keepdims: bool = False

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return tf.reduce_mean(x, axis=self.axes, keepdims=self.keepdims)


@final
@dataclass(frozen=True)
class Negate(AffineOp):
    """``-x``."""

    @property
    def diagonal(self) -> bool:
        return True

    def aligned(self, shapes: Sequence[Shape], shape: Shape) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return -x

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return radius

    def interval(self, *inputs: Interval) -> Interval:
        (x,) = inputs
        return Interval(-x.upper, -x.lower)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (-rows,)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None


@final
@dataclass(frozen=True)
class Subtract(AffineOp):
    """``x - y``, broadcast against each other."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        x, y = inputs
        return x - y

    def absolute(self, *radii: Tensor) -> Tensor:
        first, second = radii
        return first + second

    def interval(self, *inputs: Interval) -> Interval:
        x, y = inputs
        return Interval(x.lower - y.upper, x.upper - y.lower)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None


@final
@dataclass(frozen=True, eq=False)
class Scale(AffineOp):
    """``x * c``; the constant broadcasts against ``x``, batch axis included, never enlarging it."""

    factor: Any

    @property
    def diagonal(self) -> bool:
        return True

    def aligned(self, shapes: Sequence[Shape], shape: Shape) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return _same_shape(x * evaluate(self.factor, x.dtype), x)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return radius * tf.abs(evaluate(self.factor, radius.dtype))

    def interval(self, *inputs: Interval) -> Interval:
        (x,) = inputs
        factor = evaluate(self.factor, x.lower.dtype)
        ends = x.lower * factor, x.upper * factor
        return Interval(tf.minimum(*ends), tf.maximum(*ends))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (rows * evaluate(self.factor, rows.dtype),)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None


@final
@dataclass(frozen=True, eq=False)
class Shift(AffineOp):
    """``x + c``; the constant broadcasts against ``x``, batch axis included, never enlarging it."""

    term: Any

    @property
    def diagonal(self) -> bool:
        return True

    def aligned(self, shapes: Sequence[Shape], shape: Shape) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return _same_shape(x + evaluate(self.term, x.dtype), x)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return radius

    def interval(self, *inputs: Interval) -> Interval:
        (x,) = inputs
        return Interval(self(x.lower), self(x.upper))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (rows,)


@final
@dataclass(frozen=True, eq=False)
class Constant(AffineOp):
    """The same value for every sample; takes any tensor, for its batch size only.

    ``values`` has the shape of one sample.
    """

    values: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        values = evaluate(self.values, x.dtype)
        y = tf.broadcast_to(values, tf.concat([tf.shape(x)[:1], tf.shape(values)], axis=0))
        y.set_shape([x.shape[0], *values.shape])
        return y

    def absolute(self, *radii: Tensor) -> Tensor:
        return tf.zeros_like(self(*radii))

    def interval(self, *inputs: Interval) -> Interval:
        (x,) = inputs
        values = self(x.lower)
        return Interval(values, values)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor | None, ...]:
        return (None,) * len(shapes)


@final
@dataclass(frozen=True, eq=False)
class Matrix(AffineOp):
    """``x K`` on the last axis; ``K`` has the shape ``(n, m)``."""

    kernel: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return product(x, evaluate(self.kernel, x.dtype))

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return product(radius, tf.abs(evaluate(self.kernel, radius.dtype)))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (product(rows, tf.transpose(evaluate(self.kernel, rows.dtype))),)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None


@final
@dataclass(frozen=True, eq=False)
class Einsum(AffineOp):
    """An Einstein sum of a tensor, with its batch axis, and a constant: the second operand.

    Labels of the constant alone are summed first, so that each entry of the matrix is one entry
    of what is left, and its size the size of that entry.
    """

    equation: str
    constant: Any

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        equation, constant = self._reduced(x.dtype)
        return tf.einsum(equation, x, constant)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        equation, constant = self._reduced(radius.dtype)
        return tf.einsum(equation, radius, tf.abs(constant))

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None

    def _reduced(self, dtype: Tensor) -> tuple[str, Tensor]:
        operands, result = self.equation.replace(" ", "").split("->")
        first, second = operands.split(",")
        kept = "".join(label for label in second if label == "." or label in first + result)
        constant = evaluate(self.constant, dtype)
        if kept != second:
            constant = tf.einsum(f"{second}->{kept}", constant)
        return f"{first},{kept}->{result}", constant


@final
@dataclass(frozen=True, eq=False)
class AlongAxes(AffineOp):
    """A constant matrix ``(new side, old side)`` along each of some axes of an image.

    The op's matrix is the Kronecker product of these, so its absolute value is the product of
    theirs.
    """

    axes: tuple[int, ...]
    matrices: tuple[NDArray[np.floating], ...]

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        for axis, matrix in zip(self.axes, self.matrices, strict=True):
            x = _along(x, axis, matrix)
        return x

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        for axis, matrix in zip(self.axes, self.matrices, strict=True):
            radius = _along(radius, axis, np.abs(matrix))
        return radius

    def interval(self, *inputs: Interval) -> Interval:
        if any((matrix < 0).any() for matrix in self.matrices):
            return super().interval(*inputs)
        (x,) = inputs
        return Interval(self(x.lower), self(x.upper))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        for axis, matrix in zip(self.axes, self.matrices, strict=True):
            rows = _along(rows, axis, matrix.T)
        return (rows,)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        return None


def product(x: Tensor, kernel: Tensor) -> Tensor:
    """``x K`` on the last axis as one matrix product."""
    if len(x.shape) == 2:
        return tf.matmul(x, kernel)
    flat = tf.reshape(x, [-1, kernel.shape[0]])
    shape = tf.concat([tf.shape(x)[:-1], [kernel.shape[1]]], axis=0)
    y = tf.reshape(tf.matmul(flat, kernel), shape)
    y.set_shape([*x.shape[:-1], kernel.shape[1]])
    return y


def _along(x: Tensor, axis: int, matrix: NDArray[np.floating]) -> Tensor:
    """Apply a matrix along one axis."""
    new, old = matrix.shape
    before, after = x.shape[1:axis], x.shape[axis + 1 :]
    flat = tf.reshape(x, [-1, old, size_of(tuple(after))])
    y = tf.matmul(tf.constant(matrix.astype(x.dtype.as_numpy_dtype)), flat)
    return tf.reshape(y, [tf.shape(x)[0], *before, new, *after])


def _same_shape(y: Tensor, x: Tensor) -> Tensor:
    if y.shape.as_list() != x.shape.as_list():
        raise ValueError(
            "A constant factor or term must not enlarge the tensor: broadcast it first. "
            f"Received: a tensor of shape {x.shape} and a result of shape {y.shape}"
        )
    return y


def add_bias(x: Tensor, bias: Tensor) -> Tensor:
    """Add a constant without batch axis, as ``keras.ops.add`` does on TensorFlow.

    It takes a second operand with just one side longer than 1 for a bias of the channels: it adds
    it along the last axis if that is as long, else along the first one after the batch axis if
    that is, and only then where broadcasting puts it.
    """
    long = [side for side in bias.shape if side > 1]
    if len(long) == 1:
        for axis in (len(x.shape) - 1, 1):
            if x.shape[axis] == long[0]:
                return x + tf.reshape(bias, [-1 if i == axis else 1 for i in range(len(x.shape))])
    return x + bias
