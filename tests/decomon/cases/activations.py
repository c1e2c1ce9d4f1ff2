"""Layers that act on each neuron alone, with every option, and every activation function."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.decomon.helpers import keras, layers, tf
from tests.decomon.layer_cases import LayerCase

FUNCTIONS = (
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
)


def _case(label: str, kind: Any, *args: Any, **options: Any) -> LayerCase:
    return LayerCase(label, partial(kind, *args, **options), ((3, 2),))


def _relu(**options: Any) -> LayerCase:
    label = "-".join(f"{name}={value}" for name, value in options.items())
    return _case(label or "usual", layers.ReLU, **options)


CASES: dict[str, list[LayerCase]] = {
    "Activation": [
        *(_case(name, layers.Activation, name) for name in FUNCTIONS),
        _case("function", layers.Activation, keras.activations.gelu),
        _case("operation", layers.Activation, keras.ops.sin),
        _case("tf", layers.Activation, tf.nn.relu),
        LayerCase(
            "layer", lambda: layers.Activation(layers.LeakyReLU(negative_slope=0.25)), ((3,),)
        ),
    ],
    "ELU": [
        _case("usual", layers.ELU),
        _case("zero", layers.ELU, alpha=0.0),
        _case("small", layers.ELU, alpha=0.3),
        _case("large", layers.ELU, alpha=2.5),
    ],
    "LeakyReLU": [
        _case("usual", layers.LeakyReLU),
        _case("half", layers.LeakyReLU, negative_slope=0.5),
        _case("zero", layers.LeakyReLU, negative_slope=0.0),
        _case("one", layers.LeakyReLU, negative_slope=1.0),
        _case("steep", layers.LeakyReLU, negative_slope=1.7),
    ],
    "ReLU": [
        _relu(),
        _relu(negative_slope=0.3),
        _relu(negative_slope=1.5),
        _relu(max_value=0.7),
        _relu(max_value=6),
        _relu(threshold=0.4),
        _relu(threshold=0.4, negative_slope=0.3),
        _relu(threshold=0.4, max_value=1.0),
        _relu(negative_slope=0.3, max_value=1.0),
        _relu(negative_slope=0.3, max_value=1.0, threshold=0.2),
        _relu(threshold=0.5, max_value=0.5),
    ],
}
