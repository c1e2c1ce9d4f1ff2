"""All of Keras is either supported or refused with the true reason and a way out that works."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.ops import _registry, refusals, register, register_like, supported
from tests.decomon.helpers import keras, layers, rng_of, tf

# What cannot be a layer of a model by itself.
NOT_LAYERS = {"InputSpec"}
ABSTRACT = {"Layer", "Wrapper"}
INPUT = {"InputLayer"}

CLASSES: dict[str, Any] = {
    name: value for name, value in vars(layers).items() if inspect.isclass(value)
}
ACTIVATIONS = {
    name: value
    for name, value in vars(keras.activations).items()
    if inspect.isfunction(value)
    and len([p for p in inspect.signature(value).parameters.values() if p.default is p.empty]) == 1
    and name not in ("get", "serialize", "deserialize")
}


@pytest.fixture(autouse=True)
def _rules_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(_registry, "_RULES", dict(_registry._RULES))


def error_of(model: Any) -> str:
    with pytest.raises(decomon.UnsupportedModelError) as caught:
        decomon.clone(model)
    return str(caught.value)


def alone(layer: Any, *shape: int, dtype: str | None = None) -> Any:
    x = keras.Input(shape, dtype=dtype)
    return keras.Model(x, layer(x))


@pytest.mark.parametrize("name", sorted(set(CLASSES) - NOT_LAYERS - ABSTRACT - INPUT))
def test_every_layer_is_supported_or_refused_by_name(name: str) -> None:
    kind = CLASSES[name]
    by_name = kind in refusals()
    assert by_name != (name in supported() or kind.__name__ in supported()), (
        "a layer needs either a rule or a reason, and not both"
    )
    if by_name:
        reason = refusals()[kind]
        assert reason[0].islower()
        assert not reason.endswith(".")
        assert ". " in reason, "the way out is missing"


@pytest.mark.parametrize("name", sorted(ABSTRACT))
def test_abstract_layers_need_no_rule(name: str) -> None:
    """They compute nothing themselves."""
    assert CLASSES[name].call is layers.Layer.call


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_every_activation_is_supported(name: str) -> None:
    assert name in supported().activations


EXAMPLES: dict[str, Callable[[], Any]] = {
    "AutoContrast": lambda: alone(layers.AutoContrast(), 4, 4, 3),
    "CategoryEncoding": lambda: alone(layers.CategoryEncoding(3), 1, dtype="int32"),
    "ContrastLimitedAdaptiveHistogramEqualization": lambda: alone(
        CLASSES["ContrastLimitedAdaptiveHistogramEqualization"](), 16, 16, 3
    ),
    "Discretization": lambda: alone(layers.Discretization([0.0, 1.0]), 3),
    "Embedding": lambda: alone(layers.Embedding(5, 3), 4, dtype="int32"),
    "HashedCrossing": lambda: alone_pair(layers.HashedCrossing(5)),
    "Hashing": lambda: alone(layers.Hashing(5), 3, dtype="int32"),
    "IntegerLookup": lambda: alone(layers.IntegerLookup(vocabulary=[1, 2]), 3, dtype="int32"),
    "Lambda": lambda: alone(layers.Lambda(lambda x: 2 * x), 3),
    "Masking": lambda: alone(layers.Masking(), 3, 2),
    "MelSpectrogram": lambda: alone(layers.MelSpectrogram(), 3000),
    "Pipeline": lambda: alone(layers.Pipeline([layers.Rescaling(2.0)]), 3),
    "RandomBrightness": lambda: alone(layers.RandomBrightness(0.1), 4, 4, 3),
    "RandomCrop": lambda: alone(layers.RandomCrop(2, 2), 4, 4, 3),
    "RandomFlip": lambda: alone(layers.RandomFlip(), 4, 4, 3),
    "RandomRotation": lambda: alone(layers.RandomRotation(0.1), 4, 4, 3),
    "RandomZoom": lambda: alone(layers.RandomZoom(0.1), 4, 4, 3),
    "STFTSpectrogram": lambda: alone(layers.STFTSpectrogram(), 600, 1),
    "Solarization": lambda: alone(layers.Solarization(), 4, 4, 3),
    "StringLookup": lambda: alone(layers.StringLookup(vocabulary=["a"]), 1, dtype="string"),
    "TextVectorization": lambda: alone(
        layers.TextVectorization(vocabulary=["a"], output_sequence_length=2), 1, dtype="string"
    ),
}


def alone_pair(layer: Any) -> Any:
    inputs = [keras.Input((1,), dtype="int32"), keras.Input((1,), dtype="int32")]
    return keras.Model(inputs, layer(inputs))


def test_a_cell_is_supported_inside_a_layer() -> None:
    """As the reason says."""
    stack = layers.StackedRNNCells([layers.LSTMCell(2), layers.GRUCell(3)])
    for cell in (layers.LSTMCell(2), layers.GRUCell(3), layers.SimpleRNNCell(2), stack):
        assert ": keras.layers.RNN(cell)" in refusals()[type(cell)]
        assert decomon.clone(alone(layers.RNN(cell), 2, 3)).graph.nodes


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_error_names_the_layer_and_says_why(name: str) -> None:
    if name not in CLASSES:
        pytest.skip("this Keras does not have the layer")
    text = error_of(EXAMPLES[name]())
    assert f"keras.layers.{name}" in text
    assert refusals()[CLASSES[name]] in text


def test_augmentation_does_nothing_at_inference() -> None:
    """The reason is true: leaving the layer out gives the same model."""
    images = rng_of(0).uniform(0, 255, size=(2, 8, 8, 3)).astype("float32")
    options: dict[str, dict[str, Any]] = {
        "RandomPosterization": {"factor": 3},
        "RandomShear": {"x_factor": 0.2},
        "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
        "RandomZoom": {"height_factor": 0.2},
    }
    tried = 0
    for kind, reason in refusals().items():
        if "unchanged at inference" not in reason:
            continue
        parameters = inspect.signature(kind).parameters
        needed = options.get(kind.__name__, {})
        if not needed and "factor" in parameters:
            needed = {"factor": 0.3}
        output = np.asarray(kind(**needed)(tf.constant(images), training=False))
        np.testing.assert_allclose(output, images, atol=1e-3)
        tried += 1
    assert tried > 10


def test_the_way_out_of_an_embedding() -> None:
    """The rest of the model, as a function of the vectors, is certified as the reason says."""
    words = keras.Input((4,), dtype="int32")
    embedding = layers.Embedding(9, 3)
    model = keras.Model(words, layers.Dense(2)(layers.Flatten()(embedding(words))))
    assert "keras.Model(layer.output, model.output)" in error_of(model)
    rest = keras.Model(embedding.output, model.output)
    vectors = np.asarray(embedding(tf.constant([[1, 5, 2, 8]])))
    high, low = decomon.get_range_box(rest, vectors - 0.1, vectors + 0.1)
    value = np.asarray(model(tf.constant([[1, 5, 2, 8]])))
    assert (low <= value).all()
    assert (value <= high).all()


class Same(layers.Dense):
    """Dense under another name."""


class Twice(layers.Dense):
    def call(self, inputs: Any, training: Any = None) -> Any:
        return 2 * super().call(inputs)


class MyLambda(layers.Lambda):
    pass


class Own(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * x


def test_a_subclass_of_a_supported_layer_is_refused_with_the_reason() -> None:
    text = error_of(alone(Twice(2), 3))
    assert "subclass of Dense" in text
    assert "register_like(Dense, Twice)" in text


def test_a_subclass_of_a_refused_layer_keeps_its_reason() -> None:
    text = error_of(alone(MyLambda(lambda x: x), 3))
    assert "subclass of Lambda" in text
    assert refusals()[layers.Lambda] in text


def test_a_layer_of_ones_own_points_to_the_tutorial() -> None:
    text = error_of(alone(Own(), 3))
    assert "decomon.ops.register" in text
    assert "custom_layer.ipynb" in text


def test_register_like() -> None:
    model = alone(Same(2), 3)
    assert "subclass of Dense" in error_of(model)
    register_like(layers.Dense, Same)
    x = rng_of(0).normal(size=(2, 3)).astype("float32")
    high, low = decomon.get_range_box(model, x, x)
    np.testing.assert_allclose(high, np.asarray(model(x)), atol=1e-5)
    np.testing.assert_allclose(low, np.asarray(model(x)), atol=1e-5)
    assert "Same" in supported()


def test_register_like_needs_a_rule() -> None:
    with pytest.raises(ValueError, match=r"no rule.*Received.*Own"):
        register_like(Own, Same)


def test_a_rule_takes_precedence_over_the_reason_of_a_base() -> None:
    class Known(layers.Lambda):
        pass

    @register(Known)
    def rule(call: Any) -> Any:
        return []

    assert decomon.clone(alone(Known(lambda x: x), 3)).output_shape == (3,)


def test_supported_lists_layers_activations_and_operations() -> None:
    known = supported()
    assert list(known) == list(known.layers)
    assert len(known) == len(set(known)) == len(known.layers)
    for kind in (known.layers, known.activations, known.operations):
        assert kind
        assert all(name in known for name in kind)
        assert list(kind) == sorted(kind, key=lambda name: (name.lower(), name))
    assert "Lambda" not in known
    assert "argmax" not in known
    text = str(known)
    assert "Dense" in text
    assert "gelu" in text


def test_operations_are_listed_under_the_names_that_are_called() -> None:
    spaces = (keras.ops, keras.ops.image, keras.ops.nn)
    for name in supported().operations:
        assert any(name.split(".")[-1] in vars(space) for space in spaces), name
