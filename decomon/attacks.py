"""Attacks: looking for the point of a set where the margin is largest."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decomon.domains import Domain
from decomon.inputs import batches, check_count
from decomon.models import signature_of
from decomon.replay import real_outputs
from decomon.robustness import Progress, Question, ask, by_input, limit, pose
from decomon.robustness_box import as_given, pose_boxes
from decomon.robustness_noise import pose_balls
from decomon.search import STEPS, search


class Attacked(NamedTuple):
    """The best points that an attack found.

    Attributes
    ----------
    points : ``(batch, *input_shape)``: they lie in their sets; by input, if there are several
    margin : ``(batch,)``: the largest margin ``f_j - f_i`` of the real model at the point
    """

    points: Any
    margin: NDArray[np.floating]


def attack(
    model: Any,
    domain: Domain,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    *,
    steps: int = STEPS,
    restarts: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attacked:
    """Search each input set for the point with the largest margin ``f_j - f_i``.

    Projected gradient ascent (Madry et al. 2018) from the points that maximise the bounds of the
    most promising margins, the middle, and random points.  This is the search of
    :func:`~decomon.check_adv` and more, so up to rounding it finds nothing smaller than that does
    on whole sets, whatever the seed.

    Parameters
    ----------
    model, domain, source_labels, target_labels, batch_size, progress
        As for :func:`~decomon.get_adv`.
    steps : int
        Number of gradient steps of each ascent.
    restarts : int
        How many ascents start from a random point each, for each of the three most promising
        margins, besides the one from the best point known.
    seed : int
        Of the random points that restarts begin at; the result is deterministic.

    Returns
    -------
    Attacked
        The best points and their margins.  A positive margin is a misclassified point.

    Raises
    ------
    As :func:`~decomon.get_adv`.
    """
    question = ask(pose(model, domain), source_labels, target_labels)
    points, margin = _attack(model, question, batch_size, steps, restarts, seed, progress)
    return Attacked(by_input(model, points), margin)


def _attack(
    model: Any,
    question: Question,
    batch_size: int,
    steps: int,
    restarts: int,
    seed: int,
    progress: Progress | None,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Answer :func:`attack`; points are those of one flat input."""
    verifier, regions, asked = question
    batch_size = check_count("batch_size", batch_size, minus_one=True)
    steps = check_count("steps", steps)
    restarts = check_count("restarts", restarts, zero=True)
    seed = check_count("seed", seed, zero=True)
    found = [
        search(
            verifier,
            regions[part],
            asked[part],
            None,
            part.start,
            steps=steps,
            restarts=restarts,
            seed=seed,
        )
        for part in batches(len(regions), batch_size, limit(verifier, 1), progress)
    ]
    empty = np.zeros((0, *verifier.graph.input_shape), regions.dtype)
    points = np.concatenate([empty, *(part.points for part in found)])
    margin = np.concatenate([np.zeros(0), *(part.margin for part in found)])
    if not verifier.graph.stripped and len(points):
        parts = signature_of(model).split(points)
        margin = asked.of(real_outputs(model, parts)[:, None])[:, 0]
    return points, margin.astype(verifier.dtype.as_numpy_dtype)


def attack_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    source_labels: Any,
    target_labels: Any = None,
    batch_size: int = -1,
    *,
    steps: int = STEPS,
    restarts: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attacked:
    """Search each box for the point with the largest margin; see :func:`attack`.

    ``x_min`` and ``x_max`` are as for :func:`~decomon.get_adv_box`.
    """
    question = ask(pose_boxes(model, x_min, x_max), source_labels, target_labels)
    points, margin = _attack(model, question, batch_size, steps, restarts, seed, progress)
    return Attacked(as_given(model, x_min, by_input(model, points)), margin)


def attack_noise(
    model: Any,
    x: Any,
    eps: Any,
    source_labels: Any,
    target_labels: Any = None,
    p: float = np.inf,
    clip: Any = None,
    batch_size: int = -1,
    *,
    steps: int = STEPS,
    restarts: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attacked:
    """Search each ball for the point with the largest margin; see :func:`attack`.

    ``x``, ``eps``, ``p`` and ``clip`` are as for :func:`~decomon.get_adv_noise`.
    """
    question = ask(pose_balls(model, x, eps, p, clip), source_labels, target_labels)
    points, margin = _attack(model, question, batch_size, steps, restarts, seed, progress)
    return Attacked(as_given(model, x, by_input(model, points)), margin)
