"""Recurrent layers, unrolled over a fixed number of time steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import keras
from decomon.ops._registry import Call, UnsupportedError, Value, register
from decomon.ops.linear import Scale
from decomon.ops.merging import Add, Concatenate
from decomon.ops.products import multiply
from decomon.ops.recurrent_cells import Cell, Source, States, cell_of
from decomon.ops.shaping import Stack

_RNN_ARGUMENTS = ("sequences", "initial_state", "mask", "training")


@final
@dataclass(frozen=True)
class Unrolled:
    """What a recurrent layer computes: its output at each step, in order, and its last states."""

    outputs: tuple[Value, ...]
    states: tuple[Value, ...]


@register(
    keras.layers.RNN,
    keras.layers.SimpleRNN,
    keras.layers.GRU,
    keras.layers.LSTM,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
    arguments=True,
)
def recurrent(call: Call) -> Sequence[Value]:
    """Unroll the cell over the sequence."""
    sequence, initial = _arguments(call)
    layer = call.layer
    done = _unroll(call, layer, sequence, initial)
    output = call.apply(Stack(1), *done.outputs) if layer.return_sequences else done.outputs[-1]
    return (output, *done.states) if layer.return_state else (output,)


@register(keras.layers.Bidirectional, arguments=True)
def bidirectional(call: Call) -> Sequence[Value]:
    """Merge a layer that reads the sequence from its begin and one that reads it from its end.

    Both outputs are in the order of time: Keras flips the backward layer's.
    """
    sequence, initial = _arguments(call)
    layer = call.layer
    half = len(initial) // 2
    forward = _unroll(call, layer.forward_layer, sequence, initial[:half])
    backward = _unroll(call, layer.backward_layer, sequence, initial[half:])
    first, second = forward.outputs[-1], backward.outputs[-1]
    if layer.return_sequences:
        first = call.apply(Stack(1), *forward.outputs)
        second = call.apply(Stack(1), *reversed(backward.outputs))
    states = (*forward.states, *backward.states) if layer.return_state else ()
    if layer.merge_mode is None:
        return first, second, *states
    return _merge(call, layer.merge_mode, first, second), *states


def _merge(call: Call, mode: str, first: Value, second: Value) -> Value:
    if mode == "concat":
        return call.apply(Concatenate(len(first.shape)), first, second)
    if mode == "mul":
        return multiply(call, first, second)
    total = call.apply(Add(), first, second)
    return call.apply(Scale(0.5), total) if mode == "ave" else total


def _unroll(call: Call, layer: Any, sequence: Value, initial: tuple[Value, ...]) -> Unrolled:
    """Apply a recurrent layer to a sequence; zero states are left out, with their products."""
    if not isinstance(layer, keras.layers.RNN):
        raise UnsupportedError(f"it wraps {type(layer).__qualname__}, which is not a RNN layer")
    if layer.stateful:
        raise UnsupportedError(
            "stateful=True makes its output depend on earlier batches; use stateful=False"
        )
    cells = _cells(layer.cell)
    steps = range(sequence.shape[0])
    order = tuple(reversed(steps)) if layer.go_backwards else tuple(steps)
    sources = cells[0].read_sequence(call, sequence)
    outputs = tuple(sources[step] for step in order)
    states: list[Value] = []
    for position, cell in enumerate(cells):
        if position > 0:
            outputs = tuple(cell.read(call, output.value) for output in outputs)
        start, initial = initial[: cell.state_count], initial[cell.state_count :]
        values, last = _run(call, cell, outputs, start)
        outputs = tuple(Source(value) for value in values)
        states.extend(last)
    if initial:
        raise UnsupportedError(f"it was given {len(initial)} initial states too many")
    return Unrolled(tuple(output.value for output in outputs), tuple(states))


def _run(
    call: Call, cell: Cell, sources: Sequence[Source], start: tuple[Value, ...]
) -> tuple[list[Value], States]:
    """Apply one cell to its inputs, step by step."""
    if start and len(start) != cell.state_count:
        raise UnsupportedError(f"it was given {len(start)} initial states too few")
    states: States | None = start or None
    outputs: list[Value] = []
    for source in sources:
        states = cell.step(call, source, states)
        outputs.append(states[0])
    if states is None:
        raise UnsupportedError("its sequence has no steps")
    return outputs, states


def _cells(cell: Any) -> tuple[Cell, ...]:
    """Return the cells of a stack, in which each reads what the one before puts out."""
    if type(cell) is keras.layers.StackedRNNCells:
        return tuple(inner for part in cell.cells for inner in _cells(part))
    return (cell_of(cell),)


def _arguments(call: Call) -> tuple[Value, tuple[Value, ...]]:
    """Return the sequence and the initial states, and refuse what else there may be."""
    given: Mapping[str, Any] = {
        **dict(zip(_RNN_ARGUMENTS, call.args, strict=False)),
        **call.kwargs,
    }
    surplus = [str(name) for name in given if name not in _RNN_ARGUMENTS]
    if surplus or len(call.args) > len(_RNN_ARGUMENTS):
        raise UnsupportedError(f"it was called with arguments {surplus or call.args}")
    if given.get("mask") is not None:
        raise UnsupportedError(
            "it is called with a mask, so its length depends on the data; remove the layer that "
            "makes the mask (Masking, or Embedding with mask_zero), or the mask argument"
        )
    sequence = given["sequences"]
    initial = [v for v in keras.tree.flatten(given.get("initial_state")) if v is not None]
    if not isinstance(sequence, Value) or not all(isinstance(v, Value) for v in initial):
        raise UnsupportedError("its sequence and initial states must be tensors of the model")
    return sequence, tuple(initial)
