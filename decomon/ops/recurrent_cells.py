"""The cells of recurrent layers: what one time step does.

What a cell computes from its input alone is one matrix product for the whole sequence; each step
then adds what it computes from its state.  All gates of a step with the same activation are
one node, so that one substitution bounds them.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.bounds import Interval
from decomon.ops._base import AffineOp, NonnegativeOp, Op
from decomon.ops._registry import Builder, Call, UnsupportedError, Value, read
from decomon.ops.convolution import GroupedConvolution
from decomon.ops.linear import Negate, Scale, Shift, Subtract
from decomon.ops.merging import Add
from decomon.ops.narrow import Narrow
from decomon.ops.products import Product
from decomon.ops.shaping import Slice
from decomon.ops.time_distributed import Folded
from decomon.rounding import precision

States: TypeAlias = tuple[Value, ...]
"""The states of a cell; the first is its output, too."""


@final
@dataclass(frozen=True)
class Source:
    """What a cell has computed from its input at one step.

    ``time`` is the step's position along the first axis of ``value``; None if there is no such
    axis.
    """

    value: Value
    time: int | None = None


@final
@dataclass(frozen=True)
class Projection(AffineOp):
    """``x K + b`` on the last axis, with some columns of a cell's kernel and bias.

    ``bias`` may have several rows; ``row`` says which one counts.
    """

    kernel: Any
    bias: Any = None
    row: int | None = None
    columns: tuple[int, int] | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        y = self._product(x, self._kernel(x.dtype))
        return y if self.bias is None else y + self._bias(x.dtype)

    def absolute(self, *radii: Tensor) -> Tensor:
        (radius,) = radii
        return self._product(radius, tf.abs(self._kernel(radius.dtype)))

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        return (self._product(rows, tf.transpose(self._kernel(rows.dtype))),)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        if self.bias is None:
            return None
        (shape,) = shapes
        bias = self._bias(dtype)
        return tf.broadcast_to(bias, [1, *shape[:-1], bias.shape[0]])

    def _kernel(self, dtype: Tensor) -> Tensor:
        kernel = read(self.kernel, dtype)
        return kernel if self.columns is None else kernel[:, slice(*self.columns)]

    def _bias(self, dtype: Tensor) -> Tensor:
        bias = read(self.bias, dtype)
        bias = bias if self.row is None else bias[self.row]
        return bias if self.columns is None else bias[slice(*self.columns)]

    @staticmethod
    def _product(x: Tensor, kernel: Tensor) -> Tensor:
        if len(x.shape) == 2:
            return tf.matmul(x, kernel)
        steps, (size, count) = x.shape[1], kernel.shape
        return tf.reshape(tf.matmul(tf.reshape(x, [-1, size]), kernel), [-1, steps, count])


@final
@dataclass(frozen=True)
class Step(NonnegativeOp):
    """One step of a sequence, of which only some entries along one axis are taken.

    With a second input, the step is added to it: to its first entries along that axis if it has
    more.  ``axis`` counts the axes of a step from 0, ``time`` is None for a single step.
    """

    time: int | None
    axis: int
    begin: int
    end: int

    @property
    def diagonal(self) -> bool:
        return True

    def __call__(self, *inputs: Tensor) -> Tensor:
        x = inputs[0] if self.time is None else inputs[0][:, self.time]
        part = x[(slice(None),) * (self.axis + 1) + (slice(self.begin, self.end),)]
        if len(inputs) == 1:
            return part
        missing = inputs[1].shape[self.axis + 1] - (self.end - self.begin)
        if missing:
            part = tf.pad(part, self._around(len(part.shape), 0, missing))
        return part + inputs[1]

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor, ...]:
        part = rows
        if rows.shape[self.axis + 1] != self.end - self.begin:
            part = rows[(slice(None),) * (self.axis + 1) + (slice(0, self.end - self.begin),)]
        sides = shapes[0] if self.time is None else shapes[0][1:]
        around = self._around(len(part.shape), self.begin, sides[self.axis] - self.end)
        if self.time is not None:
            part = part[:, None]
            around.insert(1, (self.time, shapes[0][0] - self.time - 1))
        sent = tf.pad(part, around)
        return (sent,) if len(shapes) == 1 else (sent, rows)

    def _around(self, rank: int, before: int, after: int) -> list[tuple[int, int]]:
        return [(before, after) if i == self.axis + 1 else (0, 0) for i in range(rank)]


@final
@dataclass(frozen=True)
class Blend(Narrow):
    """``h = z x + (1 - z) y``, whose image is narrower than that of ``y + z (x - y)``.

    Inputs: h, then z, x and y.
    """

    def image(self, *sources: Interval) -> Interval:
        """Return the exact range for independent z, x and y, up to rounding.

        For fixed z the extremes are those of both terms; each, as a minimum (maximum) of
        functions that are linear in z, is concave (convex) in z, so the range is attained at the
        ends of z's interval.
        """
        share, x, y = sources
        least: list[Tensor] = []
        most: list[Tensor] = []
        for z in (share.lower, share.upper):
            rest = 1 - z
            ends = [z * x.lower, z * x.upper], [rest * y.lower, rest * y.upper]
            least.append(tf.minimum(*ends[0]) + tf.minimum(*ends[1]))
            most.append(tf.maximum(*ends[0]) + tf.maximum(*ends[1]))
        # Each end is off by three roundings of terms that are at most this large.
        size = (1 + share.reach) * (x.reach + y.reach)
        eps, tiny = precision(size)
        error = 4 * eps * size + 8 * tiny
        return Interval(tf.minimum(*least) - error, tf.maximum(*most) + error)


class Cell(abc.ABC):
    """How a cell is unrolled."""

    @property
    @abc.abstractmethod
    def state_count(self) -> int:
        """The number of its states."""

    @abc.abstractmethod
    def read_sequence(self, call: Call, sequence: Value) -> list[Source]:
        """Compute what depends on the input alone, for all steps."""

    @abc.abstractmethod
    def read(self, call: Call, value: Value) -> Source:
        """Compute what depends on the input alone, for one step."""

    @abc.abstractmethod
    def step(self, call: Call, source: Source, states: States | None) -> States:
        """Apply the cell to one step; no states means that they are zero."""


@dataclass(frozen=True)
class VectorCell(Cell):
    """A cell whose states are vectors."""

    cell: Any

    @property
    def state_count(self) -> int:
        return 1

    def read_sequence(self, call: Call, sequence: Value) -> list[Source]:
        value = call.apply(self._input, sequence)
        return [Source(value, time) for time in range(sequence.shape[0])]

    def read(self, call: Call, value: Value) -> Source:
        return Source(call.apply(self._input, value))

    @property
    def _input(self) -> Op:
        return Projection(self.cell.kernel, self.cell.bias)


@final
@dataclass(frozen=True)
class SimpleCell(VectorCell):
    """``h' = f(x W + h U + b)``."""

    def step(self, call: Call, source: Source, states: States | None) -> States:
        recurrent = None
        if states is not None:
            recurrent = call.apply(Projection(self.cell.recurrent_kernel), states[0])
        value = _enter(call, source, 0, (0, self.cell.units), recurrent)
        return (call.activation(self.cell.activation, value),)


@final
@dataclass(frozen=True)
class GatedCell(VectorCell):
    """The gated recurrent unit (Cho et al. 2014), with the reset before or after the product.

    ``h' = z h + (1 - z) g`` is computed as ``g + z (h - g)``: one product, of a difference whose
    terms are correlated.
    """

    @property
    def _input(self) -> Op:
        return Projection(self.cell.kernel, self.cell.bias, row=self._row(0))

    def _row(self, row: int) -> int | None:
        return row if self.cell.reset_after else None

    def step(self, call: Call, source: Source, states: States | None) -> States:
        units = self.cell.units
        gates, reset_state = self._gates(call, source, states)
        if reset_state is not None and not self.cell.reset_after:
            kernel = Projection(self.cell.recurrent_kernel, columns=(2 * units, 3 * units))
            reset_state = call.apply(kernel, reset_state)
        value = _enter(call, source, 0, (2 * units, 3 * units), reset_state)
        new = call.activation(self.cell.activation, value)
        update = gates[0]
        if states is None:
            return (call.apply(Product(), call.chain(update, Negate(), Shift(1.0)), new),)
        (old,) = states
        moved = call.apply(Product(), update, call.apply(Subtract(), old, new))
        return (call.apply(Blend(), call.apply(Add(), new, moved), update, old, new),)

    def _gates(
        self, call: Call, source: Source, states: States | None
    ) -> tuple[list[Value], Value | None]:
        """Return both gates and the reset state, before or after its product with the kernel."""
        cell, units = self.cell, self.cell.units
        apart = [(0, units), (units, 2 * units)]
        if cell.reset_after:
            # One node holds both gates and what is reset, so that one substitution bounds all.
            if states is not None:
                op = Projection(cell.recurrent_kernel, cell.bias, row=1)
                mixed = _enter(call, source, 0, (0, 2 * units), call.apply(op, states[0]))
                gates = _gates(call, cell.recurrent_activation, mixed, 0, apart)
                inner = _part(call, mixed, 0, (2 * units, 3 * units))
                return gates, call.apply(Product(), gates[1], inner)
            mixed = _enter(call, source, 0, (0, 2 * units), None)
            if cell.bias is None:
                return _gates(call, cell.recurrent_activation, mixed, 0, apart), None
            mixed = call.apply(
                Shift(lambda: tf.convert_to_tensor(cell.bias)[1, : 2 * units]), mixed
            )
            gates = _gates(call, cell.recurrent_activation, mixed, 0, apart)
            bias = Scale(lambda: tf.convert_to_tensor(cell.bias)[1, 2 * units :])
            return gates, call.apply(bias, gates[1])
        recurrent = None
        if states is not None:
            op = Projection(cell.recurrent_kernel, columns=(0, 2 * units))
            recurrent = call.apply(op, states[0])
        mixed = _enter(call, source, 0, (0, 2 * units), recurrent)
        gates = _gates(call, cell.recurrent_activation, mixed, 0, apart)
        return gates, None if states is None else call.apply(Product(), gates[1], states[0])


@final
@dataclass(frozen=True)
class LongShortCell(VectorCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997)."""

    @property
    def state_count(self) -> int:
        return 2

    def step(self, call: Call, source: Source, states: States | None) -> States:
        recurrent = None
        if states is not None:
            recurrent = call.apply(Projection(self.cell.recurrent_kernel), states[0])
        return _remember(call, self.cell, self.cell.units, 0, source, recurrent, states)


@final
@dataclass(frozen=True)
class ConvolutionalCell(Cell):
    """Long short-term memory whose matrices are convolutions (Shi et al. 2015)."""

    cell: Any

    @property
    def state_count(self) -> int:
        return 2

    def read_sequence(self, call: Call, sequence: Value) -> list[Source]:
        value = call.apply(Folded(GroupedConvolution(_input_kernel(self.cell))), sequence)
        return [Source(value, time) for time in range(sequence.shape[0])]

    def read(self, call: Call, value: Value) -> Source:
        return Source(call.apply(GroupedConvolution(_input_kernel(self.cell)), value))

    def step(self, call: Call, source: Source, states: States | None) -> States:
        cell = self.cell
        recurrent = None
        if states is not None:
            op = GroupedConvolution(_recurrent_kernel(cell))
            recurrent = call.apply(op, states[0])
        axis = 0 if cell.data_format == "channels_first" else cell.rank
        return _remember(call, cell, cell.filters, axis, source, recurrent, states)


@final
@dataclass(frozen=True)
class Kernel:
    """What a convolution reads of a layer."""

    kernel: Any
    bias: Any
    rank: int
    filters: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    dilation_rate: tuple[int, ...]
    data_format: str
    groups: int = field(default=1)


def _input_kernel(cell: Any) -> Kernel:
    return Kernel(
        cell.kernel,
        cell.bias,
        cell.rank,
        4 * cell.filters,
        tuple(cell.kernel_size),
        tuple(cell.strides),
        cell.padding,
        tuple(cell.dilation_rate),
        cell.data_format,
    )


def _recurrent_kernel(cell: Any) -> Kernel:
    ones = (1,) * cell.rank
    return Kernel(
        cell.recurrent_kernel,
        None,
        cell.rank,
        4 * cell.filters,
        tuple(cell.kernel_size),
        ones,
        "same",
        ones,
        cell.data_format,
    )


def cell_of(cell: Any) -> Cell:
    """Return how a Keras cell is unrolled."""
    if type(cell) in _CELLS:
        return _CELLS[type(cell)](cell)
    if type(cell).__qualname__ == "ConvLSTMCell" and type(cell).__module__.startswith("keras."):
        return ConvolutionalCell(cell)
    raise UnsupportedError(f"there is no rule for its cell, {type(cell).__qualname__}")


_CELLS: dict[type, type[SimpleCell] | type[GatedCell] | type[LongShortCell]] = {
    keras.layers.SimpleRNNCell: SimpleCell,
    keras.layers.GRUCell: GatedCell,
    keras.layers.LSTMCell: LongShortCell,
}


def _remember(
    call: Call,
    cell: Any,
    units: int,
    axis: int,
    source: Source,
    recurrent: Value | None,
    states: States | None,
) -> States:
    """Apply the gates of long short-term memory, in Keras' order: input, forget, cell, output."""
    mixed = _enter(call, source, axis, (0, 4 * units), recurrent)
    apart = [(i * units, (i + 1) * units) for i in (0, 1, 3)]
    into, kept, out = _gates(call, cell.recurrent_activation, mixed, axis, apart)
    candidate = _part(call, mixed, axis, (2 * units, 3 * units))
    carry = call.apply(Product(), into, call.activation(cell.activation, candidate))
    if states is not None:
        carry = call.apply(Add(), carry, call.apply(Product(), kept, states[1]))
    output = call.apply(Product(), out, call.activation(cell.activation, carry))
    return output, carry


def _enter(
    call: Call, source: Source, axis: int, entries: tuple[int, int], other: Value | None
) -> Value:
    """Add some entries of what was computed from the input to something, or to nothing."""
    others = () if other is None else (other,)
    return call.apply(Step(source.time, axis, *entries), source.value, *others)


def _part(call: Call, value: Value, axis: int, entries: tuple[int, int]) -> Value:
    ranges = tuple(
        (*entries, 1) if i == axis else (0, side, 1) for i, side in enumerate(value.shape)
    )
    return call.apply(Slice(ranges), value)


def _gates(
    call: Call, function: Any, value: Value, axis: int, apart: Sequence[tuple[int, int]]
) -> list[Value]:
    """Apply an activation to some parts of a value, at once if it acts on each entry alone."""
    if _acts_alone(function):
        together = call.activation(function, value)
        return [_part(call, together, axis, entries) for entries in apart]
    return [call.activation(function, _part(call, value, axis, entries)) for entries in apart]


def _acts_alone(function: Any) -> bool:
    """Say whether an activation treats every entry of a tensor alike and alone."""
    if isinstance(function, keras.layers.Layer):
        return False
    probe = _Probe()
    probe.activation(function, Value(0, (2, 3)))
    return probe.alone


@final
class _Probe(Builder):
    """Builds nothing; notes whether entries are mixed."""

    def __init__(self) -> None:
        self.alone = True

    @property
    def precision(self) -> str:
        return "float32"

    def apply(self, op: Op, *inputs: Value) -> Value:
        self.alone = self.alone and op.diagonal and len(inputs) == 1
        return inputs[0]

    def layer(self, layer: Any, *inputs: Value) -> Value:
        self.alone = False
        return inputs[0]
