"""Affine layers given as a function: nothing but the code that evaluates them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import flatten, size_of
from decomon.ops._base import AffineOp
from decomon.ops._registry import Call, Value

# The check computes in double precision; constants of a function may be rounded to single.
_TOLERANCE = 1e-6


@final
@dataclass(frozen=True, eq=False)
class AffineFunction(AffineOp):
    """An affine function, given as TensorFlow code, whose matrix is found from the code.

    ``|W|`` is assembled from one vector-Jacobian product per output, so its memory grows with the
    number of inputs times the number of outputs: for small layers.  A large one should subclass
    :class:`AffineOp` and say how ``|W|`` acts.

    Parameters
    ----------
    function : callable
        Takes tensors ``(batch, *input shape)``, returns one ``(batch, *output shape)`` of the same
        dtype, float32 or float64.
    """

    function: Callable[..., Tensor]

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)

    def absolute(self, *radii: Tensor) -> Tensor:
        shapes = [tuple(radius.shape[1:]) for radius in radii]
        points = [tf.zeros([1, *shape], radii[0].dtype) for shape in shapes]
        shape = tuple(self(*points).shape[1:])
        size = size_of(shape)
        rows = tf.reshape(tf.eye(size, dtype=radii[0].dtype), [size, *shape])
        total = tf.zeros([], radii[0].dtype)
        for radius, matrix in zip(radii, self.transpose(rows, shapes), strict=True):
            if matrix is not None:
                total += tf.matmul(flatten(radius), tf.abs(flatten(matrix)), transpose_b=True)
        return tf.reshape(total, [-1, *shape])


def affine(call: Call, function: Callable[..., Tensor]) -> Value:
    """Make a layer's rule from the code that evaluates it, checking that this is affine.

    Parameters
    ----------
    call : the use of the layer that the rule was asked for
    function : see :class:`AffineFunction`; weights are read with :func:`decomon.ops.read`

    Raises
    ------
    ValueError
        If the function is not affine at random points, or does not keep the dtype of its inputs.

    Examples
    --------
    >>> @register(Blur)
    ... def blur(call):
    ...     kernel = call.layer.kernel
    ...     return affine(call, lambda x: tf.nn.conv1d(x, read(kernel, x.dtype), 1, "SAME"))
    """
    name = getattr(call.layer, "name", type(call.layer).__name__)
    _check_dtypes(name, function, call.input_shapes)
    _check_affine(name, function, call.input_shapes)
    return call.apply(AffineFunction(function), *call.inputs)


def _check_dtypes(name: str, function: Callable[..., Tensor], shapes: tuple[Shape, ...]) -> None:
    for dtype in ("float32", "float64"):
        points = [tf.zeros([1, *shape], dtype) for shape in shapes]
        try:
            found = function(*points).dtype.name
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            found, cause = f"an error ({error})", error
        else:
            cause = None
        if found != dtype:
            raise ValueError(
                f"The function of layer {name!r} must compute in the dtype of its input, float32 "
                "or float64. Read weights with decomon.ops.read(variable, x.dtype). "
                f"Received: {found} for an input in {dtype}"
            ) from cause


def _check_affine(name: str, function: Callable[..., Tensor], shapes: tuple[Shape, ...]) -> None:
    """Refuse functions that visibly are not affine: a wrong matrix would give wrong bounds."""
    rng = np.random.default_rng(0)
    for scale in (1e-2, 1.0, 1e2):
        first, second = (
            [rng.normal(size=(8, *shape)) * scale for shape in shapes] for _ in range(2)
        )
        both = [x + y for x, y in zip(first, second, strict=True)]
        nothing = [0 * x for x in first]
        together, a, b, offset = (
            _values(function, points) for points in (both, first, second, nothing)
        )
        size = max(np.abs(part).max(initial=0.0) for part in (together, a, b, offset))
        gap = np.abs(together - a - b + offset).max(initial=0.0)
        if not gap <= _TOLERANCE * size:
            raise ValueError(
                f"The function of layer {name!r} must be affine, f(x + y) = f(x) + f(y) - f(0). "
                f"Received: two sides that differ by {gap:g} at points of size {scale:g}"
            )


def _values(function: Callable[..., Tensor], points: list[NDArray[np.float64]]) -> NDArray[Any]:
    return np.asarray(function(*(tf.constant(x) for x in points)))
