"""Leaves on which the network is affine, in numbers."""

from __future__ import annotations

from functools import partial
from typing import final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon._tensors import flatten
from decomon.complete.neuron_bounds import Problem
from decomon.complete.neuron_states import NeuronStates, Packed
from decomon.domains import Domain
from decomon.geometry import Compiled
from decomon.methods.passages import Units
from decomon.methods.rules import CrownRule
from decomon.verifier import Verifier

Array = NDArray[np.floating]


@final
class LeafPlanes:
    """Neurons and outputs as affine functions of the input, compiled once for each kind of sets.

    They are bounded from above where all neurons lie in their intervals; if no relaxation has a
    gap, the bounds are what they are.

    Parameters
    ----------
    verifier : of the network, in double precision
    template : any sets of the kind
    """

    def __init__(self, verifier: Verifier, template: Domain) -> None:
        self._states = NeuronStates(verifier, template)
        self.graph = graph = self._states.graph
        dtype = verifier.dtype
        sets = template.specs(graph.input_shape, dtype)
        wide = tf.TensorSpec([None, sum(self._states.sizes)], dtype)
        rows = tf.TensorSpec([None, None, *graph.output_shape], dtype)
        chosen = tf.TensorSpec([None, None], tf.int32)
        each = tf.TensorSpec([None], dtype)
        points = tf.TensorSpec([None, *graph.input_shape], dtype)
        self._planes = {
            i: Compiled(partial(self._trace_planes, i), [sets, (wide, wide), chosen, each])
            for i in graph.relaxed
        }
        self._parts = Compiled(self._trace_parts, [sets, wide, wide, rows])
        self._values = Compiled(self._trace_values, [points])

    def planes(
        self, problem: Problem, neurons: NDArray[np.intp], signs: Array
    ) -> tuple[Array, Array]:
        """Bound some neurons of one leaf, times their signs, from above by affine functions.

        If no relaxation has a gap, that is what they are.

        Parameters
        ----------
        neurons : ``(n,)``
        signs : ``(n,)``: 1 or -1

        Returns
        -------
        weights ``(n, *input shape)`` and offsets ``(n,)``
        """
        weights = np.zeros((len(neurons), *self.graph.input_shape))
        offsets = np.zeros(len(neurons))
        begin = 0
        for index, size in zip(self.graph.relaxed, self._states.sizes, strict=True):
            here = (neurons >= begin) & (neurons < begin + size)
            if here.any():
                places = tf.constant(neurons[here][None] - begin, tf.int32)
                ends = problem.lower, problem.upper
                plane = self._planes[index](problem.sets, ends, places, tf.constant(signs[here]))
                weights[here], offsets[here] = (part[0].numpy() for part in plane)
            begin += size
        return weights, offsets

    def parts(self, problem: Problem) -> tuple[Array, Array]:
        """Return all parts of the goal of one leaf, weights ``(parts, inputs)`` and offsets."""
        plane = self._parts(problem.sets, problem.lower, problem.upper, problem.rows)
        weights, offsets = (values[0].numpy() for values in plane)
        return weights.reshape(len(weights), -1), offsets + problem.offsets.numpy()[0]

    def values(self, points: Tensor) -> Tensor:
        """Return the values of all neurons at points ``(n, *input shape)``: ``(n, neurons)``."""
        return self._values(points)

    def _trace_planes(
        self, index: int, sets: Packed, ends: tuple[Tensor, Tensor], places: Tensor, signs: Tensor
    ) -> tuple[Tensor, Tensor]:
        state = self._states.given(sets, self._states.ends(*ends), {})
        shape = self.graph.nodes[index].shape
        rows = Units(places, shape, signs.dtype).rows()
        rows *= tf.reshape(signs, [1, -1, *[1] * len(shape)])
        bound = state.bound(index, rows, CrownRule())
        shape = tf.concat([tf.shape(places), self.graph.input_shape], axis=0)
        weights = tf.broadcast_to(bound.weights, shape)
        return weights, tf.broadcast_to(bound.offset, tf.shape(places))

    def _trace_parts(
        self, sets: Packed, lower: Tensor, upper: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor]:
        state = self._states.given(sets, self._states.ends(lower, upper), {})
        bound = state.bound(self.graph.output, rows, CrownRule())
        return bound.weights, bound.offset

    def _trace_values(self, points: Tensor) -> Tensor:
        values = [points]
        for node in self.graph.nodes[1:]:
            values.append(node.evaluate(*(values[i] for i in node.inputs)))
        return tf.concat([flatten(values[i]) for i in self.graph.relaxed], axis=1)
