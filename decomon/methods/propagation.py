"""From a domain to certified bounds: intervals of all nodes, then bounds of the rows asked for."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import TypeAlias, final

from decomon._backend import Tensor, tf
from decomon._tensors import flatten, flatten_rows, size_of
from decomon.bounds import AffineBound, AffineBounds, Interval
from decomon.domains import BoxDomain, Domain
from decomon.known import KnownInterval, known_intervals
from decomon.methods.backward import Stretches, Substituted, passed, substitute
from decomon.methods.compiled import Compiled
from decomon.methods.passages import Passage, through_affine, through_relaxation
from decomon.nodes import Graph
from decomon.ops._base import AffineOp, NonlinearOp, Relaxer, SlopeRule

Parameters: TypeAlias = Mapping[tuple[int, int], tuple[Tensor, ...]]
"""Optimised relaxation parameters, by (node that is bounded, nonlinear node).

Those of the nodes that are bounded on the way may also be common to all, under ``COMMON``.
"""

COMMON = -1

Update: TypeAlias = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Bounds some neurons: positions, and all lower and upper ends so far, to new ends."""


class Rule(abc.ABC):
    """How the rows of one node are bounded."""

    @abc.abstractmethod
    def improves(self, state: State, index: int) -> bool:
        """Whether the interval of a node is worth more than interval arithmetic."""

    @abc.abstractmethod
    def ends(self, state: State) -> frozenset[int]:
        """Nodes where the substitution stops."""

    @abc.abstractmethod
    def tighten(self, state: State, index: int, interval: Interval) -> Interval:
        """Return the interval of a node, given the one from interval arithmetic."""


@final
@dataclass(frozen=True)
class Method:
    """A rule for the inputs of nonlinear nodes and a rule for the rows asked of the output.

    Parameters
    ----------
    name : full name
    intermediate : bounds the inputs of nonlinear nodes
    final : bounds the rows
    text : what the method computes, what it costs and when to choose it
    """

    name: str
    intermediate: Rule
    final: Rule
    text: str = field(default="", compare=False, repr=False)

    @property
    def description(self) -> str:
        """What the method computes, what it costs and when to choose it."""
        return cleandoc(self.text)


@final
@dataclass
class State:
    """What is known of one graph on one batch of domains, while it grows in topological order.

    ``row_limit`` is how many rows are substituted at once; it bounds memory, never the result.
    ``passed`` collects the nodes that were bounded, each with the nonlinear nodes that its
    substitutions may pass.  ``unmixed`` holds the intervals of a rule before they are intersected
    with interval arithmetic: starting slopes are chosen from those, because the choice jumps with
    the interval, and a tighter interval that makes it jump may give looser bounds.  ``passages``
    keeps how rows pass each node, as far as that is the same for all substitutions, and
    ``relaxers`` what relaxations with other parameters have in common.  ``known`` holds intervals
    that other relaxations have proven; what is found of these nodes is intersected with them.
    """

    graph: Graph
    domain: Domain
    method: Method
    slopes: SlopeRule
    parameters: Parameters
    row_limit: int
    known: Mapping[int, Interval] = field(default_factory=dict[int, Interval])
    intervals: dict[int, Interval] = field(default_factory=dict[int, Interval])
    affine: dict[int, AffineBounds] = field(default_factory=dict[int, AffineBounds])
    unmixed: dict[int, Interval] = field(default_factory=dict[int, Interval])
    passed: dict[int, tuple[int, ...]] = field(default_factory=dict[int, tuple[int, ...]])
    relaxers: dict[int, Relaxer] = field(default_factory=dict[int, Relaxer])
    passages: dict[int, Passage] = field(default_factory=dict[int, Passage])
    stretches: Stretches = field(init=False)
    compiled: Compiled = field(init=False)

    def __post_init__(self) -> None:
        self.stretches = Stretches(self.graph)
        self.compiled = Compiled(self.slopes)

    def propagate(self) -> None:
        """Bound every node up to the output, but for those whose intervals are given."""
        graph, bounded = self.graph, self.method.intermediate
        given = known_intervals(self.domain)
        self.intervals[0] = self.domain.interval()
        for index, node in enumerate(graph.nodes[1:], start=1):
            if index in given:
                interval = given[index]
                if isinstance(interval, KnownInterval):
                    self.unmixed[index] = interval.own
                self.intervals[index] = interval
                continue
            sources = [self.intervals[i] for i in node.inputs]
            interval = self.compiled.interval(node.evaluate, sources)
            improvable = bounded.improves(self, index)
            if improvable:
                interval = bounded.tighten(self, index, interval)
            self.intervals[index] = interval

    def poison(self, values: Tensor) -> Tensor:
        """Turn the bounds of samples for which some interval overflowed into NaN.

        A relaxation of a NaN or infinite interval means nothing, and may look harmless.
        """
        nothing = tf.constant(float("nan"), values.dtype)
        return tf.where(self.finite()[:, None], values, nothing)

    def finite(self) -> Tensor:
        """Say for which samples no interval that something rests on overflowed, ``(batch,)``."""
        known = [self.intervals[i] for i in {*self.graph.relaxed, *self.graph.ends, 0}]
        ends = [end for interval in known for end in (interval.lower, interval.upper)]
        return tf.reduce_all(tf.stack([_all_finite(end) for end in ends]), axis=0)

    def recall(self, index: int, interval: Interval) -> Interval:
        """Intersect the interval of a node with what is known of it."""
        return interval.intersect(self.known[index]) if index in self.known else interval

    def narrowed(self, index: int, own: Interval, interval: Interval) -> Interval:
        """Intersect the interval of a node with what is known of it, with the gradient of its own.

        Where another interval is tighter, a small change of the rule's own one has no effect, yet
        its parameters, which nothing else depends on, have to move for it to become the
        tighter one.  So they get the gradient of the intersection (a straight-through estimator).
        """
        if index not in self.known:
            return interval
        both = self.recall(index, interval)
        return Interval(_replaced(own.lower, both.lower), _replaced(own.upper, both.upper))

    def proven(self) -> dict[int, Interval]:
        """Return what is known now of the nodes that were bounded, to start from another time.

        Nothing new is learnt of a sample for which some interval overflowed.
        """
        finite = self.finite()
        return {
            i: _chosen(finite, self.intervals[i], self.known.get(i, self.intervals[i]))
            for i in self.unmixed
        }

    def passage(self, start: int, index: int, neurons: Tensor | None = None) -> Passage:
        """Return how rows pass node ``index`` in the substitution that starts at ``start``.

        ``neurons`` are the positions of the neurons of ``start`` that are bounded, from both
        sides; parameters are then either shared by all of them or one per neuron and side.
        """
        if (start, index) in self.parameters:
            return self._relaxed(index, self._chosen(start, index, neurons))
        if index not in self.passages:
            self.passages[index] = self._common(index)
        return self.passages[index]

    def prepare(self, start: int) -> None:
        """Compute what substitutions from ``start`` need and do not compute themselves."""
        for index in self.graph.ancestors(start) - {0}:
            if (start, index) in self.parameters:
                self._relaxer(index)
            else:
                self.passage(start, index)

    def _common(self, index: int) -> Passage:
        """Prepare the passage through a node that is the same for all substitutions."""
        node = self.graph.nodes[index]
        if isinstance(node.op, NonlinearOp):
            if (COMMON, index) in self.parameters:
                return self._relaxed(index, self._chosen(COMMON, index, None))
            intervals = [self.intervals[i] for i in node.inputs]
            own = self._own_intervals(index)
            return through_relaxation(self.compiled.relax(node.op, intervals, own))
        if isinstance(node.op, AffineOp):
            shapes = [self.graph.nodes[i].shape for i in node.inputs]
            return through_affine(node.op, shapes, self.intervals[0].lower.dtype)
        raise TypeError(f"Node {node.name!r} is neither affine nor nonlinear: {node.op!r}")

    def _relaxed(self, index: int, parameters: tuple[Tensor, ...]) -> Passage:
        return through_relaxation(self._relaxer(index)(parameters))

    def _relaxer(self, index: int) -> Relaxer:
        if index not in self.relaxers:
            intervals = [self.intervals[i] for i in self.graph.nodes[index].inputs]
            self.relaxers[index] = self._nonlinear(index).relaxer(intervals)
        return self.relaxers[index]

    def _chosen(self, start: int, index: int, neurons: Tensor | None) -> tuple[Tensor, ...]:
        """Return the given parameters of a nonlinear node, those of some neurons only."""
        chosen = self.project(index, self.parameters[start, index])
        if neurons is None:
            return chosen
        both = tf.concat([neurons, neurons + self.graph.nodes[start].size], axis=0)
        return tuple(
            tf.gather(value, both, axis=1) if value.shape[1] != 1 else value for value in chosen
        )

    def initial(self, index: int) -> tuple[Tensor, ...]:
        """Return the starting parameters of a nonlinear node, each ``(batch, 1, *shape)``."""
        values = self._nonlinear(index).initial(self._own_intervals(index), self.slopes)
        return tuple(value[:, None] for value in values)

    def _own_intervals(self, index: int) -> list[Interval]:
        """Return what the method alone knows of a node's inputs."""
        sources = self.graph.nodes[index].inputs
        return [self.unmixed.get(i, self.intervals[i]) for i in sources]

    def project(self, index: int, parameters: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the nearest admissible parameters of a nonlinear node."""
        return self._nonlinear(index).project(parameters)

    def _nonlinear(self, index: int) -> NonlinearOp:
        op = self.graph.nodes[index].op
        if not isinstance(op, NonlinearOp):
            raise TypeError(f"Node {index} is not nonlinear: {op!r}")
        return op

    def bound(self, start: int, rows: Tensor, rule: Rule) -> AffineBound:
        """Bound ``rows . z_start`` from above by a function that is affine in the input."""
        return self._substitute(start, rows, rule, None)

    def bound_neurons(self, start: int, neurons: Tensor, rule: Rule) -> AffineBound:
        """Bound neurons of a node, and, stacked below, their negatives, from above."""
        shape = self.graph.nodes[start].shape
        rows = unit_rows(neurons, shape, self.intervals[0].lower.dtype)
        return self._substitute(start, rows, rule, neurons)

    def _substitute(
        self, start: int, rows: Tensor, rule: Rule, neurons: Tensor | None
    ) -> AffineBound:
        ends = rule.ends(self)
        through = passed(self.graph, start, ends)
        self.passed[start] = tuple(dict.fromkeys((*self.passed.get(start, ()), *through)))
        own = any((start, index) in self.parameters for index in through)
        done = substitute(
            self.graph,
            start,
            rows,
            lambda index: self.passage(start, index, neurons),
            ends,
            two_sided=neurons is not None,
            stretches=None if ends or own else self.stretches,
        )
        return self._close(done)

    def concretize(self, bound: AffineBound) -> Tensor:
        """Maximise an affine bound over the domain."""
        return self.domain.concretize(bound)

    def _close(self, done: Substituted) -> AffineBound:
        """Express what the substitution stopped at in terms of the input."""
        weights, offset = done.coefficients.get(0), done.offset
        for index, rows in done.coefficients.items():
            if index in self.affine:
                part = compose(rows, self.affine[index], self.graph.input_shape)
                weights = part.weights if weights is None else weights + part.weights
                offset = offset + part.offset
            elif index != 0:
                interval = self.intervals[index]
                box = BoxDomain(interval.lower, interval.upper)
                offset = box.concretize(AffineBound(rows, offset))
        if weights is None:
            weights = tf.zeros([1, 1, *self.graph.input_shape], offset.dtype)
        return AffineBound(weights, offset)


def _all_finite(values: Tensor) -> Tensor:
    """Say for which samples all entries are finite."""
    return tf.reduce_all(tf.math.is_finite(values), axis=list(range(1, len(values.shape))))


def _chosen(where: Tensor, first: Interval, second: Interval) -> Interval:
    """Take the first interval for some samples and the second one for the others."""
    mask = tf.reshape(where, [-1, *[1] * (len(first.lower.shape) - 1)])
    return Interval(
        tf.where(mask, first.lower, second.lower), tf.where(mask, first.upper, second.upper)
    )


def _replaced(own: Tensor, value: Tensor) -> Tensor:
    """Return ``value``, with the gradient of ``own``."""

    def replace(_: Tensor) -> Tensor:
        return value

    return tf.grad_pass_through(replace)(own)


def compose(rows: Tensor, known: AffineBounds, shape: tuple[int, ...]) -> AffineBound:
    """Bound ``rows . z`` given affine bounds of ``z``.

    ``A . z = A+ . z + A- . z <= A+ . U(x) + |A-| . N(x)`` with ``z <= U`` and ``-z <= N``.
    """
    flat = flatten_rows(rows)
    positive = tf.nn.relu(flat)
    negative = positive - flat
    weights = tf.matmul(positive, flatten_rows(known.upper.weights)) + tf.matmul(
        negative, flatten_rows(known.negated.weights)
    )
    offset = tf.linalg.matvec(positive, known.upper.offset) + tf.linalg.matvec(
        negative, known.negated.offset
    )
    return AffineBound(
        tf.reshape(weights, tf.concat([tf.shape(weights)[:2], shape], axis=0)), offset
    )


def unit_rows(indices: Tensor, shape: tuple[int, ...], dtype: Tensor) -> Tensor:
    """Return one row per index that selects this neuron: ``(1, len(indices), *shape)``."""
    return tf.reshape(tf.one_hot(indices, size_of(shape), dtype=dtype), [1, -1, *shape])


def split_signs(bound: AffineBound) -> AffineBounds:
    """Undo the stacking of a two-sided bound."""
    upper_weights, negated_weights = tf.split(bound.weights, 2, axis=1)
    upper_offset, negated_offset = tf.split(bound.offset, 2, axis=1)
    return AffineBounds(
        AffineBound(upper_weights, upper_offset), AffineBound(negated_weights, negated_offset)
    )


def neuron_interval(
    state: State, index: int, interval: Interval, rule: Rule, wanted: Tensor
) -> Interval:
    """Bound some neurons of a node by a rule.

    Parameters
    ----------
    interval : what is known of all neurons, ``(batch, *shape)``
    wanted : int tensor, flattened positions of the neurons worth the effort, at least one

    Returns
    -------
    the rule's own interval for those neurons and the known one for all others

    Notes
    -----
    Positions are taken ``row_limit`` at a time, so memory does not grow with the layer's width.
    """
    known = tf.transpose(flatten(interval.lower)), tf.transpose(flatten(interval.upper))

    def update(taken: Tensor, lowers: Tensor, uppers: Tensor) -> tuple[Tensor, Tensor]:
        bound = state.bound_neurons(index, taken, rule)
        upper, negated = tf.split(state.concretize(bound), 2, axis=1)
        where = taken[:, None]
        return (
            tf.tensor_scatter_nd_update(lowers, where, -tf.transpose(negated)),
            tf.tensor_scatter_nd_update(uppers, where, tf.transpose(upper)),
        )

    if state.graph.nodes[index].size <= state.row_limit:
        lowers, uppers = update(wanted, *known)
    else:
        lowers, uppers = _in_turns(state, index, wanted, update, known)
    shape = tf.shape(interval.lower)
    return Interval(
        tf.reshape(tf.transpose(lowers), shape), tf.reshape(tf.transpose(uppers), shape)
    )


def _in_turns(
    state: State, index: int, wanted: Tensor, update: Update, known: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Update ``row_limit`` neurons at a time."""
    total, limit = tf.shape(wanted)[0], state.row_limit
    state.prepare(index)

    def unfinished(begin: Tensor, *_: Tensor) -> Tensor:
        return begin < total

    def advance(begin: Tensor, lowers: Tensor, uppers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return begin + limit, *update(wanted[begin : begin + limit], lowers, uppers)

    start = (tf.constant(0), *known)
    _, lowers, uppers = tf.while_loop(unfinished, advance, start, parallel_iterations=1)
    return lowers, uppers


def all_neurons(state: State, index: int) -> Tensor:
    """Positions of all neurons of a node."""
    return tf.range(state.graph.nodes[index].size)
