"""``decomon certify --complete``: branch and bound until the time is over."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from decomon_widgets._commands import UsageError
from decomon_widgets._commands.progress import Progress

if TYPE_CHECKING:
    from decomon.certify import Verdict

DEFAULT_TIMEOUT: Final = 60.0


@dataclass(frozen=True)
class Completed:
    """The results of complete verification, one per sample.

    Parameters
    ----------
    verdicts, upper, lower, predicted, predicted_points, reasons
        As for `decomon.Certificate`.
    n_domains : np.ndarray
        How many parts of the set were bounded.
    seconds : np.ndarray
        When the sample was decided, or the end.
    """

    verdicts: tuple[Verdict, ...]
    upper: np.ndarray
    lower: np.ndarray
    predicted: np.ndarray
    predicted_points: np.ndarray
    reasons: tuple[str, ...]
    n_domains: np.ndarray
    seconds: np.ndarray


def check(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together, before anything is loaded."""
    if not arguments.complete:
        if arguments.timeout is not None:
            raise UsageError("--timeout: needs --complete, which searches until the time is over")
        return
    unusable = {
        "--method": arguments.method != "crown",
        "--finetune": arguments.finetune,
        "--n-sub-boxes": arguments.n_sub_boxes > 1,
        "--workers": arguments.workers > 1,
        "--results": arguments.results is not None,
        "--batch-size": arguments.batch_size is not None,
    }
    given = [option for option, used in unusable.items() if used]
    if given:
        raise UsageError(
            f"--complete: cannot be combined with {', '.join(given)}, as it chooses how to bound "
            "and to split, and all samples share one process and its time"
        )


def timeout_of(arguments: argparse.Namespace) -> float | None:
    """The seconds for all samples together; None without ``--complete``."""
    if not arguments.complete:
        return None
    return DEFAULT_TIMEOUT if arguments.timeout is None else arguments.timeout


def certify(
    verifier: Any, x: np.ndarray, labels: np.ndarray, arguments: argparse.Namespace
) -> tuple[Completed, bool]:
    """Verify samples; say also whether the user stopped it."""
    from decomon.certify import Verdict
    from decomon.errors import NonFiniteBoundError
    from decomon.replay import predict
    from decomon.verification import verify_noise

    predicted = predict(verifier, x)
    right = predicted == labels
    with Progress(len(x)) as bar:
        try:
            found = verify_noise(
                verifier,
                x,
                arguments.epsilon,
                float(arguments.norm),
                arguments.clip,
                labels,
                timeout=timeout_of(arguments),
                progress=lambda solved, *_: bar.update(solved),
            )
        except (ValueError, NonFiniteBoundError) as error:
            raise UsageError(str(error)) from error
    status = zip(right, found.status, strict=True)
    reasons = zip(right, found.reason, found.detail, strict=True)
    completed = Completed(
        verdicts=tuple(own if ok else Verdict.MISCLASSIFIED for ok, own in status),
        upper=found.upper,
        lower=found.lower,
        predicted=predicted,
        predicted_points=predict(verifier, found.points),
        reasons=tuple(": ".join(filter(None, reason)) if ok else "" for ok, *reason in reasons),
        n_domains=found.n_domains,
        seconds=found.elapsed,
    )
    return completed, found.stopped == "interrupted"
