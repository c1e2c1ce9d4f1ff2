"""What a grid must know of the model that it shows."""

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

__all__ = ["Network"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A model as far as a grid looks at it.

    Attributes
    ----------
    keras_model
        The Keras model, None if it is not one.
    input_shape
        Shape of one input, None if it is not fixed.
    n_classes
        Number of outputs, None if it is not fixed.
    """

    keras_model: "keras.Model | None"
    input_shape: Shape | None
    n_classes: int | None

    @classmethod
    def of(cls, model: Any) -> "Network":
        """Look at a ``keras.Model`` or a ``DecomonModel``; of anything else nothing is known."""
        import keras  # takes seconds: not before there is a model

        from decomon.models import DecomonModel

        if isinstance(model, DecomonModel):
            return cls(model.model, model.input_shape, _n_classes(model.output_shape))
        if not isinstance(model, keras.Model):
            return cls(None, None, None)
        # Of a model without them, the verifier says what is wrong.
        inputs, outputs = (_only_shape(model, name) for name in ("inputs", "outputs"))
        return cls(model, inputs, None if outputs is None else _n_classes(outputs))

    def fingerprint(self) -> tuple[object, ...]:
        """Everything that decides the outputs: checksums of the weights, settings of the layers.

        Two of them are equal as long as the model is the same.
        """
        if self.keras_model is None:
            return ()
        from decomon.inspection import all_layers, layer_settings

        weights = (np.ascontiguousarray(weight) for weight in self.keras_model.weights)
        checksums = tuple(zlib.crc32(array.reshape(-1).view(np.uint8).data) for array in weights)
        settings = tuple((i, layer_settings(i)) for i in all_layers(self.keras_model))
        return checksums, settings

    def digest(self) -> str:
        """Eight digits that tell this model from others, the same in every session."""
        if self.keras_model is None:
            return ""
        found = hashlib.sha256()
        for weight in self.keras_model.weights:
            array = np.ascontiguousarray(weight)
            found.update(f"{array.shape}{array.dtype}".encode())
            found.update(array.tobytes())
        return found.hexdigest()[:8]


def _only_shape(model: Any, name: str) -> Shape | None:
    try:
        tensors = getattr(model, name)
    except (AttributeError, ValueError):  # not built
        return None
    if not isinstance(tensors, list) or len(tensors) != 1:
        return None
    shape = tuple(tensors[0].shape[1:])
    return None if None in shape else shape


def _n_classes(output_shape: Shape) -> int | None:
    return output_shape[0] if len(output_shape) == 1 else None
