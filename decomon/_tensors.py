"""Tensor helpers that several modules share."""

from __future__ import annotations

from decomon._backend import Shape, Tensor, tf


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
