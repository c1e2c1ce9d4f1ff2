"""Bounds of one graph by one method, for any kind of input sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.bounds import Interval
from decomon.budget import free_memory
from decomon.domains import Domain
from decomon.engine import Bounds, Engine, Settings
from decomon.geometry import Compiled, Geometry
from decomon.known import KnownDomain
from decomon.methods.propagation import Method
from decomon.methods.rules import CrownRule, IntervalRule
from decomon.nodes import Graph
from decomon.ops._base import SlopeRule
from decomon.questions import Questions

Kept = TypeVar("Kept")


@final
class Verifier:
    """Bounds of one graph by one method.

    What depends on the kind of input sets is compiled when sets of that kind are first seen.

    Parameters
    ----------
    graph : the network
    method : which bounds
    slopes : the starting lower slopes
    steps : how many optimisation steps to take; 0 keeps the starting slopes
    learning_rate : size of the first steps
    dtype : compute dtype
    memory_limit : how many bytes may be used; a quarter of what is free by default
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
        memory_limit: int | None = None,
    ) -> None:
        # Interval arithmetic has nothing to optimise.
        steps = 0 if isinstance(method.final, IntervalRule) else steps
        compute = tf.as_dtype(dtype)
        memory = free_memory() // 4 if memory_limit is None else memory_limit
        self._settings = Settings(graph, method, slopes, steps, learning_rate, compute, memory)
        self.budget = self._settings.budget(graph)
        self.row_limit = self.budget.row_limit
        self.sample_limit = self.budget.samples
        self.logits = Compiled(graph, [tf.TensorSpec([None, *graph.input_shape], compute)])
        self._engines: dict[Hashable, Engine] = {}
        self._questions: dict[Hashable, Questions] = {}
        self._tuned: dict[tuple[int, float], Verifier] = {}
        self._kept: dict[Hashable, Any] = {}

    @property
    def graph(self) -> Graph:
        """The network."""
        return self._settings.graph

    @property
    def method(self) -> Method:
        """Which bounds."""
        return self._settings.method

    @property
    def slopes(self) -> SlopeRule:
        """The starting lower slopes."""
        return self._settings.slopes

    @property
    def steps(self) -> int:
        """How many optimisation steps are taken."""
        return self._settings.steps

    @property
    def learning_rate(self) -> float:
        """Size of the first steps."""
        return self._settings.learning_rate

    @property
    def dtype(self) -> Any:
        """Compute dtype."""
        return self._settings.dtype

    @cached_property
    def precise(self) -> Verifier:
        """The same verifier in double precision, made when it is first needed."""
        return self._remade(self.steps, self.learning_rate, "float64")

    @cached_property
    def single(self) -> Verifier:
        """The same verifier in single precision."""
        if self.dtype.name == "float32":
            return self
        return self._remade(self.steps, self.learning_rate, "float32")

    def tuned(self, steps: int, learning_rate: float) -> Verifier:
        """Return the same verifier with optimised slopes; it is made once."""
        if (steps, learning_rate) == (self.steps, self.learning_rate):
            return self
        key = (steps, learning_rate)
        if key not in self._tuned:
            self._tuned[key] = self._remade(steps, learning_rate, self.dtype.name)
        return self._tuned[key]

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return what was made for a key the first time, such as compiled functions of others."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _remade(self, steps: int, learning_rate: float, dtype: str) -> Verifier:
        return Verifier(
            self.graph,
            self.method,
            self.slopes,
            steps=steps,
            learning_rate=learning_rate,
            dtype=dtype,
            memory_limit=self._settings.memory,
        )

    def engine(self, domain: Domain) -> Engine:
        """Return what is compiled for sets of this kind."""
        if domain.kind not in self._engines:
            self._engines[domain.kind] = Engine(self._settings, domain)
        return self._engines[domain.kind]

    def geometry(self, domain: Domain) -> Geometry:
        """Return what is asked of sets of this kind themselves."""
        return self.engine(domain).geometry

    def questions(
        self, outer: Domain, nearest: Domain, whole: NDArray[np.bool_] | None
    ) -> Questions:
        """Return what is asked of margins over sets of these kinds.

        ``whole`` says where the model cuts decimals off; it is the same for all sets.
        """
        key = outer.kind, nearest.kind
        if key not in self._questions:
            self._questions[key] = Questions(self, outer, nearest, whole)
        return self._questions[key]

    def bounds(self, domain: Domain, rows: Tensor, *, enough: float = -math.inf) -> Bounds:
        """Return upper bounds and what they depend on most."""
        if not self.steps:
            return self.quick_bounds(domain, rows)
        domain = self.prepared(domain, rows.shape[1])
        engine, pieces = self.engine(domain), self.pieces(rows)
        return _joined([engine.optimised_bounds(domain, part, enough) for part in pieces])

    def quick_bounds(self, domain: Domain, rows: Tensor) -> Bounds:
        """Return bounds with the starting relaxations, whatever the number of steps."""
        domain = self.prepared(domain, rows.shape[1])
        engine = self.engine(domain)
        return _joined([engine.quick_bounds(domain, part) for part in self.pieces(rows)])

    def pieces(self, rows: Any) -> list[Any]:
        """Cut rows ``(batch or 1, spec, ...)`` into as many at a time as memory allows."""
        count = rows.shape[1]
        if count is None or count <= self.row_limit:
            return [rows]
        return [rows[:, i : i + self.row_limit] for i in range(0, count, self.row_limit)]

    def prepared(self, domain: Domain, count: int | None) -> Domain:
        """Return the sets, with what is needed of inner nodes if it is worth keeping.

        That is so if there are more rows than are bounded at once, and where memory does not
        allow to optimise the bounds of inner nodes.
        """
        several = count is not None and count > self.row_limit
        if not (several or (self.steps and not self.budget.inner)):
            return domain
        if isinstance(domain, KnownDomain) or not isinstance(self.method.final, CrownRule):
            return domain
        return self.engine(domain).known(domain)

    def intervals(self, domain: Domain) -> tuple[Interval, ...]:
        """Return the interval of every node of the graph."""
        return self.engine(domain).intervals(domain)

    def climb(self, domain: Domain, points: Tensor, rows: Tensor, steps: Any) -> Tensor:
        """Return better points, found by projected gradient ascent."""
        return self.engine(domain).climb(domain, points, rows, steps)

    @property
    def trace_count(self) -> int:
        """How often anything was traced; constant once every kind of question was asked."""
        engines = sum(engine.trace_count for engine in self._engines.values())
        engines += sum(questions.trace_count for questions in self._questions.values())
        return engines + self.logits.trace_count


def _joined(parts: list[Bounds]) -> Bounds:
    """Put bounds of several pieces of the rows side by side."""
    if len(parts) == 1:
        return parts[0]
    return Bounds(
        tf.concat([part.upper for part in parts], axis=1),
        tf.concat([part.weights for part in parts], axis=1),
        tf.concat([part.offset for part in parts], axis=1),
    )


def as_tensor(values: NDArray[np.floating], dtype: Tensor) -> Tensor:
    """Make a tensor of the compute dtype."""
    return tf.constant(values, dtype)
