"""What the verifier has to reach, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

# Ratios to the reference's time, for plain CROWN at the given radius, by network and images.
_RATIOS = {
    ("mlp_tuto3", 10): 0.5,
    ("mlp_tuto3", 100): 0.5,
    ("mlp_2x256", 100): 0.5,
    ("conv_small", 10): 0.25,
    ("conv_small", 100): 0.25,
    ("tutorial_conv", 10): 0.5,
}
_OPTIMISED_RATIO = 0.3
_FIRST_CALL_SECONDS = 2.0
_PEAK_BYTES = 1.0e9
_MOVE_SECONDS = 0.03


@final
@dataclass(frozen=True)
class Target:
    """A number that must not be exceeded.

    Parameters
    ----------
    name : what it is
    value : what was measured, None if that was not possible
    limit : what it may be
    """

    name: str
    value: float | None
    limit: float

    @property
    def met(self) -> bool:
        """Whether it is known not to be exceeded."""
        return self.value is not None and self.value <= self.limit


def targets(row: Mapping[str, Any]) -> Iterator[Target]:
    """Return the targets that a row of the results has; a row that failed meets none of them."""
    network, method = row["network"], row["method"]
    if method == "slider":
        yield Target("slider move, seconds", row.get("seconds"), _MOVE_SECONDS)
        yield Target("first call, seconds", row.get("first call seconds"), _FIRST_CALL_SECONDS)
        return
    if method == "CROWN-Optimized":
        yield Target("time / reference", row.get("ratio"), _OPTIMISED_RATIO)
        return
    if method != "CROWN":
        return
    limit = _RATIOS.get((network, row["count"]))
    if limit is not None and row["at usual epsilon"]:
        yield Target("time / reference", row.get("ratio"), limit)
    if network == "tutorial_conv":
        yield Target("peak memory, bytes", row.get("peak bytes"), _PEAK_BYTES)
    if network == "mlp_tuto3":
        yield Target("first call, seconds", row.get("first call seconds"), _FIRST_CALL_SECONDS)
    if network != "tutorial_conv":  # of that one, there are no bounds to compare with
        yield Target("margins looser than the reference's", row.get("looser"), 0)
