"""Questions about boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape
from decomon._tensors import size_of
from decomon.domains import BoxDomain
from decomon.domains._checks import as_floats
from decomon.inputs import batches, boxes, check_count, check_domain
from decomon.models import check_rate, signature_of, verifier_of
from decomon.refine import all_rows, most_violated, split_sets
from decomon.robustness import (
    Array,
    Progress,
    Range,
    bound_outputs,
    check_adv,
    get_adv,
    limit,
    prepare,
    warn_of_logits,
)
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


def get_adv_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Array:
    """Bound from above the largest margin ``f_j - f_i`` over each box.

    Negative proves that, anywhere in the box, no target label j can win over a source label i.

    Parameters
    ----------
    model : keras.Model or DecomonModel
        A Keras model is bounded by ``crown``; it is converted once and remembered.
    x_min, x_max : array of shape ``(batch, *input_shape)`` or ``(batch, n)``
        Corners of the boxes.  For a model with several inputs: a list or tuple with one such array
        per input, in the order of ``model.inputs``, or a dict by input name.  An input is held
        constant where both corners are the same; ``None`` in its place in ``x_max`` says so too.
        Of an input of an integer type, the model sees whole numbers only, and so do the boxes.
    source_labels, target_labels, batch_size, n_sub_boxes, progress
        As for :func:`~decomon.get_adv`.

    Returns
    -------
    array of shape ``(batch,)``
        Margins of logits: a final softmax or sigmoid is stripped.

    Raises
    ------
    As :func:`~decomon.get_adv`.
    """
    domain = boxes_of(model, x_min, x_max)
    return get_adv(
        model, domain, source_labels, target_labels, batch_size, n_sub_boxes, progress=progress
    )


@overload
def check_adv_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    return_points: Literal[False] = False,
    *,
    progress: Progress | None = None,
) -> Array: ...
@overload
def check_adv_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    return_points: Literal[True],
    progress: Progress | None = None,
) -> tuple[Array, Any]: ...
def check_adv_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    return_points: bool = False,
    *,
    progress: Progress | None = None,
) -> Array | tuple[Array, Any]:
    """Bound from below the largest margin ``f_j - f_i`` over each box, by a point that attains it.

    Positive proves that the box contains a misclassified point.

    Parameters
    ----------
    model, x_min, x_max, source_labels, target_labels, batch_size, progress
        As for :func:`get_adv_box`.
    n_sub_boxes, return_points
        As for :func:`~decomon.check_adv`.

    Returns
    -------
    values : array of shape ``(batch,)``
        As for :func:`~decomon.check_adv`.
    points : array of shape ``(batch, *input_shape)``, if ``return_points``
        Points that attain the values and lie in their boxes.  For a model with several inputs, a
        list, tuple or dict of arrays, whichever ``x_min`` is.

    Raises
    ------
    As :func:`~decomon.get_adv`.
    """
    domain = boxes_of(model, x_min, x_max)
    values, points = check_adv(
        model,
        domain,
        source_labels,
        target_labels,
        batch_size,
        n_sub_boxes,
        return_points=True,
        progress=progress,
    )
    return (values, as_given(model, x_min, points)) if return_points else values


def get_range_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Range:
    """Bound every output over each box from above and from below, in one pass.

    Parameters
    ----------
    model, x_min, x_max, batch_size, n_sub_boxes, progress
        As for :func:`get_adv_box`.

    Returns
    -------
    Range
        As for :func:`~decomon.get_range`.

    Raises
    ------
    As :func:`~decomon.get_adv`.
    """
    domain = boxes_of(model, x_min, x_max)
    signs = (1.0, -1.0)
    upper, lower = bound_outputs(model, domain, batch_size, n_sub_boxes, progress, signs)
    return Range(upper, lower)


def get_upper_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Any:
    """Bound every output over each box from above; see :func:`get_range_box`."""
    domain = boxes_of(model, x_min, x_max)
    return bound_outputs(model, domain, batch_size, n_sub_boxes, progress, (1.0,))[0]


def get_lower_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Any:
    """Bound every output over each box from below; see :func:`get_range_box`."""
    domain = boxes_of(model, x_min, x_max)
    return bound_outputs(model, domain, batch_size, n_sub_boxes, progress, (-1.0,))[0]


def get_upper_box_tuning(
    model: Any,
    x_min: Any,
    x_max: Any,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    steps: int = 20,
    learning_rate: float = 0.5,
    progress: Progress | None = None,
) -> Any:
    """Bound every output over each box from above, with relaxations optimised for each output.

    Parameters
    ----------
    model, x_min, x_max, batch_size, n_sub_boxes, progress
        As for :func:`get_adv_box`; with ``forward-ibp`` there is nothing to optimise.
    steps : int
        Number of gradient steps (Xu et al. 2021, alpha-CROWN); more is never looser.
    learning_rate : float
        Size of the first steps, in units of slope.

    Returns
    -------
    array of shape ``(batch, *output_shape)``
        Never looser than :func:`get_upper_box`.

    Raises
    ------
    As :func:`~decomon.get_adv`.
    """
    return _tuned(model, x_min, x_max, batch_size, n_sub_boxes, progress, 1.0, steps, learning_rate)


def get_lower_box_tuning(
    model: Any,
    x_min: Any,
    x_max: Any,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    steps: int = 20,
    learning_rate: float = 0.5,
    progress: Progress | None = None,
) -> Any:
    """Bound every output over each box from below, with relaxations optimised for each output.

    See :func:`get_upper_box_tuning`.
    """
    return _tuned(
        model, x_min, x_max, batch_size, n_sub_boxes, progress, -1.0, steps, learning_rate
    )


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
    domain = boxes_of(model, x_min, x_max)
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    verifier = verifier_of(model)
    graph, asked = verifier.graph, None
    if source_labels is not None:
        verifier, regions, asked = prepare(model, domain, source_labels, target_labels)
    elif target_labels is None:
        regions = check_domain(domain, signature_of(model))
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


def as_given(model: Any, given: Any, points: Any) -> Any:
    """Put points into the form in which the user gave the inputs."""
    ports = signature_of(model).inputs
    return like(given, ports, points if len(ports) > 1 else [points])


def boxes_of(model: Any, x_min: Any, x_max: Any) -> BoxDomain:
    """Return boxes of the flat input of a model."""
    verifier_of(model)  # what is wrong with the model comes first
    return boxes(x_min, x_max, signature_of(model))


def _tuned(
    model: Any,
    x_min: Any,
    x_max: Any,
    batch_size: int,
    n_sub_boxes: int,
    progress: Progress | None,
    sign: float,
    steps: int,
    learning_rate: float,
) -> NDArray[np.floating]:
    domain = boxes_of(model, x_min, x_max)
    tuning = (check_count("steps", steps), check_rate(learning_rate))
    return bound_outputs(
        model, domain, batch_size, n_sub_boxes, progress, (sign,), tuning=tuning, stacklevel=4
    )[0]
