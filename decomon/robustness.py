"""Questions about boxes, asked and answered with NumPy arrays."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from decomon._backend import tf
from decomon.attack import attack, margins_at
from decomon.inputs import Boxes, batches, check_boxes, check_count
from decomon.models import DecomonModel, signature_of, verifier_of
from decomon.refine import all_rows, most_violated, split_boxes
from decomon.rounding import doubtful, round_up
from decomon.signature import like, split
from decomon.specs import Margins, check_classes, margins
from decomon.verifier import Verifier, as_tensor

Array = NDArray[np.floating]

_LEAF_BYTES = 256 * 2**20
_ARRAYS_PER_LEAF = 8  # four that are kept, and their copies when a leaf is added


class Range(NamedTuple):
    """Bounds of the outputs, both of shape ``(batch, *output_shape)``.

    For a model with several outputs, both are lists, one array per output.
    """

    upper: Any
    lower: Any


class LogitsWarning(UserWarning):
    """Bounds are on the logits, because a final softmax or sigmoid was stripped.

    ``clone(model, logits=False)`` bounds what comes out of it.
    """


def get_adv_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
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
    source_labels : int, array ``(batch,)`` or ``(batch, k)`` of class indices, or 0/1 mask
        The labels i that must win.  An array of shape ``(batch, n_classes)`` that holds only 0
        and 1 is a mask, for instance one-hot labels.
    target_labels : same forms, optional
        The labels j that must not win; all but the sources by default.
    batch_size : int
        How many samples to treat at once; -1 takes as many as fit the memory budget.
    n_sub_boxes : int
        How many pieces each box is cut into.  More is tighter, and never looser than 1.

    Returns
    -------
    array of shape ``(batch,)``
        Margins of logits: a final softmax or sigmoid is stripped.

    Raises
    ------
    ValueError
        If boxes, labels or options are unusable, or the model has several outputs and none was
        chosen by ``clone(model, output=...)``; nothing has been computed then.
    UnsupportedModelError
        If the model has layers without a certified rule.
    NonFiniteBoundError
        If the arithmetic overflowed, or, as a :class:`~decomon.errors.DomainError`, if a logarithm,
        a root or a division is not known to be defined on the whole box.
    """
    verifier, boxes, asked = _prepare(model, x_min, x_max, source_labels, target_labels)
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    results: list[Array] = [np.zeros(0, verifier.dtype.as_numpy_dtype)]
    for part in batches(len(boxes), batch_size, _limit(verifier, n_sub_boxes)):
        results.append(_margin_bounds(verifier, boxes[part], asked[part], n_sub_boxes, part.start))
    return np.concatenate(results)


def _margin_bounds(
    verifier: Verifier, boxes: Boxes, asked: Margins, n_sub_boxes: int, first: int
) -> Array:
    """Return upper bounds of the largest margins, ``(batch,)``, with signs that rounding spares."""
    leaves = split_boxes(
        verifier,
        boxes.outer(verifier),
        as_tensor(asked.rows, verifier.dtype),
        n_sub_boxes,
        most_violated(asked.valid),
        first,
    )
    upper = asked.largest(leaves.root())
    # Rounding can put a bound below a value that the network itself attains.
    domain = boxes.nearest(verifier)
    corners = domain.project(as_tensor(leaves.corners(), verifier.dtype))
    points = tf.concat([domain.interval().center[:, None], corners], axis=1)
    attained = margins_at(verifier, asked, points, first).max(axis=1)
    upper = np.maximum(upper, round_up(attained, verifier.dtype.as_numpy_dtype))
    if verifier.dtype.name == "float64":
        return upper
    again = np.flatnonzero(doubtful(upper, leaves.magnitude()))
    for sample in again:
        one = slice(sample, sample + 1)
        exact = _margin_bounds(
            verifier.precise, boxes[one], asked[one], n_sub_boxes, first + int(sample)
        )
        upper[one] = round_up(exact, verifier.dtype.as_numpy_dtype)
    return upper


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
) -> Array | tuple[Array, Any]:
    """Bound from below the largest margin ``f_j - f_i`` over each box, by a point that attains it.

    Positive proves that the box contains a misclassified point.

    Parameters
    ----------
    model, x_min, x_max, source_labels, target_labels, batch_size
        As for :func:`get_adv_box`.
    n_sub_boxes : int
        How many pieces each box is cut into to find starting points.
    return_points : bool
        Whether to return the points too.

    Returns
    -------
    values : array of shape ``(batch,)``
        The largest margin of logits at the best point found, which is never below the maximum of
        the affine lower bounds that ``model``'s method starts from.
    points : array of shape ``(batch, *input_shape)``, if ``return_points``
        Those points; they lie in their boxes.  For a model with several inputs, a list, tuple or
        dict of arrays, whichever ``x_min`` is.

    Raises
    ------
    As :func:`get_adv_box`.
    """
    verifier, boxes, asked = _prepare(model, x_min, x_max, source_labels, target_labels)
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    values: list[Array] = [np.zeros(0)]
    points: list[Array] = [np.zeros((0, *verifier.graph.input_shape), boxes.x_min.dtype)]
    for part in batches(len(boxes), batch_size, _limit(verifier, n_sub_boxes)):
        leaves = None
        if n_sub_boxes > 1:
            # Starting points need no optimised bounds.
            leaves = split_boxes(
                verifier,
                boxes[part].outer(verifier),
                as_tensor(asked.rows[part], verifier.dtype),
                n_sub_boxes,
                most_violated(asked.valid[part]),
                part.start,
                quick=True,
            )
        found = attack(verifier, boxes[part], asked[part], leaves, part.start)
        values.append(found.margin)
        points.append(found.points)
    value = np.concatenate(values).astype(verifier.dtype.as_numpy_dtype)
    if not return_points:
        return value
    signature = signature_of(model)
    return value, like(x_min, signature.inputs, signature.split(np.concatenate(points)))


def get_range_box(
    model: Any, x_min: Any, x_max: Any, batch_size: int = -1, n_sub_boxes: int = 1
) -> Range:
    """Bound every output over each box from above and from below, in one pass.

    Parameters
    ----------
    model, x_min, x_max, batch_size, n_sub_boxes
        As for :func:`get_adv_box`.

    Returns
    -------
    Range
        A pair ``(upper, lower)`` of arrays of shape ``(batch, *output_shape)``.  They bound the
        logits: a final softmax or sigmoid is stripped, with a :class:`LogitsWarning`, unless the
        model was cloned with ``logits=False``.  For a model with several outputs, a pair of lists
        of arrays, in the order of ``model.outputs``; nothing is stripped from them.

    Raises
    ------
    As :func:`get_adv_box`.
    """
    upper, lower = _bound_outputs(model, x_min, x_max, batch_size, n_sub_boxes, signs=(1.0, -1.0))
    return Range(upper, lower)


def get_upper_box(
    model: Any, x_min: Any, x_max: Any, batch_size: int = -1, n_sub_boxes: int = 1
) -> Any:
    """Bound every output over each box from above; see :func:`get_range_box`."""
    return _bound_outputs(model, x_min, x_max, batch_size, n_sub_boxes, signs=(1.0,))[0]


def get_lower_box(
    model: Any, x_min: Any, x_max: Any, batch_size: int = -1, n_sub_boxes: int = 1
) -> Any:
    """Bound every output over each box from below; see :func:`get_range_box`."""
    return _bound_outputs(model, x_min, x_max, batch_size, n_sub_boxes, signs=(-1.0,))[0]


def _limit(verifier: Verifier, n_sub_boxes: int) -> int:
    """Return how many samples to treat at once, given what their leaves keep in memory."""
    leaf = _ARRAYS_PER_LEAF * verifier.graph.nodes[0].size * verifier.dtype.size
    return max(1, min(verifier.sample_limit, _LEAF_BYTES // (leaf * n_sub_boxes)))


def _prepare(
    model: Any, x_min: Any, x_max: Any, source_labels: Any, target_labels: Any
) -> tuple[Verifier, Boxes, Margins]:
    """Check everything that margins need."""
    verifier = verifier_of(model)
    n_classes = check_classes("Margins", verifier.graph.output_shapes, signature_of(model))
    boxes = check_boxes(x_min, x_max, signature_of(model))
    return verifier, boxes, margins(source_labels, target_labels, len(boxes), n_classes)


def _bound_outputs(
    model: Any, x_min: Any, x_max: Any, batch_size: int, n_sub_boxes: int, signs: tuple[float, ...]
) -> list[Any]:
    """Bound every output from above (sign 1) or below (sign -1), for each of the signs."""
    verifier = verifier_of(model)
    graph = verifier.graph
    boxes = check_boxes(x_min, x_max, signature_of(model))
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    if graph.stripped and not isinstance(model, DecomonModel):
        warnings.warn(
            f"The model's final {graph.stripped} was stripped: these are bounds of the logits. "
            "For bounds of what comes out of it, use clone(model, logits=False).",
            LogitsWarning,
            stacklevel=3,
        )
    eye = np.eye(graph.nodes[-1].size)
    rows = np.concatenate([sign * eye for sign in signs]).reshape(1, -1, *graph.output_shape)
    results: list[Array] = [np.zeros((0, rows.shape[1]), verifier.dtype.as_numpy_dtype)]
    for part in batches(len(boxes), batch_size, _limit(verifier, n_sub_boxes)):
        columns = [
            split_boxes(
                verifier,
                boxes[part].outer(verifier),
                as_tensor(rows[:, begin : begin + verifier.row_limit], verifier.dtype),
                n_sub_boxes,
                all_rows,
                part.start,
            ).root()
            for begin in range(0, rows.shape[1], verifier.row_limit)
        ]
        results.append(np.concatenate(columns, axis=1))
    both = np.concatenate(results).reshape(len(boxes), len(signs), eye.shape[0])
    bounds = [
        split(sign * both[:, position], graph.output_shapes) for position, sign in enumerate(signs)
    ]
    return [parts[0] if len(parts) == 1 else parts for parts in bounds]
