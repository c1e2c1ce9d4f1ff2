"""The report of ``decomon certify`` in its three formats."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from decomon_widgets._commands import version
from decomon_widgets._commands.complete import Completed
from decomon_widgets.verdicts import (
    MISCLASSIFIED,
    NON_ROBUST,
    PENDING,
    ROBUST,
    UNKNOWN,
    VERDICTS,
)

if TYPE_CHECKING:
    from decomon.certify import Certificate
    from decomon.dataset import DatasetCertificate

Format = Literal["table", "json", "csv"]

Certificates: TypeAlias = "tuple[Certificate | DatasetCertificate | Completed, ...]"
"""One for each batch, or one for all samples."""

# The verdicts that certification gives, in the order of the summary; what failed stays pending.
_VERDICTS: Final = (ROBUST, UNKNOWN, NON_ROBUST, MISCLASSIFIED, PENDING)
_COLUMNS: Final = (
    "index",
    "label",
    "predicted",
    "verdict",
    "lower",
    "upper",
    "counterexample_class",
    "reason",
)
_COMPLETE_COLUMNS: Final = ("n_domains", "seconds")  # these come last


@dataclass(frozen=True)
class Row:
    """What is known about one sample.

    Parameters
    ----------
    index : int
        Its position in the data.
    label : int
        Its class by the data.
    predicted : int or None
        Its class by the model; None if the computation failed.
    verdict : str
        Value of `decomon.certify.Verdict`.
    lower, upper : float or None
        Bounds of the largest margin over the domain; None where there is none.
    counterexample_class : int or None
        What the model says about the counterexample, if there is one.
    reason : str
        Why the verdict is unknown, or why the computation failed.
    n_domains : int or None
        How many parts of the domain were bounded, in complete verification.
    seconds : float or None
        When the sample was decided, or the end, in complete verification.
    """

    index: int
    label: int
    predicted: int | None
    verdict: str
    lower: float | None
    upper: float | None
    counterexample_class: int | None
    reason: str
    n_domains: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Report:
    """The results, and how they were obtained.

    Parameters
    ----------
    certificates : tuple
        One for each batch, or one for all samples.
    labels : np.ndarray
        Classes by the data, shape ``(n,)``.
    seconds : float
        Time for all batches, without loading.
    interrupted : bool
        Whether the user stopped the run, so samples are missing.
    failed : str
        Which samples could not be computed, and why; empty if there are none.
    timeout : float or None
        Seconds for all samples, in complete verification.
    model, data, method, finetune, n_sub_boxes, epsilon, norm, clip, dtype, final_activation_removed
        Where the results come from.
    """

    certificates: Certificates
    labels: np.ndarray
    seconds: float
    interrupted: bool
    failed: str
    model: str
    data: str
    method: str
    finetune: bool
    n_sub_boxes: int
    timeout: float | None
    epsilon: float
    norm: str
    clip: tuple[float, float] | None
    dtype: str
    final_activation_removed: str | None

    def rows(self) -> Iterator[Row]:
        """The samples in the order of the data; those that were not tried are left out."""
        index = 0
        for certificate in self.certificates:
            for i, verdict in enumerate(certificate.verdicts):
                found, tried = verdict == NON_ROBUST, verdict != PENDING
                if tried or certificate.reasons[i]:
                    yield Row(
                        index=index,
                        label=int(self.labels[index]),
                        predicted=int(certificate.predicted[i]) if tried else None,
                        verdict=verdict.value,
                        lower=_finite(certificate.lower[i]),
                        upper=_finite(certificate.upper[i]),
                        counterexample_class=int(certificate.predicted_points[i])
                        if found
                        else None,
                        reason=certificate.reasons[i],
                        **_search(certificate, i),
                    )
                index += 1

    @property
    def columns(self) -> tuple[str, ...]:
        """What is known of each sample."""
        return _COLUMNS if self.timeout is None else _COLUMNS + _COMPLETE_COLUMNS

    def counts(self) -> dict[str, int]:
        """How often each verdict was given."""
        given = Counter(row.verdict for row in self.rows())
        return {verdict: given[verdict] for verdict in _VERDICTS}

    def summary_line(self) -> str:
        """The result in one line for people."""
        counts = self.counts()
        parts = [
            f"{count} {VERDICTS[verdict].plural}"
            for verdict, count in counts.items()
            if count or verdict != PENDING
        ]
        tuned = ", finetuned" if self.finetune else ""
        boxes = f", {self.n_sub_boxes} sub-boxes" if self.n_sub_boxes > 1 else ""
        limit = "" if self.timeout is None else f", timeout {self.timeout:g} s"
        norm = "" if self.norm == "inf" else f" in the {self.norm}-norm"
        return (
            f"{sum(counts.values())} samples: {', '.join(parts)}; {self.seconds:.1f} s "
            f"({self.method}{tuned}{boxes}{limit}, epsilon {self.epsilon:g}{norm})"
            + (" - interrupted" if self.interrupted else "")
        )


def write(report: Report, style: Format) -> None:
    """Print the report on standard output; in CSV, the summary goes to standard error."""
    if style == "json":
        print(_json(report))
    elif style == "csv":
        print(_csv(report), end="")
        print(report.summary_line(), file=sys.stderr)
    else:
        print(_table(report))
    sys.stdout.flush()


def _search(certificate: Certificate | DatasetCertificate | Completed, i: int) -> dict[str, Any]:
    """How the sample was searched, if it was."""
    if not isinstance(certificate, Completed):
        return {}
    seconds = round(float(certificate.seconds[i]), 3)
    return {"n_domains": int(certificate.n_domains[i]), "seconds": seconds}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _json(report: Report) -> str:
    content = {
        "decomon": version(),
        "model": report.model,
        "data": report.data,
        "method": report.method,
        "finetune": report.finetune,
        "n_sub_boxes": report.n_sub_boxes,
        "timeout": report.timeout,
        "epsilon": report.epsilon,
        "norm": report.norm,
        "clip": report.clip,
        "dtype": report.dtype,
        "final_activation_removed": report.final_activation_removed,
        "samples": [{name: getattr(row, name) for name in report.columns} for row in report.rows()],
        "summary": {
            **report.counts(),
            "total": sum(report.counts().values()),
            "seconds": round(report.seconds, 3),
            "interrupted": report.interrupted,
        },
    }
    return json.dumps(content, indent=2, allow_nan=False)


def _csv(report: Report) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(report.columns)
    for row in report.rows():
        values = (getattr(row, name) for name in report.columns)
        writer.writerow("" if value is None else value for value in values)
    return text.getvalue()


def _table(report: Report) -> str:
    lines = [f"{'sample':>6}  {'label':>5}  {'predicted':>9}  {'verdict':<13}  largest margin"]
    for row in report.rows():
        bounds = " ... ".join(
            "?" if end is None else f"{end:+.4f}" for end in (row.lower, row.upper)
        )
        details = [bounds]
        if row.counterexample_class is not None:
            details.append(f"found: classified as {row.counterexample_class}")
        # That the margin may be on either side of zero is what the two bounds say already.
        if row.reason and not (row.lower or 0) <= 0 <= (row.upper or 0):
            details.append(row.reason)
        elif row.n_domains is not None and row.reason:
            details.append(row.reason.partition(":")[0])
        if row.n_domains is not None:
            parts = "1 domain" if row.n_domains == 1 else f"{row.n_domains} domains"
            details.append(f"{parts}, {row.seconds:.1f} s")
        verdict = VERDICTS[row.verdict].plural
        predicted = "?" if row.predicted is None else row.predicted
        lines.append(
            f"{row.index:>6}  {row.label:>5}  {predicted:>9}  {verdict:<13}  " + "; ".join(details)
        )
    return "\n".join([*lines, "", report.summary_line()])
