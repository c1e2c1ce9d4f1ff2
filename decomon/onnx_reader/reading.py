"""Reading ONNX files."""

from __future__ import annotations

import copy
import gzip
import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, keras

if TYPE_CHECKING:
    import onnx

Array = NDArray[np.floating]

# Largest difference between both networks at the points where they are compared, in units of the
# largest output: far above rounding, far below what a wrong translation does.
_TOLERANCE: Final = 1e-3
_COMPARED: Final = 3
_TYPES: Final = ("float32", "float64")
_MODERN: Final = 18


class OnnxError(ValueError):
    """The file cannot be read as a network with one input and one output."""


@final
@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A network that was read.

    Attributes
    ----------
    model : the Keras model
    shape : of the input, as ONNX has it, with a batch of 1 where there is one
    """

    model: Any
    shape: Shape
    _evaluator: Any
    _input: str

    def original(self, x: Array) -> Array:
        """Run ONNX's reference implementation on the file itself, one sample after another.

        Parameters
        ----------
        x : ``(batch, ...)``

        Returns
        -------
        array ``(batch, n_outputs)``: flat, row-major
        """
        dtype = self.model.inputs[0].dtype
        found: list[Array] = []
        for sample in x:
            given = {self._input: np.asarray(sample, dtype).reshape(self.shape)}
            with np.errstate(all="ignore"):
                outputs = self._evaluator.run(None, given)
            found.append(np.asarray(outputs[0]).reshape(-1))
        return np.stack(found) if found else np.zeros((0, 1))


def read_onnx(path: str | os.PathLike[str]) -> Any:
    """Read a feed-forward ONNX network into Keras.

    Parameters
    ----------
    path : path of an ``.onnx`` file, or ``.onnx.gz``

    Returns
    -------
    keras.Model
        A Functional model that takes and returns what the file does: inputs have the shape that
        they have there, without the axis of the batch; images keep their channels first, and
        outputs their order.  It computes in the file's own type, float32 or float64.  What the
        file says of the batch, a number or a name, does not matter: samples are independent.

    Raises
    ------
    ImportError
        If the package ``onnx`` is missing.
    OnnxError
        If the file is missing or broken, does not have one input and one output of
        floating-point numbers and a fixed shape, or has operators that are not translated; all of
        them are listed.

    Notes
    -----
    The model is compared with ONNX's reference implementation at some points before it is
    returned.  Rounding differs between them, as it does between any two programs that run a
    network.
    """
    return read_network(path).model


def read_network(path: str | os.PathLike[str], *, flat: bool = False) -> OnnxNetwork:
    """Read a network, and keep what runs the file itself.

    Parameters
    ----------
    path : as for :func:`read_onnx`
    flat : whether outputs are flattened
    """
    _import_onnx()
    from onnx import inliner
    from onnx.reference import ReferenceEvaluator

    from decomon.onnx_reader._building import Builder, UnsupportedOnnxError

    file = Path(path)
    loaded = _load(file)
    if len(loaded.functions):
        loaded = inliner.inline_local_functions(loaded)
    name, shape, dtype = _port(loaded, file)
    try:
        model = Builder(loaded, name, shape, dtype).model(file.name.partition(".")[0])
    except UnsupportedOnnxError as error:
        raise OnnxError(f"{file}: {error}") from error
    if flat and len(model.outputs[0].shape) != 2:
        model = keras.Model(model.inputs[0], keras.layers.Flatten(dtype=dtype)(model.outputs[0]))
    network = OnnxNetwork(model, shape, ReferenceEvaluator(_modern(loaded)), name)
    _compare(network, file)
    return network


def _import_onnx() -> None:
    try:
        importlib.import_module("onnx")
    except ImportError as error:
        raise ImportError(
            'Reading ONNX files needs the package onnx: pip install "decomon[onnx]". '
            f"Received: {error}"
        ) from error


def _load(path: Path) -> onnx.ModelProto:
    """Read and check a file."""
    from google.protobuf.message import DecodeError

    # Its functions are typed only in part.
    onnx: Any = importlib.import_module("onnx")

    if not path.is_file():
        raise OnnxError(f"There is no such ONNX file. Received: {path}")
    try:
        if path.suffix == ".gz":
            model = onnx.load_model_from_string(gzip.decompress(path.read_bytes()))
        else:
            model = onnx.load(path)
        onnx.checker.check_model(_with_shapes(model))
    except (DecodeError, OSError, EOFError, ValueError, onnx.checker.ValidationError) as error:
        reason = " ".join(str(error).split())[:300]
        raise OnnxError(f"{path} is not a valid ONNX file: {reason}") from error
    return model


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose outputs have some shape: that it is missing does no harm."""
    if all(output.type.tensor_type.HasField("shape") for output in model.graph.output):
        return model
    copied = copy.deepcopy(model)
    for output in copied.graph.output:
        output.type.tensor_type.shape.SetInParent()
    return copied


def _modern(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model of operators of today: the reference implementation takes some old ones amiss.

    Before version 13, softmax is over several axes, and before 14, normalisation could be in
    training mode.
    """
    from onnx import version_converter

    if all(entry.version >= _MODERN for entry in model.opset_import if entry.domain == ""):
        return model
    try:
        return version_converter.convert_version(model, _MODERN)
    except (RuntimeError, ValueError):
        return model


def _port(model: onnx.ModelProto, path: Path) -> tuple[str, Shape, str]:
    """Return name, shape and type of the input."""
    from onnx import helper

    graph = model.graph
    fixed = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in fixed]
    if len(inputs) != 1 or len(graph.output) != 1:
        names = [value.name for value in (*inputs, *graph.output)]
        raise OnnxError(
            f"{path} must have one input and one output. Received: {len(inputs)} inputs and "
            f"{len(graph.output)} outputs: {', '.join(names)}"
        )
    kind = inputs[0].type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    if dtype not in _TYPES:
        raise OnnxError(
            f"{path} must have inputs of type {' or '.join(_TYPES)}. Received: {dtype} for input "
            f"{inputs[0].name!r}"
        )
    dims = [d.dim_value if d.dim_value > 0 else d.dim_param or "?" for d in kind.shape.dim]
    # A first axis of unknown length is that of the batch.
    open_batch = len(dims) > 1 and isinstance(dims[0], str)
    sides = [1, *dims[1:]] if open_batch else dims
    shape = tuple(side for side in sides if isinstance(side, int))
    if len(shape) < len(dims) or not shape:
        raise OnnxError(
            f"{path} must have inputs of a fixed shape; only the first of several axes, that of "
            "the batch, may be open. Export it with fixed sizes. "
            f"Received: ({', '.join(map(str, dims))}) for input {inputs[0].name!r}"
        )
    return inputs[0].name, shape, dtype


def _compare(network: OnnxNetwork, path: Path) -> None:
    """Raise if the model is not the network of the file."""
    source = network.model.inputs[0]
    generator = np.random.default_rng(0)
    points = generator.uniform(0, 1, (_COMPARED, *source.shape[1:])).astype(source.dtype)
    points[1:] = 2 * points[1:] - 1
    wanted = network.original(points).astype(np.float64)
    received = np.asarray(network.model(points, training=False), np.float64)
    if received.size != wanted.size:
        raise OnnxError(
            f"{path}: outputs of the Keras model have {received.size // _COMPARED} entries and "
            f"those of the file {wanted.size // _COMPARED}."
        )
    received = received.reshape(wanted.shape)
    # A logarithm, say, is not defined everywhere.
    known = np.isfinite(wanted)
    off = np.abs(received - wanted, where=known, out=np.zeros_like(wanted)).max()
    same = (known == np.isfinite(received)).all() and known.any()
    if not (same and off <= _TOLERANCE * (1 + np.abs(wanted[known]).max())):
        raise OnnxError(
            f"{path}: the Keras model that was made of it is not the same function, so nothing "
            "that is proven of the one would hold for the other. Build the network in Keras "
            f"instead. Received: outputs that differ by {off:.3g}, of at most "
            f"{np.abs(wanted[known]).max(initial=0):.3g}"
        )
