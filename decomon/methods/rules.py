"""The rules that the methods are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from decomon._backend import Tensor, tf
from decomon.bounds import AffineBound, AffineBounds, Interval
from decomon.domains import flatten
from decomon.methods.propagation import (
    Rule,
    State,
    all_neurons,
    neuron_interval,
    split_signs,
)
from decomon.ops._base import NonlinearOp


@final
@dataclass(frozen=True)
class IntervalRule(Rule):
    """Interval arithmetic (Gowal et al. 2018).

    Rows are substituted through the affine ops that end the network and then maximised over the
    intervals of the nonlinear nodes, which is tighter than an interval per logit.
    """

    @property
    def tightens(self) -> bool:
        return False

    def ends(self, state: State) -> frozenset[int]:
        return frozenset(state.graph.nonlinear)

    def tighten(self, state: State, index: int, interval: Interval) -> Interval:
        return interval


@final
@dataclass(frozen=True)
class ForwardRule(Rule):
    """Affine bounds in the input, computed once per nonlinear node and used by all that follows.

    ``hybrid`` intersects every interval with the one of interval arithmetic (Xu et al. 2020,
    section 3).  The bounds of a node start from its rows and stop at the nodes whose affine
    bounds are known, so the cost is linear in the depth, whereas CROWN goes back to the input.
    """

    hybrid: bool

    @property
    def tightens(self) -> bool:
        return True

    def ends(self, state: State) -> frozenset[int]:
        return frozenset(state.affine)

    def tighten(self, state: State, index: int, interval: Interval) -> Interval:
        rows, limit = all_neurons(state, index), state.row_limit
        node = state.graph.nodes[index]
        parts = [
            split_signs(state.bound_neurons(index, rows[begin : begin + limit], self))
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
        return interval.intersect(own) if self.hybrid else own


@final
@dataclass(frozen=True)
class CrownRule(Rule):
    """Backward substitution down to the input (Zhang et al. 2018).

    Intervals are computed only for neurons whose lines interval arithmetic leaves open for some
    sample of the batch, and are intersected with it.
    """

    @property
    def tightens(self) -> bool:
        return True

    def ends(self, state: State) -> frozenset[int]:
        return frozenset()

    def tighten(self, state: State, index: int, interval: Interval) -> Interval:
        unsettled = _open(state, index, interval)
        wanted = tf.where(tf.reduce_any(flatten(unsettled), axis=0))[:, 0]
        found = neuron_interval(state, index, interval, self, tf.cast(wanted, tf.int32))
        # What other samples of the batch needed must not change this sample's bounds.
        own = Interval(
            tf.where(unsettled, found.lower, interval.lower),
            tf.where(unsettled, found.upper, interval.upper),
        )
        state.unmixed[index] = own
        return interval.intersect(own)


def _open(state: State, index: int, interval: Interval) -> Tensor:
    """Say which neurons some nonlinear op would relax better with a tighter interval."""
    graph = state.graph
    masks = [
        op.unstable(interval)
        for op in (graph.nodes[i].op for i in graph.nonlinear if graph.nodes[i].inputs[0] == index)
        if isinstance(op, NonlinearOp)
    ]
    together = masks[0]
    for mask in masks[1:]:
        together = together | mask
    return together


def _join(parts: list[AffineBound]) -> AffineBound:
    if len(parts) == 1:
        return parts[0]
    return AffineBound(
        tf.concat([part.weights for part in parts], axis=1),
        tf.concat([part.offset for part in parts], axis=1),
    )
