"""How many samples keep their class under perturbations of every size: bounds of both kinds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._accuracy_plot import draw
from decomon.certify import Verdict
from decomon.complete.clock import Clock, Watcher, warn_of_interruption
from decomon.conversion import plain_crown
from decomon.domains._checks import as_array
from decomon.inputs import check_memory
from decomon.models import signature_of, verifier_of
from decomon.narrowing import Narrowing
from decomon.nested import Grid, Nested
from decomon.pursuit import Pursuit
from decomon.radius import counterexamples
from decomon.specs import check_classes, margins, true_classes

Array = NDArray[np.float64]

_NORMS = {1.0: "1", 2.0: "2", math.inf: "∞"}


@final
@dataclass(frozen=True, repr=False)
class CertifiedAccuracy:
    """Two curves between which the accuracy under the worst perturbation lies.

    Attributes
    ----------
    eps : ``(count,)``: radii, ascending
    certified : ``(count,)``: fraction of all samples that are proven to keep their class
    attacked : ``(count,)``: fraction of all samples that no counterexample is known of
        Never below ``certified``; both never rise.
    status : ``(batch, count)``, strings
        ``robust``, ``non_robust``, ``unknown`` or ``misclassified``, equal to the members of
        :class:`~decomon.Verdict`.
    falsified : ``(batch,)``: the smallest radius whose ball holds the counterexample
        Infinite where none is known; 0 for misclassified samples.
    counterexample : one per sample, or None; as for :class:`~decomon.CertifiedRadius`
    p : the norm
    stopped : what ended the work early: ``timeout``, ``cancelled``, ``interrupted``, or nothing
    seconds : that all of it took
    """

    eps: Array
    certified: Array
    attacked: Array
    status: NDArray[np.str_]
    falsified: Array
    counterexample: tuple[Any, ...]
    p: float
    stopped: str
    seconds: float

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.status)

    @property
    def clean(self) -> float:
        """Fraction of samples that are classified correctly without any perturbation."""
        return float((self.status[:, 0] != Verdict.MISCLASSIFIED.value).mean())

    def __repr__(self) -> str:
        certified, attacked = self.certified, self.attacked
        unknown = int((self.status == Verdict.UNKNOWN.value).sum())
        return (
            f"CertifiedAccuracy({len(self)} samples, {len(self.eps)} radii from {self.eps[0]:.4g} "
            f"to {self.eps[-1]:.4g}: certified {certified[0]:.1%} to {certified[-1]:.1%}, "
            f"attacked {attacked[0]:.1%} to {attacked[-1]:.1%}; {unknown} unknown, "
            f"{self.seconds:.1f} s{f', {self.stopped}' if self.stopped else ''})"
        )

    def plot(self, ax: Any = None, *, dark: bool = False) -> Any:
        """Draw both curves and what is unknown between them.

        Between two radii of the grid, the certified curve is that of the larger one and the
        attacked curve that of the smaller one, so the truth is never outside of the band.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw, in the colours that it has; by default in a new figure, without pyplot.
        dark : bool
            Draw a new figure for a dark background.

        Returns
        -------
        matplotlib.axes.Axes
            Its ``figure`` can be displayed and saved.
        """
        return draw(self, _NORMS[self.p], ax, dark)


def certified_accuracy(
    model: Any,
    x: Any,
    y: Any,
    eps_grid: Any,
    p: float = np.inf,
    clip: Any = (0.0, 1.0),
    timeout: float | None = 60.0,
    memory_limit: int | None = None,
    progress: Watcher | None = None,
) -> CertifiedAccuracy:
    """Bound the accuracy under the worst perturbation, for a grid of radii, from both sides.

    All radii are decided together: a proof for one ball holds for all smaller ones around the same
    sample, and a counterexample for all larger ones, so each sample is asked about few of them.

    Parameters
    ----------
    model, x, p, clip, memory_limit
        As for :func:`~decomon.certified_radius`.
    y : integer array ``(batch,)``, or one-hot ``(batch, n_classes)``
        The true class of each sample.  Samples that the model gets wrong count for no radius.
    eps_grid : array ``(count,)`` of numbers of at least 0
        The radii; they are sorted, and what comes twice is dropped.
    timeout : float, optional
        Seconds for everything together; None goes on until all is decided, which may never be.
    progress : callable, optional
        Called as ``progress(solved, open, widest_gap)``: how many samples are decided for all
        radii, how many are not, and the widest undecided range of radii of one.  At most ten times
        a second, and once in the end.  If it returns False, the work stops and what is known is
        returned.

    Returns
    -------
    CertifiedAccuracy
        Whatever stopped the work, the truth lies between both curves.  After Ctrl-C, with a
        warning, what was known by then.

    Raises
    ------
    As :func:`~decomon.certified_radius`; ValueError also if there are no samples or no radii.

    Examples
    --------
    >>> found = decomon.certified_accuracy(model, x, y, np.linspace(0, 0.05, 11), timeout=300)
    >>> found.plot().figure.savefig("accuracy.png")
    """
    clock = Clock(timeout, progress)
    memory = check_memory(memory_limit)
    verifier, signature = verifier_of(model), signature_of(model)
    n_classes = check_classes("Accuracies", verifier.graph.output_shapes, signature)
    nested = Nested.of(signature, x, p, clip)
    if not len(nested):
        raise ValueError(
            "x must hold at least one sample: there is no accuracy of none. Received: 0 samples"
        )
    true = true_classes("y", y, len(nested), n_classes)
    grid = _grid(eps_grid)
    asked = margins(true, None, len(nested), n_classes)
    pursuit = Pursuit(model, plain_crown(verifier), nested, asked)
    found = Narrowing(pursuit, Grid(grid), clock, memory).run()
    robust = found.proven[:, None] >= grid
    refuted = found.refuted[:, None] <= grid
    status = np.full(robust.shape, Verdict.UNKNOWN.value, dtype=f"<U{max(map(len, Verdict))}")
    status[robust] = Verdict.ROBUST.value
    status[refuted] = Verdict.NON_ROBUST.value
    status[found.refuted == 0] = Verdict.MISCLASSIFIED.value
    result = CertifiedAccuracy(
        grid,
        robust.mean(axis=0),
        (~refuted).mean(axis=0),
        status,
        found.refuted,
        counterexamples(model, x, found),
        nested.p,
        clock.stopped,
        clock.elapsed,
    )
    warn_of_interruption(clock, 2)
    return result


def _grid(eps_grid: Any) -> Array:
    values = as_array("eps_grid", eps_grid)
    usable = values.dtype.kind in "iuf" and values.ndim == 1 and values.size > 0
    if not usable or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            "eps_grid must be a sequence of finite numbers that are at least 0, shape (count,), "
            f"for instance numpy.linspace(0, 0.1, 11). Received: eps_grid={eps_grid!r}"
        )
    return np.unique(values.astype(np.float64))
