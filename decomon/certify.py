"""Verdicts: robust, non robust, or honestly unknown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import tf
from decomon.balls import balls, given_each, radii_of
from decomon.inputs import batches, check_count, check_domain, check_inputs, check_progress
from decomon.methods import METHODS as _METHODS
from decomon.models import signature_of, verifier_of
from decomon.replay import real_outputs
from decomon.robustness import (
    Progress,
    Question,
    bound_margins,
    by_input,
    limit,
    search_margins,
    settled,
)
from decomon.robustness_box import as_given
from decomon.search import STEPS, check_both, found, room_for_rounding
from decomon.signature import like
from decomon.specs import check_classes, margins, true_classes
from decomon.verifier import as_tensor

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
    verifier, signature = verifier_of(model), signature_of(model)
    ports = signature.inputs
    points = check_inputs("x", x, signature)
    batch = len(points[0])
    radii = [_per_sample(r) for r in radii_of("epsilon", epsilon, batch, ports)]
    n_classes = check_classes("Verdicts", verifier.graph.output_shapes, signature)
    true = true_classes("labels", labels, batch, n_classes)
    regions = check_domain(balls(signature, x, epsilon, p, clip, name="epsilon"), signature)
    n_sub_boxes = check_count("n_sub_boxes", n_sub_boxes)
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    question = Question(verifier, regions, margins(true, None, batch, n_classes))
    upper, lower, flat = _bound_and_attack(question, batch_size, n_sub_boxes, progress)
    # In its own arithmetic, the network attains the lower bound.
    upper = np.maximum(upper, lower)
    predicted, predicted_found = _classes(model, points, signature.split(flat))
    noise = _noise(question, np.flatnonzero(upper < 0), flat)
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
        as_given(model, x, by_input(model, flat)),
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


def _bound_and_attack(
    question: Question, batch_size: int, n_sub_boxes: int, progress: Progress | None
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Return what ``get_adv`` and ``check_adv`` do, and points of one flat input.

    Samples that fit one batch are bounded and attacked together, as attacks start from bounds.
    """
    bounded, attacked = _halves(progress)
    verifier, regions, asked = question
    parts = list(batches(len(regions), batch_size, limit(verifier, n_sub_boxes)))
    several = len(parts) != 1 or asked.rows.shape[1] > verifier.row_limit
    if verifier.steps or n_sub_boxes > 1 or several:
        upper = bound_margins(question, batch_size, n_sub_boxes, bounded)
        return upper, *search_margins(question, batch_size, n_sub_boxes, attacked)
    outer, nearest, questions = regions.sets(verifier)
    rows, valid = as_tensor(asked.rows, verifier.dtype), tf.constant(asked.valid)
    both = questions.both(outer, rows)
    looked = questions.look(outer, nearest, both[0], valid)
    upper = settled(verifier, regions, asked, outer, both[0].upper.numpy(), looked)
    if bounded is not None:
        bounded(len(regions), len(regions))
    check_both(both, verifier, outer)
    sought = questions.search(nearest, rows, valid, both, None, STEPS)
    best = found(verifier, regions, asked, sought)
    if attacked is not None:
        attacked(len(regions), len(regions))
    return upper, best.margin.astype(verifier.dtype.as_numpy_dtype), best.points


def _classes(
    model: Any, x: Sequence[NDArray[np.floating]], found: Sequence[NDArray[np.floating]]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return what the real model makes of both, at one go, as starting it takes a while."""
    both = [np.concatenate(pair) for pair in zip(x, found, strict=True)]
    outputs = real_outputs(model, both).argmax(axis=-1)
    return outputs[: len(x[0])], outputs[len(x[0]) :]


def _noise(
    question: Question, chosen: NDArray[np.intp], flat: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return how far proofs of some samples must be from zero, and zero for all others."""
    verifier, regions, asked = question
    noise = np.zeros(len(regions))
    some = regions[chosen]
    noise[chosen] = room_for_rounding(verifier, some, asked.rows[chosen], flat[chosen])
    return noise


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
