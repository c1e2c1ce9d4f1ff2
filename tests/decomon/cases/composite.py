"""Softmax, normalisations and attention, with every option that changes what they compute."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tests.decomon.helpers import layers
from tests.decomon.layer_cases import LayerCase

Shape = tuple[int, ...]
KEPT = np.array([[True, False, True, True, False]])
SEEN = np.array([[1, 0, 1], [1, 1, 0], [1, 1, 1]])


def _case(label: str, make: Any, *shapes: Shape) -> LayerCase:
    return LayerCase(label, make, shapes)


def _call(label: str, make: Callable[[], Any], *shapes: Shape, **arguments: Any) -> LayerCase:
    """A layer called on the list of its inputs and on further arguments."""

    def build() -> Any:
        layer = make()
        return lambda x: _flat(layer(x, **arguments))

    return LayerCase(label, build, shapes)


def _spread(
    label: str, make: Callable[[], Any], *shapes: Shape, twice: bool = False, **arguments: Any
) -> LayerCase:
    """A layer that takes its inputs one by one; ``twice`` uses the only one as query and value."""

    def build() -> Any:
        layer = make()
        return lambda x: _flat(layer(*((x, x) if twice else x), **arguments))

    return LayerCase(label, build, shapes)


def _flat(result: Any) -> Any:
    return list(result) if isinstance(result, tuple) else result


def _heads(label: str, *shapes: Shape, call: dict[str, Any] | None = None, **options: Any) -> Any:
    make = partial(layers.MultiHeadAttention, **{"num_heads": 2, "key_dim": 3, **options})
    return _spread(label, make, *shapes, twice=len(shapes) == 1, **(call or {}))


def _grouped(label: str, *shapes: Shape, call: dict[str, Any] | None = None, **options: Any) -> Any:
    sizes = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, **options}
    make = partial(layers.GroupQueryAttention, **sizes)
    return _spread(label, make, *shapes, twice=len(shapes) == 1, **(call or {}))


CASES: dict[str, list[LayerCase]] = {
    "Softmax": [
        _case("last", layers.Softmax, (4,)),
        _case("one", layers.Softmax, (3, 1)),
        _case("inner", lambda: layers.Softmax(axis=1), (3, 4)),
        _case("negative", lambda: layers.Softmax(axis=-2), (2, 3, 2)),
        _case("several", lambda: layers.Softmax(axis=(1, 3)), (2, 3, 2)),
        _case("negative-several", lambda: layers.Softmax(axis=(-1, -2)), (2, 3, 2)),
        _call("mask", layers.Softmax, (5,), mask=KEPT),
        _call("mask-inner", lambda: layers.Softmax(axis=1), (3, 3), mask=SEEN[None] > 0),
        _call("mask-all", layers.Softmax, (2, 3), mask=np.array([[0, 0, 0], [1, 0, 1]])),
    ],
    "LayerNormalization": [
        _case("last", layers.LayerNormalization, (3, 4)),
        _case("one", layers.LayerNormalization, (3, 1)),
        _case("inner", lambda: layers.LayerNormalization(axis=1), (3, 2)),
        _case("several", lambda: layers.LayerNormalization(axis=(2, 1)), (3, 2, 2)),
        _case("around", lambda: layers.LayerNormalization(axis=(1, -1)), (3, 2, 4)),
        _case("around-other", lambda: layers.LayerNormalization(axis=(-1, 1)), (4, 2, 4)),
        _case("no-scale", lambda: layers.LayerNormalization(scale=False), (5,)),
        _case("no-center", lambda: layers.LayerNormalization(center=False), (5,)),
        _case("epsilon", lambda: layers.LayerNormalization(epsilon=0.5), (5,)),
        _case("rms-scaling", lambda: layers.LayerNormalization(rms_scaling=True), (5,)),
    ],
    "RMSNormalization": [
        _case("last", layers.RMSNormalization, (3, 4)),
        _case("inner", lambda: layers.RMSNormalization(axis=1), (3, 3)),
        _case("several", lambda: layers.RMSNormalization(axis=(2, 1)), (3, 2)),
        _case("epsilon", lambda: layers.RMSNormalization(epsilon=0.5), (4,)),
    ],
    "GroupNormalization": [
        _case("two", lambda: layers.GroupNormalization(2), (3, 2, 4)),
        _case("flat", lambda: layers.GroupNormalization(2), (6,)),
        _case("instance", lambda: layers.GroupNormalization(-1), (3, 2)),
        _case("first", lambda: layers.GroupNormalization(3, axis=1), (6, 2, 2)),
        _case("middle", lambda: layers.GroupNormalization(2, axis=-2, scale=False), (3, 4, 2)),
        _case("plain", lambda: layers.GroupNormalization(1, center=False, epsilon=0.1), (2, 3)),
    ],
    "UnitNormalization": [
        _case("last", layers.UnitNormalization, (3, 4)),
        _case("inner", lambda: layers.UnitNormalization(axis=1), (3, 2)),
        _case("several", lambda: layers.UnitNormalization(axis=(1, -1)), (3, 2, 2)),
    ],
    "Attention": [
        _case("two", layers.Attention, (3, 4), (2, 4)),
        _case("scale", lambda: layers.Attention(use_scale=True), (3, 4), (2, 5), (2, 4)),
        _case("concat", lambda: layers.Attention(score_mode="concat"), (3, 2), (2, 2)),
        _case(
            "concat-scale",
            lambda: layers.Attention(score_mode="concat", use_scale=True),
            (3, 2),
            (2, 2),
        ),
        _case("outer", layers.Attention, (2, 3, 2), (2, 2, 2)),
        _case("dropout", lambda: layers.Attention(dropout=0.5), (3, 2), (2, 2)),
        _call("causal", layers.Attention, (3, 2), (4, 2), use_causal_mask=True),
        _call("values", layers.Attention, (3, 2), (5, 2), mask=[None, KEPT]),
        _call("masks", layers.Attention, (5, 2), (5, 2), mask=[KEPT, KEPT], use_causal_mask=True),
        _call("scores", layers.Attention, (3, 2), (4, 2), return_attention_scores=True),
    ],
    "AdditiveAttention": [
        _case("scale", layers.AdditiveAttention, (3, 2), (2, 2)),
        _case("plain", lambda: layers.AdditiveAttention(use_scale=False), (3, 2), (2, 3), (2, 2)),
        _call("causal", layers.AdditiveAttention, (3, 2), (3, 2), use_causal_mask=True),
    ],
    "MultiHeadAttention": [
        _heads("two", (3, 4), (2, 4)),
        _heads("self", (3, 4)),
        _heads("key", (3, 4), (2, 3), (2, 5), value_dim=2, use_bias=False),
        _heads("output", (2, 4), (2, 4), output_shape=5),
        _heads("output-axes", (2, 4), output_shape=(2, 3)),
        _heads("gate", (2, 4), use_gate=True),
        _heads("causal", (3, 4), call={"use_causal_mask": True}),
        _heads("causal-dropout", (3, 4), dropout=0.3, call={"use_causal_mask": True}),
        _heads("window", (4, 3), sliding_window=2),
        _heads("mask", (3, 4), call={"attention_mask": SEEN}),
        _heads("mask-batch", (3, 4), call={"attention_mask": SEEN[None] > 0}),
        _heads("values", (2, 4), (5, 4), call={"value_mask": KEPT}),
        _heads("scores", (2, 4), call={"return_attention_scores": True}),
        _heads("all-axes", (2, 2, 3)),
        _heads("one-axis", (2, 2, 3), attention_axes=(2,)),
        _heads("first-axis", (2, 3, 2), attention_axes=1),
    ],
    "GroupQueryAttention": [
        _grouped("two", (3, 4), (2, 4)),
        _grouped("self", (2, 4), num_key_value_heads=1),
        _grouped("key", (2, 4), (3, 4), (3, 5), use_bias=False, use_gate=True),
        _grouped("causal", (3, 4), num_query_heads=2, call={"use_causal_mask": True}),
        _grouped("mask", (3, 4), num_query_heads=2, call={"attention_mask": SEEN > 0}),
        _grouped("window", (3, 4), num_query_heads=2, sliding_window=2),
    ],
}
