"""Boxes cut into pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from decomon._backend import Shape
from decomon._tensors import size_of
from decomon.domains import BoxDomain
from decomon.domains._checks import as_floats
from decomon.inputs import batches, check_count
from decomon.models import signature_of
from decomon.refine import all_rows, most_violated, split_sets
from decomon.robustness import Array, Progress, ask, limit, warn_of_logits
from decomon.robustness_box import pose_boxes
from decomon.signature import like, split
from decomon.verifier import as_tensor


class Pieces(NamedTuple):
    """The pieces of boxes, and what was proven of each.

    Attributes
    ----------
    x_min, x_max : ``(batch, n_sub_boxes, *input_shape)``; together they cover the box.  For a
        model with several inputs, a list, tuple or dict of such arrays.
    upper : ``(batch, n_sub_boxes)``: an upper bound of the largest margin over the piece, or,
        without labels, ``(batch, n_sub_boxes, *output_shape)``: of every output.  For a model with
        several outputs, a list of such arrays.
    """

    x_min: Any
    x_max: Any
    upper: Any


def refine_boxes(x_min: Any, x_max: Any, n_sub_boxes: int = 10) -> tuple[Array, Array]:
    """Cut each box into pieces: again and again the widest piece in the middle of its widest side.

    Parameters
    ----------
    x_min, x_max : array of shape ``(batch, *shape)``
    n_sub_boxes : int

    Returns
    -------
    x_min, x_max : arrays of shape ``(batch, n_sub_boxes, *shape)``
        The pieces cover their box and share no more than their faces.

    Raises
    ------
    ValueError
        If the corners are not those of boxes, or ``n_sub_boxes`` is not a positive integer.
    """
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    shape = as_floats("x_min", x_min).shape
    if len(shape) < 2:
        raise ValueError(
            f"x_min and x_max must have the shape (batch, *shape). Received: x_min of shape {shape}"
        )
    box = BoxDomain(x_min, x_max).shaped(shape[1:])
    flat = (len(box), 1, size_of(shape[1:]))
    lower, upper = (side.reshape(flat) for side in box.tensors())
    samples = np.arange(len(lower))
    for _ in range(n_sub_boxes - 1):
        width = upper - lower
        leaf = width.max(axis=2).argmax(axis=1)
        side = width[samples, leaf].argmax(axis=1)
        low, high = lower[samples, leaf, side], upper[samples, leaf, side]
        middle = np.clip(0.5 * low + 0.5 * high, low, high)
        lower = np.concatenate([lower, lower[samples, leaf][:, None]], axis=1)
        upper = np.concatenate([upper, upper[samples, leaf][:, None]], axis=1)
        upper[samples, leaf, side] = middle
        lower[samples, -1, side] = middle
    pieces = (len(lower), n_sub_boxes, *shape[1:])
    return lower.reshape(pieces), upper.reshape(pieces)


def refine_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    n_sub_boxes: int = 10,
    source_labels: Any = None,
    target_labels: Any = None,
    batch_size: int = -1,
    *,
    progress: Progress | None = None,
) -> Pieces:
    """Cut each box where the model's bounds depend most on the input, and bound every piece.

    Parameters
    ----------
    model, x_min, x_max, source_labels, target_labels, batch_size, progress
        As for :func:`get_adv_box`.  Without labels, all outputs are bounded and matter alike.
    n_sub_boxes : int
        How many pieces each box is cut into.

    Returns
    -------
    Pieces
        Pieces that cover the box as the model sees it: corners are rounded outward to its type.
        For a model with several inputs, corners come in the form of ``x_min``.  Bounds are of
        logits: a final softmax or sigmoid is stripped, with a :class:`~decomon.LogitsWarning` if
        there are no labels.

    Raises
    ------
    As :func:`~decomon.get_adv`.
    """
    posed = pose_boxes(model, x_min, x_max)
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    verifier, _, regions = posed
    graph, asked = verifier.graph, None
    if source_labels is not None:
        asked = ask(posed, source_labels, target_labels).asked
    elif target_labels is None:
        warn_of_logits(model, 3)
    else:
        raise ValueError(
            "target_labels need source_labels to be compared with. "
            f"Received: target_labels={target_labels!r}, source_labels=None"
        )
    every_output = np.eye(graph.nodes[-1].size).reshape(1, -1, *graph.output_shape)
    count = every_output.shape[1] if asked is None else 1
    dtype = verifier.dtype.as_numpy_dtype
    bounds: list[Array] = [np.zeros((0, n_sub_boxes, count), dtype)]
    lower: list[Array] = [np.zeros((0, n_sub_boxes, *graph.input_shape), dtype)]
    upper: list[Array] = [lower[0]]
    for part in batches(len(regions), batch_size, limit(verifier, n_sub_boxes), progress):
        leaves = split_sets(
            verifier,
            regions[part].outer(verifier),
            as_tensor(every_output if asked is None else asked.rows[part], verifier.dtype),
            n_sub_boxes,
            all_rows if asked is None else most_violated(asked.valid[part]),
            part.start,
        )
        found = leaves.upper
        if asked is not None:
            valid = asked.valid[part][:, None]
            found = np.where(valid, found, -np.inf).max(axis=2, keepdims=True)
        lower.append(leaves.sets[0])
        upper.append(leaves.sets[1])
        bounds.append(found)
    ports = signature_of(model).inputs
    low, high = (
        like(x_min, ports, _by_piece(np.concatenate(side), [port.shape for port in ports]))
        for side in (lower, upper)
    )
    of_outputs = _by_piece(np.concatenate(bounds), graph.output_shapes if asked is None else [()])
    return Pieces(low, high, of_outputs[0] if len(of_outputs) == 1 else of_outputs)


def _by_piece(values: Array, shapes: Sequence[Shape]) -> list[Array]:
    """Cut ``(batch, pieces, ...)`` into arrays of shapes ``(batch, pieces, *shape)``."""
    batch, pieces = values.shape[:2]
    parts = split(values.reshape(batch * pieces, *values.shape[2:]), shapes)
    return [part.reshape(batch, pieces, *shape) for part, shape in zip(parts, shapes, strict=True)]
