"""Questions about balls around samples."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np

from decomon.balls import balls
from decomon.inputs import check_domain
from decomon.models import signature_of, verifier_of
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
from decomon.robustness_box import as_given


def get_adv_noise(
    model: Any,
    x: Any,
    eps: Any,
    source_labels: Any,
    target_labels: Any = None,
    p: float = np.inf,
    clip: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Array:
    """Bound from above the largest margin ``f_j - f_i`` over the ball around each sample.

    Negative proves that, anywhere in the ball, no target label j can win over a source label i.

    Parameters
    ----------
    model : keras.Model or DecomonModel
        One model serves every radius and every norm.
    x : array of shape ``(batch, *input_shape)`` or ``(batch, n)``
        The centres.  For a model with several inputs: a list or tuple with one such array per
        input, in the order of ``model.inputs``, or a dict by input name.
    eps : float, array ``(batch,)``, or ``(batch or 1, *input_shape)``
        The radius, at least 0: the ball is ``||(x' - x) / eps||_p <= 1``; 0 holds a feature
        constant.  For a model with several inputs, one for all or a list, tuple or dict of them.
    source_labels, target_labels, batch_size, n_sub_boxes, progress
        As for :func:`~decomon.get_adv`.
    p : 1, 2 or infinity
        The norm, of all inputs together.
    clip : pair ``(low, high)`` of numbers or of arrays per feature, optional
        The valid range of inputs: points outside of it do not belong to the set.  For a model with
        several inputs, one for all or a list, tuple or dict of them.

    Returns
    -------
    array of shape ``(batch,)``
        Margins of logits: a final softmax or sigmoid is stripped.

    Raises
    ------
    As :func:`~decomon.get_adv`; ValueError also if ``eps`` is negative, ``p`` is another number or
    ``x`` leaves ``clip``.
    """
    question = ask(pose_balls(model, x, eps, p, clip), source_labels, target_labels)
    return bound_margins(question, batch_size, n_sub_boxes, progress)


@overload
def check_adv_noise(
    model: Any,
    x: Any,
    eps: Any,
    source_labels: Any,
    target_labels: Any = None,
    p: float = np.inf,
    clip: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    return_points: Literal[False] = False,
    *,
    progress: Progress | None = None,
) -> Array: ...
@overload
def check_adv_noise(
    model: Any,
    x: Any,
    eps: Any,
    source_labels: Any,
    target_labels: Any = None,
    p: float = np.inf,
    clip: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    return_points: Literal[True],
    progress: Progress | None = None,
) -> tuple[Array, Any]: ...
def check_adv_noise(
    model: Any,
    x: Any,
    eps: Any,
    source_labels: Any,
    target_labels: Any = None,
    p: float = np.inf,
    clip: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    return_points: bool = False,
    *,
    progress: Progress | None = None,
) -> Array | tuple[Array, Any]:
    """Bound from below the largest margin over each ball, by a point of it that attains it.

    Positive proves that the ball contains a misclassified point.

    Parameters
    ----------
    model, x, eps, source_labels, target_labels, p, clip, batch_size, progress
        As for :func:`get_adv_noise`.
    n_sub_boxes, return_points
        As for :func:`~decomon.check_adv`.

    Returns
    -------
    As :func:`~decomon.check_adv`; for a model with several inputs, points come in the form of
    ``x``.

    Raises
    ------
    As :func:`get_adv_noise`.
    """
    question = ask(pose_balls(model, x, eps, p, clip), source_labels, target_labels)
    values, points = search_margins(question, batch_size, n_sub_boxes, progress)
    return (values, as_given(model, x, by_input(model, points))) if return_points else values


def get_range_noise(
    model: Any,
    x: Any,
    eps: Any,
    p: float = np.inf,
    clip: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Range:
    """Bound every output over the ball around each sample, in one pass.

    Parameters
    ----------
    model, x, eps, p, clip, batch_size, n_sub_boxes, progress
        As for :func:`get_adv_noise`.

    Returns
    -------
    Range
        As for :func:`~decomon.get_range`.

    Raises
    ------
    As :func:`get_adv_noise`.
    """
    posed = pose_balls(model, x, eps, p, clip)
    signs = (1.0, -1.0)
    upper, lower = bound_outputs(model, posed, batch_size, n_sub_boxes, progress, signs)
    return Range(upper, lower)


def get_upper_noise(
    model: Any,
    x: Any,
    eps: Any,
    p: float = np.inf,
    clip: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Any:
    """Bound every output over each ball from above; see :func:`get_range_noise`."""
    posed = pose_balls(model, x, eps, p, clip)
    return bound_outputs(model, posed, batch_size, n_sub_boxes, progress, (1.0,))[0]


def get_lower_noise(
    model: Any,
    x: Any,
    eps: Any,
    p: float = np.inf,
    clip: Any = None,
    batch_size: int = -1,
    n_sub_boxes: int = 1,
    *,
    progress: Progress | None = None,
) -> Any:
    """Bound every output over each ball from below; see :func:`get_range_noise`."""
    posed = pose_balls(model, x, eps, p, clip)
    return bound_outputs(model, posed, batch_size, n_sub_boxes, progress, (-1.0,))[0]


def pose_balls(model: Any, x: Any, eps: Any, p: Any, clip: Any) -> Posed:
    """Check balls of the flat input of a model; what is wrong with the model comes first."""
    verifier, signature = verifier_of(model), signature_of(model)
    return Posed(verifier, signature, check_domain(balls(signature, x, eps, p, clip), signature))
