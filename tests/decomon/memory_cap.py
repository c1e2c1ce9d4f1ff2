"""Asks questions that need far more memory than allowed, and says how much they took.

Run by ``test_memory.py`` as ``python -m tests.decomon.memory_cap NAME LIMIT``.
"""

# ruff: noqa: T201
from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

import decomon
from decomon.ops.dense import Dense
from tests.benchmarks.process import peak_bytes, start_peak
from tests.decomon.helpers import Array, keras, layers, randomise

CLASSES = 3
BATCH = {"dense": 40, "convolutional": 48}
# The other rules choose each slope by comparing the interval's ends: rounding alone may decide.
SLOPE = "zero-lb"


def network(name: str) -> Any:
    """Many neurons, all of them unstable on the boxes that are asked about: biases are zero."""
    if name == "dense":
        parts = [
            keras.Input((32,)),
            layers.Dense(2048, activation="relu"),
            layers.Dense(2560, activation="relu"),
        ]
    else:
        parts = [
            keras.Input((24, 24, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(1024, activation="relu"),
        ]
    model = randomise(keras.Sequential([*parts, layers.Dense(CLASSES)]), 0)
    for layer in model.layers:
        if layer.weights:
            layer.bias.assign(np.zeros(layer.bias.shape))
    return model


def boxes(model: Any, batch: int, radius: float) -> tuple[Array, Array]:
    """Boxes around points near zero."""
    center = np.random.default_rng(0).normal(size=(batch, *model.input_shape[1:])) * 0.1
    center = center.astype(np.float32)
    return center - np.float32(radius), center + np.float32(radius)


def needed(model: Any, x_min: Array, x_max: Array) -> int:
    """Bytes of the coefficients that all rows of one node have at the node in front, at most.

    That is what a backward pass from all unstable neurons of all samples at once holds, for both
    sides, at the very least.  Nodes behind a convolution do not count: their rows have few
    coefficients.  Neurons are unstable as far as interval arithmetic knows.
    """
    verified = decomon.clone(model, "forward-ibp")
    graph = verified.graph
    intervals = verified.verifier.intervals(
        decomon.BoxDomain(x_min, x_max).as_tensors(verified.verifier.dtype)
    )
    largest = 0
    for index in graph.nonlinear:
        (source,) = graph.nodes[index].inputs
        earlier = [i for i in graph.nonlinear if i < source]
        if earlier and isinstance(graph.nodes[source].op, Dense):
            lower, upper = intervals[source].lower.numpy(), intervals[source].upper.numpy()
            rows = 2 * int(((lower < 0) & (upper > 0)).sum())
            largest = max(largest, rows * max(graph.nodes[i].size for i in earlier) * 4)
    return largest


def exempt(model: Any, batch: int) -> int:
    """Bytes that do not depend on how the work is cut.

    For each weight: its transpose, its absolute value and a copy that is laid out anew for a matrix
    product.  For each neuron of each sample: its interval, the relaxation's two lines, and one copy
    of each.
    """
    weights = sum(int(np.prod(weight.shape)) for weight in model.weights)
    neurons = sum(int(np.prod(layer.output.shape[1:])) for layer in model.layers)
    return 4 * (3 * weights + batch * 2 * 6 * neurons)


def main(name: str, limit: int) -> dict[str, Any]:
    """Ask within a limit, and some samples alone with a large one."""
    model, batch = network(name), BATCH[name]
    x_min, x_max = boxes(model, batch, 1.0)
    labels = np.arange(batch) % CLASSES
    need = needed(model, x_min, x_max)
    limited = decomon.clone(model, slope=SLOPE, memory_limit=limit)
    decomon.get_adv_box(limited, x_min[:1], x_min[:1] + np.float32(1e-6), labels[:1])  # compiles
    before = start_peak()
    upper = decomon.get_adv_box(limited, x_min, x_max, labels)
    peak = peak_bytes()
    free = decomon.clone(model, slope=SLOPE, memory_limit=2**30)
    some = [0, batch - 1]
    alone = [decomon.get_adv_box(free, x_min[[i]], x_max[[i]], labels[[i]]).item() for i in some]
    return {
        "needed": need,
        "exempt": exempt(model, batch),
        "grown": None if before is None or peak is None else peak - before,
        "limited": [upper[i].item() for i in some],
        "alone": alone,
        "terms": max(int(np.prod(weight.shape[:-1])) for weight in model.weights),
        "layers": sum(bool(layer.weights) for layer in model.layers),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
