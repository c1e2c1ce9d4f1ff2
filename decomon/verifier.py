"""Bounds of one graph by one method, for any kind of input sets."""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.bounds import Interval
from decomon.domains import Domain
from decomon.engine import Bounds, Engine, Settings
from decomon.geometry import Geometry, compiled
from decomon.methods.propagation import Method
from decomon.methods.rules import IntervalRule
from decomon.nodes import Graph
from decomon.ops._base import SlopeRule


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
        # Interval arithmetic has nothing to optimise.
        steps = 0 if isinstance(method.final, IntervalRule) else steps
        compute = tf.as_dtype(dtype)
        self._settings = Settings(graph, method, slopes, steps, learning_rate, compute)
        self.row_limit = self._settings.budget.rows
        self.sample_limit = self._settings.budget.samples
        self.logits = compiled(
            graph, input_signature=[tf.TensorSpec([None, *graph.input_shape], compute)]
        )
        self._engines: dict[Hashable, Engine] = {}
        self._tuned: dict[tuple[int, float], Verifier] = {}

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

    def _remade(self, steps: int, learning_rate: float, dtype: str) -> Verifier:
        return Verifier(
            self.graph,
            self.method,
            self.slopes,
            steps=steps,
            learning_rate=learning_rate,
            dtype=dtype,
        )

    def engine(self, domain: Domain) -> Engine:
        """Return what is compiled for sets of this kind."""
        if domain.kind not in self._engines:
            self._engines[domain.kind] = Engine(self._settings, domain)
        return self._engines[domain.kind]

    def geometry(self, domain: Domain) -> Geometry:
        """Return what is asked of sets of this kind themselves."""
        return self.engine(domain).geometry

    def bounds(self, domain: Domain, rows: Tensor, *, enough: float = -math.inf) -> Bounds:
        """Return upper bounds and what they depend on most."""
        engine = self.engine(domain)
        return (
            engine.optimised_bounds(domain, rows, enough)
            if self.steps
            else self.quick_bounds(domain, rows)
        )

    def quick_bounds(self, domain: Domain, rows: Tensor) -> Bounds:
        """Return bounds with the starting relaxations, whatever the number of steps."""
        return self.engine(domain).quick_bounds(domain, rows)

    def intervals(self, domain: Domain) -> tuple[Interval, ...]:
        """Return the interval of every node of the graph."""
        return self.engine(domain).intervals(domain)

    def climb(self, domain: Domain, points: Tensor, rows: Tensor, steps: int) -> Tensor:
        """Return better points, found by projected gradient ascent."""
        return self.engine(domain).climb(domain, points, rows, steps)

    @property
    def trace_count(self) -> int:
        """How often anything was traced; constant once every kind of question was asked."""
        engines = sum(engine.trace_count for engine in self._engines.values())
        return engines + self.logits.experimental_get_tracing_count()


def as_tensor(values: NDArray[np.floating], dtype: Tensor) -> Tensor:
    """Make a tensor of the compute dtype."""
    return tf.constant(values, dtype)
