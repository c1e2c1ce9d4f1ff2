"""Points of the input sets, and what they prove."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import tf
from decomon.complete.goals import Goals
from decomon.complete.pace import Pulse
from decomon.inputs import Regions
from decomon.questions import logits_at
from decomon.verifier import Verifier, as_tensor

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[Any]
Positions = NDArray[np.intp]

Confirm: TypeAlias = "Callable[[NDArray[np.intp], Array], NDArray[np.bool_]]"
"""Says which points ``(n, *input shape)`` of some samples ``(n,)`` are counterexamples.

They are run through the real model, and have to lie in the set that was given.
"""

_ROUNDS, _STEPS = 3, 10


@final
@dataclass
class Looked:
    """The best points that were seen of each sample.

    Attributes
    ----------
    lower : ``(batch,)``: the largest margin seen
    points : ``(batch, *input shape)``: where
    falsified : ``(batch,)``: whether the real model confirms that point as a counterexample
    """

    verifier: Verifier
    regions: Regions
    goals: Goals
    confirm: Confirm
    lower: Array = field(init=False)
    points: Array = field(init=False)
    falsified: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.regions)
        self.lower = np.full(count, -np.inf)
        self.falsified = np.zeros(count, dtype=bool)
        center = np.asarray(self.regions.domain.center())
        self.points = self.regions.inside(center)
        self.see(np.arange(count), center)

    def see(self, samples: Positions, points: Array) -> Array:
        """Evaluate points of some samples, and keep the best ones.

        Parameters
        ----------
        samples : ``(n,)``
        points : ``(n, *input shape)``: next to the sets

        Returns
        -------
        margins ``(n,)``
        """
        points = self.regions[samples].inside(points)
        values = self.margins(samples, points)
        order = np.argsort(-values, kind="stable")
        asked, first = np.unique(samples[order], return_index=True)
        best = order[first]
        better = values[best] > self.lower[asked]
        asked, best = asked[better], best[better]
        # A point that refutes is only replaced by another one that does.
        fails = self.falsified[asked] | (values[best] >= 0)
        confirmed = np.zeros(len(asked), dtype=bool)
        if fails.any():
            confirmed[fails] = self.confirm(asked[fails], points[best[fails]])
        taken = confirmed | ~self.falsified[asked]
        asked, best = asked[taken], best[taken]
        self.lower[asked], self.points[asked] = values[best], points[best]
        self.falsified[asked] |= confirmed[taken]
        return values

    def margins(self, samples: Positions, points: Array) -> Array:
        """Return the margins of samples at points of their sets, in the network's arithmetic."""
        seen = as_tensor(self.regions.seen(points), self.verifier.dtype)
        outputs = self.verifier.logits(seen).numpy()
        outputs = outputs.reshape(len(points), -1)
        count = np.bincount(self.goals.samples, minlength=len(self.regions))
        begin = np.cumsum(count) - count
        point = np.repeat(np.arange(len(samples)), count[samples])
        first = np.cumsum(count[samples]) - count[samples]
        goal = begin[samples][point] + np.arange(len(point)) - first[point]
        values = self.goals[goal].of(outputs[point][:, None])[:, 0]
        found = np.full(len(samples), -np.inf)
        np.maximum.at(found, point, np.where(np.isfinite(values), values, -np.inf))
        return found

    def climb(self, goals: Positions, points: Array, pulse: Pulse) -> None:
        """Improve points of some goals by projected gradient ascent, and look at the results.

        Of the parts of a goal, the one that is smallest at the point is followed.

        Parameters
        ----------
        goals : ``(n,)``
        points : ``(n, *input shape)``: where to begin
        """
        asked = self.goals[goals]
        regions = self.regions[asked.samples]
        verifier = self.verifier
        nearest = regions.nearest(verifier)
        shape = (1, *verifier.graph.output_shape)
        rounds = 1 if asked.rows.shape[1] == 1 else _ROUNDS
        at = verifier.geometry(nearest).project(nearest, as_tensor(points, verifier.dtype)[:, None])
        for _ in range(rounds):
            pulse()
            outputs = logits_at(verifier, at).numpy().reshape(len(goals), -1)
            values = np.einsum("gkc,gc->gk", asked.rows, outputs) + asked.offsets
            part = np.where(asked.valid, values, np.inf).argmin(axis=1)
            rows = asked.rows[np.arange(len(goals)), part].reshape(len(goals), *shape)
            at = verifier.climb(nearest, at, as_tensor(rows, verifier.dtype), _STEPS)
            at = regions.reachable(at)
            self.see(asked.samples, at[:, 0].numpy())

    def attack(self, goals: Positions, restarts: int, pulse: Pulse) -> None:
        """Climb from random points."""
        for seed in range(restarts):
            pulse()
            left = goals[~self.falsified[self.goals.samples[goals]]]
            if not left.size:
                return
            nearest = self.regions[self.goals.samples[left]].nearest(self.verifier)
            geometry = self.verifier.geometry(nearest)
            begin = geometry.sample(nearest, 1, seed)
            self.climb(left, begin[:, 0].numpy(), pulse)


def start_points(verifier: Verifier, regions: Regions, weights: Array) -> Array:
    """Return where linear functions ``(n, *input shape)`` are largest on their sets."""
    nearest = regions.nearest(verifier)
    rows = as_tensor(weights, verifier.dtype)[:, None]
    return tf.squeeze(verifier.geometry(nearest).maximizer(nearest, rows), axis=1).numpy()
