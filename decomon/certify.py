"""Verdicts: robust, non robust, or honestly unknown."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon.balls import balls, given_each, radii_of
from decomon.domains import Domain
from decomon.inputs import batches, check_domain, check_inputs, check_progress
from decomon.methods import METHODS as _METHODS
from decomon.models import signature_of, verifier_of
from decomon.replay import predict
from decomon.robustness import Progress, check_adv, get_adv
from decomon.robustness_box import as_given
from decomon.search import rounding_seen
from decomon.signature import like
from decomon.specs import check_classes, label_mask, margins

_LOOKED_AT = 64  # samples at once
_MARGIN_OF_NOISE = 4.0

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
    epsilon : ``(batch,)``: radius of each ball; a list, tuple or dict of such arrays, if it was
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
    p: float = np.inf,
    clip: Any = (0.0, 1.0),
    n_sub_boxes: int = 1,
    batch_size: int = -1,
    progress: Progress | None = None,
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
        The radius of the ball around each sample, or, of shape ``(batch or 1, *input_shape)``, one
        per feature.  For a model with several inputs, it holds for all of them, or is a list, tuple
        or dict with one for each; 0 holds an input constant.
    p : 1, 2 or infinity
        The norm of the ball; infinity gives the box ``clip(x - epsilon, x + epsilon)``.
    clip : pair of floats, optional
        Valid range of the inputs; None leaves the box as it is.  For a model with several
        inputs, it holds for all that are not held constant, or is a list, tuple or dict with one
        for each.
    n_sub_boxes, batch_size
        As for :func:`decomon.get_adv_box`.
    progress : callable, optional
        Called as ``progress(done, total)`` after every batch.  Every sample counts twice: it is
        bounded, and then attacked.

    Returns
    -------
    Certificate
        ``robust`` needs an upper bound that is negative by more than the model's own rounding
        errors, as far as they are seen; ``non_robust`` needs a point that the real model
        classifies wrongly; ``misclassified`` is a sample that the model gets wrong as it
        is; everything else is ``unknown``.

    Raises
    ------
    ValueError
        If an argument is unusable.
    """
    begin = time.perf_counter()
    check_progress(progress)
    graph = verifier_of(model).graph
    signature = signature_of(model)
    ports = signature.inputs
    batch = len(check_inputs("x", x, signature)[0])
    radii = [_per_sample(r) for r in radii_of("epsilon", epsilon, batch, ports)]
    true = _check_labels(labels, batch, check_classes("Verdicts", graph.output_shapes, signature))
    domain = balls(model, x, epsilon, p, clip, name="epsilon")
    bounded, attacked = _halves(progress)
    settings = (model, domain, true, None, batch_size, n_sub_boxes)
    upper = get_adv(*settings, progress=bounded)
    lower, flat = check_adv(*settings, return_points=True, progress=attacked)
    found = as_given(model, x, flat)
    # In its own arithmetic, the network attains the lower bound.
    upper = np.maximum(upper, lower)
    predicted, predicted_found = predict(model, x), predict(model, found)
    noise = _noise(model, domain, true, np.flatnonzero(upper < 0), flat)
    verdicts: list[Verdict] = []
    reasons: list[str] = []
    for sample in range(batch):
        verdict, reason = _decide(
            bool(predicted[sample] == true[sample]),
            bool(predicted_found[sample] == true[sample]),
            float(upper[sample]),
            float(lower[sample]),
            float(noise[sample]),
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
        like(epsilon, ports, radii) if given_each(epsilon, ports) else radii[0],
        time.perf_counter() - begin,
    )


def _halves(progress: Progress | None) -> tuple[Progress | None, Progress | None]:
    """Return a callback for each half of the work, which count on to the end of the second one."""
    if progress is None:
        return None, None
    return (
        lambda done, total: progress(done, 2 * total),
        lambda done, total: progress(total + done, 2 * total),
    )


def _noise(
    model: Any, domain: Domain, true: Any, chosen: NDArray[np.intp], points: Any
) -> NDArray[np.floating]:
    """Return how far a proof must be from zero, so that the model's own rounding cannot undo it.

    Networks whose large values cancel round more than others.  Four times what is seen at some
    points is a safeguard, not a bound of it.
    """
    verifier, signature = verifier_of(model), signature_of(model)
    regions = check_domain(domain, signature)
    parts = points if len(signature.inputs) > 1 else [points]
    flat = signature.join(parts)
    asked = margins(true, None, len(regions), verifier.graph.output_shapes[0][0])
    noise = np.zeros(len(regions))
    for part in batches(len(chosen), _LOOKED_AT, _LOOKED_AT):
        some = chosen[part]
        noise[some] = rounding_seen(verifier, regions[some], asked[some], flat[some])
    return _MARGIN_OF_NOISE * noise


def _decide(
    right: bool, found_right: bool, upper: float, lower: float, noise: float
) -> tuple[Verdict, str]:
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
    if upper < -noise:
        return Verdict.ROBUST, ""
    if upper < 0:
        return Verdict.UNKNOWN, (
            f"rounding: the bound {upper:.4g} excludes misclassified points in exact arithmetic, "
            f"but the model's own arithmetic may be off by {noise:.4g}"
        )
    return Verdict.UNKNOWN, (
        f"the largest margin lies between {lower:.4g} and {upper:.4g}: neither proven nor refuted"
    )


def _per_sample(radius: NDArray[np.floating]) -> NDArray[np.floating]:
    """Drop the axes of the features, unless radii differ between them."""
    return radius.reshape(len(radius)) if radius.size == len(radius) else radius


def _check_labels(labels: Any, batch: int, n_classes: int) -> NDArray[np.intp]:
    mask = label_mask("labels", labels, batch, n_classes)
    several = np.flatnonzero(mask.sum(axis=1) != 1)
    if several.size:
        raise ValueError(
            "labels must give one true class per sample. "
            f"Received: classes {np.flatnonzero(mask[several[0]]).tolist()} for sample {several[0]}"
        )
    return mask.argmax(axis=1)
