"""Questions about boxes."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from decomon.inputs import Regions, boxes, check_count
from decomon.models import check_rate, signature_of, verifier_of
from decomon.robustness import (
    Array,
    Posed,
    Progress,
    Range,
    ask,
    bound_margins,
    bound_outputs,
    by_input,
    search_margins,
)
from decomon.signature import like


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
    question = ask(pose_boxes(model, x_min, x_max), source_labels, target_labels)
    return bound_margins(question, batch_size, n_sub_boxes, progress)


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
    question = ask(pose_boxes(model, x_min, x_max), source_labels, target_labels)
    values, points = search_margins(question, batch_size, n_sub_boxes, progress)
    return (values, as_given(model, x_min, by_input(model, points))) if return_points else values


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
    posed = pose_boxes(model, x_min, x_max)
    signs = (1.0, -1.0)
    upper, lower = bound_outputs(model, posed, batch_size, n_sub_boxes, progress, signs)
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
    posed = pose_boxes(model, x_min, x_max)
    return bound_outputs(model, posed, batch_size, n_sub_boxes, progress, (1.0,))[0]


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
    posed = pose_boxes(model, x_min, x_max)
    return bound_outputs(model, posed, batch_size, n_sub_boxes, progress, (-1.0,))[0]


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


def as_given(model: Any, given: Any, points: Any) -> Any:
    """Put points into the form in which the user gave the inputs."""
    ports = signature_of(model).inputs
    return like(given, ports, points if len(ports) > 1 else [points])


def pose_boxes(model: Any, x_min: Any, x_max: Any) -> Posed:
    """Check boxes of the flat input of a model; what is wrong with the model comes first."""
    verifier, signature = verifier_of(model), signature_of(model)
    return Posed(verifier, signature, Regions(boxes(x_min, x_max, signature), signature.whole()))


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
    posed = pose_boxes(model, x_min, x_max)
    tuning = (check_count("steps", steps), check_rate(learning_rate))
    return bound_outputs(
        model, posed, batch_size, n_sub_boxes, progress, (sign,), tuning=tuning, stacklevel=4
    )[0]
