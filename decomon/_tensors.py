"""Tensor helpers that several modules share."""

from __future__ import annotations

from typing import Any

from decomon._backend import Shape, Tensor, tf

_SHORT = 16


def size_of(shape: Shape) -> int:
    """Return the number of entries of a shape."""
    size = 1
    for side in shape:
        size *= side
    return size


def flatten(values: Tensor) -> Tensor:
    """``(batch, *shape)`` to ``(batch, n)``."""
    if len(values.shape) == 2:
        return values
    return tf.reshape(values, [tf.shape(values)[0], size_of(values.shape[1:])])


def flatten_rows(weights: Tensor) -> Tensor:
    """``(batch, spec, *shape)`` to ``(batch, spec, n)``."""
    if len(weights.shape) == 3:
        return weights
    shape = tf.shape(weights)
    return tf.reshape(weights, [shape[0], shape[1], size_of(weights.shape[2:])])


def dot(rows: Tensor, values: Tensor) -> Tensor:
    """Sum ``rows * values`` over a node's axes.

    Parameters
    ----------
    rows : ``(batch or 1, spec, *shape)``
    values : ``(batch or 1, 1 or spec, *shape)``

    Returns
    -------
    tensor of shape ``(batch or 1, spec)``
    """
    if values.shape[1] == 1:
        return tf.linalg.matvec(flatten_rows(rows), flatten(values[:, 0]))
    return tf.reduce_sum(flatten_rows(rows) * flatten_rows(values), axis=2)


def sum_to(values: Tensor, shape: Shape) -> Tensor:
    """Undo a broadcast: sum ``(batch, spec, *large)`` to ``(batch, spec, *shape)``."""
    extra = len(values.shape) - 2 - len(shape)
    if extra:
        values = tf.reduce_sum(values, axis=list(range(2, 2 + extra)))
    stretched = [
        i
        for i, (side, wanted) in enumerate(zip(values.shape[2:], shape, strict=True), start=2)
        if wanted == 1 and side != 1
    ]
    return tf.reduce_sum(values, axis=stretched, keepdims=True) if stretched else values


def column_product(rows: Tensor, column: Tensor) -> Tensor:
    """Return ``rows @ column``, for ``(batch or 1, spec, n)`` and ``(batch or 1, n, 1)``."""
    size = column.shape[1]
    if size > _SHORT:
        return tf.matmul(rows, column)
    # A product of matrices takes longer to begin than that.
    return tf.reduce_sum(rows * tf.reshape(column, [-1, 1, size]), axis=2, keepdims=True)


@tf.custom_gradient
def rise(weights: Tensor, width: Tensor) -> tuple[Tensor, Any]:
    """Say how much larger rows ``(batch, spec, n)`` get in a box than at its lower corner.

    The gradient with respect to a row is how far its maximiser is from the corner (the envelope
    theorem).
    """
    raised = tf.nn.relu(weights)

    def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
        reach = tf.where(weights > 0, width[:, None], tf.zeros([], weights.dtype))
        to_width = tf.reduce_sum(upstream[:, :, None] * raised, axis=1)
        return _like(upstream[:, :, None] * reach, weights), _like(to_width, width)

    return tf.linalg.matvec(raised, width), gradient


def _like(gradient: Tensor, values: Tensor) -> Tensor:
    """Sum the gradient of values over the axes along which they were broadcast."""
    shape = tf.shape(values)
    axes = tf.raw_ops.BroadcastGradientArgs(s0=shape, s1=tf.shape(gradient)).r0
    return tf.reshape(tf.reduce_sum(gradient, axes), shape)
