"""What is known about samples for every epsilon, from the epsilons tried so far."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from .verdicts import MISCLASSIFIED, NON_ROBUST, PENDING, ROBUST, UNKNOWN, VERDICTS

if TYPE_CHECKING:  # the verifier takes seconds to import, a slider needs none of it
    from decomon.certify import Certificate

__all__ = ["Findings", "Knowledge", "examine"]


@dataclass(frozen=True)
class Findings:
    """One certificate after the checks of :func:`examine`; arrays over the samples.

    Attributes
    ----------
    verdicts
        Verdict of each sample at its epsilon.
    upper, lower
        Bounds of the largest margin.
    predicted
        Class of the unperturbed sample.
    points
        The point where `lower` is attained, flat, of shape `(n, inputs)`; a counterexample where
        the verdict is "non_robust".
    reasons
        Why a sample is undecided, "" otherwise.
    problems
        Position in the certificate and one sentence for all that was wrong with the numbers.
    """

    verdicts: tuple[str, ...]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    predicted: NDArray[np.int32]
    points: NDArray[np.floating]
    reasons: tuple[str, ...]
    problems: tuple[tuple[int, str], ...]


def examine(certificate: "Certificate", labels: NDArray[np.int32]) -> Findings:
    """Accept only the verdicts that their own numbers support.

    A wrong "robust" is the worst that can be shown, so a verdict that contradicts its bounds or its
    predictions, or that stands on a NaN, becomes "unknown" and a problem is reported.

    Parameters
    ----------
    certificate
        Result of the verifier for `n` samples.
    labels
        Labels of these samples, of shape `(n,)`.

    Returns
    -------
    Findings

    Raises
    ------
    ValueError
        If the certificate is not about `n` samples.
    """
    n = len(labels)
    upper = np.asarray(certificate.upper, np.float64)
    lower = np.asarray(certificate.lower, np.float64)
    predicted = np.asarray(certificate.predicted, np.int32)
    found = np.asarray(certificate.predicted_points, np.int32)
    points = np.asarray(certificate.points)
    if not (
        len(certificate.verdicts) == len(certificate.reasons) == n
        and upper.shape == lower.shape == predicted.shape == found.shape == (n,)
        and len(points) == n
    ):
        raise ValueError(
            f"The certificate must describe {n} samples. Received: {len(certificate.verdicts)} "
            f"verdicts, upper of shape {upper.shape}, lower of shape {lower.shape}, "
            f"predicted of shape {predicted.shape}, points of shape {points.shape}"
        )
    verdicts: list[str] = []
    reasons: list[str] = []
    problems: list[tuple[int, str]] = []
    for k, verdict in enumerate(certificate.verdicts):
        problem = ""
        if verdict not in VERDICTS or verdict == PENDING:
            problem = f"{verdict!r} is not the verdict of an attempt"
        elif np.isnan(upper[k]) or np.isnan(lower[k]):
            problem = f"a bound is NaN (upper = {upper[k]}, lower = {lower[k]})"
        elif verdict == ROBUST and not (upper[k] < 0 and predicted[k] == labels[k]):
            problem = f"called robust with upper bound {upper[k]} and prediction {predicted[k]}"
        elif verdict == NON_ROBUST and found[k] == labels[k]:
            problem = f"called non robust, but its counterexample is classified as {found[k]}"
        elif verdict == MISCLASSIFIED and predicted[k] == labels[k]:
            problem = f"called misclassified with the right prediction {predicted[k]}"
        if problem:
            problems.append((k, f"{problem} (label {labels[k]})."))
        verdicts.append(UNKNOWN if problem else str(verdict))
        reasons.append(problem or certificate.reasons[k])
    flat = points.reshape(n, -1)
    return Findings(tuple(verdicts), upper, lower, predicted, flat, tuple(reasons), tuple(problems))


@dataclass(frozen=True)
class Knowledge:
    """For each sample, which epsilons are decided.

    The domains are nested: a proof at one epsilon holds for every smaller one, a counterexample for
    every larger one. The front end applies the same rule (``js/src/lib/knowledge.js``), so a moved
    slider never shows a verdict that was made for another epsilon and does not carry over.

    Attributes
    ----------
    certified
        Largest epsilon proven robust, -inf for none.
    falsified
        Smallest epsilon with a counterexample, inf for none.
    tried
        The last epsilon that was tried without a decision, NaN for none.
    misclassified
        Whether the unperturbed sample is classified wrongly.
    refined
        Whether both radii were searched for: what lies between them is undecided, not just untried.
    proof
        Upper bound of the largest margin at `certified`, inf for none.
    refutation
        Lower bound of the largest margin at `falsified`, -inf for none.
    """

    certified: NDArray[np.float64]
    falsified: NDArray[np.float64]
    tried: NDArray[np.float64]
    misclassified: NDArray[np.bool_]
    refined: NDArray[np.bool_]
    proof: NDArray[np.float64]
    refutation: NDArray[np.float64]

    @classmethod
    def nothing(cls, n: int) -> Self:
        """Know nothing about `n` samples."""
        return cls(
            np.full(n, -np.inf),
            np.full(n, np.inf),
            np.full(n, np.nan),
            np.zeros(n, np.bool_),
            np.zeros(n, np.bool_),
            np.full(n, np.inf),
            np.full(n, -np.inf),
        )

    def taken(self, positions: Sequence[int]) -> Self:
        """What is known of other samples: those at `positions` of these, new ones where -1."""
        places = np.asarray(positions, np.intp)
        old = places >= 0

        def moved(name: str, new: NDArray[Any]) -> NDArray[Any]:
            new[old] = getattr(self, name)[places[old]]
            return new

        fresh = self.nothing(len(places))
        values = {f.name: moved(f.name, getattr(fresh, f.name)) for f in fields(fresh)}
        return replace(fresh, **values)

    def verdicts(self, epsilon: float) -> tuple[str, ...]:
        """Verdict of each sample at one epsilon, "pending" where nothing is known."""
        return tuple(self._verdict(k, epsilon) for k in range(len(self.certified)))

    def _verdict(self, k: int, epsilon: float) -> str:
        if self.misclassified[k]:
            return MISCLASSIFIED
        if epsilon <= self.certified[k]:
            return ROBUST
        if epsilon >= self.falsified[k]:
            return NON_ROBUST
        return UNKNOWN if epsilon == self.tried[k] or self.refined[k] else PENDING

    def forget_tried(self) -> Self:
        """Forget which epsilons stayed undecided: another effort may decide them."""
        n = len(self.tried)
        return replace(self, tried=np.full(n, np.nan), refined=np.zeros(n, np.bool_))

    def mark_refined(self, positions: Sequence[int]) -> Self:
        """Say of some samples that both radii were searched for."""
        refined = self.refined.copy()
        refined[list(positions)] = True
        return replace(self, refined=refined)

    def tighten(
        self, upper: NDArray[np.float64], lower: NDArray[np.float64], epsilon: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Improve bounds found at one epsilon by those that carry over to it from another.

        What is largest in a domain is no larger in the domains inside of it, and no smaller in
        those around it. So a sample that stays robust by an earlier proof shows its bound.

        Parameters
        ----------
        upper, lower
            Bounds of the largest margin of every sample.
        epsilon
            The epsilon at which they were found.

        Returns
        -------
        tuple of numpy.ndarray
            Upper and lower bounds, nowhere looser than the given ones.
        """
        return (
            np.where(epsilon <= self.certified, np.minimum(upper, self.proof), upper),
            np.where(epsilon >= self.falsified, np.maximum(lower, self.refutation), lower),
        )

    def learn(
        self, start: int, findings: Findings, epsilon: "float | NDArray[np.float64]"
    ) -> tuple[Self, tuple[tuple[int, str], ...]]:
        """Add what was found out about a slice of samples at one epsilon.

        Parameters
        ----------
        start
            Position of the first sample of the slice.
        findings
            Verdicts and bounds of the slice; "pending" adds nothing.
        epsilon
            The epsilon at which they were found, or one for each sample of the slice.

        Returns
        -------
        Knowledge
            With the new verdicts. Samples with a contradiction lose everything known about them.
        tuple of tuple of int and str
            Position and one sentence for each sample that is both proven robust and refuted.
        """
        certified, falsified = self.certified.copy(), self.falsified.copy()
        tried, misclassified = self.tried.copy(), self.misclassified.copy()
        refined = self.refined.copy()
        proof, refutation = self.proof.copy(), self.refutation.copy()
        contradictions: list[tuple[int, str]] = []
        epsilons = np.broadcast_to(np.asarray(epsilon, np.float64), len(findings.verdicts))
        for part, verdict in enumerate(findings.verdicts):
            k, epsilon = start + part, float(epsilons[part])
            if verdict == PENDING:
                continue
            misclassified[k] = verdict == MISCLASSIFIED
            if verdict == ROBUST and epsilon >= certified[k]:
                certified[k], proof[k] = epsilon, findings.upper[part]
            elif verdict == NON_ROBUST and epsilon <= falsified[k]:
                falsified[k], refutation[k] = epsilon, findings.lower[part]
            elif verdict == UNKNOWN:
                tried[k] = epsilon
            if certified[k] >= falsified[k]:
                sentence = (
                    f"proven robust at epsilon {certified[k]:.6g} and refuted at epsilon "
                    f"{falsified[k]:.6g}. One of them is wrong: both are dropped."
                )
                contradictions.append((k, sentence))
                certified[k], falsified[k], tried[k] = -np.inf, np.inf, epsilon
                refined[k] = False
                proof[k], refutation[k] = np.inf, -np.inf
        known = replace(
            self,
            certified=certified,
            falsified=falsified,
            tried=tried,
            misclassified=misclassified,
            refined=refined,
            proof=proof,
            refutation=refutation,
        )
        return known, tuple(contradictions)
