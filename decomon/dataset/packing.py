"""A model on its way to another process: bytes that the model is built from again over there."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import pickle
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from decomon._backend import keras
from decomon.inspection import all_layers
from decomon.models import DecomonModel, clone, verifier_of
from decomon.replay import real_outputs

_PROBES = 8  # samples on which a copy of a model is compared with the model
_LOCK = threading.Lock()


class ModelTransferError(ValueError):
    """A model cannot be rebuilt from what Keras saves of it, or becomes another one."""


class MissingModelError(LookupError):
    """A process was told of a model that it has not built yet."""


@final
@dataclass(frozen=True)
class PackedModel:
    """A Keras model or DecomonModel as bytes; two are equal if their digests are.

    Large models should not travel with every chunk: a process that has built one needs but its
    :attr:`label` to find it again.

    Attributes
    ----------
    digest : of the network, its classes and functions, and the options
    content : the network, as a ``.keras`` file; empty on a label
    objects : the classes and functions of the user that it is made of, pickled, by name
    options : of :func:`decomon.clone`; None for a Keras model
    probes : some inputs, one array per input of the model
    outputs : what the model says about them
    """

    digest: str
    content: bytes = field(compare=False, repr=False)
    objects: bytes = field(compare=False, repr=False)
    options: dict[str, Any] | None = field(compare=False)
    probes: tuple[NDArray[Any], ...] = field(compare=False, repr=False)
    outputs: NDArray[Any] = field(compare=False, repr=False)

    @property
    def label(self) -> PackedModel:
        """The same without its content."""
        return replace(self, content=b"", objects=b"", probes=(), outputs=np.zeros(0))

    def unpack(self) -> Any:
        """Build the model again and check that it computes the same.

        Raises
        ------
        MissingModelError
            If this is a label.
        ModelTransferError
            If it cannot be built, or gives other outputs.
        """
        if not self.content:
            raise MissingModelError(f"There is no model {self.digest} in this process")
        try:
            model = self._load()
            verifier_of(model)
        except Exception as error:
            raise ModelTransferError(
                "The model cannot be rebuilt from what Keras saves of it. Its own layers need a "
                "get_config with all arguments of their constructor, and belong into a module that "
                "workers can import, together with the calls of decomon.ops.register. "
                f"{type(error).__name__}: {error}"
            ) from error
        found = real_outputs(model, self.probes)
        # On another computer, the same model may round differently.
        tolerance = np.sqrt(np.finfo(self.outputs.dtype).eps) * _scale(self.outputs)
        if not np.allclose(found, self.outputs, rtol=0, atol=tolerance, equal_nan=True):
            difference = float(np.abs(found - self.outputs).max())
            raise ModelTransferError(
                "The model that is rebuilt from what Keras saves of it computes something else: "
                f"outputs differ by up to {difference:.3g}. Does get_config of its own layers "
                "return all settings, and do the workers have the same code?"
            )
        return model

    def _load(self) -> Any:
        objects = pickle.loads(self.objects)
        with tempfile.TemporaryDirectory(prefix="decomon-") as folder:
            path = Path(folder) / "model.keras"
            path.write_bytes(self.content)
            # What is loaded was saved by the same user a moment ago, so its code is trusted.
            network = keras.saving.load_model(
                path, custom_objects=objects, compile=False, safe_mode=False
            )
        return network if self.options is None else clone(network, **self.options)


def pack(model: Any, x: tuple[NDArray[Any], ...]) -> PackedModel:
    """Turn a model into bytes and check that it can be built again.

    Parameters
    ----------
    model : keras.Model or DecomonModel
    x : samples, ``(batch, *shape)`` for each input of the model

    Raises
    ------
    ModelTransferError
        If Keras cannot save it, or what it saves is not the whole model.
    """
    network = _network(model)
    probed = np.unique(np.linspace(0, len(x[0]) - 1, _PROBES).round().astype(int))
    probes = tuple(part[probed] for part in x)
    try:
        content, objects = _saved(network), _pickled(dict(_own_objects(network)))
    except Exception as error:
        raise ModelTransferError(
            "The model must be sent to other processes, but it cannot be saved "
            f"({type(error).__name__}: {error}). Its own layers need a get_config with all "
            "arguments of their constructor. Without an executor, or with a ThreadPoolExecutor, "
            f"it stays where it is. Received: {model!r}"
        ) from error
    options = None
    if isinstance(model, DecomonModel):
        given = model.get_config().items()
        options = {key: value for key, value in given if key not in ("model", "name")}
    outputs = real_outputs(model, probes)
    digest = hashlib.sha256()
    for part in (*_members(content), objects, pickle.dumps(options)):
        digest.update(hashlib.sha256(part).digest())
    packed = PackedModel(digest.hexdigest(), content, objects, options, probes, outputs)
    packed.unpack()
    return packed


def unpacked(packed: PackedModel) -> Any:
    """Return the model, built once in this process.

    Raises
    ------
    As :meth:`PackedModel.unpack`, if it was not built yet.
    """
    with _LOCK:
        return _unpacked(packed)


def network_digest(model: Any) -> str:
    """Return a digest of layers and weights that does not depend on how layers are called.

    Raises
    ------
    ValueError
        If the settings of a layer cannot be read.
    """
    network = _network(model)
    try:
        config = keras.saving.serialize_keras_object(network)
    except Exception as error:
        raise ValueError(
            "A results file notes which model it is of, but the settings of the layers cannot be "
            f"read ({type(error).__name__}: {error}). The model's own layers need a get_config. "
            f"Received: {network!r}"
        ) from error
    config = {key: value for key, value in config.items() if key != "compile_config"}
    names = {name: f"#{number}" for number, name in enumerate(dict.fromkeys(_names(config)))}
    digest = hashlib.sha256(json.dumps(_renamed(config, names), default=repr).encode())
    for variable in network.weights:
        update(digest, np.asarray(variable))
    return digest.hexdigest()


def update(digest: Any, array: NDArray[Any]) -> None:
    """Add an array to a digest."""
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())


@lru_cache(maxsize=2)
def _unpacked(packed: PackedModel) -> Any:
    return packed.unpack()


def _network(model: Any) -> Any:
    return model.model if isinstance(model, DecomonModel) else model


def _saved(network: Any) -> bytes:
    with tempfile.TemporaryDirectory(prefix="decomon-") as folder:
        path = Path(folder) / "model.keras"
        keras.saving.save_model(network, path)
        return path.read_bytes()


def _members(content: bytes) -> Iterator[bytes]:
    """Go through what a ``.keras`` file holds, but for the date."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        for name in sorted(file.namelist()):
            if name != "metadata.json":
                yield file.read(name)


def _own_objects(network: Any) -> Iterator[tuple[str, Any]]:
    """Find the classes and functions that are not Keras's own, with the names Keras saves."""
    for layer in (network, *all_layers(network)):
        settings = cast("dict[str, Any]", vars(layer)).values()
        for value in (layer, *settings):
            thing: Any = value if isinstance(value, FunctionType) else cast("Any", type(value))
            if str(thing.__module__).partition(".")[0] not in _KNOWN_MODULES:
                yield keras.saving.get_registered_name(thing), thing


_KNOWN_MODULES = frozenset({"builtins", "collections", "decomon", "keras", "numpy", "tensorflow"})


def _pickled(objects: dict[str, Any]) -> bytes:
    """Pickle classes and functions: by name, or as a whole where cloudpickle can do that."""
    try:
        pickler: Any = importlib.import_module("cloudpickle")
    except ImportError:
        pickler = pickle
    stream = io.BytesIO()
    pickler.dump(objects, stream)
    return stream.getvalue()


def _scale(outputs: NDArray[Any]) -> float:
    return float(np.abs(outputs).max(initial=1.0))


def _names(config: Any) -> Iterator[str]:
    """Go through the names in a configuration, in their order."""
    if isinstance(config, dict):
        items = cast("dict[str, Any]", config)
        name = items.get("name")
        if isinstance(name, str):
            yield name
        for value in items.values():
            yield from _names(value)
    elif isinstance(config, list | tuple):
        for value in cast("list[Any]", config):
            yield from _names(value)


def _renamed(config: Any, names: dict[str, str]) -> Any:
    if isinstance(config, dict):
        items = cast("dict[str, Any]", config).items()
        return {key: _renamed(value, names) for key, value in items}
    if isinstance(config, list | tuple):
        return [_renamed(value, names) for value in cast("list[Any]", config)]
    return names.get(config, config) if isinstance(config, str) else config
