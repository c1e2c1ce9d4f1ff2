"""Verdicts: robust, non robust, or honestly unknown."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import keras, tf
from decomon.graph import call_keras
from decomon.inputs import as_array, check_points
from decomon.methods import METHODS as _METHODS
from decomon.models import DecomonModel, verifier_of
from decomon.robustness import check_adv_box, get_adv_box
from decomon.specs import label_mask

METHODS = tuple(_METHODS)
"""Names of the methods."""


class Verdict(StrEnum):
    """What is known of one sample."""

    ROBUST = "robust"
    NON_ROBUST = "non_robust"
    UNKNOWN = "unknown"
    MISCLASSIFIED = "misclassified"
    PENDING = "pending"


@final
@dataclass(frozen=True)
class Certificate:
    """Verdicts of a batch of samples and what they rest on.

    Attributes
    ----------
    verdicts : one per sample
    upper : ``(batch,)``: proven upper bound of the largest margin; negative where robust
    lower : ``(batch,)``: the margin attained at ``points``
    points : ``(batch, *input_shape)``: the best point that the attack found
    predicted : ``(batch,)``: class of the unperturbed sample, by the real model
    predicted_points : ``(batch,)``: class of ``points``, by the real model
    reasons : why a verdict is unknown, else empty
    epsilon : ``(batch,)``: half width of each box
    elapsed : seconds
    """

    verdicts: tuple[Verdict, ...]
    upper: NDArray[np.floating]
    lower: NDArray[np.floating]
    points: NDArray[np.floating]
    predicted: NDArray[np.intp]
    predicted_points: NDArray[np.intp]
    reasons: tuple[str, ...]
    epsilon: NDArray[np.floating]
    elapsed: float


def certify(
    model: Any,
    x: Any,
    labels: Any,
    epsilon: Any,
    *,
    clip: tuple[float, float] | None = (0.0, 1.0),
    n_sub_boxes: int = 1,
    batch_size: int = -1,
) -> Certificate:
    """Decide for each sample whether its label can change within ``epsilon``.

    Parameters
    ----------
    model : keras.Model or DecomonModel
    x : array of shape ``(batch, *input_shape)`` or ``(batch, n)``
    labels : integer array ``(batch,)``, or one-hot ``(batch, n_classes)``
        The true class of each sample.
    epsilon : float or array ``(batch,)``, at least 0
        The box of each sample is ``clip(x - epsilon, x + epsilon)``.
    clip : pair of floats, optional
        Valid range of the inputs; None leaves the box as it is.
    n_sub_boxes, batch_size
        As for :func:`decomon.get_adv_box`.

    Returns
    -------
    Certificate
        ``robust`` needs a negative upper bound; ``non_robust`` needs a point that the real model
        classifies wrongly; ``misclassified`` is a sample that the model gets wrong as it
        is; everything else is ``unknown``.

    Raises
    ------
    ValueError
        If an argument is unusable.
    """
    begin = time.perf_counter()
    graph = verifier_of(model).graph
    points = check_points("x", x, graph.input_shape)
    radius = _check_epsilon(epsilon, len(points))
    true = _check_labels(labels, len(points), graph.output_shape)
    x_min, x_max = _box(points, radius, clip)
    upper = get_adv_box(model, x_min, x_max, true, None, batch_size, n_sub_boxes)
    lower, found = check_adv_box(
        model, x_min, x_max, true, None, batch_size, n_sub_boxes, return_points=True
    )
    # In its own arithmetic, the network attains the lower bound.
    upper = np.maximum(upper, lower)
    predicted, predicted_found = predict(model, points), predict(model, found)
    verdicts: list[Verdict] = []
    reasons: list[str] = []
    for sample in range(len(points)):
        verdict, reason = _decide(
            bool(predicted[sample] == true[sample]),
            bool(predicted_found[sample] == true[sample]),
            float(upper[sample]),
            float(lower[sample]),
        )
        verdicts.append(verdict)
        reasons.append(reason)
    return Certificate(
        tuple(verdicts),
        upper,
        lower,
        found,
        predicted,
        predicted_found,
        tuple(reasons),
        radius,
        time.perf_counter() - begin,
    )


def predict(model: Any, points: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the classes that the real Keras model gives to points."""
    network = model.model if isinstance(model, DecomonModel) else model
    if not isinstance(network, keras.Model):
        raise TypeError(f"Expected a keras.Model or a DecomonModel. Received: {type(network)}")
    outputs = [
        np.asarray(call_keras(network, tf.constant(points[i : i + 256])))
        for i in range(0, len(points), 256)
    ]
    if not outputs:
        return np.zeros(0, np.intp)
    return np.concatenate(outputs).argmax(axis=-1)


def _decide(right: bool, found_right: bool, upper: float, lower: float) -> tuple[Verdict, str]:
    """Return the verdict of one sample and, if it is unknown, the reason."""
    if not right:
        return Verdict.MISCLASSIFIED, ""
    if not found_right:
        if upper < 0:
            return Verdict.UNKNOWN, (
                "rounding: the bound excludes a misclassified point, yet the model, in its own "
                "arithmetic, has one within rounding error of the decision boundary"
            )
        return Verdict.NON_ROBUST, ""
    if upper < 0:
        return Verdict.ROBUST, ""
    return Verdict.UNKNOWN, (
        f"the largest margin lies between {lower:.4g} and {upper:.4g}: neither proven nor refuted"
    )


def _box(
    points: NDArray[np.floating], radius: NDArray[np.floating], clip: tuple[float, float] | None
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the corners in float64, where adding epsilon to a float32 sample is exact enough."""
    wide = radius.reshape(-1, *([1] * (points.ndim - 1))).astype(np.float64)
    center = points.astype(np.float64)
    x_min, x_max = center - wide, center + wide
    if clip is None:
        return x_min, x_max
    low, high = _check_clip(clip)
    outside = np.argwhere((points < low) | (points > high))
    if outside.size:
        place = tuple(int(i) for i in outside[0])
        raise ValueError(
            f"x must lie within clip=({low}, {high}), the valid range of inputs; scale the "
            "samples, or pass another clip or None. "
            f"Received: {points[place]} in sample {place[0]} at position {place[1:]}"
        )
    return np.clip(x_min, low, high), np.clip(x_max, low, high)


def _check_clip(clip: Any) -> tuple[float, float]:
    values = as_array("clip", clip)
    if values.shape != (2,) or values.dtype.kind not in "iuf" or not values[0] < values[1]:
        raise ValueError(
            f"clip must be None or a pair (low, high) with low < high. Received: clip={clip!r}"
        )
    return float(values[0]), float(values[1])


def _check_epsilon(epsilon: Any, batch: int) -> NDArray[np.floating]:
    values = as_array("epsilon", epsilon)
    usable = values.dtype.kind in "iuf" and values.shape in ((), (batch,))
    if not usable or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            "epsilon must be a finite number that is at least 0, or one per sample, shape "
            f"({batch},). Received: epsilon={epsilon!r}"
        )
    return np.broadcast_to(values.astype(np.float64), (batch,)).copy()


def _check_labels(labels: Any, batch: int, output_shape: tuple[int, ...]) -> NDArray[np.intp]:
    if len(output_shape) != 1 or output_shape[0] < 2:
        raise ValueError(
            "Verdicts need a classifier with one output per class, at least two. "
            f"Received: a model with outputs of shape {output_shape}"
        )
    mask = label_mask("labels", labels, batch, output_shape[0])
    several = np.flatnonzero(mask.sum(axis=1) != 1)
    if several.size:
        raise ValueError(
            "labels must give one true class per sample. "
            f"Received: classes {np.flatnonzero(mask[several[0]]).tolist()} for sample {several[0]}"
        )
    return mask.argmax(axis=1)
