"""The compiled engine: domains and rows in, bounds out, all as run-time tensors.

Everything is traced once per verifier; other values, batch sizes or numbers of rows reuse the
trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.ascent import climb
from decomon.bounds import AffineBound, Interval
from decomon.domains import BoxDomain, Domain
from decomon.methods.alpha import Adam, Layout, Sets
from decomon.methods.propagation import COMMON, Method, Parameters, State
from decomon.methods.rules import CrownRule, IntervalRule
from decomon.nodes import Graph
from decomon.ops._base import SlopeRule

_PARAMETER_BYTES = 8 * 2**20
_ROW_BYTES = 64 * 2**20
_BATCH_BYTES = 512 * 2**20
_INNER_WEIGHT = 1e-3
_MOST_PAIRS = 256
# What the gradient keeps of one substitution, in tensors of the size of the largest coefficients.
_TAPE_FACTOR = 2


@dataclass(frozen=True)
class Bounds:
    """Upper bounds of rows of the output.

    Attributes
    ----------
    upper : ``(batch, spec)``
    weights : ``(batch, spec, *input shape)``: how the affine bound depends on the input
    """

    upper: Tensor
    weights: Tensor


@final
class Verifier:
    """Bounds of one graph by one method.

    Parameters
    ----------
    graph : the network
    method : which bounds
    slopes : the starting lower slopes
    steps : how many optimisation steps to take; 0 keeps the starting slopes
    dtype : compute dtype
    """

    def __init__(
        self,
        graph: Graph,
        method: Method,
        slopes: SlopeRule,
        *,
        steps: int = 0,
        learning_rate: float = 0.5,
        dtype: str = "float32",
    ) -> None:
        self.graph = graph
        self.method = method
        # Interval arithmetic has nothing to optimise.
        self.steps = 0 if isinstance(method.final, IntervalRule) else steps
        self.dtype = tf.as_dtype(dtype)
        self._slopes = slopes
        self._learning_rate = learning_rate
        self._adam = Adam(learning_rate)
        self._layout = Layout({})  # what is optimised; known once the first bounds are traced
        self._improve: Any = None  # compiled once the parameters are known
        self.row_limit, self.sample_limit = self._limits()
        point = tf.TensorSpec([None, *graph.input_shape], self.dtype)
        rows = tf.TensorSpec([None, None, *graph.output_shape], self.dtype)
        self._bounds = _compile(self._trace_bounds, input_signature=[point, point, rows])
        self._start = _compile(self._trace_start, input_signature=[point, point, rows])
        self.logits = _compile(graph, input_signature=[point])
        points = tf.TensorSpec([None, None, *graph.input_shape], self.dtype)
        self.climb = _compile(self._trace_climb, input_signature=[point, point, points, rows])
        self._intervals = _compile(self._trace_intervals, input_signature=[point, point])

    @cached_property
    def precise(self) -> Verifier:
        """The same verifier in double precision, made when it is first needed."""
        return Verifier(
            self.graph,
            self.method,
            self._slopes,
            steps=self.steps,
            learning_rate=self._learning_rate,
            dtype="float64",
        )

    def bounds(self, domain: Domain, rows: Tensor) -> Bounds:
        """Return upper bounds and what they depend on most."""
        if self.steps:
            return self._optimise(domain, rows)
        return self.quick_bounds(domain, rows)

    def quick_bounds(self, domain: Domain, rows: Tensor) -> Bounds:
        """Return bounds with the starting relaxations, whatever the number of steps."""
        return Bounds(*self._bounds(*domain.tensors(), rows))

    def intervals(self, domain: Domain) -> tuple[Interval, ...]:
        """Return the interval of every node of the graph."""
        return tuple(Interval(*pair) for pair in self._intervals(*domain.tensors()))

    @property
    def trace_count(self) -> int:
        """How often anything was traced; constant once every kind of question was asked."""
        compiled = (self._bounds, self._start, self.logits, self.climb, self._intervals)
        optional = () if self._improve is None else (self._improve,)
        return sum(function.experimental_get_tracing_count() for function in compiled + optional)

    def _optimise(self, domain: Domain, rows: Tensor) -> Bounds:
        """Improve the relaxation parameters by projected gradient, keeping the best bounds."""
        best, weights, parameters = self._start(*domain.tensors(), rows)
        if self._improve is None:
            self._improve = _compile(self._trace_improve, input_signature=self._state_signature())
        moments = self._adam.initial(parameters)
        for step in range(self.steps if parameters else 0):
            best, weights, parameters, moments = self._improve(
                domain.tensors(), rows, best, weights, parameters, moments, tf.constant(step)
            )
        return Bounds(best, weights)

    def _state_signature(self) -> list[Any]:
        """Return the signature of one step of the optimisation, free in batch and rows."""
        graph = self.graph

        def free(shape: tuple[int, ...]) -> Tensor:
            return tf.TensorSpec([None, None, *shape], self.dtype)

        point = tf.TensorSpec([None, *graph.input_shape], self.dtype)
        parameters = tuple(
            tf.TensorSpec([None, count, size], self.dtype) for count, size in self._layout.shapes
        )
        return [
            (point, point),
            free(graph.output_shape),
            free(()),
            free(graph.input_shape),
            parameters,
            (parameters, parameters),
            tf.TensorSpec([], tf.int32),
        ]

    def _state(self, domain: Domain, parameters: Parameters) -> State:
        state = State(self.graph, domain, self.method, self._slopes, parameters, self.row_limit)
        state.propagate()
        return state

    def _final(self, state: State, rows: Tensor) -> tuple[Tensor, AffineBound]:
        """Bound the rows by the method and by intervals, whichever is lower.

        The affine bound is the method's own, or, for intervals, that of a backward pass.
        """
        output = self.graph.output
        plain = state.poison(state.concretize(state.bound(output, rows, IntervalRule())))
        if isinstance(self.method.final, IntervalRule):
            return plain, state.bound(output, rows, CrownRule())
        affine = state.bound(output, rows, self.method.final)
        return tf.minimum(state.concretize(affine), plain), affine

    def _objective(self, state: State, affine: AffineBound) -> Tensor:
        """Return what the optimisation lowers: the method's own bounds.

        Where interval arithmetic is tighter, the result does not depend on them, so nothing would
        ever improve them; therefore neither the final bounds nor the inner ones, which have
        a little weight, are intersected with it here.
        """
        final = tf.reduce_sum(state.concretize(affine))
        return final + _INNER_WEIGHT * state.inner_width()

    def _trace_bounds(self, x_min: Tensor, x_max: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        upper, affine = self._final(self._state(BoxDomain(x_min, x_max), {}), rows)
        return upper, self._spread(affine.weights, upper)

    def _trace_intervals(self, x_min: Tensor, x_max: Tensor) -> list[tuple[Tensor, Tensor]]:
        state = self._state(BoxDomain(x_min, x_max), {})
        return [
            (state.intervals[i].lower, state.intervals[i].upper)
            for i in range(len(self.graph.nodes))
        ]

    def _trace_climb(self, x_min: Tensor, x_max: Tensor, points: Tensor, rows: Tensor) -> Tensor:
        return climb(self.graph, BoxDomain(x_min, x_max), points, rows)

    def _spread(self, weights: Tensor, upper: Tensor) -> Tensor:
        """Give weights that do not depend on the sample their batch axis."""
        shape = tf.concat([tf.shape(upper), self.graph.input_shape], axis=0)
        return tf.broadcast_to(weights, shape)

    def _trace_start(
        self, x_min: Tensor, x_max: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        state = self._state(BoxDomain(x_min, x_max), {})
        upper, affine = self._final(state, rows)
        initial: dict[tuple[int, int], tuple[Tensor, ...]] = {}
        sets: dict[tuple[int, int], Sets] = {}
        for start, passed in state.passed.items():
            key = COMMON if self._in_common(state) and start != self.graph.output else start
            for index in passed:
                if (key, index) in sets:
                    continue
                values = state.initial(index)
                count = 1 if key == COMMON else self._sets(start, index)
                shapes = tuple(tuple(value.shape[2:]) for value in values)
                sets[key, index] = Sets(count, shapes)
                copies = tf.shape(rows)[1] if count is None else count
                initial[key, index] = tuple(
                    tf.tile(value, [1, copies, *[1] * len(shape)])
                    for value, shape in zip(values, shapes, strict=True)
                )
        self._layout = Layout(sets)
        packed = self._layout.pack(initial)
        return upper, self._spread(affine.weights, upper), packed

    def _in_common(self, state: State) -> bool:
        """Whether there are too many relaxations on the way for parameters of their own."""
        inner = [passed for i, passed in state.passed.items() if i != self.graph.output]
        return sum(map(len, inner)) > _MOST_PAIRS

    def _trace_improve(
        self,
        corners: tuple[Tensor, ...],
        rows: Tensor,
        best: Tensor,
        weights: Tensor,
        parameters: tuple[Tensor, ...],
        moments: tuple[tuple[Tensor, ...], tuple[Tensor, ...]],
        step: Tensor,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            state = self._state(BoxDomain(*corners), self._layout.unpack(parameters))
            upper, affine = self._final(state, rows)
            objective = self._objective(state, affine)
        gradients = tuple(
            tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(
                objective, parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
        )
        better = upper < best  # false for NaN, so a bad step is dropped
        best = tf.where(better, upper, best)
        ones = [1] * len(self.graph.input_shape)
        mask = tf.reshape(better, tf.concat([tf.shape(better), ones], axis=0))
        weights = tf.where(mask, self._spread(affine.weights, upper), weights)
        moved, moments = self._adam.update(parameters, gradients, moments, step)
        projected = self._layout.pack(
            {
                (start, index): state.project(index, values)
                for (start, index), values in self._layout.unpack(moved).items()
            }
        )
        return best, weights, projected, moments

    def _sets(self, start: int, index: int) -> int | None:
        """Return how many sets of parameters a relaxation has, None for one per row asked for.

        Every neuron of an inner node has its own, for either side, if memory allows.
        """
        nodes = self.graph.nodes
        if start == self.graph.output:
            return None
        own = 2 * nodes[start].size
        return own if own * self._size(index) * self.dtype.size <= _PARAMETER_BYTES else 1

    def _size(self, index: int) -> int:
        """Return how many numbers a line of every neuron of a node has."""
        node = self.graph.nodes[index]
        sources = [self.graph.nodes[i] for i in node.inputs]
        size = max(node.size, *(source.size for source in sources))
        mixes = len(sources) == 1 and sources[0].shape == node.shape
        if mixes and node.shape and not node.evaluate.diagonal:
            return size * node.shape[-1]  # every output depends on the whole last axis
        return size

    def _limits(self) -> tuple[int, int]:
        """Return how many rows and how many samples to treat at once, from a memory budget."""
        graph, item = self.graph, self.dtype.size
        widest = max(node.size for node in graph.nodes)
        inner = [i for i in graph.relaxed if i not in graph.exact]
        relaxed = [graph.nodes[i].size for i in inner]
        rows = max([*relaxed, graph.nodes[-1].size])
        row_limit = max(1, min(rows, _ROW_BYTES // (2 * widest * item)))
        # Affine bounds of neurons, and two lines of each with slopes and offsets.
        lines = [self._size(index) for index in graph.nonlinear]
        stored = sum(relaxed) * graph.nodes[0].size + 2 * sum(lines)
        sample = 2 * item * (row_limit * widest + stored)
        if self.steps:
            pairs = [
                (start, index) for start in inner for index in graph.nonlinear if index < start
            ]
            if len(pairs) > _MOST_PAIRS:
                sets = lines
            else:
                sets = [(self._sets(*pair) or 0) * self._size(pair[1]) for pair in pairs]
            # Gradients and both moments are as large as the parameters themselves.
            kept = _TAPE_FACTOR * (max(1, sum(relaxed)) * max([widest, *lines]) + stored)
            sample = 2 * item * (kept + 2 * sum(sets))
        return int(row_limit), int(max(1, _BATCH_BYTES // sample))


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a function.

    The partial keeps TensorFlow from counting all verifiers' traces as one function's, and from
    warning of retracing when several models are verified.
    """
    return tf.function(partial(function), autograph=False, **options)


def as_tensor(values: NDArray[np.floating], dtype: Tensor) -> Tensor:
    """Make a tensor of the compute dtype."""
    return tf.constant(values, dtype)
