"""Counterexamples near a sample: an attack on ever smaller balls, and a walk back to the sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf
from decomon.complete.replay import confirm_margins
from decomon.nested import Array, Nested, Positions
from decomon.questions import logits_at
from decomon.search import STEPS
from decomon.specs import Margins
from decomon.verifier import Verifier, as_tensor

_TARGETS = 3  # margins that are followed, from each start
_PARTS = 8  # points on a segment that are looked at together
_WALKS = 2  # each is finer by this factor


class Pursuit(NamedTuple):
    """What is attacked.

    Attributes
    ----------
    model : the real one, which decides
    verifier : of its network, by plain ``crown``
    nested : the balls
    asked : the margins, one of which has to become positive
    """

    model: Any
    verifier: Verifier
    nested: Nested
    asked: Margins

    @property
    def grid(self) -> Any:
        """The type that the model rounds its inputs to."""
        return np.dtype(self.verifier.graph.input_dtype).type

    def attack(
        self, samples: Positions, radii: Array, known: Array, seed: int
    ) -> tuple[NDArray[np.bool_], Array]:
        """Search balls for points that the model gets wrong.

        Projected gradient ascent of the margins that are largest at each start: the known points,
        moved into the balls, and a random one.  In balls whose extreme points gradient steps do
        not hit, also the points where affine bounds of these margins are largest.

        Parameters
        ----------
        samples, radii : ``(n,)``
        known : ``(n, *input shape)``: where to start
        seed : of the random points

        Returns
        -------
        which samples are refuted, and points ``(n, *input shape)``, which are counterexamples for
        these, as near as :meth:`approach` brings them
        """
        regions = self.nested.regions(samples, radii)
        nearest, verifier = regions.nearest(self.verifier), self.verifier
        geometry = verifier.geometry(nearest)
        start = geometry.project(nearest, as_tensor(known, verifier.dtype)[:, None])
        start = tf.concat([start, geometry.sample(nearest, 1, seed)], axis=1)
        start = regions.reachable(start)
        rows, begin = self._paths(samples, start)
        climbed = regions.reachable(verifier.climb(nearest, begin, rows, STEPS))
        candidates = tf.concat([start, climbed], axis=1)
        if not nearest.separable:
            weights = verifier.quick_bounds(regions.outer(verifier), rows).weights
            candidates = tf.concat([candidates, geometry.maximizer(nearest, weights)], axis=1)
        values = self.asked[samples].of(logits_at(verifier, candidates).numpy())
        best = np.nan_to_num(values, nan=-np.inf).argmax(axis=1)
        found = tf.gather(candidates, best, batch_dims=1).numpy()
        points = self.nested.within(samples, found.astype(np.float64), radii)
        points = self.nested.rounded(samples, points, self.grid)
        wrong = self.confirmed(samples, radii, points)
        points[wrong] = self.approach(samples[wrong], radii[wrong], points[wrong])
        return wrong, points

    def confirmed(self, samples: Positions, radii: Array, points: Array) -> NDArray[np.bool_]:
        """Say which points of the balls the real model gets wrong."""
        regions = self.nested.regions(samples, radii)
        confirm = confirm_margins(self.model, regions, self.asked[samples])
        return confirm(np.arange(len(samples)), points)

    def approach(self, samples: Positions, radii: Array, points: Array) -> Array:
        """Return wrong points that are nearer, on the segments between the samples and points.

        Parameters
        ----------
        samples, radii : ``(n,)``: balls that contain the points
        points : ``(n, *input shape)``: counterexamples
        """
        count = len(samples)
        if not count:
            return points
        x, shape = self.nested.x[samples], self.nested.x.shape[1:]
        every, best = np.repeat(np.arange(count), _PARTS), points.copy()
        low, high = np.zeros(count), np.ones(count)
        for _ in range(_WALKS):
            width = (high - low) / (_PARTS + 1)
            parts = low[:, None] + width[:, None] * np.arange(1, _PARTS + 1)
            parts = parts.reshape(count, _PARTS, *[1] * len(shape))
            between = (x[:, None] + parts * (points - x)[:, None]).reshape(-1, *shape)
            between = self.nested.rounded(samples[every], between, self.grid)
            wrong = self.confirmed(samples[every], radii[every], between).reshape(count, _PARTS)
            first = np.where(wrong.any(axis=1), wrong.argmax(axis=1), _PARTS)
            chosen = np.flatnonzero(first < _PARTS)
            best[chosen] = between.reshape(count, _PARTS, *shape)[chosen, first[chosen]]
            low, high = low + first * width, np.minimum(low + (first + 1) * width, high)
        return best

    def _paths(self, samples: Positions, start: Tensor) -> tuple[Tensor, Tensor]:
        """Return the most promising rows at each start, and the start of each of them."""
        asked = self.asked[samples]
        logits = logits_at(self.verifier, start).numpy().astype(np.float64)
        values = np.einsum("bpc,bkc->bkp", asked.rows, logits)
        values = np.where(asked.valid[:, None], np.nan_to_num(values, nan=-np.inf), -np.inf)
        count = min(_TARGETS, asked.rows.shape[1])
        largest = np.argsort(-values, axis=2, kind="stable")[:, :, :count]
        chosen = largest.reshape(len(samples), -1)
        rows = np.take_along_axis(asked.rows, chosen[:, :, None], axis=1)
        return as_tensor(rows, self.verifier.dtype), tf.repeat(start, count, axis=1)
