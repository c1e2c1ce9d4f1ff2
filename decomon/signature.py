"""The inputs and outputs of a model: names, shapes, types, and the forms arrays come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, keras, tf
from decomon._tensors import size_of


@final
@dataclass(frozen=True)
class Port:
    """One input or output of a model; ``shape`` has no batch axis."""

    name: str
    shape: Shape
    dtype: str

    @property
    def whole(self) -> bool:
        """Whether the model cuts decimals off, because the type is an integer one."""
        return self.dtype.startswith(("int", "uint"))

    def __str__(self) -> str:
        return f"{self.name!r} of shape (batch, {', '.join(map(str, self.shape))})"


@final
@dataclass(frozen=True)
class Signature:
    """What a built model takes and returns, each in the order of the model.

    Several inputs are also known as one flat array, in which they follow one another.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @classmethod
    def of(cls, model: Any) -> Signature:
        """Read a built Sequential or Functional model."""
        functional = isinstance(model, keras.Function)
        layers = list(model.output_names) if functional else [t.name for t in model.outputs]
        return cls(
            _ports(model.inputs, model.input if functional else None, None),
            _ports(model.outputs, model.output if functional else None, layers),
        )

    def split(self, flat: NDArray[Any]) -> list[NDArray[Any]]:
        """Cut ``(batch, n)`` (or, of a single input, the input itself) into the inputs."""
        return split(flat, [port.shape for port in self.inputs])

    def join(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Undo :meth:`split`."""
        if len(parts) == 1:
            return parts[0]
        flat = [part.reshape(len(part), size_of(part.shape[1:])) for part in parts]
        return np.concatenate(flat, axis=1)

    def whole(self) -> NDArray[np.bool_] | None:
        """Say which input coordinates the model cuts decimals off; None if it never does."""
        if not any(port.whole for port in self.inputs):
            return None
        return self.join([np.full((1, *port.shape), port.whole) for port in self.inputs])


def split(flat: NDArray[Any], shapes: Sequence[Shape]) -> list[NDArray[Any]]:
    """Cut ``(batch, n)`` into arrays of shapes ``(batch, *shape)``; a single one is only shaped."""
    sizes = [size_of(shape) for shape in shapes]
    parts = np.split(flat, np.cumsum(sizes)[:-1], axis=1) if len(shapes) > 1 else [flat]
    return [part.reshape(len(flat), *shape) for part, shape in zip(parts, shapes, strict=True)]


def run(model: Any, parts: Sequence[NDArray[Any]], output: int) -> Tensor:
    """Run the real model on its inputs, at inference; return one of its outputs."""
    types = [t.dtype for t in model.inputs]
    tensors = [tf.cast(tf.constant(p), dtype) for p, dtype in zip(parts, types, strict=True)]
    struct = model.input if isinstance(model, keras.Function) else model.inputs[0]
    outputs = model(keras.tree.pack_sequence_as(struct, tensors), training=False)
    return keras.tree.flatten(outputs)[output]


def entries(name: str, values: Any, ports: Sequence[Port]) -> dict[str, Any]:
    """Return what belongs to each input, in the model's order, by how messages call it.

    Several inputs are given as a list or tuple in the model's order or as a dict by name; a single
    one as it is, or as a dict.

    Raises
    ------
    ValueError
        If something is missing or left over.
    """
    if isinstance(values, Mapping):
        given = cast("Mapping[Any, Any]", values)
        names = [port.name for port in ports]
        missing = [key for key in names if key not in given]
        unknown = [key for key in given if key not in names]
        if missing or unknown or len(set(names)) < len(names):
            wrong = [f"no entry for {key!r}" for key in missing]
            wrong += [f"an entry {key!r}, which is no input" for key in unknown]
            raise ValueError(_wanted(name, ports) + (", ".join(wrong) or "a dict"))
        return {f"{name}[{key!r}]": given[key] for key in names}
    if len(ports) == 1:
        return {name: values}
    kind = type(values).__name__
    if not isinstance(values, list | tuple):
        shape = getattr(values, "shape", None)
        raise ValueError(
            _wanted(name, ports) + kind + ("" if shape is None else f" of shape {tuple(shape)}")
        )
    items = cast("Sequence[Any]", values)
    if len(items) != len(ports):
        raise ValueError(_wanted(name, ports) + f"a {kind} of {len(items)}")
    return {f"{name}[{i}]": item for i, item in enumerate(items)}


def like(values: Any, ports: Sequence[Port], parts: Sequence[Any]) -> Any:
    """Put one result per input into the form in which the user gave ``values``."""
    if isinstance(values, Mapping):
        return {port.name: part for port, part in zip(ports, parts, strict=True)}
    if len(ports) == 1:
        return parts[0]
    return tuple(parts) if isinstance(values, tuple) else list(parts)


def _wanted(name: str, ports: Sequence[Port]) -> str:
    if len(ports) == 1:
        return f"{name} must be an array, or a dict with the one key {ports[0].name!r}. Received: "
    constant = " None holds an input at x_min." if name == "x_max" else ""
    return (
        f"The model has {len(ports)} inputs, so {name} must be a list with one entry for each, "
        f"in this order, or a dict by name: {', '.join(map(str, ports))}.{constant} Received: "
    )


def _ports(tensors: Sequence[Any], struct: Any, names: list[str] | None) -> tuple[Port, ...]:
    """Name tensors by their keys, if the model was made with a dict, else by ``names``."""
    keys: dict[int, str] = {}
    if isinstance(struct, Mapping):
        leaves = cast("Mapping[Any, Any]", struct)
        if all(isinstance(leaf, keras.KerasTensor) for leaf in leaves.values()):
            keys = {id(leaf): str(key) for key, leaf in leaves.items()}
    found = [t.name for t in tensors] if names is None else names
    return tuple(
        Port(keys.get(id(t), name), tuple(t.shape[1:]), t.dtype)
        for t, name in zip(tensors, found, strict=True)
    )
