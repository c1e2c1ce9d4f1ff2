"""The mathematics of single nodes, and the registry of the layers made of them."""

# Importing these modules registers their rules.
from decomon.ops import (
    activations,
    convolution,
    dense,
    merging,
    normalization,
    pooling,
    shaping,
)
from decomon.ops._base import AffineOp, NonlinearOp, NonnegativeOp, Op
from decomon.ops._registry import Call, UnsupportedError, register, register_activation, supported

__all__ = [
    "AffineOp",
    "Call",
    "NonlinearOp",
    "NonnegativeOp",
    "Op",
    "UnsupportedError",
    "activations",
    "convolution",
    "dense",
    "merging",
    "normalization",
    "pooling",
    "register",
    "register_activation",
    "shaping",
    "supported",
]
