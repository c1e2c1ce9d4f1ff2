"""Dot-product and additive attention without projections."""

from __future__ import annotations

import inspect
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from decomon._backend import keras
from decomon.ops._registry import Builder, Call, UnsupportedError, Value, register
from decomon.ops.axes import Keep, constant_mask
from decomon.ops.contraction import contract
from decomon.ops.elementwise.curves import TANH
from decomon.ops.linear import Scale, Sum
from decomon.ops.merging import Add
from decomon.ops.shaping import Reshape
from decomon.ops.simplex import MASKED, add_softmax


def bound_arguments(call: Call) -> dict[str, Any]:
    """Return the arguments of a layer's call by name, defaults included."""
    function: Any = cast("Any", type(call.layer)).call
    bound = inspect.signature(function).bind(call.layer, *call.args, **call.kwargs)
    bound.apply_defaults()
    return {name: value for name, value in bound.arguments.items() if name != "self"}


def causal_mask(queries: int, keys: int) -> NDArray[np.bool_]:
    """Return ``(1, queries, keys)``: a position sees itself and what came before it."""
    return np.tri(queries, keys, dtype=bool)[None]


def add_masked_softmax(
    builder: Builder, scores: Value, mask: NDArray[np.bool_] | None, axes: tuple[int, ...] = (-1,)
) -> Value:
    """Add a softmax in which masked entries have no weight."""
    if mask is not None:
        if not mask.any(axis=-1).all():
            raise UnsupportedError(
                "its mask hides all keys from some query, and then the result is what rounding "
                "leaves of the scores"
            )
        scores = builder.apply(Keep(mask, MASKED), scores)
    return add_softmax(builder, scores, axes)


@register(keras.layers.Attention, keras.layers.AdditiveAttention, arguments=True)
def attention(call: Call) -> Value | list[Value]:
    """``softmax(scores(query, key)) value``.

    Scores are inner products, or sums of hyperbolic tangents of sums.
    """
    arguments = bound_arguments(call)
    inputs = list(arguments["inputs"])
    query, value = inputs[:2]
    key = inputs[2] if len(inputs) > 2 else value
    if not all(isinstance(item, Value) for item in (query, value, key)):
        raise UnsupportedError("one of its inputs is a constant; make it an input of the model")
    if len(query.shape) < 2:
        raise UnsupportedError(f"its inputs need a time axis. Received: shape {query.shape}")
    ranks = {len(item.shape) for item in (query, value, key)}
    outer = {item.shape[:-2] for item in (query, value, key)}
    if len(ranks) != 1 or len(outer) != 1:
        raise UnsupportedError("its inputs differ in the axes before the time axis")
    scores = _scores(call, query, key)
    kept, kept_queries = _masks(arguments, query, value)
    weights = add_masked_softmax(call.builder, scores, kept)
    equation = _equation(len(query.shape), "ts,sd->td")
    result = contract(call.builder, equation, weights, value, average=True)
    if kept_queries is not None:
        result = call.apply(Keep(kept_queries, 0.0), result)
    return [result, weights] if arguments["return_attention_scores"] else result


def _equation(rank: int, core: str) -> str:
    """Put the batch axis and all axes before the last two in front of each term."""
    outer = "abcdefgh"[: rank - 1].upper()
    operands, result = core.split("->")
    first, second = operands.split(",")
    return f"{outer}{first},{outer}{second}->{outer}{result}"


def _scores(call: Call, query: Value, key: Value) -> Value:
    layer, rank = call.layer, len(query.shape)
    additive = isinstance(layer, keras.layers.AdditiveAttention)
    if layer.score_mode == "dot" and not additive:
        scores = contract(call.builder, _equation(rank, "td,sd->ts"), query, key)
        return scores if layer.scale is None else call.apply(Scale(layer.scale), scores)
    outer, (queries, size), keys = query.shape[:-2], query.shape[-2:], key.shape[-2]
    first = call.apply(Reshape((*outer, queries, 1, size)), query)
    second = call.apply(Reshape((*outer, 1, keys, size)), key)
    both = call.apply(Add(), first, second)
    if additive:
        parts = call.apply(TANH, both)
        parts = parts if layer.scale is None else call.apply(Scale(layer.scale), parts)
        return call.apply(Sum((rank + 1,)), parts)
    both = both if layer.scale is None else call.apply(Scale(layer.scale), both)
    total = call.chain(both, TANH, Sum((rank + 1,)))
    return call.apply(Scale(layer.concat_score_weight), total)


def _masks(
    arguments: dict[str, Any], query: Value, value: Value
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Return which scores count and which queries have a result, None for all."""
    queries, keys = query.shape[-2], value.shape[-2]
    kept: NDArray[np.bool_] | None = None
    kept_queries: NDArray[np.bool_] | None = None
    query_mask, value_mask = [*(arguments["mask"] or ()), None, None][:2]
    given = [mask for mask in (query_mask, value_mask) if mask is not None]
    if (given or arguments["use_causal_mask"]) and len(query.shape) != 2:
        raise UnsupportedError("masks are covered for one time axis only")
    if arguments["use_causal_mask"]:
        kept = causal_mask(queries, keys)
    if value_mask is not None:
        of_keys = constant_mask(value_mask, 2)[:, None, :]
        kept = of_keys if kept is None else kept & of_keys
    if query_mask is not None:
        kept_queries = constant_mask(query_mask, 2)[:, :, None]
    return kept, kept_queries
