"""Looking with the real model at points that may be counterexamples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decomon._backend import tf
from decomon.complete.solve import Confirm
from decomon.inputs import Regions
from decomon.models import signature_of
from decomon.replay import real_outputs
from decomon.specs import Margins

Positions = NDArray[np.intp]
Array = NDArray[np.floating]


def contains(regions: Regions, samples: Positions, points: Array) -> NDArray[np.bool_]:
    """Say which points lie in the sets that were given.

    Parameters
    ----------
    samples : ``(n,)``: the sample that each point belongs to
    points : ``(n, *input shape)``, of any float type

    Returns
    -------
    array ``(n,)``
        What the domain's own ``contains`` says.  Neither the set nor the points are rounded.
    """
    dtype = np.result_type(regions.dtype, points.dtype)
    sets = regions.domain[samples].as_tensors(tf.as_dtype(dtype))
    return sets.contains(tf.constant(points.astype(dtype)[:, None])).numpy()[:, 0]


def confirm_margins(model: Any, regions: Regions, asked: Margins) -> Confirm:
    """Return what confirms that a target label wins over a source label, at a point of a set.

    As for ``argmax``, the first of two equal outputs wins.

    Parameters
    ----------
    model : keras.Model or DecomonModel
    regions : the sets
    asked : the margins
    """
    signature = signature_of(model)
    target, source = asked.rows.argmax(axis=2), asked.rows.argmin(axis=2)

    def confirm(samples: Positions, points: Array) -> NDArray[np.bool_]:
        if not len(samples):
            return np.zeros(0, dtype=bool)
        outputs = real_outputs(model, signature.split(points))
        its_target, its_source = target[samples], source[samples]
        theirs = np.take_along_axis(outputs, its_target, axis=1)
        own = np.take_along_axis(outputs, its_source, axis=1)
        wins = (theirs > own) | ((theirs == own) & (its_target < its_source))
        found = (wins & asked.valid[samples]).any(axis=1)
        found[found] = contains(regions, samples[found], points[found])
        return found

    return confirm
