"""The rules that the methods are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import AffineBound, AffineBounds, Interval
from decomon.methods.neurons import all_neurons, neuron_interval
from decomon.methods.propagation import Rule, State, split_signs
from decomon.ops._base import NonlinearOp


@final
@dataclass(frozen=True)
class IntervalRule(Rule):
    """Interval arithmetic (Gowal et al. 2018).

    Rows are substituted through the affine ops that end the network and then maximised over the
    intervals of the nonlinear nodes, which is tighter than an interval per logit.  Nodes
    that are affine in the input are maximised over the input set itself where that is no box.
    """

    def improves(self, state: State, index: int) -> bool:
        graph = state.graph
        if graph.independent or index in graph.exact:
            return False
        return index in graph.relaxed and index in graph.linear

    def ends(self, state: State) -> frozenset[int]:
        return state.graph.ends

    def tighten(self, state: State, index: int, interval: Interval) -> Interval:
        wanted = tf.ones_like(interval.lower, dtype=tf.bool)
        return interval.intersect(neuron_interval(state, index, interval, CrownRule(), wanted))


@final
@dataclass(frozen=True)
class ForwardRule(Rule):
    """Affine bounds in the input, computed once per nonlinear node and used by all that follows.

    ``hybrid`` intersects every interval with the one of interval arithmetic (Xu et al. 2020,
    section 3); otherwise that happens only before functions that are not defined everywhere.  The
    bounds of a node start from its rows and stop at the nodes whose affine bounds are known, so
    the cost is linear in the depth, whereas CROWN goes back to the input.
    """

    hybrid: bool

    def improves(self, state: State, index: int) -> bool:
        return index in state.graph.relaxed and index not in state.graph.exact

    def ends(self, state: State) -> frozenset[int]:
        return frozenset(state.affine)

    def tighten(self, state: State, index: int, interval: Interval) -> Interval:
        rows, limit = all_neurons(state, index), state.budget.rows
        node = state.graph.nodes[index]
        parts = [
            split_signs(state.bound_neurons(index, rows[:, begin : begin + limit], self))
            for begin in range(0, node.size, limit)
        ]
        known = AffineBounds(
            _join([part.upper for part in parts]), _join([part.negated for part in parts])
        )
        state.affine[index] = known
        upper, negated = state.concretize(known.upper), state.concretize(known.negated)
        shape = tf.shape(interval.lower)
        own = Interval(tf.reshape(-negated, shape), tf.reshape(upper, shape))
        state.unmixed[index] = own
        intersected = self.hybrid or index in state.graph.restricted
        return state.narrowed(index, own, interval.intersect(own) if intersected else own)


@final
@dataclass(frozen=True)
class CrownRule(Rule):
    """Backward substitution down to the input (Zhang et al. 2018).

    Intervals are computed only for neurons whose lines interval arithmetic leaves open for some
    sample of the batch, and are intersected with it.
    """

    def improves(self, state: State, index: int) -> bool:
        return index in state.graph.relaxed and index not in state.graph.settled

    def ends(self, state: State) -> frozenset[int]:
        return frozenset()

    def tighten(self, state: State, index: int, interval: Interval) -> Interval:
        interval = state.recall(index, interval)
        unsettled = _open(state, index, interval)
        if index in state.wanted:
            unsettled &= state.wanted[index]
        own = neuron_interval(state, index, interval, self, unsettled)
        state.unmixed[index] = own
        return state.narrowed(index, own, interval.intersect(own))


def _open(state: State, index: int, interval: Interval) -> Tensor:
    """Say which neurons some nonlinear op would relax better with a tighter interval."""
    graph = state.graph
    if index in graph.carriers:
        return tf.ones_like(interval.lower, dtype=tf.bool)
    together = tf.zeros_like(interval.lower, dtype=tf.bool)
    for i in graph.nonlinear:
        node = graph.nodes[i]
        if index not in node.inputs or not isinstance(node.op, NonlinearOp):
            continue
        if any(j > index for j in node.inputs):  # not bounded yet
            return tf.ones_like(together)
        known = [interval if j == index else state.intervals[j] for j in node.inputs]
        for j, mask in zip(node.inputs, node.op.unstable(*known), strict=True):
            if j == index:
                together = together | mask
    return together


def _join(parts: list[AffineBound]) -> AffineBound:
    if len(parts) == 1:
        return parts[0]
    return AffineBound(
        tf.concat([part.weights for part in parts], axis=1),
        tf.concat([part.offset for part in parts], axis=1),
    )
