"""Projected gradient ascent, as a function of tensors that can be compiled."""

from __future__ import annotations

from decomon._backend import Tensor, tf
from decomon.domains import Domain
from decomon.nodes import Graph


def climb(graph: Graph, domain: Domain, points: Tensor, rows: Tensor, steps: Tensor) -> Tensor:
    """Follow each row's gradient from its point, with shrinking steps.

    Parameters
    ----------
    points : ``(batch, count, *input shape)``: where each path starts, inside the domain
    rows : ``(batch, count, *output shape)``: what each path maximises, ``row . f``
    steps : how many steps to take

    Returns
    -------
    the best point of each path, shape of ``points``

    Notes
    -----
    Projected gradient descent of Madry et al. 2018.  A step goes the way from the middle of the
    set to where the gradient's linear function is largest: along the sign of the gradient in a
    box, along the gradient itself in a Euclidean ball.
    """
    shape = tf.shape(points)
    outer = shape[:2]
    center = domain.center()[:, None]
    outputs = tf.concat([outer, graph.output_shape], axis=0)
    axes = list(range(2, 2 + len(graph.output_shape)))
    scalars = tf.concat([outer, [1] * len(graph.input_shape)], axis=0)
    directions = tf.reshape(rows, [-1, *graph.output_shape])

    def value_and_gradient(at: Tensor) -> tuple[Tensor, Tensor]:
        flat = tf.reshape(at, [-1, *graph.input_shape])
        # Of the weights, no gradients are wanted.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(flat)
            logits = graph(flat)
        value = tf.reduce_sum(tf.reshape(logits, outputs) * rows, axis=axes)
        gradient = tape.gradient(logits, flat, output_gradients=directions)
        return value, tf.reshape(gradient, shape)

    def advance(
        step: Tensor, at: Tensor, best: Tensor, best_value: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        value, gradient = value_and_gradient(at)
        better = value > best_value
        rate = 0.5 * (1 - tf.cast(step, at.dtype) / tf.cast(steps + 1, at.dtype))
        moved = domain.project(at + rate * (domain.maximizer(gradient) - center))
        return (
            step + 1,
            moved,
            tf.where(tf.reshape(better, scalars), at, best),
            tf.where(better, value, best_value),
        )

    def unfinished(step: Tensor, *_: Tensor) -> Tensor:
        return step <= steps

    lowest = tf.fill(outer, tf.constant(float("-inf"), points.dtype))
    invariants = (tf.TensorShape([]), points.shape, points.shape, tf.TensorShape([None, None]))
    start = (tf.constant(0), points, points, lowest)
    return tf.while_loop(unfinished, advance, start, shape_invariants=invariants)[2]
