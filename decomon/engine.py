"""What is compiled for one kind of input sets: sets and rows in, bounds out.

Everything is traced once; other values, batch sizes or numbers of rows reuse the trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias, final

from decomon._backend import Tensor, tf
from decomon.ascent import climb
from decomon.bounds import AffineBound, Interval
from decomon.budget import Budget
from decomon.domains import Domain
from decomon.geometry import Compiled, Geometry
from decomon.known import KnownDomain, KnownNode
from decomon.methods.alpha import Adam, Layout, Moments, Sets
from decomon.methods.descent import Descent
from decomon.methods.propagation import COMMON, Method, Parameters, State
from decomon.methods.rules import CrownRule, ForwardRule, IntervalRule
from decomon.nodes import Graph
from decomon.ops._base import SlopeRule

_NOTHING: Mapping[int, Interval] = MappingProxyType({})

Packed: TypeAlias = tuple[Tensor, ...]

Ends: TypeAlias = tuple[tuple[Tensor, Tensor], ...]
"""Both ends of the intervals of some nodes."""

Variables: TypeAlias = tuple[Packed, Moments, Ends]
"""What changes from step to step: parameters, their moments, and intervals proven so far."""


@final
@dataclass(frozen=True)
class Settings:
    """How one graph is bounded, whatever the kind of input sets.

    Parameters
    ----------
    graph : the network
    method : which bounds
    slopes : the starting lower slopes
    steps : how many optimisation steps to take; 0 keeps the starting slopes
    learning_rate : size of the first steps
    dtype : compute dtype
    memory : how many bytes may be used
    """

    graph: Graph
    method: Method
    slopes: SlopeRule
    steps: int
    learning_rate: float
    dtype: Any
    memory: int

    def budget(self, graph: Graph) -> Budget:
        """How much to treat at once of a graph, or of the coupled one."""
        forward = isinstance(self.method.intermediate, ForwardRule)
        return Budget(graph, self.dtype.size, bool(self.steps), forward, self.memory)


@dataclass(frozen=True)
class Bounds:
    """Upper bounds of rows of the output.

    Attributes
    ----------
    upper : ``(batch, spec)``
    weights : ``(batch, spec, *input shape)``
    offset : ``(batch, spec)``: ``weights . x + offset`` is an upper bound too
    """

    upper: Tensor
    weights: Tensor
    offset: Tensor


@final
class Engine:
    """The compiled functions of a verifier for one kind of input sets.

    Parameters
    ----------
    settings : how to bound
    template : any sets of that kind
    """

    def __init__(self, settings: Settings, template: Domain) -> None:
        graph = settings.graph if template.separable else settings.graph.coupled
        self.graph = graph
        self._settings = settings
        self._budget = settings.budget(graph)
        self._template = template
        self.geometry = Geometry(template, graph.input_shape, settings.dtype)
        self._adam = Adam(settings.learning_rate)
        # What is optimised, and which nodes are bounded: known once the first bounds are traced.
        self._layout = Layout({})
        self._bounded: tuple[int, ...] = ()
        self._improve: Any = None  # compiled once the parameters are known
        sets = template.specs(graph.input_shape, settings.dtype)
        rows = self._free(graph.output_shape)
        self._bounds = Compiled(self._trace_bounds, [sets, rows])
        self._start = Compiled(self._trace_start, [sets, rows])
        points = self._free(graph.input_shape)
        steps = tf.TensorSpec([], tf.int32)
        self._climb = Compiled(self._trace_climb, [sets, points, rows, steps])
        self._known = Compiled(self._trace_known, [sets])
        self._kept: tuple[int, ...] = ()
        self._intervals = Compiled(self._trace_intervals, [sets])

    @property
    def trace_count(self) -> int:
        """How often anything was traced."""
        functions = (
            self._bounds,
            self._start,
            self._climb,
            self._intervals,
            self._known,
            self._improve,
        )
        traced = sum(f.trace_count for f in functions if f is not None)
        return traced + self.geometry.trace_count

    def quick_bounds(self, domain: Domain, rows: Tensor) -> Bounds:
        """Return bounds with the starting relaxations."""
        return Bounds(*self._bounds(domain.tensors(), rows))

    def intervals(self, domain: Domain) -> tuple[Interval, ...]:
        """Return the interval of every node of the graph."""
        return tuple(Interval(*pair) for pair in self._intervals(domain.tensors()))

    def climb(self, domain: Domain, points: Tensor, rows: Tensor, steps: Any) -> Tensor:
        """Return better points, found by projected gradient ascent."""
        return self._climb(domain.tensors(), points, rows, tf.convert_to_tensor(steps))

    def optimised_bounds(self, domain: Domain, rows: Tensor, enough: float = -math.inf) -> Bounds:
        """Improve the relaxation parameters by projected gradient, keeping the best bounds.

        A sample whose bounds are all below ``enough`` is not optimised any further.
        """
        return self.refined(domain, rows, enough)[0]

    @property
    def bounded(self) -> tuple[int, ...]:
        """The nodes that :meth:`refined` finds intervals of, once it was called."""
        return self._bounded

    def refined(
        self,
        domain: Domain,
        rows: Tensor,
        enough: float = -math.inf,
        pulse: Callable[[], None] | None = None,
    ) -> tuple[Bounds, Ends]:
        """Do :meth:`optimised_bounds`; return the intervals of :attr:`bounded` nodes too.

        ``pulse`` is called before every step; what it raises ends the work.
        """
        problem = (domain.tensors(), rows)
        best, parameters, known = self._start(*problem)
        if self._improve is None:
            self._improve = Compiled(self._trace_improve, self._state_signature())
        if not parameters:
            return Bounds(*best), known

        def improve(problem: Any, best: Packed, variables: Any, step: Tensor) -> Any:
            if pulse is not None:
                pulse()
            found, variables = self._improve(problem, best[:3], variables, step)
            return (*found, *tf.nest.flatten(variables[2])), variables

        variables = (parameters, self._adam.initial(parameters), known)
        descent = Descent(improve, self._settings.steps, enough)
        done = descent.run(problem, (*best, *tf.nest.flatten(known)), variables)
        ends = done[3:]
        pairs = tuple(zip(ends[::2], ends[1::2], strict=True))
        return Bounds(*done[:3]), pairs

    def _free(self, shape: tuple[int, ...]) -> Any:
        return tf.TensorSpec([None, None, *shape], self._settings.dtype)

    def _state_signature(self) -> list[Any]:
        """Return the signature of one step of the optimisation, free in batch and rows."""
        graph, dtype = self.graph, self._settings.dtype
        parameters = tuple(
            tf.TensorSpec([None, count, size], dtype) for count, size in self._layout.shapes
        )
        sides = [tf.TensorSpec([None, *graph.nodes[i].shape], dtype) for i in self._bounded]
        sets = self._template.specs(graph.input_shape, dtype)
        return [
            (sets, self._free(graph.output_shape)),
            (self._free(()), self._free(graph.input_shape), self._free(())),
            (parameters, (parameters, parameters), tuple((side, side) for side in sides)),
            tf.TensorSpec([], tf.int32),
        ]

    def _state(
        self, sets: Packed, parameters: Parameters, known: Mapping[int, Interval] = _NOTHING
    ) -> State:
        settings = self._settings
        state = State(
            self.graph,
            self._template.rebuild(*sets),
            settings.method,
            settings.slopes,
            parameters,
            self._budget,
            known,
        )
        state.propagate()
        return state

    def _final(self, state: State, rows: Tensor) -> tuple[Tensor, AffineBound]:
        """Bound the rows by the method and by intervals, whichever is lower.

        The affine bound is the method's own, or, for intervals, that of a backward pass.
        """
        output, final = self.graph.output, self._settings.method.final
        plain = state.poison(state.largest(output, rows, IntervalRule()))
        if isinstance(final, IntervalRule):
            return plain, state.bound(output, rows, CrownRule())
        affine = state.bound(output, rows, final)
        return tf.minimum(state.concretize(affine), plain), affine

    def _trace_bounds(self, sets: Packed, rows: Tensor) -> Packed:
        upper, affine = self._final(self._state(sets, {}), rows)
        return self._spread(affine, upper)

    def _trace_intervals(self, sets: Packed) -> list[tuple[Tensor, Tensor]]:
        state = self._state(sets, {})
        return [
            (state.intervals[i].lower, state.intervals[i].upper)
            for i in range(len(self.graph.nodes))
        ]

    def _trace_climb(self, sets: Packed, points: Tensor, rows: Tensor, steps: Tensor) -> Tensor:
        return climb(self.graph, self._template.rebuild(*sets), points, rows, steps)

    def _spread(self, affine: AffineBound, upper: Tensor) -> Packed:
        """Give what does not depend on the sample its batch axis."""
        shape = tf.concat([tf.shape(upper), self.graph.input_shape], axis=0)
        weights = tf.broadcast_to(affine.weights, shape)
        return upper, weights, tf.broadcast_to(affine.offset, tf.shape(upper))

    def _trace_start(self, sets: Packed, rows: Tensor) -> tuple[Packed, Packed, Ends]:
        state = self._state(sets, {})
        upper, affine = self._final(state, rows)
        initial: dict[tuple[int, int], tuple[Tensor, ...]] = {}
        layout: dict[tuple[int, int], Sets] = {}
        for start, passed in state.passed.items():
            key = COMMON if self._in_common(state) and start != self.graph.output else start
            for index in passed:
                if (key, index) in layout:
                    continue
                count = 1 if key == COMMON else self._budget.sets(start, index)
                copies = tf.shape(rows)[1] if count is None else count
                values = state.initial(start, index, copies)
                layout[key, index] = Sets(count, tuple(tuple(v.shape[2:]) for v in values))
                initial[key, index] = values
        self._layout = Layout(layout)
        self._bounded = tuple(state.unmixed)
        return self._spread(affine, upper), self._layout.pack(initial), self._proven(state)

    def _proven(self, state: State) -> Ends:
        found = state.proven()
        return tuple((found[i].lower, found[i].upper) for i in self._bounded)

    def _in_common(self, state: State) -> bool:
        inner = [passed for i, passed in state.passed.items() if i != self.graph.output]
        return self._budget.in_common(sum(map(len, inner)))

    def _trace_improve(
        self,
        problem: tuple[Packed, Tensor],
        best: Packed,
        variables: Variables,
        step: Tensor,
    ) -> tuple[Packed, Variables]:
        sets, rows = problem
        # Of a tape outside, the gradient of a bound is the one for the relaxations of its step.
        parameters, moments, ends = tf.nest.map_structure(tf.stop_gradient, variables)
        known = {i: Interval(*pair) for i, pair in zip(self._bounded, ends, strict=True)}
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            state = self._state(sets, self._layout.unpack(parameters), known)
            # Interval arithmetic has had its say before the first step.
            affine = state.bound(self.graph.output, rows, self._settings.method.final)
            own = state.concretize(affine)
            # Where interval arithmetic is tighter, the result does not depend on the method's own
            # bounds, and nothing would ever improve them; so it is those that are lowered.
            objective = tf.reduce_sum(own)
        upper = state.poison(own)
        gradients = tuple(
            tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(
                objective, parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
        )
        better = upper < best[0]  # false for NaN, so a bad step is dropped
        ones = [1] * len(self.graph.input_shape)
        mask = tf.reshape(better, tf.concat([tf.shape(better), ones], axis=0))
        best = tuple(
            tf.where(where, new, old)
            for where, new, old in zip(
                (better, mask, better), self._spread(affine, upper), best, strict=True
            )
        )
        moved, moments = self._adam.update(parameters, gradients, moments, step)
        projected = self._layout.pack(
            {
                (start, index): state.project(index, values)
                for (start, index), values in self._layout.unpack(moved).items()
            }
        )
        new = (projected, moments, self._proven(state))
        return best, tf.nest.map_structure(tf.stop_gradient, new)

    def known(self, domain: Domain) -> KnownDomain:
        """Return the sets with the intervals of all nodes that relaxations are built on."""
        found = self._known(domain.tensors())
        nodes = tuple(KnownNode(i, self.graph.nodes[i].shape, own=True) for i in self._kept)
        return KnownDomain(domain, nodes, tuple(end for ends in found for end in ends))

    def _trace_known(self, sets: Packed) -> tuple[Packed, ...]:
        state = self._state(sets, {})
        self._kept = tuple(state.unmixed)
        pairs = [(state.intervals[i], state.unmixed[i]) for i in self._kept]
        return tuple((both.lower, both.upper, own.lower, own.upper) for both, own in pairs)

    def both(self, sets: Packed, rows: Tensor) -> tuple[Packed, Packed]:
        """Bound rows and their negations on the same intervals, while a function is traced.

        Returns
        -------
        what :class:`Bounds` is made of, for each
        """
        state = self._state(sets, {})
        (upper, affine), (lower, negated) = (self._final(state, r) for r in (rows, -rows))
        return self._spread(affine, upper), self._spread(negated, lower)
