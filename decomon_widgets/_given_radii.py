"""Radii of samples that a user gives, checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:  # the verifier takes seconds to import
    from decomon.accuracy import CertifiedAccuracy
    from decomon.radius import CertifiedRadius

__all__ = ["GivenRadii", "Radii"]

Radii: TypeAlias = "tuple[ArrayLike, ArrayLike] | CertifiedRadius | CertifiedAccuracy"

_NORMS = {1.0: "1", 2.0: "2", math.inf: "inf"}

# Of an axis without any finite radius.
_USUAL_MAX = 25 / 255


@dataclass(frozen=True)
class GivenRadii:
    """Radii of the same samples by several models or methods.

    Attributes
    ----------
    names
        Of the models or methods.
    certified, falsified
        Radii of shape `(names, samples)`.
    p
        The norm: "1", "2" or "inf".
    """

    names: tuple[str, ...]
    certified: NDArray[np.float64]
    falsified: NDArray[np.float64]
    p: str

    @classmethod
    def of(cls, radii: "Mapping[str, Radii]", p: float | None) -> Self:
        """Check radii by name.

        Raises
        ------
        ValueError
            If they contradict one another, or are not about the same samples in the same norm.
        """
        if not isinstance(radii, Mapping) or not radii:
            raise ValueError(
                "radii must be a dict with one or more entries name: (certified, falsified). "
                f"Received: radii={radii!r}"
            )
        norms = set() if p is None else {_norm(p)}
        pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        for name, given in radii.items():
            certified, falsified, norm = _pair(name, given)
            pairs.append(_checked(name, certified, falsified))
            if norm is not None:
                norms.add(_norm(norm))
        sizes = {str(name): len(pair[0]) for name, pair in zip(radii, pairs, strict=True)}
        if len(set(sizes.values())) > 1:
            raise ValueError(
                "All curves must be about the same samples, so as many of them. "
                f"Received: {', '.join(f'{name}: {n}' for name, n in sizes.items())} samples"
            )
        if len(norms) > 1:
            raise ValueError(
                "Radii in different norms have no common axis. "
                f"Received: p={', '.join(sorted(norms))}"
            )
        low, high = (np.stack(side) for side in zip(*pairs, strict=True))
        return cls(tuple(sizes), low, high, norms.pop() if norms else "inf")

    def end(self) -> float:
        """Return a right end of the axis a little beyond the largest radius."""
        both = np.concatenate([self.certified.ravel(), self.falsified.ravel()])
        finite = both[np.isfinite(both) & (both > 0)]
        return 1.06 * float(finite.max()) if finite.size else _USUAL_MAX


def _norm(p: Any) -> str:
    try:
        return _NORMS[float(p)]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"p must be 1, 2 or infinity. Received: p={p!r}") from None


def _pair(name: str, given: Any) -> tuple[Any, Any, float | None]:
    """Return both radii and, if it is known, the norm."""
    if isinstance(given, tuple | list | np.ndarray):
        if len(given) != 2:
            raise ValueError(
                f"radii[{name!r}] must be a pair (certified, falsified). "
                f"Received: {len(given)} items"
            )
        return given[0], given[1], None
    from decomon.accuracy import CertifiedAccuracy
    from decomon.radius import CertifiedRadius

    if isinstance(given, CertifiedRadius):
        return given.certified, given.falsified, given.p
    if isinstance(given, CertifiedAccuracy):
        # On a grid of radii, a sample is proven up to the largest one that it is robust at.
        proven = np.where(given.status == "robust", given.eps, -np.inf)
        return proven.max(axis=1, initial=-np.inf), given.falsified, given.p
    raise ValueError(
        f"radii[{name!r}] must be a pair (certified, falsified), a CertifiedRadius or a "
        f"CertifiedAccuracy. Received: {given!r}"
    )


def _checked(
    name: str, certified: Any, falsified: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = (np.asarray(side, np.float64) for side in (certified, falsified))
    if low.ndim != 1 or low.shape != high.shape:
        raise ValueError(
            f"radii[{name!r}] must be two arrays of shape (samples,). "
            f"Received: shapes {low.shape} and {high.shape}"
        )
    # NaN is what is not known; comparisons with it are false.
    wrong = np.flatnonzero((low >= high) | ((low < 0) & (low > -np.inf)) | (high < 0))
    if wrong.size:
        k = int(wrong[0])
        raise ValueError(
            "Radii must be >= 0 (certified also -inf), and certified < falsified: no ball is both "
            f"proven and refuted. Received: certified={low[k]}, falsified={high[k]} for sample "
            f"{k} of {name!r}"
        )
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
