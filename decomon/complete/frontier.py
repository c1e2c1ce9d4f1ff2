"""Leaves of the search trees, in arrays."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Positions = NDArray[np.intp]

_FIRST_ROOM = 256
_LEAST_ROOM = 16


@final
@dataclass(frozen=True)
class Leaves:
    """Parts of the input sets that are bounded and not decided yet.

    Attributes
    ----------
    goal : ``(n,)``: the goal that each leaf is about
    upper : ``(n,)``: proven upper bound of the goal's value on the leaf
    depth : ``(n,)``: number of splits above
    data : what the splitter knows of each leaf; the first axis of every array is that of the leaves
    """

    goal: Positions
    upper: NDArray[np.floating]
    depth: NDArray[np.int32]
    data: dict[str, Array]

    def __len__(self) -> int:
        return len(self.goal)

    def __getitem__(self, chosen: Any) -> Leaves:
        """Select leaves."""
        data = {name: values[chosen] for name, values in self.data.items()}
        return Leaves(self.goal[chosen], self.upper[chosen], self.depth[chosen], data)

    @property
    def bytes_each(self) -> int:
        """Memory of one leaf."""
        return sum(v.itemsize * int(np.prod(v.shape[1:])) for v in self.arrays().values())

    def arrays(self) -> dict[str, Array]:
        """Return all arrays by name."""
        return {"goal": self.goal, "upper": self.upper, "depth": self.depth, **self.data}

    @staticmethod
    def of(arrays: dict[str, Array]) -> Leaves:
        """Undo :meth:`arrays`."""
        rest = dict(arrays)
        return Leaves(rest.pop("goal"), rest.pop("upper"), rest.pop("depth"), rest)

    @staticmethod
    def joined(parts: list[Leaves]) -> Leaves:
        """Put leaves one after another."""
        arrays = [part.arrays() for part in parts]
        return Leaves.of({name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]})


class Splitter(abc.ABC):
    """How sets are cut, and what is known of the parts.

    Every method may raise what the splitter's ``pulse`` raises; nothing has changed then.
    """

    @abc.abstractmethod
    def roots(self, goals: Positions, threshold: Array) -> Leaves:
        """Return bounded leaves, one per goal: the whole set of the goal's sample.

        Parameters
        ----------
        goals : which ones
        threshold : one per goal: a leaf is decided if its value is less everywhere, so a
            splitter may leave out the parts of a set where that is known, and ``upper`` is
            then a bound of the value on the rest
        """

    @abc.abstractmethod
    def split(self, leaves: Leaves, threshold: Array) -> Leaves:
        """Return bounded children, at most as large as their parents' bounds."""

    @abc.abstractmethod
    def exhausted(self, leaves: Leaves) -> NDArray[np.bool_]:
        """Say which leaves no split promises to improve."""

    @abc.abstractmethod
    def splittable(self, leaves: Leaves) -> NDArray[np.bool_]:
        """Say which leaves can be split at all."""

    @abc.abstractmethod
    def decide(self, leaves: Leaves) -> tuple[Array, Array]:
        """Bound leaves that are exhausted, at whatever cost.

        Returns
        -------
        upper bounds ``(n,)``, and points ``(n, *input shape)`` where they are attained, if they
        are tight
        """

    @abc.abstractmethod
    def candidates(self, leaves: Leaves) -> Array:
        """Return points ``(n, *input shape)`` where the leaves' bounds are attained."""


@final
@dataclass
class Frontier:
    """All leaves that are not decided, within a limit of memory.

    Parameters
    ----------
    memory : how many bytes the leaves may take
    """

    memory: int
    _arrays: dict[str, Array] = field(default_factory=dict[str, Array])
    _used: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    _room: int = 0

    def __len__(self) -> int:
        return int(self._used.sum())

    @property
    def crowded(self) -> bool:
        """Whether more than half of the memory is taken."""
        return 2 * len(self) > self._room > 0

    def upper(self) -> tuple[Positions, NDArray[np.floating]]:
        """Return goals and bounds of all leaves."""
        if not self._arrays:
            return np.zeros(0, np.intp), np.zeros(0)
        return self._arrays["goal"][self._used], self._arrays["upper"][self._used]

    def put(self, leaves: Leaves) -> Leaves:
        """Add leaves; return those that there is no room for: the ones with the least bounds."""
        if not len(leaves):
            return leaves
        if not self._room:
            self._room = max(_LEAST_ROOM, self.memory // leaves.bytes_each)
        excess = len(self) + len(leaves) - self._room
        lost = leaves[:0]
        if excess > 0:
            leaves = Leaves.joined([leaves, self.take(np.flatnonzero(self._used))])
            order = np.argsort(-leaves.upper, kind="stable")
            leaves, lost = leaves[order[: self._room]], leaves[order[self._room :]]
        self._grow(leaves)
        places = np.flatnonzero(~self._used)[: len(leaves)]
        for name, values in leaves.arrays().items():
            self._arrays[name][places] = values
        self._used[places] = True
        return lost

    def take(self, places: Positions) -> Leaves:
        """Remove leaves, and return them."""
        found = Leaves.of({name: values[places] for name, values in self._arrays.items()})
        self._used[places] = False
        return found

    def drop(self, decided: NDArray[np.bool_]) -> None:
        """Remove the leaves of some goals."""
        if self._arrays:
            self._used &= ~decided[self._arrays["goal"]]

    def fair(self, samples: Positions, count: int) -> Positions:
        """Choose leaves, as many of each sample as there are, the most difficult ones first.

        When memory is short, those come first that are nearest to being decided.

        Parameters
        ----------
        samples : ``(goals,)``: the sample of each goal
        count : how many to choose at most
        """
        places = np.flatnonzero(self._used)
        if len(places) <= count:
            return places
        upper = self._arrays["upper"][places]
        sample = samples[self._arrays["goal"][places]]
        order = np.lexsort((upper if self.crowded else -upper, sample))
        begins = np.flatnonzero(np.diff(sample[order], prepend=-1))
        lengths = np.diff(begins, append=len(order))
        rank = np.arange(len(order)) - np.repeat(begins, lengths)
        return places[order[np.argsort(rank, kind="stable")[:count]]]

    def _grow(self, leaves: Leaves) -> None:
        needed = len(self) + len(leaves)
        size = len(self._used)
        if needed <= size and self._arrays:
            return
        size = max(needed, min(2 * size, self._room), min(_FIRST_ROOM, self._room))
        for name, values in leaves.arrays().items():
            larger = np.zeros((size, *values.shape[1:]), values.dtype)
            larger[: len(self._used)] = self._arrays.get(name, values[:0])
            self._arrays[name] = larger
        self._used = np.concatenate([self._used, np.zeros(size - len(self._used), dtype=bool)])
