"""Checking what users pass, before anything is computed."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Tensor
from decomon._tensors import size_of
from decomon.budget import free_memory
from decomon.domains import BoxDomain, Domain
from decomon.domains._checks import as_array, check_batches, check_order, check_points
from decomon.questions import Questions, reachable
from decomon.signature import Port, Signature, entries
from decomon.verifier import Verifier

__all__ = [
    "Regions",
    "as_array",
    "batches",
    "boxes",
    "check_count",
    "check_domain",
    "check_inputs",
    "check_memory",
]


@final
@dataclass(frozen=True)
class Regions:
    """A batch of checked input sets, with NumPy parameters of any float type.

    Several inputs are one flat input.  ``whole`` says, with a batch axis of 1, which coordinates
    the model cuts decimals off; it is None if there are none.
    """

    domain: Domain
    whole: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.domain)

    def __getitem__(self, chosen: Any) -> Regions:
        """Select samples."""
        return Regions(self.domain[chosen], self.whole)

    @property
    def dtype(self) -> Any:
        """Type of the parameters, and of the points that are found."""
        return self.domain.tensors()[0].dtype

    def outer(self, verifier: Verifier) -> Domain:
        """Return sets that contain every point that the model can see.

        The model rounds its inputs to its own type, so sets are rounded outward to that
        type first, and then to the compute type.
        """
        return self._cut().outer(*_grids(verifier))

    def nearest(self, verifier: Verifier) -> Domain:
        """Return the sets with parameters rounded as the model rounds its inputs."""
        return self._cut().nearest(*_grids(verifier))

    def reachable(self, points: Tensor) -> Tensor:
        """Return the nearest points that the model can see, of ``(batch, count, ...)``."""
        return reachable(self.whole, points)

    def sets(self, verifier: Verifier) -> tuple[Domain, Domain, Questions]:
        """Return :meth:`outer`, :meth:`nearest` and what is compiled for both."""
        outer, nearest = self.outer(verifier), self.nearest(verifier)
        return outer, nearest, verifier.questions(outer, nearest, self.whole)

    def inside(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return points that lie in the set as it was given, in its own dtype."""
        return self.domain.inside(points)

    def seen(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return what the model makes of points of the set, up to rounding."""
        return points if self.whole is None else np.where(self.whole, np.trunc(points), points)

    def _cut(self) -> Domain:
        whole, domain = self.whole, self.domain
        return (
            domain.truncated(whole)
            if whole is not None and isinstance(domain, BoxDomain)
            else domain
        )


def _grids(verifier: Verifier) -> tuple[Any, Any]:
    return np.dtype(verifier.graph.input_dtype).type, verifier.dtype.as_numpy_dtype


def check_domain(domain: Any, signature: Signature) -> Regions:
    """Return checked sets; ValueError if they are not sets of the model's inputs.

    Sets of several inputs are sets of one flat input, in which they follow one another.
    """
    if not isinstance(domain, Domain):
        raise TypeError(
            "domain must be a set of inputs, such as decomon.BoxDomain(x_min, x_max) or "
            f"decomon.BallDomain(x, eps). Received: {type(domain)}"
        )
    ports, whole = signature.inputs, signature.whole()
    shape = ports[0].shape if len(ports) == 1 else (sum(size_of(port.shape) for port in ports),)
    checked = domain.shaped(shape)
    if whole is None:
        return Regions(checked)
    if not isinstance(checked, BoxDomain):
        names = ", ".join(repr(port.name) for port in ports if port.whole)
        raise ValueError(
            f"Input {names} is of an integer type, so only boxes can be bounded: use "
            f"decomon.BoxDomain. Received: {type(domain).__name__}"
        )
    for name, corner in (("x_min", checked.x_min), ("x_max", checked.x_max)):
        for part, port in zip(signature.split(corner), ports, strict=True):
            if port.whole:
                _check_range(name, part, port)
    return Regions(checked, whole)


def boxes(x_min: Any, x_max: Any, signature: Signature) -> BoxDomain:
    """Return boxes of the flat input; ValueError if the corners are not those of boxes."""
    given = entries("x_max", x_max, signature.inputs)
    lower = check_inputs("x_min", x_min, signature)
    if len(given) > 1:
        held = zip(given.items(), lower, strict=True)
        given = {name: low if value is None else value for (name, value), low in held}
    upper = _check_parts(given, signature)
    check_batches(("x_min", "x_max"), lower[0], upper[0])
    names = entries("x_min", x_min, signature.inputs)
    dtype = np.result_type(*lower, *upper)
    lower, upper = ([part.astype(dtype) for part in parts] for parts in (lower, upper))
    for name, name_max, low, high in zip(names, given, lower, upper, strict=True):
        check_order((name, name_max), low, high)
    return BoxDomain(signature.join(lower), signature.join(upper))


def check_inputs(name: str, values: Any, signature: Signature) -> list[NDArray[np.floating]]:
    """Return the points of every input, ``(batch, *shape)`` each, in the model's order."""
    return _check_parts(entries(name, values, signature.inputs), signature)


def _check_parts(given: dict[str, Any], signature: Signature) -> list[NDArray[np.floating]]:
    parts = [
        check_points(name, value, port.shape)
        for (name, value), port in zip(given.items(), signature.inputs, strict=True)
    ]
    for name, part, port in zip(given, parts, signature.inputs, strict=True):
        if len(part) != len(parts[0]):
            raise ValueError(
                "All inputs must have the same number of samples. "
                f"Received: {next(iter(given))} of shape {parts[0].shape}, "
                f"{name} of shape {part.shape}"
            )
        if port.whole:
            _check_range(name, part, port)
    return parts


def _check_range(name: str, part: NDArray[np.floating], port: Port) -> None:
    """Refuse values that would wrap around."""
    limits = np.iinfo(port.dtype)
    wrong = np.argwhere((part < float(limits.min)) | (part >= float(int(limits.max) + 1)))
    if wrong.size:
        place = tuple(int(i) for i in wrong[0])
        raise ValueError(
            f"{name} must lie between {limits.min} and {limits.max}, because input {port.name!r} "
            f"is of type {port.dtype}. Received: {part[place]} in sample {place[0]} at position "
            f"{place[1:]} ({len(wrong)} such entries)"
        )


def check_count(name: str, value: Any, *, minus_one: bool = False, zero: bool = False) -> int:
    """Return a positive integer, or -1 or 0 where that is allowed."""
    allowed = "an integer that is at least 0" if zero else "a positive integer"
    allowed += " or -1" if minus_one else ""
    lowest = 0 if zero else 1
    integer = int(value) if isinstance(value, numbers.Integral) else -2
    usable = integer >= lowest or (minus_one and integer == -1)
    if isinstance(value, bool) or not usable:
        raise ValueError(f"{name} must be {allowed}. Received: {name}={value!r}")
    return integer


def check_memory(memory_limit: Any) -> int:
    """Return how many bytes the parts of sets may take; a quarter of what is free for None."""
    return free_memory() // 4 if memory_limit is None else check_count("memory_limit", memory_limit)


def batches(
    count: int, batch_size: int, limit: int, progress: Callable[[int, int], object] | None = None
) -> Iterator[slice]:
    """Cut ``count`` samples into batches; -1 takes as many as memory allows.

    ``progress`` is called with the numbers of samples that are done and of all, after each one.
    """
    check_progress(progress)
    size = limit if batch_size == -1 else min(batch_size, limit)
    for begin in range(0, count, size):
        end = min(begin + size, count)
        yield slice(begin, end)
        if progress is not None:
            progress(end, count)


def check_progress(progress: object) -> None:
    """Refuse what cannot be called."""
    if progress is not None and not callable(progress):
        raise TypeError(
            f"progress must be a function of the numbers done and total. Received: {progress!r}"
        )
