"""Models as users build them: what is read is what Keras computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.graph import from_keras
from tests.decomon.helpers import (
    boxes,
    dense_net,
    evaluate,
    keras,
    layers,
    randomise,
    rounding,
    sample,
    strip,
    tf,
)
from tests.decomon.zoo import ZOO, build


def nested_first() -> Any:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="relu")])
    return keras.Sequential([inner, layers.Dense(3)])


def features() -> Any:
    """A model cut out of another one."""
    whole = dense_net([4, 6, 5, 3])
    return keras.Model(whole.inputs[0], whole.layers[1].output)


def borrowed_layers() -> Any:
    """Layers that belong to another model too."""
    whole = dense_net([4, 6, 5, 3])
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(2)(whole.layers[1](whole.layers[0](x))))


def dead_branch() -> Any:
    """A layer that no output needs need not be supported."""
    x = keras.Input((4,))
    y = layers.Dense(5, activation="relu")(x)
    layers.Dense(3, activation="gelu")(y)
    return keras.Model(x, layers.Dense(3)(y))


def called_again() -> Any:
    """A model that was called on other tensors after it was built."""
    model = dense_net([4, 6, 3])
    model(keras.Input((4,)))
    keras.Sequential([keras.Input((4,)), model, layers.Dense(2)])
    return model


def low_rank() -> Any:
    """The kernel of the layer is not one of its variables."""
    model = dense_net([4, 6, 3])
    model.layers[0].enable_lora(2)
    return model


def late_input() -> Any:
    model = keras.Sequential([layers.Dense(5, activation="relu"), layers.Dense(3)])
    model.build((None, 4))
    return model


def diamond() -> Any:
    x = keras.Input((4,))
    y = layers.Dense(4, activation="relu")(x)
    left, right = layers.Dense(4, activation="relu")(y), layers.Dense(4)(y)
    z = layers.Add()([left, right, x])
    return keras.Model(x, layers.Concatenate()([layers.Dense(2)(z), layers.ReLU()(left)]))


UNUSUAL: list[Callable[[], Any]] = [
    nested_first,
    features,
    borrowed_layers,
    dead_branch,
    called_again,
    low_rank,
    late_input,
    diamond,
]


@pytest.mark.parametrize("make", UNUSUAL, ids=[make.__name__ for make in UNUSUAL])
def test_unusual_models(make: Callable[[], Any]) -> None:
    model = randomise(make())
    x_min, x_max = boxes(model, 5, 0.3)
    high, low = decomon.get_range_box(model, x_min, x_max)
    outputs = evaluate(model, sample(x_min, x_max, 100))
    # the low-rank update is no part of the network of sizes
    error = 1e-4 if make is low_rank else rounding(model, x_min, x_max)[:, None]
    assert (outputs <= high + error).all()
    assert (outputs >= low - error).all()


@pytest.mark.parametrize("name", ZOO)
def test_the_graph_evaluates_to_the_model(name: str) -> None:
    for seed in range(2):
        model = build(name, seed)
        graph = from_keras(model)
        x = np.random.default_rng(seed).normal(size=(20, *model.input_shape[1:]))
        expected = np.asarray(strip(model)(x, training=False))
        error = rounding(model, x, x, "float64").max()
        assert np.abs(np.asarray(graph(tf.constant(x))) - expected).max() <= error
        assert graph.input_shape == model.input_shape[1:]
        assert graph.output_shape == model.output_shape[1:]
        assert bool(graph.stripped) == (strip(model) is not model)


def test_nodes_are_in_topological_order_and_none_is_useless() -> None:
    for name in ZOO:
        graph = from_keras(build(name))
        assert graph.nodes[0].op is None
        used: set[int] = {graph.output}
        for index, node in enumerate(graph.nodes[1:], start=1):
            assert node.inputs
            assert all(source < index for source in node.inputs)
            used.update(node.inputs)
        assert used == set(range(len(graph.nodes)))


def test_shared_layers_are_separate_nodes() -> None:
    graph = from_keras(build("shared_layer"))
    shared = [node for node in graph.nodes if node.name.startswith("dense")]
    assert len(shared) == 5  # twice Dense and ReLU, and the last one
    graph = from_keras(build("nested_twice"))
    assert sum("core" in node.name for node in graph.nodes) == 4


def test_a_saved_model_has_the_same_bounds(tmp_path: Path) -> None:
    model = dense_net([4, 6, 3], softmax=True)
    file = tmp_path / "model.keras"
    model.save(file)
    loaded = keras.models.load_model(file)
    x_min, x_max = boxes(model, 3, 0.2)
    np.testing.assert_array_equal(
        decomon.get_adv_box(loaded, x_min, x_max, 0), decomon.get_adv_box(model, x_min, x_max, 0)
    )


def test_a_named_input() -> None:
    x = keras.Input((4,), name="pixels")
    model = randomise(keras.Model({"pixels": x}, layers.Dense(3)(x)))
    points = np.random.default_rng(0).uniform(size=(3, 4))
    found = decomon.certify(model, points, [0, 1, 2], 0.01)
    predicted = np.asarray(model({"pixels": points})).argmax(axis=1)
    np.testing.assert_array_equal(found.predicted, predicted)


def test_sigmoid_margins_are_between_logits() -> None:
    model = dense_net([4, 6, 3])
    scores = keras.Sequential(
        [keras.Input((4,)), *model.layers, layers.Activation("sigmoid"), layers.Dropout(0.1)]
    )
    x_min, x_max = boxes(model, 3, 0.2)
    np.testing.assert_array_equal(
        decomon.get_adv_box(scores, x_min, x_max, 0), decomon.get_adv_box(model, x_min, x_max, 0)
    )
    assert decomon.clone(scores).stripped == "sigmoid"
