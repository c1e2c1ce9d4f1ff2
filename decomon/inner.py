"""What a method finds out about the inner nodes of a network, and what follows from that alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, final

from decomon._backend import Tensor, tf
from decomon.bounds import Interval
from decomon.domains import Domain
from decomon.geometry import Compiled
from decomon.known import KnownInterval
from decomon.methods import IntervalRule, State
from decomon.verifier import Verifier


@final
class InnerBounds:
    """Intervals of the nodes of a network, for any kind of input sets.

    Parameters
    ----------
    verifier : how to bound; relaxations are those that it starts from
    """

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._functions: dict[Hashable, Any] = {}

    def intervals(self, domain: Domain) -> list[KnownInterval]:
        """Return the interval of every node."""
        found = self._compiled(domain, self._intervals)(*domain.tensors())
        return [KnownInterval(lower, upper, Interval(*own)) for lower, upper, *own in found]

    def upper(self, domain: Domain, rows: Tensor) -> Tensor:
        """Bound rows of the output from above by interval arithmetic, ``(batch, spec)``.

        That is what :class:`Verifier` returns for a method of intervals, without the affine bounds
        that it computes for other purposes.
        """
        free = tf.TensorSpec([None, None, *rows.shape[2:]], rows.dtype)
        return self._compiled(domain, self._upper, free)(rows, *domain.tensors())

    def _compiled(self, domain: Domain, trace: Callable[..., Any], *specs: Any) -> Any:
        key = (domain.kind, trace.__name__)
        if key not in self._functions:
            sets = domain.specs(self._verifier.graph.input_shape, self._verifier.dtype)

            def run(*tensors: Tensor) -> Any:
                others, parameters = tensors[: len(specs)], tensors[len(specs) :]
                return trace(self._state(domain.rebuild(*parameters)), *others)

            self._functions[key] = Compiled(run, [*specs, *sets])
        return self._functions[key]

    def _state(self, domain: Domain) -> State:
        verifier = self._verifier
        graph = verifier.graph if domain.separable else verifier.graph.coupled
        state = State(graph, domain, verifier.method, verifier.slopes, {}, verifier.budget)
        state.propagate()
        return state

    def _intervals(self, state: State) -> list[tuple[Tensor, ...]]:
        known = [state.intervals[index] for index in range(len(state.graph.nodes))]
        pairs = [(interval, state.unmixed.get(i, interval)) for i, interval in enumerate(known)]
        return [(both.lower, both.upper, own.lower, own.upper) for both, own in pairs]

    def _upper(self, state: State, rows: Tensor) -> Tensor:
        bound = state.bound(state.graph.output, rows, IntervalRule())
        return state.poison(state.concretize(bound))
