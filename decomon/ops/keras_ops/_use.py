"""What a rule sees of one use of an operation, and how rules are registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, keras, tf
from decomon.ops._base import Op
from decomon.ops._registry import Call, UnsupportedError, Value, register
from decomon.ops.keras_ops import _classes


@final
@dataclass(frozen=True, eq=False)
class Fixed:
    """An operand that does not depend on the input of the network.

    ``source`` is an array, rounded to what the operation computes in, or a variable, which is
    read at run time.  ``shape`` is its whole shape.
    """

    source: Any
    shape: Shape

    @property
    def is_variable(self) -> bool:
        """Whether its values may change."""
        return not isinstance(self.source, np.ndarray)


Operand: TypeAlias = Value | Fixed


@final
@dataclass(frozen=True)
class Use:
    """One use of an operation: its options, the arguments of its call, what it computes in."""

    call: Call
    options: Mapping[str, Any]
    arguments: Mapping[str, Any]
    dtype: str

    def apply(self, op: Op, *values: Value) -> Value:
        """Add one op."""
        return self.call.apply(op, *values)

    def chain(self, value: Value, *ops: Op) -> Value:
        """Add ops, one after the other."""
        return self.call.chain(value, *ops)

    def tensor(self, name: str) -> Value:
        """Return an argument that has to depend on the input of the network."""
        value = self.arguments[name]
        if not isinstance(value, Value):
            raise UnsupportedError(f"its argument {name!r} must be one tensor, not {value!r}")
        return value

    def tensors(self, name: str) -> tuple[Value, ...]:
        """Return an argument that is a sequence of such tensors."""
        values = self.arguments[name]
        if isinstance(values, Value):
            raise UnsupportedError(f"its argument {name!r} must be a list of tensors, not a tensor")
        listed = tuple(cast("Sequence[Any]", values))
        if not all(isinstance(value, Value) for value in listed):
            raise UnsupportedError(
                f"its argument {name!r} has constants besides tensors; to join them to every "
                "sample, add them to keras.ops.zeros_like(x) first"
            )
        return listed

    def operand(self, name: str) -> Operand:
        """Return an argument that is either a tensor of the network or fixed."""
        return self.as_operand(self.arguments[name], name)

    def fixed(self, name: str) -> Fixed:
        """Return an argument that has to be a constant or a variable."""
        value = self.operand(name)
        if isinstance(value, Value):
            raise UnsupportedError(f"its argument {name!r} depends on the input; it must be fixed")
        return value

    def as_operand(self, value: Any, name: str, dtype: str | None = None) -> Operand:
        """Read a tensor, a variable, an array or a number; ``dtype`` is what it is rounded to."""
        if isinstance(value, Value):
            return value
        if isinstance(value, (keras.Variable, tf.Variable)):
            return Fixed(value, tuple(int(side) for side in value.shape))
        array = constant(value, name).astype(dtype or self.dtype)
        if not np.all(np.isfinite(array)):
            raise UnsupportedError(f"its constant {name!r} is not finite: {value!r}")
        return Fixed(array, array.shape)

    def fit(self, value: Any, name: str, x: Value) -> Fixed:
        """Return an option that is an array: one number, or one for each entry of a tensor."""
        fixed = self.as_operand(value, name)
        if isinstance(fixed, Value) or fixed.shape not in ((), x.shape, (1, *x.shape)):
            raise UnsupportedError(
                f"its option {name} must be a number or have the shape {x.shape} of a sample"
            )
        return fixed

    def axes(self, axis: Any, rank: int) -> tuple[int, ...]:
        """Return axes of a tensor of that rank as positive numbers, sorted; never the batch axis.

        ``rank`` counts the batch axis, and so do the axes.
        """
        if axis is None:
            raise touches_batch("it has no axis, so it covers the batch axis too")
        found = tuple(sorted({int(a) % rank for a in integers(axis, "axis").ravel()}))
        if 0 in found:
            raise touches_batch(f"axis={axis} is the batch axis")
        return found

    def is_batch(self, size: Any) -> bool:
        """Whether a number is the size of the batch axis: a model may have a fixed one."""
        return size is not None and size in _classes.batch_sizes(self.call.layer)

    def axis(self, axis: Any, rank: int) -> int:
        """Return one axis as a positive number; not the batch axis."""
        found = self.axes(axis, rank)
        if len(found) != 1:
            raise UnsupportedError(f"it takes one axis, not axis={axis}")
        return found[0]


UseRule: TypeAlias = Callable[[Use], "Value | Sequence[Value] | Sequence[Op]"]


def rule(names: str, *handled: str) -> Callable[[UseRule], UseRule]:
    """Register the rule of operation classes.

    Parameters
    ----------
    names : str
        Classes as ``home.Class``, separated by spaces; see :func:`_classes.find`.
    handled : str
        The options that the rule looks at.  Any other option must have its default value, so that
        none is ever ignored, whatever future versions of Keras add.
    """

    def decorate(function: UseRule) -> UseRule:
        @register(*_classes.find(names), arguments=True)
        def operation(call: Call) -> Value | Sequence[Value] | Sequence[Op]:
            return function(_read(call, handled))

        return function

    return decorate


def _read(call: Call, handled: Sequence[str]) -> Use:
    dtypes = _classes.output_dtypes(call.layer)
    if len(dtypes) != 1 or not dtypes <= {"float32", "float64"}:
        raise UnsupportedError(
            f"it gives {' and '.join(sorted(dtypes))}; bounds are for float32 or float64"
        )
    try:
        every = _classes.options(call.layer)
    except LookupError as missing:
        raise UnsupportedError(f"Keras does not keep its option {missing}") from missing
    for name, (value, default) in every.items():
        if name not in handled and not (type(value) is type(default) and value == default):
            raise UnsupportedError(f"its option {name}={value!r} is not covered")
    return Use(
        call,
        {name: value for name, (value, _) in every.items()},
        _classes.arguments(call.layer, call.args, call.kwargs),
        next(iter(dtypes)),
    )


def constant(value: Any, name: str) -> NDArray[Any]:
    """Return an array, a tensor, a number or nested lists of these as an array."""
    if any(isinstance(leaf, (Value, keras.KerasTensor)) for leaf in keras.tree.flatten(value)):
        raise UnsupportedError(f"its argument {name!r} depends on the input; it must be fixed")
    try:
        array = np.asarray(keras.ops.convert_to_numpy(value) if tf.is_tensor(value) else value)
    except (TypeError, ValueError) as error:
        raise UnsupportedError(f"its argument {name!r} is no array of numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise UnsupportedError(f"its argument {name!r} is no array of real numbers: {value!r}")
    return array


def integers(value: Any, name: str) -> NDArray[np.int64]:
    """Return integers, or an array of them, as an array."""
    array = constant(value, name)
    if array.size and array.dtype.kind not in "iu":
        raise UnsupportedError(f"its argument {name!r} must be integers, not {value!r}")
    return array.astype(np.int64)


def number(value: Any, name: str, dtype: str) -> float:
    """Return a single number, as the operation rounds it."""
    array = constant(value, name).astype(dtype)
    if array.size != 1 or not np.isfinite(array).all():
        raise UnsupportedError(f"its option {name}={value!r} must be one finite number")
    return float(array.reshape(()))


def touches_batch(what: str) -> UnsupportedError:
    """Return the refusal of an operation that does not keep samples apart."""
    return UnsupportedError(
        f"{what}; samples of a batch are certified one by one and must not be mixed or moved. Use "
        "the axes of one sample, counted from 1"
    )
