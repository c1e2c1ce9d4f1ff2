"""Rounding errors of the arithmetic itself.

Bounds are derived in exact arithmetic and computed in floating point.  A bound whose sign decides
a verdict must not owe that sign to rounding, so a negative bound that is small compared with the
terms it is a difference of is computed again in double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor, tf


def gamma(count: int, dtype: Any) -> float:
    """Bound the relative error of a sum of ``count`` products, in any order of summation.

    ``gamma_n = n u / (1 - n u)`` with unit roundoff ``u`` (Higham 2002, lemma 3.1).
    """
    roundoff = float(np.finfo(dtype).eps) / 2
    if count * roundoff >= 1:
        raise ValueError(
            f"No useful error bound exists for so long a sum in {dtype}. Received: count={count}"
        )
    return count * roundoff / (1 - count * roundoff)


def units(z: Tensor) -> tuple[float, float]:
    """Return the unit roundoff and the smallest normal number of a tensor's type."""
    return (2.0**-24, 2.0**-126) if z.dtype == tf.float32 else (2.0**-53, 2.0**-1022)


def precision(z: Tensor) -> tuple[float, float]:
    """Return the machine epsilon (two unit roundoffs) and the smallest normal number."""
    unit, tiny = units(z)
    return 2 * unit, tiny


def doubtful(value: NDArray[np.floating], magnitude: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Say which negative values could owe their sign to rounding.

    Parameters
    ----------
    value : computed bounds
    magnitude : sum of the absolute values of the terms whose difference ``value`` is

    Notes
    -----
    The threshold is ``sqrt(2 u) * magnitude``.  The errors seen are a small multiple of
    ``u * magnitude``, so half of all digits are left as a margin; it is a safeguard, not a
    proof of the error's size.
    """
    threshold = np.sqrt(np.finfo(value.dtype).eps) * magnitude
    return (value < 0) & (value > -threshold)


def round_up(value: NDArray[np.floating], dtype: Any) -> NDArray[np.floating]:
    """Cast to ``dtype`` without ever making a value smaller."""
    if value.dtype == dtype:
        return value
    cast = value.astype(dtype)
    return np.where(cast < value, np.nextafter(cast, dtype(np.inf)), cast)


def round_down(value: NDArray[np.floating], dtype: Any) -> NDArray[np.floating]:
    """Cast to ``dtype`` without ever making a value larger."""
    return -round_up(-value, dtype)
