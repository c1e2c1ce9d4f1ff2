"""Cutting long work into calls that take a wanted time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

Pulse: TypeAlias = Callable[[], None]
"""Called between two calls of TensorFlow; raises :class:`StoppedError` if the work is to stop."""


class StoppedError(Exception):
    """The time is over, or the user does not want to wait any longer."""


@final
@dataclass
class Pace:
    """How many items to treat in one call.

    Parameters
    ----------
    count : to begin with
    seconds : how long a call is to take
    least, most : limits of the count
    """

    count: int
    pulse: Pulse
    seconds: float = 0.06
    least: int = 1
    most: int = 4096

    def parts(self, total: int) -> Iterator[slice]:
        """Cut ``total`` items into slices, and learn from how long each one took."""
        begin = 0
        while begin < total:
            self.pulse()
            end = min(begin + self.count, total)
            started = time.perf_counter()
            yield slice(begin, end)
            taken = max(time.perf_counter() - started, 1e-6)
            # A call that was compiled first says nothing, so no call changes the count by much.
            wanted = int((end - begin) * self.seconds / taken)
            self.count = min(max(wanted, self.count // 2, self.least), 2 * self.count, self.most)
            begin = end
