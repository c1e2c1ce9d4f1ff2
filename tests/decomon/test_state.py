"""Nothing the user owns is changed, and nothing stale is ever returned."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import decomon
from tests.decomon.helpers import Array, boxes, dense_net, keras, layers, randomise, rounding
from tests.decomon.zoo import build


def snapshot(model: Any) -> dict[str, Any]:
    """Everything of a model that could be changed."""
    found: dict[str, Any] = {
        "name": model.name,
        "config": repr(model.get_config()),
        "weights": [w.copy() for w in model.get_weights()],
        "variables": [id(v) for v in model.variables],
        "built": model.built,
        "compiled": model.compiled,
    }
    for layer in model._flatten_layers():
        nodes = len(layer._inbound_nodes), len(layer._outbound_nodes)
        found[f"layer {id(layer)}"] = (layer.name, nodes, repr(layer.get_config()))
    return found


def same(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        if key == "weights":
            for x, y in zip(value, b[key], strict=True):
                np.testing.assert_array_equal(x, y)
        else:
            assert value == b[key], key


@pytest.mark.parametrize(
    ("name", "finetune"),
    [
        ("with_softmax", True),
        ("nested_twice", False),
        pytest.param("nested_twice", True, marks=pytest.mark.slow),
        pytest.param("image", True, marks=pytest.mark.slow),
        pytest.param("residual", True, marks=pytest.mark.slow),
    ],
)
def test_the_model_is_left_as_it_was(name: str, finetune: bool) -> None:
    model = build(name, dtype="float32")
    x_min, x_max = boxes(model, 2, 0.1)
    before, output = snapshot(model), np.asarray(model(x_min))
    verified = decomon.clone(model, "hybrid", finetune=finetune, finetune_steps=2)
    for asked in (model, verified):
        decomon.get_adv_box(asked, x_min, x_max, 0, n_sub_boxes=2)
        decomon.check_adv_box(asked, x_min, x_max, 0)
    same(before, snapshot(model))
    np.testing.assert_array_equal(np.asarray(model(x_min)), output)
    if name == "with_softmax":
        np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-5)
        assert model.layers[-1].activation is keras.activations.softmax


def test_a_model_can_still_be_trained() -> None:
    model = dense_net([4, 6, 3], softmax=True)
    x_min, x_max = boxes(model, 8, 0.1)
    before = decomon.get_adv_box(model, x_min, x_max, 0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x_min, np.zeros(8), epochs=2, verbose=0)
    after = decomon.get_adv_box(model, x_min, x_max, 0)
    assert (before != after).all()
    np.testing.assert_allclose(after, fresh(model, x_min, x_max), rtol=1e-5, atol=1e-6)


def fresh(model: Any, x_min: Array, x_max: Array, **options: Any) -> Array:
    return decomon.get_adv_box(decomon.clone(model, **options), x_min, x_max, 0)


def test_new_weights_count_at_once() -> None:
    model = build("normalised", dtype="float32")
    x_min, x_max = boxes(model, 3, 0.2)
    kept = decomon.clone(model, "ibp")
    for seed in range(2):
        randomise(model, seed)
        expected = fresh(model, x_min, x_max, method="ibp")
        np.testing.assert_array_equal(decomon.get_adv_box(kept, x_min, x_max, 0), expected)
        expected = fresh(model, x_min, x_max)
        np.testing.assert_array_equal(decomon.get_adv_box(model, x_min, x_max, 0), expected)


def test_a_model_is_converted_once() -> None:
    model = dense_net([4, 5, 3])
    first = decomon.models.verifier_of(model)
    assert decomon.models.verifier_of(model) is first
    assert decomon.models.verifier_of(dense_net([4, 5, 3])) is not first


def test_equal_looking_models_are_not_confused() -> None:
    a, b = dense_net([4, 5, 3], seed=1), dense_net([4, 5, 3], seed=2)
    x_min, x_max = boxes(a, 3, 0.2)
    found = [decomon.get_adv_box(m, x_min, x_max, 0) for m in (a, b, a)]
    np.testing.assert_array_equal(found[0], found[2])
    assert (found[0] != found[1]).all()


@pytest.mark.parametrize("compute", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_forgotten_model_is_freed(compute: bool) -> None:
    model = dense_net([4, 5, 3])
    x_min, x_max = boxes(model, 2, 0.1)
    if compute:
        decomon.get_adv_box(model, x_min, x_max, 0)
        decomon.check_adv_box(model, x_min, x_max, 0)
    else:
        decomon.models.verifier_of(model)
    verifier = weakref.ref(decomon.models.verifier_of(model))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    gc.collect()  # only now does nothing hold what was compiled
    assert verifier() is None


def test_a_freed_nested_model_too() -> None:
    model = build("nested_twice", dtype="float32")
    decomon.models.verifier_of(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_layers_that_were_added_or_removed_are_noticed() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="relu")])
    randomise(model)
    x_min, x_max = boxes(model, 3, 0.2)
    assert decomon.get_upper_box(model, x_min, x_max).shape == (3, 5)
    model.add(layers.Dense(3))
    assert decomon.get_upper_box(model, x_min, x_max).shape == (3, 3)
    np.testing.assert_array_equal(
        decomon.get_adv_box(model, x_min, x_max, 0), fresh(model, x_min, x_max)
    )
    model.pop()
    assert decomon.get_upper_box(model, x_min, x_max).shape == (3, 5)


def test_a_layer_added_inside_a_nested_model_is_noticed() -> None:
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(5)])
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5), inner, layers.Dense(3)])
    randomise(model)
    x_min, x_max = boxes(model, 20, 0.2)
    decomon.get_range_box(model, x_min, x_max)
    inner.add(layers.ReLU())
    real = np.asarray(model(x_min))
    high, low = decomon.get_range_box(model, x_min, x_max)
    error = rounding(model, x_min, x_max)[:, None]
    assert (real <= high + error).all()
    assert (real >= low - error).all()


def test_an_activation_that_was_exchanged_is_noticed() -> None:
    """Same layers, another function: the old bound would be a wrong one."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(5), layers.Dense(3)])
    randomise(model)
    x_min, x_max = boxes(model, 20, 0.2)
    decomon.get_range_box(model, x_min, x_max)
    model.layers[0].activation = keras.activations.relu
    real = np.asarray(model(x_min))
    high, low = decomon.get_range_box(model, x_min, x_max)
    error = rounding(model, x_min, x_max)[:, None]
    assert (real <= high + error).all()
    assert (real >= low - error).all()


@pytest.mark.parametrize("method", ["crown", "forward-hybrid"])
def test_a_sample_does_not_depend_on_its_batch(method: str) -> None:
    model = dense_net([4, 12, 12, 3], seed=1)
    x_min, x_max = boxes(model, 10, 0.4)
    verified = decomon.clone(model, method)
    error = rounding(model, x_min, x_max)
    for ask in (decomon.get_adv_box, decomon.get_upper_box, decomon.get_lower_box):
        labels = (0,) if ask is decomon.get_adv_box else ()
        whole = ask(verified, x_min, x_max, *labels).reshape(10, -1)
        for batch_size in (1, 3):
            parts = ask(verified, x_min, x_max, *labels, batch_size=batch_size).reshape(10, -1)
            assert (np.abs(whole - parts) <= error[:, None]).all(), np.abs(whole - parts).max()


def test_inputs_are_not_written_to() -> None:
    model = dense_net([4, 5, 3])
    x_min, x_max = boxes(model, 3, 0.2)
    labels = np.array([0, 1, 2])
    copies = [array.copy() for array in (x_min, x_max, labels)]
    for array in (x_min, x_max, labels):
        array.flags.writeable = False
    decomon.get_adv_box(model, x_min, x_max, labels, n_sub_boxes=3)
    _, points = decomon.check_adv_box(model, x_min, x_max, labels, return_points=True)
    points += 1  # what is returned belongs to the caller
    for array, copy in zip((x_min, x_max, labels), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_answers_are_deterministic() -> None:
    model = dense_net([4, 8, 3])
    x_min, x_max = boxes(model, 5, 0.4)
    verified = decomon.clone(model, "hybrid")
    for ask in (decomon.get_adv_box, decomon.check_adv_box):
        first = ask(verified, x_min, x_max, 0, n_sub_boxes=2)
        keras.utils.set_random_seed(5)
        np.testing.assert_array_equal(ask(verified, x_min, x_max, 0, n_sub_boxes=2), first)


def test_two_threads_at_once() -> None:
    model = dense_net([4, 8, 8, 3], seed=3)
    x_min, x_max = boxes(model, 6, 0.4)
    tuned = decomon.clone(model, "hybrid", finetune=True, finetune_steps=3)
    questions = [(model, 0), (tuned, 1), (model, 2), (tuned, 0)]
    results: dict[int, Any] = {}
    start = threading.Barrier(len(questions))

    def work(number: int, asked: Any, label: int) -> None:
        start.wait()
        try:
            results[number] = [
                decomon.get_adv_box(asked, x_min[:n], x_max[:n], label) for n in (6, 2, 4)
            ]
        except Exception as error:  # reported below, in the main thread
            results[number] = error

    threads = [
        threading.Thread(target=work, args=(i, asked, label))
        for i, (asked, label) in enumerate(questions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, (asked, label) in enumerate(questions):
        assert isinstance(results[i], list), results[i]
        for n, found in zip((6, 2, 4), results[i], strict=True):
            alone = decomon.get_adv_box(asked, x_min[:n], x_max[:n], label)
            np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6)
