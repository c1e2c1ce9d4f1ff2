"""Verdicts: robust, non robust, or honestly unknown."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import keras
from decomon.inputs import as_array, check_inputs
from decomon.methods import METHODS as _METHODS
from decomon.models import DecomonModel, signature_of, verifier_of
from decomon.robustness import check_adv_box, get_adv_box
from decomon.signature import Signature, entries, like, run
from decomon.specs import check_classes, label_mask

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
    points : ``(batch, *input_shape)``: the best point that the attack found; for a model with
        several inputs, a list, tuple or dict of arrays, whichever ``x`` was
    predicted : ``(batch,)``: class of the unperturbed sample, by the real model
    predicted_points : ``(batch,)``: class of ``points``, by the real model
    reasons : why a verdict is unknown, else empty
    epsilon : ``(batch,)``: half width of each box; a list, tuple or dict of such arrays, if it was
        given for each input
    elapsed : seconds
    """

    verdicts: tuple[Verdict, ...]
    upper: NDArray[np.floating]
    lower: NDArray[np.floating]
    points: Any
    predicted: NDArray[np.intp]
    predicted_points: NDArray[np.intp]
    reasons: tuple[str, ...]
    epsilon: Any
    elapsed: float


def certify(
    model: Any,
    x: Any,
    labels: Any,
    epsilon: Any,
    *,
    clip: Any = (0.0, 1.0),
    n_sub_boxes: int = 1,
    batch_size: int = -1,
) -> Certificate:
    """Decide for each sample whether its label can change within ``epsilon``.

    Parameters
    ----------
    model : keras.Model or DecomonModel
    x : array of shape ``(batch, *input_shape)`` or ``(batch, n)``
        For a model with several inputs: a list or tuple with one such array per input, in the order
        of ``model.inputs``, or a dict by input name.
    labels : integer array ``(batch,)``, or one-hot ``(batch, n_classes)``
        The true class of each sample.
    epsilon : float or array ``(batch,)``, at least 0
        The box of each sample is ``clip(x - epsilon, x + epsilon)``.  For a model with several
        inputs, it holds for all of them, or is a list, tuple or dict with one for each; 0 holds an
        input constant.
    clip : pair of floats, optional
        Valid range of the inputs; None leaves the box as it is.  For a model with several
        inputs, it holds for all that are not held constant, or is a list, tuple or dict with one
        for each.
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
    signature = signature_of(model)
    points = check_inputs("x", x, signature)
    batch = len(points[0])
    radii = _check_epsilons(epsilon, batch, signature)
    true = _check_labels(labels, batch, check_classes("Verdicts", graph.output_shapes, signature))
    x_min, x_max = _corners(x, points, radii, clip, signature)
    upper = get_adv_box(model, x_min, x_max, true, None, batch_size, n_sub_boxes)
    lower, found = check_adv_box(
        model, x_min, x_max, true, None, batch_size, n_sub_boxes, return_points=True
    )
    # In its own arithmetic, the network attains the lower bound.
    upper = np.maximum(upper, lower)
    predicted, predicted_found = predict(model, x), predict(model, found)
    verdicts: list[Verdict] = []
    reasons: list[str] = []
    for sample in range(batch):
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
        like(epsilon, signature.inputs, radii) if _each(epsilon, signature) else radii[0],
        time.perf_counter() - begin,
    )


def predict(model: Any, points: Any) -> NDArray[np.intp]:
    """Return the classes that the real Keras model gives to points.

    Parameters
    ----------
    model : keras.Model or DecomonModel
    points : as ``x`` of :func:`certify`
    """
    network = model.model if isinstance(model, DecomonModel) else model
    if not isinstance(network, keras.Model):
        raise TypeError(f"Expected a keras.Model or a DecomonModel. Received: {type(network)}")
    output = model.output if isinstance(model, DecomonModel) else None
    parts = check_inputs("points", points, Signature.of(network))
    outputs = [
        np.asarray(run(network, [part[i : i + 256] for part in parts], output or 0))
        for i in range(0, len(parts[0]), 256)
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


def _corners(
    x: Any,
    points: list[NDArray[np.floating]],
    radii: list[NDArray[np.floating]],
    clip: Any,
    signature: Signature,
) -> tuple[Any, Any]:
    """Return the corners of all boxes, in the form of ``x``."""
    ports = signature.inputs
    clips = _check_clips(clip, signature)
    names = entries("x", x, ports)
    if len(ports) > 1:  # an input that is held constant needs no range
        clips = [clip if r.any() else None for clip, r in zip(clips, radii, strict=True)]
    boxes = [
        _box(name, part, radius, clip)
        for name, part, radius, clip in zip(names, points, radii, clips, strict=True)
    ]
    return like(x, ports, [low for low, _ in boxes]), like(x, ports, [high for _, high in boxes])


def _box(
    name: str,
    points: NDArray[np.floating],
    radius: NDArray[np.floating],
    clip: tuple[float, float] | None,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the corners in float64, where adding epsilon to a float32 sample is exact enough."""
    wide = radius.reshape(-1, *([1] * (points.ndim - 1))).astype(np.float64)
    center = points.astype(np.float64)
    x_min, x_max = center - wide, center + wide
    if clip is None:
        return x_min, x_max
    low, high = clip
    outside = np.argwhere((points < low) | (points > high))
    if outside.size:
        place = tuple(int(i) for i in outside[0])
        raise ValueError(
            f"{name} must lie within clip=({low}, {high}), the valid range of inputs; scale the "
            "samples, or pass another clip or None"
            + (", for each input if they differ. " if name != "x" else ". ")
            + f"Received: {points[place]} in sample {place[0]} at position {place[1:]}"
        )
    return np.clip(x_min, low, high), np.clip(x_max, low, high)


def _each(values: Any, signature: Signature) -> bool:
    """Whether a setting is given for each input: as a dict, or, if there are several, a list."""
    several = len(signature.inputs) > 1 and isinstance(values, list | tuple)
    return several or isinstance(values, Mapping)


def _check_clips(clip: Any, signature: Signature) -> list[tuple[float, float] | None]:
    if not _each(clip, signature) or _is_pair(clip):
        return [None if clip is None else _check_clip("clip", clip)] * len(signature.inputs)
    each = entries("clip", clip, signature.inputs)
    return [None if value is None else _check_clip(name, value) for name, value in each.items()]


def _is_pair(clip: Any) -> bool:
    """Whether a list is one range for all inputs, not a list of ranges."""
    if not isinstance(clip, list | tuple):
        return False
    return all(np.ndim(end) == 0 and end is not None for end in cast("Sequence[Any]", clip))


def _check_clip(name: str, clip: Any) -> tuple[float, float]:
    values = as_array(name, clip)
    if values.shape != (2,) or values.dtype.kind not in "iuf" or not values[0] < values[1]:
        raise ValueError(
            f"{name} must be None or a pair (low, high) with low < high. Received: {name}={clip!r}"
        )
    return float(values[0]), float(values[1])


def _check_epsilons(epsilon: Any, batch: int, signature: Signature) -> list[NDArray[np.floating]]:
    if not _each(epsilon, signature):
        return [_check_epsilon("epsilon", epsilon, batch)] * len(signature.inputs)
    each = entries("epsilon", epsilon, signature.inputs)
    return [_check_epsilon(name, value, batch) for name, value in each.items()]


def _check_epsilon(name: str, epsilon: Any, batch: int) -> NDArray[np.floating]:
    values = as_array(name, epsilon)
    usable = values.dtype.kind in "iuf" and values.shape in ((), (batch,))
    if not usable or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            f"{name} must be a finite number that is at least 0, or one per sample, shape "
            f"({batch},). Received: {name}={epsilon!r}"
        )
    return np.broadcast_to(values.astype(np.float64), (batch,)).copy()


def _check_labels(labels: Any, batch: int, n_classes: int) -> NDArray[np.intp]:
    mask = label_mask("labels", labels, batch, n_classes)
    several = np.flatnonzero(mask.sum(axis=1) != 1)
    if several.size:
        raise ValueError(
            "labels must give one true class per sample. "
            f"Received: classes {np.flatnonzero(mask[several[0]]).tolist()} for sample {several[0]}"
        )
    return mask.argmax(axis=1)
