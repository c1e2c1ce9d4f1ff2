"""A layer applied to each time step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, keras, tf
from decomon.bounds import Interval, Lines, Relaxation
from decomon.ops._base import AffineOp, ElementwiseOp, NonlinearOp, Op, Relaxer, SlopeRule
from decomon.ops._calls import build_layer
from decomon.ops._registry import Builder, Call, UnsupportedError, Value, register


@final
@dataclass(frozen=True)
class Folded(AffineOp):
    """An affine op applied to each step of the first axis: that axis becomes part of the batch."""

    op: AffineOp

    @property
    def diagonal(self) -> bool:
        return self.op.diagonal

    @property
    def narrows(self) -> bool:
        return self.op.narrows

    def __call__(self, *inputs: Tensor) -> Tensor:
        return _evaluate(self.op, inputs)

    def absolute(self, *radii: Tensor) -> Tensor:
        return _unfold(self.op.absolute(*map(_fold, radii)), radii[0].shape[1])

    def interval(self, *inputs: Interval) -> Interval:
        return _interval(self.op, inputs)

    def transpose(self, rows: Tensor, shapes: Sequence[Shape]) -> tuple[Tensor | None, ...]:
        parts = self.op.transpose(_fold(rows), [shape[1:] for shape in shapes])
        return tuple(None if part is None else _unfold(part, rows.shape[1]) for part in parts)

    def offset(self, shapes: Sequence[Shape], dtype: Tensor) -> Tensor | None:
        offset = self.op.offset([shape[1:] for shape in shapes], dtype)
        if offset is None:
            return None
        return tf.repeat(offset[:, None], shapes[0][0], axis=1)


@dataclass(frozen=True)
class _FoldedRelaxed(NonlinearOp):
    """A nonlinear op applied to each step of the first axis: that becomes part of the batch.

    Parameters are those of the op, with an axis for the steps in front; its own relaxation holds
    for each step by itself.
    """

    op: NonlinearOp

    @property
    def diagonal(self) -> bool:
        return self.op.diagonal

    @property
    def narrows(self) -> bool:
        return self.op.narrows

    def __call__(self, *inputs: Tensor) -> Tensor:
        return _evaluate(self.op, inputs)

    def interval(self, *inputs: Interval) -> Interval:
        return _interval(self.op, inputs)

    def unstable(self, *intervals: Interval) -> tuple[Tensor, ...]:
        steps = intervals[0].lower.shape[1]
        return tuple(_unfold(mask, steps) for mask in self.op.unstable(*map(_folded, intervals)))

    def initial(self, intervals: Sequence[Interval], rule: SlopeRule) -> tuple[Tensor, ...]:
        steps = intervals[0].lower.shape[1]
        values = self.op.initial([_folded(interval) for interval in intervals], rule)
        return tuple(_unfold(value, steps) for value in values)

    def project(self, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        projected = self.op.project(tuple(_fold_behind(value) for value in parameters))
        return tuple(
            _unfold_behind(value, given.shape[2])
            for value, given in zip(projected, parameters, strict=True)
        )

    def relax(self, intervals: Sequence[Interval], parameters: tuple[Tensor, ...]) -> Relaxation:
        return self.relaxer(intervals)(parameters)

    def relaxer(self, intervals: Sequence[Interval]) -> Relaxer:
        return _relaxer(self.op, intervals)


@final
@dataclass(frozen=True)
class FoldedNonlinear(_FoldedRelaxed):
    """A nonlinear op of whole steps."""


@final
@dataclass(frozen=True)
class FoldedElementwise(_FoldedRelaxed, ElementwiseOp):
    """An op that acts on each entry alone, and may need arguments of some kind."""

    op: ElementwiseOp

    @property
    def requirement(self) -> str:
        return self.op.requirement

    def cut(self, interval: Interval) -> Tensor:
        return _unfold(self.op.cut(_folded(interval)), interval.lower.shape[1])

    def outside(self, interval: Interval) -> Tensor:
        return _unfold(self.op.outside(_folded(interval)), interval.lower.shape[1])


@final
@dataclass(frozen=True)
class FoldedRelaxation(Relaxation):
    """The relaxation of every step of a batch of sequences, the steps being part of the batch."""

    relaxation: Relaxation
    batch: Tensor
    steps: int

    def substitute(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        # All samples may share their rows, but not their relaxations.
        shape = tf.concat([[tf.maximum(tf.shape(rows)[:1], self.batch)[0]], tf.shape(rows)[1:]], 0)
        full = tf.broadcast_to(rows, shape)
        full.set_shape([None, *rows.shape[1:]])
        sent, offset = self.relaxation.substitute(_fold_behind(full))
        spread = _unfold_behind(offset, self.steps)
        return tuple(_unfold_behind(part, self.steps) for part in sent), tf.reduce_sum(spread, 2)


@final
@dataclass(frozen=True)
class FoldingBuilder(Builder):
    """Adds ops for each step of a sequence; its values have the shape of one step."""

    outer: Builder
    steps: int

    @property
    def precision(self) -> str:
        return self.outer.precision

    def apply(self, op: Op, *inputs: Value) -> Value:
        value = self.outer.apply(folded(op), *(self.leave(value) for value in inputs))
        return self.enter(value)

    def layer(self, layer: Any, *inputs: Value) -> Value:
        return build_layer(layer, inputs, self)

    def enter(self, value: Value) -> Value:
        """Drop the axis of the steps."""
        return Value(value.index, value.shape[1:])

    def leave(self, value: Value) -> Value:
        """Put the axis of the steps back."""
        return Value(value.index, (self.steps, *value.shape))


def folded(op: Op) -> Op:
    """Return the op that applies another one to each step."""
    if isinstance(op, AffineOp):
        return Folded(op)
    if isinstance(op, ElementwiseOp):
        return FoldedElementwise(op)
    if isinstance(op, NonlinearOp):
        return FoldedNonlinear(op)
    raise UnsupportedError(f"it contains {type(op).__qualname__}, which acts on whole inputs only")


@register(keras.layers.TimeDistributed, arguments=True)
def time_distributed(call: Call) -> Value:
    """Apply the inner layer's rule once, to all steps together."""
    given = {**dict(zip(("inputs", "training", "mask"), call.args, strict=False)), **call.kwargs}
    if given.get("mask") is not None:
        raise UnsupportedError(
            "it is called with a mask; remove the layer that makes the mask, or the argument"
        )
    (sequence,) = call.inputs
    builder = FoldingBuilder(call.builder, sequence.shape[0])
    return builder.leave(builder.layer(call.layer.layer, builder.enter(sequence)))


def _evaluate(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return _unfold(op(*map(_fold, inputs)), inputs[0].shape[1])


def _interval(op: Op, inputs: Sequence[Interval]) -> Interval:
    image = op.interval(*map(_folded, inputs))
    steps = inputs[0].lower.shape[1]
    return Interval(_unfold(image.lower, steps), _unfold(image.upper, steps))


def _relaxer(op: NonlinearOp, intervals: Sequence[Interval]) -> Relaxer:
    lower = intervals[0].lower
    relax = op.relaxer([_folded(interval) for interval in intervals])

    def relax_all(parameters: tuple[Tensor, ...]) -> Relaxation:
        inner = relax(tuple(_fold_behind(value) for value in parameters))
        if not isinstance(inner, Lines):
            return FoldedRelaxation(inner, tf.shape(lower)[0], lower.shape[1])
        offset = inner.lower_offset
        return Lines(
            _unfold_behind(inner.lower_slope, lower.shape[1]),
            None if offset is None else _unfold_behind(offset, lower.shape[1]),
            _unfold_behind(inner.upper_slope, lower.shape[1]),
            _unfold_behind(inner.upper_offset, lower.shape[1]),
        )

    return relax_all


def _folded(interval: Interval) -> Interval:
    return Interval(_fold(interval.lower), _fold(interval.upper))


def _fold(values: Tensor) -> Tensor:
    """``(n, steps, *shape)`` to ``(n * steps, *shape)``."""
    return tf.reshape(values, [-1, *values.shape[2:]])


def _unfold(values: Tensor, steps: int) -> Tensor:
    """``(n * steps, *shape)`` to ``(n, steps, *shape)``."""
    return tf.reshape(values, [-1, steps, *values.shape[1:]])


def _fold_behind(values: Tensor) -> Tensor:
    """``(batch, spec, steps, *shape)`` to ``(batch * steps, spec, *shape)``."""
    rank = len(values.shape)
    moved = tf.transpose(values, [0, 2, 1, *range(3, rank)])
    count = values.shape[1]
    folded = tf.reshape(
        moved, [-1, tf.shape(values)[1] if count is None else count, *values.shape[3:]]
    )
    folded.set_shape([None, count, *values.shape[3:]])
    return folded


def _unfold_behind(values: Tensor, steps: int) -> Tensor:
    """``(batch * steps, spec, *shape)`` to ``(batch, spec, steps, *shape)``."""
    count = values.shape[1]
    split = tf.reshape(
        values, [-1, steps, tf.shape(values)[1] if count is None else count, *values.shape[2:]]
    )
    moved = tf.transpose(split, [0, 2, 1, *range(3, len(split.shape))])
    moved.set_shape([None, count, steps, *values.shape[2:]])
    return moved
