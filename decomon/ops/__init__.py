"""The mathematics of single nodes, and the registry of the layers made of them."""

# Importing this module registers all rules.
from decomon.ops import _rules as _rules
from decomon.ops._base import AffineOp, ElementwiseOp, NonlinearOp, NonnegativeOp, Op
from decomon.ops._registry import (
    Builder,
    Call,
    UnsupportedError,
    Value,
    read,
    register,
    register_activation,
    register_like,
    supported,
)
from decomon.ops.catalogue import Supported
from decomon.ops.functions import AffineFunction, affine
from decomon.ops.refusals import refusals, register_refusal

__all__ = [
    "AffineFunction",
    "AffineOp",
    "Builder",
    "Call",
    "ElementwiseOp",
    "NonlinearOp",
    "NonnegativeOp",
    "Op",
    "Supported",
    "UnsupportedError",
    "Value",
    "affine",
    "read",
    "refusals",
    "register",
    "register_activation",
    "register_like",
    "register_refusal",
    "supported",
]
