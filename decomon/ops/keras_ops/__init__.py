"""Rules of ``keras.ops`` calls inside Functional models."""

# Importing these modules registers their rules.
from decomon.ops.keras_ops import (
    arithmetic,
    contractions,
    functions,
    reductions,
    shaping,
    slicing,
)

__all__ = ["arithmetic", "contractions", "functions", "reductions", "shaping", "slicing"]
