"""How bounds compare with those of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_RELATIVE = 1e-4


def margin_rows(labels: Array, classes: int = 10) -> Array:
    """Return the rows e_j - e_y of all classes j, ``(batch, classes, classes)``; zero for j = y."""
    identity = np.eye(classes, dtype=np.float32)
    return identity[None] - identity[labels][:, None]


def compared(ours: Array, theirs: Array) -> dict[str, Any]:
    """Count the margins whose bound is looser than the reference's, and say by how much at most.

    Looser is what is above it by more than 1e-4 of it and the rounding of a float32 sum: 28 units
    (the root of 784) of the sample's largest margin.

    Parameters
    ----------
    ours, theirs : ``(batch, classes)``; NaN where there is no margin, in ``theirs`` at least
    """
    asked = ~np.isnan(theirs)
    unit = float(np.finfo(np.float32).eps) / 2
    largest = np.nanmax(np.abs(theirs), axis=1, keepdims=True)
    slack = _RELATIVE * np.abs(theirs) + 28 * unit * largest
    excess = np.where(asked, ours - theirs, -np.inf)
    relative = excess / largest
    return {
        "margins": int(asked.sum()),
        "looser": int((excess > slack).sum(where=asked)),
        "most excess": max(0.0, float(excess.max())),
        "most relative excess": max(0.0, float(relative.max())),
        "sum over all margins": float(ours[asked].sum(dtype=np.float64)),
        "reference sum over all margins": float(theirs[asked].sum(dtype=np.float64)),
    }
