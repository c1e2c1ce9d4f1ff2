"""Complete verification: each question is decided, or the time runs out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from decomon.certify import Verdict
from decomon.complete.clock import (
    Clock,
    Watcher,
    check_positive,
    interruptible,
    warn_of_interruption,
)
from decomon.complete.goals import Goals
from decomon.complete.replay import confirm_margins
from decomon.complete.solve import DISAGREE, Confirm, Outcome, solve
from decomon.conversion import plain_crown
from decomon.domains import Domain
from decomon.inputs import Regions, check_memory
from decomon.models import signature_of
from decomon.robustness import Question, ask, pose
from decomon.robustness_box import pose_boxes
from decomon.robustness_noise import pose_balls
from decomon.search import room_for_rounding
from decomon.signature import like
from decomon.verifier import Verifier

Array = NDArray[np.floating]

_STATUSES = (Verdict.ROBUST, Verdict.NON_ROBUST, Verdict.UNKNOWN)


@final
@dataclass(frozen=True, repr=False)
class Verification:
    """What was found out about each sample of a batch.

    Attributes
    ----------
    status : one per sample: ``robust`` (proven), ``non_robust`` (there is a counterexample) or
        ``unknown``.  The members of :class:`~decomon.Verdict` are equal to these strings.
    upper, lower : ``(batch,)``
        Proven bounds of the largest margin ``f_j - f_i`` over the set, of logits; ``upper`` is
        negative where robust.  By default, the search ends when the sign is known: with ``gap``, it
        goes on until the bounds are as near.
    counterexample : one per sample
        An array of the input shape, where the sample is ``non_robust``, else None.  The real model
        was run on it: a target label wins over a source label; and it lies in the set by its
        own ``contains``.  For a model with several inputs, a list, tuple or dict of arrays.
    points : ``(batch, *input_shape)``
        The best point found, where ``lower`` is attained; in the form of the inputs.
    n_domains : ``(batch,)``: how many parts of the set were bounded
    elapsed : ``(batch,)``: seconds until the sample was decided, or until the end
    reason : why a sample is unknown, else empty
        One of ``timeout``, ``memory``, ``precision``, ``cancelled``, ``interrupted``.
    detail : what more is to be said about the reason, in a sentence, or empty
    stopped : what ended the work early: ``timeout``, ``cancelled``, ``interrupted``, or nothing
    seconds : that the whole batch took
    """

    status: tuple[Verdict, ...]
    upper: Array
    lower: Array
    counterexample: tuple[Any, ...]
    points: Any
    n_domains: NDArray[np.int64]
    elapsed: Array
    reason: tuple[str, ...]
    detail: tuple[str, ...]
    stopped: str
    seconds: float

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.status)

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many samples have each status."""
        given = Counter(self.status)
        return {status: given[status] for status in _STATUSES}

    def __repr__(self) -> str:
        found = ", ".join(f"{count} {status.value}" for status, count in self.counts.items())
        why = Counter(reason for reason in self.reason if reason)
        reasons = ", ".join(f"{count} {reason}" for reason, count in why.items())
        return (
            f"Verification({len(self)} samples: {found}{f' ({reasons})' if reasons else ''}; "
            f"{int(self.n_domains.sum())} domains, {self.seconds:.1f} s"
            f"{f', {self.stopped}' if self.stopped else ''})"
        )


def verify(
    model: Any,
    domain: Domain,
    source_labels: Any,
    target_labels: Any = None,
    timeout: float | None = 60.0,
    memory_limit: int | None = None,
    progress: Watcher | None = None,
    *,
    gap: float | None = None,
) -> Verification:
    """Decide for each input set whether a target label can win over a source label in it.

    An attack is tried first, then bounds, then branch and bound: sets are cut into parts that are
    easier to bound (Bunel et al. 2020; Wang et al. 2021, beta-CROWN).  For piecewise-linear
    networks it comes to an answer if there is time, and rounding does not matter; for others, it
    proves and refutes more than bounds alone.

    Parameters
    ----------
    model : keras.Model or DecomonModel
        It is converted once and remembered.  Of a DecomonModel, the network, its output and the
        dtype count; the method does not, as the search chooses its own.
    domain, source_labels, target_labels
        As for :func:`~decomon.get_adv`.
    timeout : float, optional
        Seconds for all samples together; they share the work, and a hard one does not starve the
        others.  None goes on until everything is decided.  What TensorFlow compiles when a
        model or a kind of set is first seen counts too, and is not broken off.
    memory_limit : int, optional
        About how many bytes the parts that are still open may take; a quarter of what is free by
        default.  Where they do not fit, the most difficult ones are kept, and samples that lost
        parts can end as ``unknown`` for the reason ``memory``.
    progress : callable, optional
        Called as ``progress(solved, open_domains, worst_gap)``: the number of samples that are
        decided, that of parts that are still open, and the largest difference of ``upper`` and
        ``lower`` of an undecided sample.  At most ten times a second, and once in the end.  If it
        returns False, the work stops and what is known is returned; it is not called again.
    gap : float, optional
        Go on with decided samples until ``upper - lower`` is at most this; by default, the sign
        of the largest margin is enough.

    Returns
    -------
    Verification
        A sample that the model already gets wrong as it is is ``non_robust``.  ``robust`` needs an
        upper bound that is negative by more than the model's own rounding errors, as far as they
        are seen.  After Ctrl-C, with a warning, what was known by then.

    Raises
    ------
    ValueError
        If an argument is unusable; nothing has been computed then.
    TypeError
        If ``domain`` is not a set of inputs or ``progress`` is not a function.
    UnsupportedModelError, NonFiniteBoundError
        As :func:`~decomon.get_adv`.

    Examples
    --------
    >>> found = decomon.verify(model, decomon.BallDomain(x, 0.3, p=2, clip=(0, 1)), labels)
    >>> found.status[0], found.lower[0], found.upper[0]
    """
    terms = _terms(timeout, memory_limit, progress, gap)
    question = ask(pose(model, domain), source_labels, target_labels)
    return _verify(model, [], question, terms)


def verify_box(
    model: Any,
    x_min: Any,
    x_max: Any,
    source_labels: Any,
    target_labels: Any = None,
    timeout: float | None = 60.0,
    memory_limit: int | None = None,
    progress: Watcher | None = None,
    *,
    gap: float | None = None,
) -> Verification:
    """Decide for each box whether a target label can win over a source label in it.

    Parameters
    ----------
    model, source_labels, target_labels, timeout, memory_limit, progress, gap
        As for :func:`verify`.
    x_min, x_max
        As for :func:`~decomon.get_adv_box`.

    Returns
    -------
    Verification
        Points and counterexamples of a model with several inputs come in the form of ``x_min``.

    Raises
    ------
    As :func:`verify`.
    """
    terms = _terms(timeout, memory_limit, progress, gap)
    question = ask(pose_boxes(model, x_min, x_max), source_labels, target_labels)
    return _verify(model, x_min, question, terms)


def verify_noise(
    model: Any,
    x: Any,
    eps: Any,
    p: float = np.inf,
    clip: Any = None,
    source_labels: Any = None,
    target_labels: Any = None,
    timeout: float | None = 60.0,
    memory_limit: int | None = None,
    progress: Watcher | None = None,
    *,
    gap: float | None = None,
) -> Verification:
    """Decide for the ball around each sample whether a target label can win in it.

    Parameters
    ----------
    model, target_labels, timeout, memory_limit, progress, gap
        As for :func:`verify`.
    x, eps, p, clip
        As for :func:`~decomon.get_adv_noise`; here, ``p`` and ``clip`` stand before the labels.
    source_labels
        As for :func:`verify`; they have to be given.

    Returns
    -------
    Verification
        Points and counterexamples of a model with several inputs come in the form of ``x``.

    Raises
    ------
    As :func:`verify` and :func:`~decomon.get_adv_noise`.
    """
    terms = _terms(timeout, memory_limit, progress, gap)
    if source_labels is None:
        raise ValueError(
            "source_labels must say which labels have to win, for instance the true ones: "
            "verify_noise(model, x, eps, p, clip, labels) or source_labels=labels. Received: None"
        )
    question = ask(pose_balls(model, x, eps, p, clip), source_labels, target_labels)
    return _verify(model, x, question, terms)


class _Terms(NamedTuple):
    """How long, with how much memory, and how far to search; the clock is running."""

    clock: Clock
    memory: int
    gap: float | None


def _terms(timeout: Any, memory_limit: Any, progress: Any, gap: Any) -> _Terms:
    clock = Clock(timeout, progress)
    memory = check_memory(memory_limit)
    if gap is not None:
        gap = check_positive("gap", gap, "to stop where the sign of the largest margin is known")
    return _Terms(clock, memory, gap)


def _verify(model: Any, given: Any, question: Question, terms: _Terms) -> Verification:
    """Answer; ``given`` has the form that points are returned in."""
    with interruptible(terms.clock):
        outcome = _outcome(model, question, terms)
        found = _answer(model, given, outcome, terms.clock)
    warn_of_interruption(terms.clock, 3)
    return found


def _outcome(model: Any, question: Question, terms: _Terms) -> Outcome:
    """Search, look once more at the answers, and report for the last time."""
    regions, asked = question.regions, question.asked
    verifier = plain_crown(question.verifier)
    if not len(regions):
        outcome = _nothing(regions, verifier)
        outcome.finish(terms.clock)
        return outcome
    confirm = confirm_margins(model, regions, asked)
    center = regions.inside(np.asarray(regions.domain.center()))
    below = -room_for_rounding(verifier, regions, asked.rows, center)
    outcome = solve(
        verifier,
        regions,
        Goals.from_margins(asked),
        clock=terms.clock,
        confirm=confirm,
        below=below,
        memory=terms.memory,
        gap=terms.gap,
    )
    outcome = _replayed(outcome, center, below, confirm)
    outcome.finish(terms.clock)
    return outcome


def _nothing(regions: Regions, verifier: Verifier) -> Outcome:
    """Return the answer for no samples."""
    none, no = np.zeros(0, verifier.dtype.as_numpy_dtype), np.zeros(0, dtype=bool)
    points = np.zeros((0, *verifier.graph.input_shape), regions.dtype)
    return Outcome(none, none, points, no, no, (), np.zeros(0, np.int64), np.zeros(0))


def _replayed(outcome: Outcome, center: Array, below: Array, confirm: Confirm) -> Outcome:
    """Look once more at every answer with the real model, which has the last word.

    A sample is refuted if and only if the real model confirms the point that is returned; none is
    proven where it fails in the middle of the set or at the best point that was found, or where
    the bound is above ``below``, so that rounding may matter.
    """
    every = np.arange(len(center))
    points = outcome.points.copy()
    falsified = confirm(every, points)
    middle = confirm(every, center) & ~falsified
    points[middle] = center[middle]
    falsified |= middle
    # In its own arithmetic, the network attains the lower bound.
    upper = np.maximum(np.nan_to_num(outcome.upper, nan=np.inf, posinf=np.inf), outcome.lower)
    robust = outcome.robust & (upper < 0) & (upper <= below) & ~falsified
    reasons = tuple(
        "" if decided else reason or DISAGREE
        for decided, reason in zip(robust | falsified, outcome.reasons, strict=True)
    )
    return replace(
        outcome,
        upper=upper,
        points=points,
        robust=robust,
        falsified=falsified,
        reasons=reasons,
    )


def _answer(model: Any, given: Any, outcome: Outcome, clock: Clock) -> Verification:
    """Put what is known into the words and forms of the user."""
    ports = signature_of(model).inputs
    parts = signature_of(model).split(outcome.points)
    status = tuple(
        Verdict.ROBUST if robust else Verdict.NON_ROBUST if falsified else Verdict.UNKNOWN
        for robust, falsified in zip(outcome.robust, outcome.falsified, strict=True)
    )
    reasons = [reason.partition(":") for reason in outcome.reasons]
    reason = tuple(word for word, _, _ in reasons)
    return Verification(
        status,
        outcome.upper,
        outcome.lower,
        tuple(
            like(given, ports, [part[sample] for part in parts]) if found else None
            for sample, found in enumerate(outcome.falsified)
        ),
        like(given, ports, parts),
        outcome.n_domains,
        outcome.elapsed,
        reason,
        tuple(rest.strip() for _, _, rest in reasons),
        "interrupted" if "interrupted" in reason else clock.stopped,
        clock.elapsed,
    )
