"""TensorFlow and Keras behind two names.

Neither library ships complete type information, so strict type checking would drown in unknown
types; here they are declared once as ``Any``, and ``Tensor`` names what flows between functions.
"""

from typing import Any, TypeAlias

import keras as _keras  # pyright: ignore[reportMissingTypeStubs]
import tensorflow as _tf

tf: Any = _tf
keras: Any = _keras

Tensor: TypeAlias = Any
"""A ``tf.Tensor`` of the compute dtype."""

Shape: TypeAlias = tuple[int, ...]
"""The shape of one sample: no batch axis."""
