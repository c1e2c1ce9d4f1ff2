"""Running the real Keras model on points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decomon._backend import keras
from decomon.inputs import check_inputs
from decomon.models import DecomonModel
from decomon.signature import Signature, run

_BATCH = 256


def predict(model: Any, points: Any) -> NDArray[np.intp]:
    """Return the classes that the real Keras model gives to points.

    Parameters
    ----------
    model : keras.Model or DecomonModel
    points : as ``x`` of :func:`certify`
    """
    outputs = real_outputs(model, check_inputs("points", points, Signature.of(_network(model))))
    return outputs.argmax(axis=-1) if len(outputs) else np.zeros(0, np.intp)


def real_outputs(model: Any, parts: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    """Run the real model at inference; return the output that is bounded, or the first one.

    Parameters
    ----------
    model : keras.Model or DecomonModel
    parts : ``(batch, *shape)``, one array per input
    """
    network = _network(model)
    output = model.output if isinstance(model, DecomonModel) else None
    outputs = [
        np.asarray(run(network, [part[i : i + _BATCH] for part in parts], output or 0))
        for i in range(0, len(parts[0]), _BATCH)
    ]
    return np.concatenate(outputs) if outputs else np.zeros((0, 1))


def _network(model: Any) -> Any:
    network = model.model if isinstance(model, DecomonModel) else model
    if not isinstance(network, keras.Model):
        raise TypeError(f"Expected a keras.Model or a DecomonModel. Received: {type(network)}")
    return network
