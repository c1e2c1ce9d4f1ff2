"""Attention with projections: multi-head and grouped-query attention."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from decomon._backend import keras
from decomon.ops._registry import Call, UnsupportedError, Value, register
from decomon.ops.attention import add_masked_softmax, bound_arguments, causal_mask
from decomon.ops.axes import constant_mask
from decomon.ops.contraction import contract
from decomon.ops.linear import Scale
from decomon.ops.products import Product
from decomon.ops.shaping import Gather


@register(keras.layers.MultiHeadAttention, arguments=True)
def multi_head_attention(call: Call) -> Value | list[Value]:
    """Projections, one attention per head along the attention axes, and a projection back."""
    layer, arguments = call.layer, bound_arguments(call)
    query, key, value = _inputs(arguments)
    if len({len(item.shape) for item in (query, key, value)}) != 1:
        raise UnsupportedError("its query, key and value have different ranks")
    rank = len(query.shape) + 2  # of the projections, batch and heads included
    axes = tuple(layer.attention_axes)
    if any(not 1 <= axis < rank - 2 for axis in axes) or len(set(axes)) != len(axes):
        raise UnsupportedError(f"attention_axes={axes} are not axes between the batch and the last")
    if rank == 4 and axes != (1,):
        raise UnsupportedError(f"attention_axes={axes} are ignored by Keras for this rank")
    mask = _mask(call, arguments, query, value, rank)
    to_scores, to_result = _equations(rank, axes)
    factor = _factor(layer.key_dim)
    queries = call.apply(Scale(factor), call.builder.layer(layer.query_dense, query))
    keys = call.builder.layer(layer.key_dense, key)
    values = call.builder.layer(layer.value_dense, value)
    scores = contract(call.builder, to_scores, queries, keys)
    summed = tuple(range(-len(axes), 0))
    weights = add_masked_softmax(call.builder, scores, mask, summed)
    heads = contract(call.builder, to_result, weights, values, average=True)
    result = call.builder.layer(layer.output_dense, _gated(call, heads, query))
    return _with_scores(call, arguments, result, weights)


@register(keras.layers.GroupQueryAttention, arguments=True)
def grouped_query_attention(call: Call) -> Value | list[Value]:
    """As multi-head attention, with keys and values that several heads share."""
    layer, arguments = call.layer, bound_arguments(call)
    query, key, value = _inputs(arguments)
    parts = cast("dict[str, Any]", vars(layer))
    mask = _mask(call, arguments, query, value, 4)
    to_scores, to_result = _equations(4, (1,))
    factor = _factor(layer.head_dim)
    queries = call.apply(Scale(factor), call.builder.layer(parts["_query_dense"], query))
    shared = tuple(int(i) for i in np.repeat(range(layer.num_key_value_heads), layer.num_repeats))
    keys, values = (
        call.apply(Gather(shared, 2), call.builder.layer(parts[name], item))
        for name, item in (("_key_dense", key), ("_value_dense", value))
    )
    scores = contract(call.builder, to_scores, queries, keys)
    weights = add_masked_softmax(call.builder, scores, mask)
    heads = contract(call.builder, to_result, weights, values, average=True)
    result = call.builder.layer(parts["_output_dense"], _gated(call, heads, query))
    return _with_scores(call, arguments, result, weights)


def _inputs(arguments: dict[str, Any]) -> tuple[Value, Value, Value]:
    """Return query, key and value; without a key, the value is used."""
    query, value = arguments["query"], arguments["value"]
    key = value if arguments["key"] is None else arguments["key"]
    if not all(isinstance(item, Value) for item in (query, key, value)):
        raise UnsupportedError("one of its inputs is a constant; make it an input of the model")
    return query, key, value


def _factor(size: int) -> float:
    """Return what scores are multiplied by; TensorFlow keeps it in single precision."""
    return float(np.float32(1.0 / float(np.sqrt(float(size)))))


def _gated(call: Call, heads: Value, query: Value) -> Value:
    """Multiply by the gate, if the layer has one."""
    if not call.layer.get_config().get("use_gate", False):
        return heads
    parts = cast("dict[str, Any]", vars(call.layer))
    return call.apply(Product(), heads, call.builder.layer(parts["_gate_dense"], query))


def _with_scores(
    call: Call, arguments: dict[str, Any], result: Value, weights: Value
) -> Value | list[Value]:
    if not arguments["return_attention_scores"]:
        return result
    if call.output_shapes[1] != weights.shape:
        raise UnsupportedError(
            f"Keras declares attention scores of shape {call.output_shapes[1]}, but they are "
            f"{weights.shape}"
        )
    return [result, weights]


def _equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """Return the Einstein sums from queries and keys to scores and from those to the result.

    Queries are ``(batch, ..., heads, channels)``; scores have the axes that are not attended to,
    heads included, then the attended axes of the queries, then those of the keys.
    """
    target = "abcdefghijklm"[:rank]
    source = "".join(label.upper() if i in axes else label for i, label in enumerate(target))
    kept = "".join(label for i, label in enumerate(target[:-1]) if i not in axes)
    scores = kept + "".join(target[i] for i in axes) + "".join(source[i] for i in axes)
    return f"{target},{source}->{scores}", f"{scores},{source}->{target}"


def _mask(
    call: Call, arguments: dict[str, Any], query: Value, value: Value, rank: int
) -> NDArray[np.bool_] | None:
    """Return which scores ``(1, heads or 1, queries, keys)`` count, or None for all."""
    window = call.layer.get_config().get("sliding_window")
    given = {
        name: arguments[name]
        for name in ("query_mask", "value_mask", "key_mask", "attention_mask")
        if arguments[name] is not None
    }
    if not given and window is None and not arguments["use_causal_mask"]:
        return None
    if "query_mask" in given:
        raise UnsupportedError("query_mask is used by some versions of Keras and ignored by others")
    if rank != 4:
        raise UnsupportedError("masks are covered for one attention axis after the batch only")
    queries, keys = query.shape[0], value.shape[0]
    kept = np.ones((1, 1, queries, keys), bool)
    if arguments["use_causal_mask"]:
        kept = kept & causal_mask(queries, keys)[:, None]
    if window is not None:
        distance = np.arange(queries)[:, None] - np.arange(keys)
        kept = kept & (np.abs(distance) < window)
    for name in ("value_mask", "key_mask"):
        if name in given:
            kept = kept & constant_mask(given[name], 2)[:, None, None, :]
    if "attention_mask" in given:
        kept = kept & _over_heads(given["attention_mask"])
    return kept


def _over_heads(mask: Any) -> NDArray[np.bool_]:
    """Give an attention mask ``([batch, [heads,]] queries, keys)`` all four axes."""
    if len(mask.shape) == 4:
        return constant_mask(mask, 4)
    return constant_mask(mask, 3)[:, None]
