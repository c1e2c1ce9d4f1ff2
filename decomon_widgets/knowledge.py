"""What is known about samples for every epsilon, from the epsilons tried so far."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

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
    reasons
        Why a sample is undecided, "" otherwise.
    problems
        What was wrong with the numbers, one sentence each; empty if nothing was.
    """

    verdicts: tuple[str, ...]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    predicted: NDArray[np.int32]
    reasons: tuple[str, ...]
    problems: tuple[str, ...]


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
    if not (
        len(certificate.verdicts) == len(certificate.reasons) == n
        and upper.shape == lower.shape == predicted.shape == found.shape == (n,)
    ):
        raise ValueError(
            f"The certificate must describe {n} samples. Received: {len(certificate.verdicts)} "
            f"verdicts, upper of shape {upper.shape}, lower of shape {lower.shape}, "
            f"predicted of shape {predicted.shape}"
        )
    verdicts: list[str] = []
    reasons: list[str] = []
    problems: list[str] = []
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
            problems.append(f"Sample at position {k} (label {labels[k]}): {problem}.")
        verdicts.append(UNKNOWN if problem else str(verdict))
        reasons.append(problem or certificate.reasons[k])
    return Findings(tuple(verdicts), upper, lower, predicted, tuple(reasons), tuple(problems))


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
    """

    certified: NDArray[np.float64]
    falsified: NDArray[np.float64]
    tried: NDArray[np.float64]
    misclassified: NDArray[np.bool_]

    @classmethod
    def nothing(cls, n: int) -> Self:
        """Know nothing about `n` samples."""
        return cls(
            np.full(n, -np.inf), np.full(n, np.inf), np.full(n, np.nan), np.zeros(n, np.bool_)
        )

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
        return UNKNOWN if epsilon == self.tried[k] else PENDING

    def forget_tried(self) -> Self:
        """Forget which epsilons stayed undecided: another effort may decide them."""
        return replace(self, tried=np.full(len(self.tried), np.nan))

    def learn(
        self, start: int, verdicts: tuple[str, ...], epsilon: float
    ) -> tuple[Self, tuple[str, ...]]:
        """Add the verdicts of a slice of samples at one epsilon.

        Parameters
        ----------
        start
            Position of the first sample of the slice.
        verdicts
            Verdicts of the slice.
        epsilon
            The epsilon at which they were found.

        Returns
        -------
        Knowledge
            With the new verdicts. Samples with a contradiction lose everything known about them.
        tuple of str
            One sentence per sample that is both proven robust and refuted.
        """
        certified, falsified = self.certified.copy(), self.falsified.copy()
        tried, misclassified = self.tried.copy(), self.misclassified.copy()
        contradictions: list[str] = []
        for k, verdict in enumerate(verdicts, start):
            if verdict == ROBUST:
                certified[k] = max(certified[k], epsilon)
            elif verdict == NON_ROBUST:
                falsified[k] = min(falsified[k], epsilon)
            elif verdict == UNKNOWN:
                tried[k] = epsilon
            elif verdict == MISCLASSIFIED:
                misclassified[k] = True
            if certified[k] >= falsified[k]:
                contradictions.append(
                    f"Sample at position {k}: proven robust at epsilon {certified[k]:.6g} and "
                    f"refuted at epsilon {falsified[k]:.6g}. One of them is wrong: both are "
                    "dropped."
                )
                certified[k], falsified[k], tried[k] = -np.inf, np.inf, epsilon
        known = replace(
            self,
            certified=certified,
            falsified=falsified,
            tried=tried,
            misclassified=misclassified,
        )
        return known, tuple(contradictions)
