"""Activations that are stripped from the end of a classifier.

Both keep the order of the logits, so margins between logits decide the same labels; bounds are
then on the logits, and :attr:`decomon.nodes.Graph.stripped` says so.
"""

from __future__ import annotations

from decomon.ops._base import Op
from decomon.ops.elementwise.curves import SIGMOID
from decomon.ops.softmax import Softmax


def stripped_name(op: Op | None) -> str:
    """Return what users call a final activation that can be stripped, or an empty string."""
    if op is SIGMOID:
        return "sigmoid"
    if isinstance(op, Softmax):
        return "softmax"
    return ""
