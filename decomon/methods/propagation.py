"""From a domain to certified bounds: intervals of all nodes, then bounds of the rows asked for."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, final

from decomon._backend import Tensor, tf
from decomon.bounds import AffineBound, AffineBounds, Interval, Lines
from decomon.domains import BoxDomain, Domain, flatten, flatten_rows
from decomon.graph import Graph
from decomon.methods.backward import Substituted, substitute
from decomon.ops._base import NonlinearOp, SlopeRule

Parameters: TypeAlias = Mapping[tuple[int, int], Tensor]
"""Optimised relaxation parameters, by (node that is bounded, nonlinear node)."""


class Rule(abc.ABC):
    """How the rows of one node are bounded."""

    @property
    @abc.abstractmethod
    def tightens(self) -> bool:
        """Whether the rule improves on interval arithmetic for single neurons."""

    @abc.abstractmethod
    def ends(self, state: State) -> frozenset[int]:
        """Nodes where the substitution stops."""

    @abc.abstractmethod
    def tighten(self, state: State, index: int, interval: Interval) -> Interval:
        """Return the interval of a node, given the one from interval arithmetic."""


@final
@dataclass(frozen=True)
class Method:
    """A rule for the inputs of nonlinear nodes and a rule for the rows asked of the output."""

    name: str
    intermediate: Rule
    final: Rule


@final
@dataclass
class State:
    """What is known of one graph on one batch of domains, while it grows in topological order.

    ``row_limit`` is how many rows are substituted at once; it bounds memory, never the result.
    ``relaxations`` collects which (start, nonlinear node) pairs were asked for.  ``unmixed`` holds
    the intervals of a rule before they are intersected with interval arithmetic: starting slopes
    are chosen from those, because the choice jumps with the interval, and a tighter interval
    that makes it jump may give looser bounds.
    """

    graph: Graph
    domain: Domain
    method: Method
    slopes: SlopeRule
    parameters: Parameters
    row_limit: int
    intervals: dict[int, Interval] = field(default_factory=dict[int, Interval])
    affine: dict[int, AffineBounds] = field(default_factory=dict[int, AffineBounds])
    unmixed: dict[int, Interval] = field(default_factory=dict[int, Interval])
    relaxations: dict[tuple[int, int], None] = field(default_factory=dict[tuple[int, int], None])

    def propagate(self) -> None:
        """Bound every node up to the output."""
        graph, bounded = self.graph, self.method.intermediate
        self.intervals[0] = self.domain.interval()
        for index, node in enumerate(graph.nodes[1:], start=1):
            interval = node.evaluate.interval(*(self.intervals[i] for i in node.inputs))
            improvable = index in graph.relaxed and index not in graph.exact
            if improvable and bounded.tightens:
                interval = bounded.tighten(self, index, interval)
            self.intervals[index] = interval

    def poison(self, values: Tensor) -> Tensor:
        """Turn the bounds of samples for which some interval overflowed into NaN.

        A relaxation of a NaN or infinite interval means nothing, and may look harmless.
        """
        finite = tf.ones_like(values[:, 0], dtype=tf.bool)
        for interval in self.intervals.values():
            both = flatten(interval.lower) * 0 + flatten(interval.upper) * 0
            finite = finite & tf.reduce_all(both == 0, axis=1)
        return tf.where(finite[:, None], values, tf.constant(float("nan"), values.dtype))

    def lines(self, start: int, index: int, neurons: Tensor | None = None) -> Lines:
        """Relax nonlinear node ``index`` for the substitution that starts at ``start``.

        ``neurons`` are the positions of the neurons of ``start`` that are bounded, from both
        sides; parameters are then either shared by all of them or one per neuron and side.
        """
        op = self._nonlinear(index)
        interval = self.intervals[self.graph.nodes[index].inputs[0]]
        self.relaxations[start, index] = None
        if (start, index) not in self.parameters:
            return op.relax(interval, self.initial(index))
        parameter = op.project(self.parameters[start, index])
        if neurons is not None and parameter.shape[1] != 1:
            both = tf.concat([neurons, neurons + self.graph.nodes[start].size], axis=0)
            parameter = tf.gather(parameter, both, axis=1)
        return op.relax(interval, parameter)

    def initial(self, index: int) -> Tensor:
        """Return the starting parameter of a nonlinear node, ``(batch, 1, *shape)``."""
        source = self.graph.nodes[index].inputs[0]
        interval = self.unmixed.get(source, self.intervals[source])
        return self._nonlinear(index).initial(interval, self.slopes)[:, None]

    def inner_width(self) -> Tensor:
        """Return the total width of the inner nodes' own intervals, before any intersection."""
        widths = [tf.reduce_sum(i.upper - i.lower) for i in self.unmixed.values()]
        return tf.add_n(widths) if widths else tf.zeros([], self.intervals[0].lower.dtype)

    def project(self, index: int, parameter: Tensor) -> Tensor:
        """Return the nearest admissible parameter of a nonlinear node."""
        return self._nonlinear(index).project(parameter)

    def _nonlinear(self, index: int) -> NonlinearOp:
        op = self.graph.nodes[index].op
        if not isinstance(op, NonlinearOp):
            raise TypeError(f"Node {index} is not nonlinear: {op!r}")
        return op

    def bound(self, start: int, rows: Tensor, rule: Rule) -> AffineBound:
        """Bound ``rows . z_start`` from above by a function that is affine in the input."""
        done = substitute(
            self.graph, start, rows, lambda index: self.lines(start, index), rule.ends(self)
        )
        return self._close(done)

    def bound_neurons(self, start: int, neurons: Tensor, rule: Rule) -> AffineBound:
        """Bound neurons of a node, and, stacked below, their negatives, from above."""
        shape = self.graph.nodes[start].shape
        done = substitute(
            self.graph,
            start,
            unit_rows(neurons, shape, self.intervals[0].lower.dtype),
            lambda index: self.lines(start, index, neurons),
            rule.ends(self),
            two_sided=True,
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
    size = 1
    for side in shape:
        size *= side
    return tf.reshape(tf.one_hot(indices, size, dtype=dtype), [1, -1, *shape])


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
    wanted : int tensor, flattened positions of the neurons worth the effort

    Returns
    -------
    the rule's own interval for those neurons and the known one for all others

    Notes
    -----
    Positions are taken ``row_limit`` at a time, so memory does not grow with the layer's width.
    """
    lower, upper = flatten(interval.lower), flatten(interval.upper)
    total, limit = tf.shape(wanted)[0], state.row_limit

    def unfinished(begin: Tensor, *_: Tensor) -> Tensor:
        return begin < total

    def update(begin: Tensor, lowers: Tensor, uppers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        taken = wanted[begin : begin + limit]
        bound = state.bound_neurons(index, taken, rule)
        new_upper, negated = tf.split(state.concretize(bound), 2, axis=1)
        where = taken[:, None]
        lowers = tf.tensor_scatter_nd_update(lowers, where, -tf.transpose(negated))
        uppers = tf.tensor_scatter_nd_update(uppers, where, tf.transpose(new_upper))
        return begin + limit, lowers, uppers

    neurons_first = (tf.transpose(lower), tf.transpose(upper))
    _, lowers, uppers = tf.while_loop(
        unfinished,
        update,
        (tf.constant(0), *neurons_first),
        parallel_iterations=1,
    )
    known = tf.shape(interval.lower)
    return Interval(
        tf.reshape(tf.transpose(lowers), known), tf.reshape(tf.transpose(uppers), known)
    )


def all_neurons(state: State, index: int) -> Tensor:
    """Positions of all neurons of a node."""
    return tf.range(state.graph.nodes[index].size)
