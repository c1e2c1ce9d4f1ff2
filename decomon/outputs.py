"""Bounds of a model's outputs: what is asked, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np

from decomon._backend import Shape, Tensor, keras, tf
from decomon._tensors import size_of
from decomon.domains._checks import as_floats, check_finite
from decomon.engine import Bounds
from decomon.signature import Port
from decomon.verifier import Verifier


@final
@dataclass(frozen=True)
class OutputBounds:
    """Bounds of one output ``f`` over each input set.

    ``lower <= f(x) <= upper`` and ``w_l . x + b_l <= f(x) <= w_u . x + b_u`` for every ``x`` of the
    set.  With a linear specification ``C``, ``C . f`` is bounded instead, and its axis ``spec``
    takes the place of ``output_shape``.  What was not asked for, or the method does not compute,
    is None.

    Attributes
    ----------
    lower, upper : tensors of shape ``(batch, *output_shape)``
        Where interval arithmetic is tighter than the affine bounds, it counts: ``upper`` is never
        above the maximum of ``w_u . x + b_u`` over the set, nor ``lower`` below the minimum of the
        other one.
    w_l, w_u : tensors of shape ``(batch, *output_shape, *input_shape)``
        For a model with several inputs, one such tensor per input, in the structure of the
        model's inputs: then ``w . x`` is the sum over the inputs.
    b_l, b_u : tensors of shape ``(batch, *output_shape)``
    """

    lower: Tensor = None
    upper: Tensor = None
    w_l: Any = None
    b_l: Tensor = None
    w_u: Any = None
    b_u: Tensor = None

    def __tf_flatten__(self) -> tuple[tuple[()], tuple[Any, ...]]:
        """Let a ``tf.function`` return bounds."""
        return (), (self.lower, self.upper, self.w_l, self.b_l, self.w_u, self.b_u)

    @classmethod
    def __tf_unflatten__(cls, metadata: tuple[()], leaves: tuple[Any, ...]) -> OutputBounds:
        return cls(*leaves)


@final
@dataclass(frozen=True)
class Specification:
    """What is bounded of one output: ``C . f``, or ``f`` itself.

    Parameters
    ----------
    rows : ``(batch or 1, spec, *output_shape)``
    shape : shape of what is bounded, without batch axis
    own : whether that is the output itself
    """

    rows: Any
    shape: Shape
    own: bool

    def __getitem__(self, chosen: slice) -> Specification:
        """Select samples."""
        return self if self.batch == 1 else Specification(self.rows[chosen], self.shape, self.own)

    @property
    def batch(self) -> int | None:
        """Number of samples, 1 if it serves any number, None if it is not known yet."""
        return self.rows.shape[0]


def specifications(
    back_bounds: Any, ports: Sequence[Port], verifier: Verifier
) -> tuple[Specification, ...]:
    """Read what is asked of every output.

    Parameters
    ----------
    back_bounds : list of one entry per output, or dict by output name, or None
        An entry is an array or tensor ``C`` of shape ``(spec, *output_shape)`` or ``(batch, spec,
        *output_shape)``, or None for the output itself.
    ports : the outputs

    Raises
    ------
    ValueError
        If something is missing, left over, of another shape or not finite.
    """
    given = [None] * len(ports) if back_bounds is None else _entries(back_bounds, ports)
    return tuple(
        _identity(port.shape) if values is None else _read(values, port, verifier.dtype)
        for values, port in zip(given, ports, strict=True)
    )


def stacked_rows(specs: Sequence[Specification], batch: Tensor, shape: Shape, dtype: Any) -> Tensor:
    """Return the rows of all specifications and, below them, their negatives.

    Parameters
    ----------
    batch : number of samples
    shape : of the output of the graph: several outputs follow one another

    Returns
    -------
    tensor of shape ``(batch or 1, 2 * spec, *shape)``
    """
    sizes = [size_of(spec.rows.shape[2:]) for spec in specs]
    each = any(spec.batch != 1 for spec in specs)
    parts: list[Tensor] = []
    for position, spec in enumerate(specs):
        rows = tf.cast(spec.rows, dtype)
        if len(specs) > 1:
            flat = tf.reshape(rows, [tf.shape(rows)[0], rows.shape[1], sizes[position]])
            beside = [sum(sizes[:position]), sum(sizes[position + 1 :])]
            rows = tf.pad(flat, [[0, 0], [0, 0], beside])
        if each and spec.batch == 1:
            rows = tf.repeat(rows, batch, axis=0)
        parts.append(rows)
    rows = tf.reshape(
        tf.concat(parts, axis=1),
        [-1 if each else 1, sum(spec.rows.shape[1] for spec in specs), *shape],
    )
    return tf.concat([rows, -rows], axis=1)


def check_batch(specs: Sequence[Specification], batch: int) -> None:
    """Refuse specifications of another number of samples than the input sets have."""
    for spec in specs:
        if spec.batch not in (1, None, batch):
            raise ValueError(
                "back_bounds must be for the same number of samples as the domain. Received: "
                f"{spec.batch} samples in back_bounds, {batch} in the domain"
            )


def two_sided(
    lower: str, upper: str, values: Tensor, specs: Sequence[Specification]
) -> dict[str, list[Tensor]]:
    """Cut values of rows and of their negatives, ``(batch, 2 * spec, ...)``, into each output's."""
    above, below = tf.split(values, 2, axis=1)
    counts = [spec.rows.shape[1] for spec in specs]
    rest = tuple(values.shape[2:])
    found: dict[str, list[Tensor]] = {}
    for name, side in ((lower, -below), (upper, above)):
        parts = tf.split(side, counts, axis=1)
        found[name] = [
            tf.reshape(part, [-1, *spec.shape, *rest])
            for part, spec in zip(parts, specs, strict=True)
        ]
    return found


def nothing(rows: Tensor, input_shape: tuple[int, ...]) -> Bounds:
    """Return bounds of rows over no sets."""
    zeros = tf.zeros([0, rows.shape[1]], rows.dtype)
    return Bounds(zeros, tf.zeros([0, rows.shape[1], *input_shape], rows.dtype), zeros)


def joined(parts: Sequence[OutputBounds]) -> OutputBounds:
    """Put bounds on several batches together, as NumPy arrays."""
    leaves = [part.__tf_flatten__()[1] for part in parts]
    fields = [
        None if each[0] is None else keras.tree.map_structure(_concatenated, *each)
        for each in zip(*leaves, strict=True)
    ]
    return OutputBounds(*fields)


def _concatenated(*parts: Tensor) -> Any:
    return np.concatenate([part.numpy() for part in parts])


def _entries(back_bounds: Any, ports: Sequence[Port]) -> list[Any]:
    names = [port.name for port in ports]
    if isinstance(back_bounds, Mapping):
        given = cast("Mapping[Any, Any]", back_bounds)
        if set(given) == set(names):
            return [given[name] for name in names]
        received = f"a dict with the keys {', '.join(map(repr, given))}"
    elif isinstance(back_bounds, list | tuple):
        entries = list(cast("Sequence[Any]", back_bounds))
        if len(entries) == len(ports):
            return entries
        received = f"{len(entries)} entries"
    else:
        shape = getattr(back_bounds, "shape", None)
        received = type(back_bounds).__name__ + ("" if shape is None else f" of shape {shape}")
    raise ValueError(
        f"back_bounds must be a list with one matrix, or None, for each of the {len(ports)} "
        f"outputs that are bounded, in this order, or a dict by name: {', '.join(map(str, ports))}."
        f" Received: {received}"
    )


def _identity(shape: Shape) -> Specification:
    size = size_of(shape)
    return Specification(np.eye(size).reshape(1, size, *shape), shape, own=True)


def _read(values: Any, port: Port, dtype: Any) -> Specification:
    name = f"back_bounds of output {port.name!r}"
    rows = values
    if not tf.is_symbolic_tensor(values):
        array = as_floats(name, values)
        check_finite(name, array)
        rows = values if tf.is_tensor(values) else array
    found, wanted = tuple(rows.shape), port.shape
    missing = len(wanted) + 2 - len(found)
    if (
        found[len(found) - len(wanted) :] != wanted
        or missing not in (0, 1)
        or not found[1 - missing]
    ):
        sides = ", ".join(map(str, wanted))
        raise ValueError(
            f"{name} must have the shape (spec, {sides}) or (batch, spec, {sides}), with at least "
            f"one row. Received: shape {found}"
        )
    rows = tf.cast(rows, dtype) if tf.is_tensor(rows) else rows
    rows = rows[None] if missing else rows
    return Specification(rows, (rows.shape[1],), own=False)
