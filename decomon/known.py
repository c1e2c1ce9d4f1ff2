"""Input sets together with intervals that are known of a network's nodes on them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, tf
from decomon.bounds import Interval
from decomon.domains import Domain
from decomon.domains._derived import Derived


@final
@dataclass(frozen=True)
class KnownInterval(Interval):
    """An interval, and what the method that found it knew before it used interval arithmetic.

    Starting slopes are chosen from ``own``, so a method that is given this interval relaxes as
    the one that found it.  Bounds hold whatever ``own`` is.
    """

    own: Interval


@final
@dataclass(frozen=True)
class KnownNode:
    """A node whose interval is known; ``own`` says whether it is a :class:`KnownInterval`."""

    index: int
    shape: Shape
    own: bool

    @property
    def count(self) -> int:
        """How many tensors hold what is known."""
        return 4 if self.own else 2


@final
@dataclass(frozen=True)
class KnownDomain(Derived):
    """Input sets, and intervals that nodes of a network are known to stay in on them.

    To everything but the propagation of bounds it is the input sets: intervals are parameters like
    all others, so that what is compiled serves other values too.

    Parameters
    ----------
    inputs : the input sets
    nodes : those that are known
    ends : of each, the lower and the upper end of its interval, then those of what the method knew
        by itself, if that is known, all ``(batch, *node shape)``
    """

    inputs: Domain
    nodes: tuple[KnownNode, ...]
    ends: tuple[Tensor, ...]

    @property
    def intervals(self) -> dict[int, Interval]:
        """The known intervals by node."""
        rest = iter(self.ends)
        found: dict[int, Interval] = {}
        for node in self.nodes:
            interval = Interval(next(rest), next(rest))
            if node.own:
                own = Interval(next(rest), next(rest))
                interval = KnownInterval(interval.lower, interval.upper, own)
            found[node.index] = interval
        return found

    @property
    def kind(self) -> Hashable:
        return type(self), self.inputs.kind, self.nodes

    @property
    def base(self) -> Domain:
        return self.inputs

    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs.tensors(), *self.ends)

    def rebuild(self, *tensors: Tensor) -> KnownDomain:
        count = len(tensors) - len(self.ends)
        return KnownDomain(self.inputs.rebuild(*tensors[:count]), self.nodes, tensors[count:])

    def specs(self, input_shape: Shape, dtype: Tensor) -> tuple[Any, ...]:
        ends = [
            tf.TensorSpec([None, *node.shape], dtype)
            for node in self.nodes
            for _ in range(node.count)
        ]
        return (*self.inputs.specs(input_shape, dtype), *ends)

    def _with(self, base: Domain) -> KnownDomain:
        return KnownDomain(base, self.nodes, self.ends)


def known_intervals(domain: Domain) -> dict[int, Interval]:
    """Return what is known of nodes on some input sets."""
    return domain.intervals if isinstance(domain, KnownDomain) else {}
