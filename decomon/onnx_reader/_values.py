"""Values of an ONNX graph, and how operators see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

from numpy.typing import NDArray

from decomon._backend import Shape, keras

Array: TypeAlias = NDArray[Any]
Operand: TypeAlias = "Value | Array"


class RefusalError(Exception):
    """An operator is used in a way that is not translated; the message goes on after "it has"."""


@final
@dataclass(frozen=True, eq=False)
class Value:
    """A Keras tensor that stands for a value of the ONNX graph.

    Attributes
    ----------
    tensor : the axis of the samples first; then the axes of ``shape``, without a leading 1 where
        there is one and other axes follow: that is the axis of the batch in ONNX
    shape : what ONNX takes the shape to be, for a single sample
    last : whether ``tensor`` has axis 1 of ``shape``, the channels, in the last place
    nonnegative : whether no entry can be negative
    """

    tensor: Any
    shape: Shape
    last: bool = False
    nonnegative: bool = False

    @property
    def bare(self) -> bool:
        """Whether all axes of ``shape`` are axes of one sample."""
        return is_bare(self.shape)

    def like(self, tensor: Any, *, nonnegative: bool = False) -> Value:
        """Return another tensor with the same axes."""
        return replace(self, tensor=tensor, nonnegative=nonnegative)


def is_bare(shape: Shape) -> bool:
    """Say whether a shape has no axis of the batch."""
    return len(shape) < 2 or shape[0] != 1


def inner(shape: Shape) -> Shape:
    """Return the axes of one sample."""
    return shape if is_bare(shape) else shape[1:]


@final
class Call:
    """One node of the graph: its attributes, and its operands as constants or values.

    Parameters
    ----------
    kind : name of the operator
    name : what the layer is going to be called
    attributes : by name
    operands : None for what was left out
    opset : version of the operators
    dtype : of the network
    bias : takes over the constant that is added to the result; see :meth:`bias`
    """

    def __init__(
        self,
        kind: str,
        name: str,
        attributes: dict[str, Any],
        operands: Sequence[Operand | None],
        opset: int,
        dtype: str,
        bias: Callable[[int], Array | None],
    ) -> None:
        self.kind = kind
        self.attributes = attributes
        self.operands = operands
        self.opset = opset
        self.dtype = dtype
        self._name: str | None = name
        self._bias = bias

    # What was given.

    def attribute(self, name: str, default: Any) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)

    def operand(self, position: int) -> Operand | None:
        """Return an operand, or None."""
        return self.operands[position] if position < len(self.operands) else None

    def value(self, position: int = 0) -> Value:
        """Return an operand that has to depend on the input."""
        operand = self.operand(position)
        if not isinstance(operand, Value):
            raise RefusalError(f"a constant as operand {position}, which is not supported")
        return operand

    def constant(self, position: int) -> Array | None:
        """Return an operand that has to be a constant, or None."""
        operand = self.operand(position)
        if isinstance(operand, Value):
            raise RefusalError(f"operand {position} depend on the input, which is not supported")
        return operand

    def floats(self, position: int) -> Array | None:
        """Return a constant in the type of the network."""
        array = self.constant(position)
        return None if array is None else array.astype(self.dtype)

    def integers(self, name: str, position: int) -> list[int] | None:
        """Return a list that is an attribute in old versions and an operand in new ones."""
        if name in self.attributes:
            return [int(i) for i in self.attributes[name]]
        array = self.constant(position)
        return None if array is None else [int(i) for i in array.reshape(-1)]

    def require(self, name: str, wanted: Any, default: Any) -> None:
        """Refuse other settings of an attribute."""
        received = self.attribute(name, default)
        if received != wanted:
            raise RefusalError(f"{name}={received!r}, and only {wanted!r} is supported")

    def bias(self, size: int) -> Array | None:
        """Return the constant vector that the next node adds, which that node then need not do."""
        return self._bias(size)

    # What can be made of it.

    def layer(self, kind: Any, tensor: Any, weights: Sequence[Array] = (), **options: Any) -> Any:
        """Apply a new layer with given weights."""
        layer = kind(name=self._name, dtype=self.dtype, **options)
        # A second layer of the same node is named by Keras.
        self._name = None
        made = layer(tensor)
        if weights:
            layer.set_weights(list(weights))
        return made

    def named(self, kind: Any, tensor: Any, **options: Any) -> Any:
        """Apply a new layer that only arranges values, and leave the node's name to another."""
        return kind(dtype=self.dtype, **options)(tensor)

    def plain(self, value: Value) -> Any:
        """Return the tensor with its axes in the order of ONNX."""
        if not value.last:
            return value.tensor
        rank = len(value.shape) - 1
        return self.named(keras.layers.Permute, value.tensor, dims=(rank, *range(1, rank)))

    def channels_last(self, value: Value) -> Any:
        """Return the tensor with the channels in the last place."""
        if value.bare or len(value.shape) < 3:
            raise RefusalError(
                f"an operand of shape {value.shape}; it needs axes for batch, channels and space"
            )
        if value.last:
            return value.tensor
        rank = len(value.shape) - 1
        return self.named(keras.layers.Permute, value.tensor, dims=(*range(2, rank + 1), 1))

    def full(self, value: Value) -> Any:
        """Return the tensor with all axes of ``value.shape`` after that of the samples."""
        return self.shaped(self.plain(value), value.shape)

    def shaped(self, tensor: Any, shape: Shape) -> Any:
        """Arrange the entries of each sample, in the same order, in other axes."""
        if tuple(tensor.shape[1:]) == tuple(shape):
            return tensor
        if len(shape) == 1:
            return self.named(keras.layers.Flatten, tensor)
        return self.named(keras.layers.Reshape, tensor, target_shape=shape)

    def wrapped(self, tensor: Any, shape: Shape | None = None) -> Value:
        """Make a value of a tensor, whose axes (or ``shape``) are all those that ONNX sees."""
        shape = tuple(tensor.shape[1:]) if shape is None else shape
        return Value(self.shaped(tensor, inner(shape)), shape)

    def axis(self, value: Value, axis: int) -> int:
        """Return where ONNX's axis is in the plain tensor."""
        axis = position_of(axis, len(value.shape))
        if value.bare:
            return axis + 1
        if axis == 0:
            raise RefusalError("axis 0, which is that of the batch")
        return axis


def position_of(axis: int, rank: int) -> int:
    """Return an axis counted from the front."""
    if not -rank <= axis < rank:
        raise RefusalError(f"axis {axis}, which a value with {rank} axes does not have")
    return axis % rank


def size(shape: Shape) -> int:
    """Return the number of entries."""
    return math.prod(shape)


def single(array: Array | None, default: float | None = None) -> float | None:
    """Return the one entry of a constant."""
    if array is None:
        return default
    if array.size != 1:
        raise RefusalError(f"a constant of shape {array.shape}, where one number is expected")
    return float(array.reshape(-1)[0])


Handler: TypeAlias = Callable[[Call], "Value | Sequence[Value]"]
