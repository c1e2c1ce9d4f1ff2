"""Step by step to better bounds, as long as a sample gains from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf

Nest: TypeAlias = Any
"""Tensors in nested tuples, their first axis being the batch, or of length 1."""

Improve: TypeAlias = Callable[[Nest, tuple[Tensor, ...], Nest, Tensor], tuple[Any, Nest]]
"""Maps problem, best results so far, variables, number of the step to new results and variables."""


@final
@dataclass(frozen=True)
class Descent:
    """Repeated improvement of a batch, from which samples drop out once they are done.

    A sample is done when all its bounds are good enough, or when for ``patience`` steps none of
    them has become better by more than ``tolerance``, relative to itself.  That depends on
    the sample alone, so its bounds do not depend on what else is in the batch.

    Attributes
    ----------
    improve : one step; bounds ``(batch, spec)``, to be lowered, come first among the results and
        never rise
    steps : how many there are at most
    enough : bounds below this are good enough
    """

    improve: Improve
    steps: int
    enough: float = -np.inf
    patience: int = 4
    tolerance: float = 5e-5

    def run(self, problem: Nest, best: tuple[Tensor, ...], variables: Nest) -> tuple[Tensor, ...]:
        """Return the best results of all samples.

        In compiled code, where values are not known yet, all samples take all steps.
        """
        if tf.is_symbolic_tensor(best[0]):
            for step in range(self.steps):
                best, variables = self.improve(problem, best, variables, tf.constant(step))
            return best
        done = best
        left = np.arange(len(best[0]))  # places of the samples that are still in the batch
        watch = _Watch(best[0].numpy(), self.tolerance)
        for step in range(self.steps):
            keep = (watch.idle < self.patience) & ~watch.below(self.enough)
            if not keep.all():
                done = _put(done, left, best)
                left, watch = left[keep], watch.chosen(keep)
                if not left.size:
                    return done
                problem, best, variables = _chosen((problem, best, variables), keep)
            best, variables = self.improve(problem, best, variables, tf.constant(step))
            watch.note(best[0].numpy())
        return _put(done, left, best)


@final
@dataclass
class _Watch:
    """For how many steps each sample has not improved since its bounds were ``marks``."""

    marks: NDArray[np.floating]
    tolerance: float
    idle: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        self.idle = np.zeros(len(self.marks), np.intp)

    def below(self, enough: float) -> NDArray[np.bool_]:
        """Say of which samples all bounds are below a number."""
        return np.all(self.marks < enough, axis=1)

    def note(self, upper: NDArray[np.floating]) -> None:
        """Compare with new bounds."""
        with np.errstate(invalid="ignore"):  # what is no number never improves
            size = np.where(np.isfinite(self.marks), np.abs(self.marks), 0)
            better = np.any(upper < self.marks - self.tolerance * size, axis=1)
        self.marks = np.where(better[:, None], upper, self.marks)
        self.idle = np.where(better, 0, self.idle + 1)

    def chosen(self, keep: NDArray[np.bool_]) -> _Watch:
        """Return the same for some samples."""
        watch = _Watch(self.marks[keep], self.tolerance)
        watch.idle = self.idle[keep]
        return watch


def _chosen(nest: Nest, keep: NDArray[np.bool_]) -> Nest:
    """Take some samples of all tensors, except of those that all samples share."""
    places = tf.constant(np.flatnonzero(keep))

    def take(values: Tensor) -> Tensor:
        return tf.gather(values, places) if values.shape[0] == len(keep) else values

    return tf.nest.map_structure(take, nest)


def _put(
    all_results: tuple[Tensor, ...], places: NDArray[np.intp], results: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Write the results of some samples to their places."""
    if len(places) == len(all_results[0]):
        return results
    where = tf.constant(places[:, None])
    return tuple(
        tf.tensor_scatter_nd_update(values, where, new)
        for values, new in zip(all_results, results, strict=True)
    )
