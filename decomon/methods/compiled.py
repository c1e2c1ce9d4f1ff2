"""What several nodes compute alike, traced once.

A recurrent network applies the same op to values of the same shape at every step, and finding the
tangents of a smooth function takes hundreds of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from decomon._backend import Tensor, tf
from decomon.bounds import Interval, Lines, Planes, Relaxation
from decomon.ops._base import NonlinearOp, Op, SlopeRule


@final
@dataclass(frozen=True)
class _Template:
    """How a result is built from tensors, and the function that computes them."""

    function: Any
    build: Callable[[Sequence[Tensor]], Any]


@final
@dataclass
class Compiled:
    """Functions of ops, by op and shapes, compiled when they are used again and again."""

    slopes: SlopeRule
    used: set[Hashable] = field(default_factory=set[Hashable])
    templates: dict[Hashable, _Template] = field(default_factory=dict[Hashable, _Template])

    def interval(self, op: Op, inputs: Sequence[Interval]) -> Interval:
        """Return ``op.interval(*inputs)``."""
        if not isinstance(op, NonlinearOp):  # the others take few operations
            return op.interval(*inputs)

        def image(*ends: Tensor) -> Interval:
            return op.interval(*_intervals(ends))

        return self._call(("interval", op), image, _ends(inputs))

    def relax(self, op: NonlinearOp, inputs: Sequence[Interval], own: Sequence[Interval]) -> Any:
        """Relax an op on its inputs' intervals, with the parameters to start from on ``own``."""

        def relax(*ends: Tensor) -> Relaxation:
            half = len(ends) // 2
            start = op.initial(_intervals(ends[half:]), self.slopes)
            parameters = tuple(value[:, None] for value in start)
            return op.relax(_intervals(ends[:half]), parameters)

        return self._call(("relax", op), relax, (*_ends(inputs), *_ends(own)))

    def _call(
        self, kind: tuple[str, Op], function: Callable[..., Any], tensors: tuple[Tensor, ...]
    ) -> Any:
        if not _hashable(kind):
            return function(*tensors)
        key = (*kind, tuple(tuple(value.shape[1:]) for value in tensors))
        if key in self.templates:
            template = self.templates[key]
            return template.build(template.function(*tensors))
        built = function(*tensors)
        if key in self.used and isinstance(built, (Interval, Lines, Planes)):
            self.templates[key] = _compile(function, tensors)
        self.used.add(key)
        return built


def _hashable(value: object) -> bool:
    """Whether equal ops can be found again: one that holds an array cannot."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _compile(function: Callable[..., Any], tensors: tuple[Tensor, ...]) -> _Template:
    results: list[Any] = []

    def run(*inputs: Tensor) -> list[Tensor]:
        results.append(function(*inputs))
        return [value for value in _leaves(results[0]) if value is not None]

    specs = [tf.TensorSpec([None, *value.shape[1:]], value.dtype) for value in tensors]
    # Inlined again, nothing would be gained.
    compiled = tf.function(run, autograph=False, experimental_attributes={"_noinline": True})
    concrete = compiled.get_concrete_function(*specs)
    (result,) = results

    def build(values: Sequence[Tensor]) -> Any:
        rest = iter(values)
        return _rebuild(result, [None if v is None else next(rest) for v in _leaves(result)])

    return _Template(concrete, build)


def _leaves(result: Interval | Lines | Planes) -> list[Tensor | None]:
    if isinstance(result, Interval):
        return [result.lower, result.upper]
    if isinstance(result, Lines):
        return [
            result.lower_slope,
            result.lower_offset,
            result.upper_slope,
            result.upper_offset,
        ]
    return [
        *result.lower_slopes,
        result.lower_offset,
        *result.upper_slopes,
        result.upper_offset,
    ]


def _rebuild(result: Interval | Lines | Planes, leaves: list[Any]) -> Any:
    if isinstance(result, Planes):
        half = len(leaves) // 2
        return Planes(
            result.shapes,
            tuple(leaves[: half - 1]),
            leaves[half - 1],
            tuple(leaves[half:-1]),
            leaves[-1],
        )
    return type(result)(*leaves)


def _ends(intervals: Sequence[Interval]) -> tuple[Tensor, ...]:
    return tuple(end for interval in intervals for end in (interval.lower, interval.upper))


def _intervals(ends: Sequence[Tensor]) -> tuple[Interval, ...]:
    return tuple(Interval(*ends[i : i + 2]) for i in range(0, len(ends), 2))
