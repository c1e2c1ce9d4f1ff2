"""Verdicts of a whole data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon.certify import Verdict
from decomon.dataset.question import Question, points_like, radii_like
from decomon.dataset.records import Row
from decomon.dataset.schedule import Chunk
from decomon.signature import Signature


@final
@dataclass(frozen=True)
class ChunkFailure:
    """Samples that could not be computed.

    Attributes
    ----------
    first, stop : the samples are ``x[first:stop]``
    reason : the last error, in one line
    attempts : how often they were handed to the executor; 0 if it took no more work
    """

    first: int
    stop: int
    reason: str
    attempts: int


@final
@dataclass(frozen=True)
class DatasetCertificate:
    """Verdicts of all samples, in their order, and what they rest on.

    Attributes
    ----------
    verdicts : one per sample; ``pending`` where the computation failed or was interrupted
    upper : ``(n,)``, float64: proven upper bound of the largest margin; infinity where pending
    lower : ``(n,)``, float64: the margin attained at ``points``; minus infinity where pending
    points : ``(n, *input_shape)``
        The best point that the attack found, in the form of ``x``.  NaN where pending, and for
        samples that were read from a results file, which does not keep points: ``certify`` those
        samples to see them again.
    predicted : ``(n,)``: class of the unperturbed sample, by the real model; -1 where pending
    predicted_points : ``(n,)``: class of ``points``, by the real model; -1 where pending
    reasons : why a verdict is unknown, or why the computation failed, else empty
    epsilon : ``(n,)``, or as for :class:`decomon.Certificate`
    seconds : ``(n,)``: each sample's share of the computing time of its chunk; 0 where pending
    elapsed : seconds that this call took
    failures : the chunks that failed, by sample
    """

    verdicts: tuple[Verdict, ...]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    points: Any
    predicted: NDArray[np.intp]
    predicted_points: NDArray[np.intp]
    reasons: tuple[str, ...]
    epsilon: Any
    seconds: NDArray[np.float64]
    elapsed: float
    failures: tuple[ChunkFailure, ...]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many samples have each verdict."""
        given = Counter(self.verdicts)
        return {verdict: given[verdict] for verdict in Verdict}

    @property
    def certified_accuracy(self) -> float:
        """Share of all samples that are proven to be robust; NaN if there are no samples."""
        return self.counts[Verdict.ROBUST] / len(self.verdicts) if self.verdicts else np.nan


@final
class Collector:
    """What is known of the samples so far."""

    def __init__(self, asked: Question) -> None:
        count = len(asked)
        self._asked = asked
        self._radii = asked.largest_radii()
        self._verdicts = [Verdict.PENDING] * count
        self._reasons = [""] * count
        self._upper, self._lower = np.full(count, np.inf), np.full(count, -np.inf)
        self._points = [np.full(part.shape, np.nan) for part in asked.x]
        self._predicted, self._found = (np.full(count, -1, np.intp) for _ in range(2))
        self._seconds = np.zeros(count)
        self._failures: list[ChunkFailure] = []
        self.done = 0

    def add_rows(self, rows: Iterable[Row]) -> None:
        """Take over what a file has; ValueError if it is not of these samples."""
        for row in rows:
            i = row.index
            if not 0 <= i < len(self._asked) or row.label != self._asked.labels[i]:
                raise ValueError(
                    "The results file has a row that is of none of the samples. Give another file, "
                    f"or move this one away. Received: index {i} with label {row.label}"
                )
            self.done += self._verdicts[i] == Verdict.PENDING
            self._verdicts[i] = Verdict(row.verdict)
            self._reasons[i] = row.reason
            self._upper[i], self._lower[i] = row.upper, row.lower
            self._predicted[i], self._found[i] = row.predicted, row.predicted_at_point
            self._seconds[i] = row.seconds

    def add(self, chunk: Chunk) -> list[Row]:
        """Take over what became of a chunk; return the rows that are new."""
        some, found = chunk.samples, chunk.certificate
        count = some.stop - some.start
        self.done += count
        if found is None:
            self._reasons[some] = [chunk.reason] * count
            failure = ChunkFailure(some.start, some.stop, chunk.reason, chunk.attempts)
            self._failures.append(failure)
            return []
        self._verdicts[some], self._reasons[some] = found.verdicts, found.reasons
        self._upper[some], self._lower[some] = found.upper, found.lower
        self._predicted[some], self._found[some] = found.predicted, found.predicted_points
        self._seconds[some] = found.elapsed / count
        parts = found.points if len(self._points) > 1 else [found.points]
        for points, part in zip(self._points, parts, strict=True):
            points[some] = part
        return [self._row(i) for i in range(some.start, some.stop)]

    def left(self) -> NDArray[np.intp]:
        """Return the indices of samples without a verdict."""
        return np.flatnonzero([verdict == Verdict.PENDING for verdict in self._verdicts])

    def certificate(
        self, x: Any, eps: Any, signature: Signature, elapsed: float
    ) -> DatasetCertificate:
        """Return what is known, in the forms in which ``x`` and ``eps`` were given."""
        return DatasetCertificate(
            tuple(self._verdicts),
            self._upper,
            self._lower,
            points_like(x, signature.inputs, self._points),
            self._predicted,
            self._found,
            tuple(self._reasons),
            radii_like(eps, signature.inputs, self._asked.radii),
            self._seconds,
            elapsed,
            tuple(sorted(self._failures, key=lambda failure: failure.first)),
        )

    def _row(self, i: int) -> Row:
        return Row(
            i,
            self._verdicts[i].value,
            float(self._upper[i]),
            float(self._lower[i]),
            int(self._predicted[i]),
            int(self._found[i]),
            int(self._asked.labels[i]),
            float(self._radii[i]),
            self._reasons[i],
            float(self._seconds[i]),
        )


def summary_of(failures: Sequence[ChunkFailure]) -> str:
    """Name the samples that failed, and why, in one sentence per reason."""
    by_reason: dict[str, list[ChunkFailure]] = {}
    for failure in failures:
        by_reason.setdefault(failure.reason, []).append(failure)
    return "; ".join(
        f"samples {_ranges(some)}: {reason} ({_attempts(some)})"
        for reason, some in by_reason.items()
    )


def _attempts(failures: Sequence[ChunkFailure]) -> str:
    most = max(failure.attempts for failure in failures)
    return {0: "not tried", 1: "1 attempt"}.get(most, f"{most} attempts")


def _ranges(failures: Sequence[ChunkFailure]) -> str:
    """Write indices as in 0-15, 32-63; neighbours are joined."""
    joined: list[list[int]] = []
    for failure in sorted(failures, key=lambda failure: failure.first):
        if joined and joined[-1][1] == failure.first:
            joined[-1][1] = failure.stop
        else:
            joined.append([failure.first, failure.stop])
    return ", ".join(
        str(first) if stop - first == 1 else f"{first}-{stop - 1}" for first, stop in joined
    )
