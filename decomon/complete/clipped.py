"""Input sets without the part where some linear function is negative."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, final

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import flatten, flatten_rows
from decomon.bounds import AffineBound
from decomon.domains import Domain
from decomon.domains._derived import Derived
from decomon.rounding import units

_STEPS = 5
_LARGEST = 4.0
_ROUNDING = 16.0


@final
@dataclass(frozen=True)
class Clipped(Derived):
    """The points of some sets where ``weights . x + offset >= 0``.

    Where a margin has an affine upper bound, no other point of the set has a margin above zero, so
    that whatever is needed to bound the margin has to hold on this part only (Kotha et al. 2023,
    INVPROP).

    Parameters
    ----------
    inputs : the sets
    weights : ``(batch, *input shape)``
    offset : ``(batch,)``
    """

    inputs: Domain
    weights: Tensor
    offset: Tensor

    @property
    def base(self) -> Domain:
        return self.inputs

    @property
    def separable(self) -> bool:
        return False

    @property
    def kind(self) -> Hashable:
        return type(self), self.inputs.kind

    def tensors(self) -> tuple[Tensor, ...]:
        return (*self.inputs.tensors(), self.weights, self.offset)

    def rebuild(self, *tensors: Tensor) -> Clipped:
        return Clipped(self.inputs.rebuild(*tensors[:-2]), *tensors[-2:])

    def specs(self, input_shape: Shape, dtype: Tensor) -> tuple[Any, ...]:
        weights = tf.TensorSpec([None, *input_shape], dtype)
        return (*self.inputs.specs(input_shape, dtype), weights, tf.TensorSpec([None], dtype))

    def concretize(self, bound: AffineBound) -> Tensor:
        """Bound a linear function over what is left of the sets.

        There, ``a . x <= a . x + t (weights . x + offset)`` for every ``t >= 0``.  The maximum
        of the right-hand side over the whole set is convex in ``t``; a few steps of bisection
        come near to its minimum, and every ``t`` gives a bound.  Large terms may cancel, so it
        is moved outward by what their rounding amounts to.
        """
        shape = tf.shape(bound.weights)
        given = flatten_rows(bound.weights)
        weights = flatten(self.weights)[:, None]
        radius = flatten(self.inputs.interval().radius)
        reach = tf.linalg.matvec(tf.abs(given), radius)
        own = tf.reduce_sum(tf.abs(weights[:, 0]) * radius, axis=1, keepdims=True)
        unit = tf.math.divide_no_nan(reach, own + tf.zeros_like(reach))

        def tilted(times: Tensor) -> Tensor:
            return tf.reshape(given + times[..., None] * weights, shape)

        def unfinished(step: Tensor, *_: Tensor) -> Tensor:
            return step < _STEPS

        def halve(step: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            middle = 0.5 * (low + high)
            attained = flatten_rows(self.inputs.maximizer(tilted(middle)))
            slope = tf.linalg.matvec(attained, weights[:, 0]) + self.offset[:, None]
            falling = slope < 0
            return step + 1, tf.where(falling, middle, low), tf.where(falling, high, middle)

        start = (tf.constant(0), tf.zeros_like(unit), _LARGEST * unit)
        _, low, high = tf.while_loop(unfinished, halve, start, parallel_iterations=1)
        times = 0.5 * (low + high)
        rows, shift = tilted(times), times * self.offset[:, None]
        largest = self.inputs.concretize(AffineBound(rows, bound.offset + shift))
        most = flatten(self.inputs.interval().reach)
        terms = tf.linalg.matvec(tf.abs(flatten_rows(rows)), most)
        unit, _ = units(terms)
        return largest + _ROUNDING * unit * (terms + tf.abs(bound.offset) + tf.abs(shift))

    def _with(self, base: Domain) -> Clipped:
        return Clipped(base, self.weights, self.offset)
