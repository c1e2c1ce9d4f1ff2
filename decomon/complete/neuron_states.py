"""The neurons that relaxations depend on, side by side, and bounds that take their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TypeAlias, final

from decomon._backend import Tensor, tf
from decomon._tensors import flatten
from decomon.bounds import Interval
from decomon.domains import Domain
from decomon.known import KnownDomain, KnownNode
from decomon.methods.propagation import Parameters, State
from decomon.nodes import Graph
from decomon.verifier import Verifier

Packed: TypeAlias = tuple[Tensor, ...]
Ends: TypeAlias = tuple[tuple[Tensor, Tensor], ...]


@final
class NeuronStates:
    """What is known of a graph where the intervals of all neurons are given.

    Parameters
    ----------
    verifier : of the network; its graph, starting slopes and type count
    template : any sets of the kind that is bounded

    Attributes
    ----------
    graph : the network, as sets of this kind are propagated through it
    template : as it was given
    """

    def __init__(self, verifier: Verifier, template: Domain) -> None:
        self.graph: Graph = verifier.engine(template).graph
        self.template = template
        self._verifier = verifier

    @cached_property
    def sizes(self) -> list[int]:
        """How many neurons each node has that relaxations depend on."""
        return [self.graph.nodes[i].size for i in self.graph.relaxed]

    def ends(self, lower: Tensor, upper: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
        """Return both ends of the intervals of each node."""
        lowers, uppers = self.split(lower), self.split(upper)
        return {i: (lowers[i], uppers[i]) for i in self.graph.relaxed}

    def given(
        self,
        sets: Packed,
        ends: Mapping[int, tuple[Tensor, Tensor]],
        parameters: Parameters,
    ) -> State:
        """Return what is known where the intervals of some nodes are given."""
        nodes = tuple(KnownNode(i, self.graph.nodes[i].shape, own=False) for i in ends)
        flat = tuple(end for pair in ends.values() for end in pair)
        domain = KnownDomain(self.template.rebuild(*sets), nodes, flat)
        return self.state(domain, parameters, {}, {})

    def state(
        self,
        domain: Domain,
        parameters: Parameters,
        known: Mapping[int, Interval],
        wanted: Mapping[int, Tensor],
    ) -> State:
        """Return what is found out, given intervals to narrow and the neurons that are worth it."""
        verifier = self._verifier
        graph = self.graph if domain.separable else self.graph.coupled
        state = State(
            graph,
            domain,
            verifier.method,
            verifier.slopes,
            parameters,
            verifier.budget,
            known,
            wanted,
        )
        state.propagate()
        return state

    def joined(self, state: State) -> tuple[Tensor, Tensor]:
        """Lay the intervals of all neurons side by side."""
        intervals = [state.intervals[i] for i in self.graph.relaxed]
        lower = tf.concat([flatten(interval.lower) for interval in intervals], axis=1)
        upper = tf.concat([flatten(interval.upper) for interval in intervals], axis=1)
        return lower, upper

    def split(self, values: Tensor) -> dict[int, Tensor]:
        """Cut ``(..., neurons)`` into the nodes' own parts, ``(..., *node shape)``."""
        parts = tf.split(values, self.sizes, axis=-1)
        outer = len(values.shape) - 1
        found: dict[int, Tensor] = {}
        for index, part in zip(self.graph.relaxed, parts, strict=True):
            shape = self.graph.nodes[index].shape
            if len(shape) != 1:
                part = tf.reshape(part, tf.concat([tf.shape(part)[:outer], shape], axis=0))
            found[index] = part
        return found
