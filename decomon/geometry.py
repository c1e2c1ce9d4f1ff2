"""What is asked of input sets themselves, compiled once for each kind of sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias, final

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import flatten
from decomon.domains import Domain

Packed: TypeAlias = tuple[Tensor, ...]


@final
class Geometry:
    """The compiled methods of one kind of input sets.

    Most of them are loops for sets other than boxes, in which every single operation would cost
    more to start than to compute.

    Parameters
    ----------
    template : any sets of that kind
    input_shape : of one input
    dtype : compute dtype
    """

    def __init__(self, template: Domain, input_shape: Shape, dtype: Any) -> None:
        self._template = template
        self._sets = template.specs(input_shape, dtype)
        points = tf.TensorSpec([None, None, *input_shape], dtype)
        weighed = tf.TensorSpec([None, None], dtype)
        self._maximizer = Compiled(self._trace_maximizer, [self._sets, points])
        self._project = Compiled(self._trace_project, [self._sets, points])
        self._cuts = Compiled(self._trace_cuts, [self._sets, points, weighed])
        self._samples: dict[int, Any] = {}

    @property
    def trace_count(self) -> int:
        """How often anything was traced."""
        functions = (self._maximizer, self._project, self._cuts, *self._samples.values())
        return sum(function.trace_count for function in functions)

    def maximizer(self, domain: Domain, weights: Tensor) -> Tensor:
        """Return :meth:`Domain.maximizer`."""
        return self._maximizer(domain.tensors(), weights)

    def project(self, domain: Domain, points: Tensor) -> Tensor:
        """Return :meth:`Domain.project`."""
        return self._project(domain.tensors(), points)

    def sample(self, domain: Domain, count: int, seed: int) -> Tensor:
        """Return :meth:`Domain.sample`."""
        if count not in self._samples:
            trace = partial(self._trace_sample, count)
            signature = [self._sets, tf.TensorSpec([], tf.int32)]
            self._samples[count] = Compiled(trace, signature)
        return self._samples[count](domain.tensors(), tf.constant(seed, tf.int32))

    def cuts(
        self, domain: Domain, weights: Tensor, importance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Say how sets should be cut, given what their bounds depend on.

        Parameters
        ----------
        weights : ``(batch, spec, *input shape)``
        importance : ``(batch, spec)``: how much each row matters

        Returns
        -------
        the score of every cut; where the row that matters most is largest, ``(batch, 1, *input
        shape)``; and how large the terms of this row are, ``(batch,)``
        """
        return self._cuts(domain.tensors(), weights, importance)

    def _trace_maximizer(self, sets: Packed, weights: Tensor) -> Tensor:
        return self._template.rebuild(*sets).maximizer(weights)

    def _trace_project(self, sets: Packed, points: Tensor) -> Tensor:
        return self._template.rebuild(*sets).project(points)

    def _trace_sample(self, count: int, sets: Packed, seed: Any) -> Tensor:
        return self._template.rebuild(*sets).sample(count, seed)

    def _trace_cuts(
        self, sets: Packed, weights: Tensor, importance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        domain = self._template.rebuild(*sets)
        direction = tf.gather(weights, tf.argmax(importance, axis=1)[:, None], batch_dims=1)
        terms = tf.abs(direction[:, 0]) * domain.interval().reach
        sizes = tf.reduce_sum(flatten(terms), axis=1)
        return domain.scores(weights, importance), domain.maximizer(direction), sizes


@final
class Compiled:
    """A compiled function with one trace, which is called without looking for others.

    The partial keeps TensorFlow from counting all verifiers' traces as one function's, and from
    warning of retracing when several models are verified.
    """

    def __init__(self, function: Callable[..., Any], signature: Sequence[Any]) -> None:
        self._function = tf.function(
            partial(function), autograph=False, input_signature=list(signature)
        )

    @property
    def trace_count(self) -> int:
        """How often it was traced: never, or once."""
        return self._function.experimental_get_tracing_count()

    @cached_property
    def _trace(self) -> Any:
        return self._function.get_concrete_function()

    def __call__(self, *arguments: Any) -> Any:
        return self._trace(*arguments)
