"""The largest ball that is proven around a sample, and the smallest with a counterexample."""

from __future__ import annotations

import numbers
from collections import Counter
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon.complete.clock import Clock, Watcher, warn_of_interruption
from decomon.conversion import plain_crown
from decomon.domains._checks import as_array
from decomon.inputs import check_memory
from decomon.models import signature_of, verifier_of
from decomon.narrowing import Bracket, Narrowing
from decomon.nested import Continuum, Nested
from decomon.pursuit import Pursuit
from decomon.signature import like
from decomon.specs import check_classes, margins

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, repr=False)
class CertifiedRadius:
    """Between which radii the answer of each sample changes.

    Attributes
    ----------
    certified : ``(batch,)``: the largest radius whose ball is proven
        As is every smaller one.  The sample alone is the ball of radius 0, so this is 0 where it is
        classified correctly and nothing more is proven, and -inf where it is not.
    falsified : ``(batch,)``: the smallest radius whose ball holds a counterexample
        As does every larger one.  It is 0 where the sample itself is one, and infinite where none
        was found up to ``eps_max``.  ``certified < falsified`` always holds; the smallest
        perturbation that changes the answer lies between the two.
    counterexample : one per sample
        An array of the input shape, in the ball of radius ``falsified`` by its own ``contains``,
        where the real model was run and gave a target label; None where none was found.  For a
        model with several inputs, a list, tuple or dict of arrays, whichever ``x`` was.
    eps_max : ``(batch,)``: the largest radius that was asked for
    p : the norm
    elapsed : ``(batch,)``: seconds until the sample was solved, or until the end
    reason : why a sample is not solved, else empty
        Begins with ``timeout``, ``memory``, ``precision``, ``cancelled`` or ``interrupted``.
    stopped : what ended the work early: ``timeout``, ``cancelled``, ``interrupted``, or nothing
    seconds : that the whole batch took
    """

    certified: Array
    falsified: Array
    counterexample: tuple[Any, ...]
    eps_max: Array
    p: float
    elapsed: Array
    reason: tuple[str, ...]
    stopped: str
    seconds: float

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.certified)

    @property
    def gap(self) -> Array:
        """How far apart both radii are, ``(batch,)``; up to ``eps_max`` if none is falsified."""
        certified = np.maximum(self.certified, 0)
        return np.maximum(np.minimum(self.falsified, self.eps_max) - certified, 0)

    def __repr__(self) -> str:
        why = Counter(reason.partition(":")[0] for reason in self.reason if reason)
        solved = len(self) - sum(why.values())
        reasons = "".join(f", {count} {reason}" for reason, count in why.items())
        widest = f", widest gap {self.gap.max():.4g}" if len(self) else ""
        return (
            f"CertifiedRadius({len(self)} samples: {solved} solved{reasons}{widest}; "
            f"{self.seconds:.1f} s{f', {self.stopped}' if self.stopped else ''})"
        )


def certified_radius(
    model: Any,
    x: Any,
    source_labels: Any,
    p: float = np.inf,
    clip: Any = (0.0, 1.0),
    eps_max: Any = None,
    tolerance: float = 1e-3,
    timeout: float | None = 60.0,
    target_labels: Any = None,
    memory_limit: int | None = None,
    progress: Watcher | None = None,
) -> CertifiedRadius:
    """Find for each sample the radius of the ball in which its label can not change.

    The radius is bracketed from both sides.  Attacks on ever smaller balls and a walk from each
    counterexample back to the sample bring ``falsified`` down; bounds, with optimised slopes, and
    branch and bound bring ``certified`` up.  All samples are bisected at once, each with its own
    radius; a proof counts for all smaller balls, a counterexample for all larger ones.  Samples
    with the widest gaps come first.

    Parameters
    ----------
    model : keras.Model or DecomonModel
        As for :func:`~decomon.verify`.
    x : array of shape ``(batch, *input_shape)`` or ``(batch, n)``
        The samples.  For a model with several inputs: a list or tuple with one such array per
        input, in the order of ``model.inputs``, or a dict by input name.
    source_labels, target_labels
        As for :func:`~decomon.get_adv`: the labels that must win, and those that must not.
    p : 1, 2 or infinity
        The norm in which distances are measured, of all inputs together.
    clip : pair ``(low, high)`` of numbers or of arrays per feature, optional
        The valid range of inputs, as for :func:`~decomon.get_adv_noise`.
    eps_max : float or array ``(batch,)``, optional
        The largest radius to look at.  By default, the ball that holds everything within ``clip``:
        for ``p = inf`` and ``clip = (0, 1)``, at most 1.  Features without a valid range move by at
        most twice the largest size of a feature of the sample, and at least by 1.
    tolerance : float
        A sample is solved when ``falsified - certified`` is at most this, or, where nothing is
        falsified, ``eps_max - certified``.
    timeout : float, optional
        Seconds for all samples together; None goes on until all of them are solved.  What
        TensorFlow compiles when a model or a norm is first seen counts too, and is not broken off.
    memory_limit : int, optional
        As for :func:`~decomon.verify`.
    progress : callable, optional
        Called as ``progress(solved, open, widest_gap)``: how many samples are solved, how many are
        not, and the largest difference of the radii of one.  At most ten times a second, and
        once in the end.  If it returns False, the work stops and what is known is returned.

    Returns
    -------
    CertifiedRadius
        Whatever stopped the work, both radii are true of every sample.  After Ctrl-C, with a
        warning, what was known by then.

    Raises
    ------
    ValueError
        If an argument is unusable; nothing has been computed then.
    TypeError
        If ``progress`` is not a function.
    UnsupportedModelError
        If the model has layers without a certified rule.
    NonFiniteBoundError
        If the model's outputs at a sample are not finite.

    Notes
    -----
    Radii are float32 numbers (but for ``eps_max`` itself), so they mean the same in both
    precisions: used again as ``eps``, ``certified`` describes a part of what was proven, and
    ``falsified`` a ball that holds the counterexample.

    Examples
    --------
    >>> found = decomon.certified_radius(model, x, labels, p=2, timeout=120)
    >>> found.certified[0] < found.falsified[0]
    """
    clock = Clock(timeout, progress)
    memory = check_memory(memory_limit)
    tolerance = check_tolerance(tolerance)
    verifier, signature = verifier_of(model), signature_of(model)
    n_classes = check_classes("Radii", verifier.graph.output_shapes, signature)
    nested = Nested.of(signature, x, p, clip)
    asked = margins(source_labels, target_labels, len(nested), n_classes)
    limit = _limit(eps_max, nested)
    pursuit = Pursuit(model, plain_crown(verifier), nested, asked)
    found = Narrowing(pursuit, Continuum(limit, tolerance), clock, memory).run()
    certified = np.minimum(found.proven, limit)
    result = CertifiedRadius(
        certified,
        found.refuted,
        counterexamples(model, x, found),
        limit,
        nested.p,
        found.elapsed,
        _reasons(found, limit, tolerance, clock.stopped),
        clock.stopped,
        clock.elapsed,
    )
    warn_of_interruption(clock, 2)
    return result


def check_tolerance(tolerance: Any) -> float:
    """Return a positive number."""
    usable = not isinstance(tolerance, bool) and isinstance(tolerance, numbers.Real)
    if not usable or not 0 < float(tolerance) < np.inf:
        raise ValueError(
            "tolerance must be a positive, finite number: how near the certified and the falsified "
            f"radius have to come. Received: tolerance={tolerance!r}"
        )
    return float(tolerance)


def counterexamples(model: Any, x: Any, found: Bracket) -> tuple[Any, ...]:
    """Return the counterexample of each sample, in the form of ``x``, or None."""
    signature = signature_of(model)
    parts = signature.split(found.points)
    return tuple(
        like(x, signature.inputs, [part[sample] for part in parts]) if refuted else None
        for sample, refuted in enumerate(np.isfinite(found.refuted))
    )


def _limit(eps_max: Any, nested: Nested) -> Array:
    if eps_max is None:
        return nested.everything()
    values = as_array("eps_max", eps_max)
    usable = values.dtype.kind in "iuf" and values.shape in ((), (len(nested),))
    if not usable or not np.isfinite(values).all() or (values <= 0).any():
        raise ValueError(
            "eps_max must be a positive, finite number, or one per sample, shape "
            f"({len(nested)},), or None for the ball that holds everything within clip. "
            f"Received: eps_max={eps_max!r}"
        )
    return np.broadcast_to(values.astype(np.float64), len(nested)).copy()


def _reasons(found: Bracket, limit: Array, tolerance: float, stopped: str) -> tuple[str, ...]:
    """Say why samples are not solved."""
    reasons: list[str] = []
    for sample, doubt in enumerate(found.doubts):
        low, high = found.proven[sample], found.refuted[sample]
        gap = min(high, limit[sample]) - max(low, 0.0)
        if gap <= tolerance:
            reasons.append("")
        elif doubt:
            reasons.append(doubt)
        else:
            upper = f"falsified from {high:.6g} on" if np.isfinite(high) else "none falsified"
            reasons.append(f"{stopped or 'precision'}: certified up to {low:.6g}, {upper}")
    return tuple(reasons)
