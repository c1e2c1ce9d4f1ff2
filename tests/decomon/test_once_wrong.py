"""Mistakes that verifiers have made, one test each, for every family of functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import BallDomain
from tests.decomon.helpers import (
    Array,
    dense_net,
    evaluate,
    keras,
    largest_margin,
    layers,
    precision,
    randomise,
    rng_of,
)
from tests.decomon.sets import KINDS, points_of

CLOSE = 1e-9
"""Room for rounding: values here are of order 1, in float64, and sums are short."""


@cache
def linear() -> Any:
    """Logits ``x . w_i + b_i``, so that every bound is known."""
    with precision("float64"):
        net = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    randomise(net)
    kernel = np.array([[1.0, -1.0, 0.2], [-2.0, 1.0, 0.5], [1.0, 2.0, -1.5], [0.5, -0.5, 1.5]])
    net.set_weights([kernel, np.array([0.2, -1.0, 0.1])])
    return net


@cache
def binary() -> Any:
    """Two classes, as many as the values of a 0/1 mask."""
    with precision("float64"):
        net = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    randomise(net)
    kernel = np.array([[1.0, -1.0], [-2.0, 1.0], [1.0, 2.0], [0.5, -0.5]])
    net.set_weights([kernel, np.array([0.0, -0.4])])
    return net


@cache
def image() -> Any:
    """An image in, a softmax out."""
    with precision("float64"):
        net = keras.Sequential(
            [
                keras.Input((3, 2, 2)),
                layers.Conv2D(2, 2, activation="relu"),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        )
    return unstable(randomise(net, 4), net.layers[0])


def unstable(net: Any, layer: Any) -> Any:
    """Move the biases so that the neurons of a layer are near 0 for inputs near 0.5."""
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, -0.5 * kernel.reshape(-1, len(bias)).sum(axis=0)])
    return net


@cache
def fork() -> Any:
    """An image in, two outputs of different shapes."""
    with precision("float64"):
        x = keras.Input((2, 2, 1))
        hidden = layers.Dense(4, activation="relu")
        h = hidden(layers.Flatten()(x))
        table = layers.Reshape((2, 2), name="table")(layers.Dense(4)(h))
        net = keras.Model(x, [table, layers.Dense(3, name="scores")(h)])
    return unstable(randomise(net, 5, scale=2.0), hidden)


def samples(count: int, shape: tuple[int, ...] = (4,), seed: int = 0) -> Array:
    return rng_of(seed).uniform(0.2, 0.8, size=(count, *shape))


Ask = Callable[..., Array]
UPPER: dict[str, Ask] = {
    "box": lambda m, x, r, *labels, **o: decomon.get_adv_box(m, x - r, x + r, *labels, **o),
    "p=1": lambda m, x, r, *labels, **o: decomon.get_adv_noise(m, x, r, *labels, p=1, **o),
    "p=2": lambda m, x, r, *labels, **o: decomon.get_adv_noise(m, x, r, *labels, p=2, **o),
    "vertex": lambda m, x, r, *labels, **o: decomon.get_adv(m, KINDS["vertex"](x, r), *labels, **o),
    "affine": lambda m, x, r, *labels, **o: decomon.get_adv(m, KINDS["affine"](x, r), *labels, **o),
}
LOWER: dict[str, Ask] = {
    "box": lambda m, x, r, *labels, **o: decomon.check_adv_box(m, x - r, x + r, *labels, **o),
    "p=2": lambda m, x, r, *labels, **o: decomon.check_adv_noise(m, x, r, *labels, p=2, **o),
    "vertex": lambda m, x, r, *a, **o: decomon.check_adv(m, KINDS["vertex"](x, r), *a, **o),
    "attack": lambda m, x, r, *a, **o: (
        decomon.attack_noise(m, x, r, *a, p=2, restarts=0, steps=5, **o).margin
    ),
}
EVERY = [pytest.param(ask, id=f"get-{key}") for key, ask in UPPER.items()]
EVERY += [pytest.param(ask, id=f"check-{key}") for key, ask in LOWER.items()]
every = pytest.mark.parametrize("ask", EVERY)


class TestIntegerLabels:
    """They are class indices, whatever they look like."""

    @every
    @pytest.mark.parametrize("build", [binary, linear])
    def test_robust_if_and_only_if_the_label_is_right(self, ask: Ask, build: Any) -> None:
        """Of sets that are nearly points, the sign of the margin is known for every label.

        Batches of as many samples as there are classes, or twice as many, are the ambiguous ones.
        """
        model = build()
        classes = model.output_shape[-1]
        x = samples(2 * classes)
        logits, turned = np.asarray(model(x)), (np.arange(2 * classes) * 2 + 1) % classes
        cases = [(classes, labels) for labels in (0, 1, np.zeros(classes, int), turned[:classes])]
        for batch, labels in [*cases, (1, 0), (1, [1]), (2 * classes, turned)]:
            expected = largest_margin(logits[:batch], np.broadcast_to(labels, batch))
            found = ask(model, x[:batch], 1e-6, labels)
            np.testing.assert_allclose(found, expected, atol=1e-4)
            right = logits[:batch].argmax(axis=1) == labels
            np.testing.assert_array_equal(found < 0, right)

    def test_both_answers_occur(self) -> None:
        for model in (binary(), linear()):
            logits = np.sort(np.asarray(model(samples(6))), axis=1)
            assert len(set(np.asarray(model(samples(6))).argmax(axis=1))) > 1
            assert (logits[:, -1] - logits[:, -2] > 2e-4).all()

    @pytest.mark.parametrize("p", [1, 2, np.inf])
    def test_verdicts(self, p: float) -> None:
        x = samples(6)
        predicted = np.asarray(binary()(x)).argmax(axis=1)
        for labels in (0, 1, np.arange(6) % 2):
            found = decomon.certify(binary(), x, labels, 1e-6, p=p)
            robust = [verdict is decomon.Verdict.ROBUST for verdict in found.verdicts]
            np.testing.assert_array_equal(robust, predicted == labels)


class TestPieces:
    """``n_sub_boxes`` > 1 cuts along coordinates of the input, whatever its shape."""

    @pytest.mark.parametrize("kind", ["box", "clipped-ball-1", "ball-2", "vertex", "affine"])
    def test_images(self, kind: str) -> None:
        model, x = image(), samples(3, (3, 2, 2))
        domain = KINDS[kind](x, 0.4)
        whole = decomon.get_adv(model, domain, 0)
        cut = decomon.get_adv(model, domain, 0, n_sub_boxes=4)
        assert (cut <= whole).all()
        assert (cut < whole - 1e-8).any()
        bare = keras.Model(model.inputs, model.layers[-2].output)
        kernel, bias = model.layers[-1].get_weights()
        logits = evaluate(bare, points_of(domain, x.shape[1:], 100)) @ kernel + bias
        margin = largest_margin(logits, np.zeros(3, int)).max(axis=0)
        assert (margin <= cut + CLOSE).all()
        attained, points = decomon.check_adv(model, domain, 0, n_sub_boxes=4, return_points=True)
        assert points.shape == x.shape
        assert (attained <= cut + CLOSE).all()

    @pytest.mark.parametrize("kind", ["box", "clipped-ball-1", "ball-2", "vertex", "affine"])
    def test_several_outputs(self, kind: str) -> None:
        model, x = fork(), samples(3, (2, 2, 1))
        domain = KINDS[kind](x, 0.4)
        whole = decomon.get_range(model, domain)
        cut = decomon.get_range(model, domain, n_sub_boxes=4)
        points = points_of(domain, x.shape[1:], 100)
        real = model(points.reshape(-1, *x.shape[1:]))
        tighter = False
        for i, shape in enumerate([(2, 2), (3,)]):
            values = np.asarray(real[i]).reshape(len(points), 3, *shape)
            assert cut.upper[i].shape == cut.lower[i].shape == (3, *shape)
            assert (values.max(axis=0) <= cut.upper[i] + CLOSE).all()
            assert (values.min(axis=0) >= cut.lower[i] - CLOSE).all()
            assert (cut.upper[i] <= whole.upper[i]).all()
            assert (cut.lower[i] >= whole.lower[i]).all()
            tighter |= bool((cut.upper[i] < whole.upper[i] - 1e-8).any())
        assert tighter


@pytest.mark.parametrize("eps", [0.5, 2.0])
@pytest.mark.parametrize(("p", "dual"), [(1, np.inf), (2, 2), (np.inf, 1)])
def test_margins_use_the_dual_norm_itself_and_not_its_square(
    p: float, dual: float, eps: float
) -> None:
    """Of a linear network: ``w . x + b + eps ||w||``, for each pair of labels."""
    model, x = linear(), samples(5)
    kernel, bias = (np.asarray(w, np.float64) for w in model.get_weights())
    logits = x @ kernel + bias
    best = [
        logits[:, j] - logits[:, 0] + eps * np.linalg.norm(kernel[:, j] - kernel[:, 0], ord=dual)
        for j in (1, 2)
    ]
    for target, expected in ((None, np.maximum(*best)), (1, best[0]), (2, best[1])):
        upper = decomon.get_adv_noise(model, x, eps, 0, target, p=p)
        np.testing.assert_allclose(upper, expected, rtol=1e-9)
        lower = decomon.check_adv_noise(model, x, eps, 0, target, p=p)
        np.testing.assert_allclose(lower, expected, rtol=1e-9)
    high, low = decomon.get_range_noise(model, x, eps, p=p)
    reach = eps * np.linalg.norm(kernel, ord=dual, axis=0)
    np.testing.assert_allclose(high, logits + reach, rtol=1e-9)
    np.testing.assert_allclose(low, logits - reach, rtol=1e-9)


def curved(seed: int = 2) -> Any:
    return dense_net([4, 5, 4, 3], seed, dtype="float64")


class TestRadii:
    """One model serves every radius, norm and kind: no bound of an inner layer is left over."""

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param(None, marks=pytest.mark.slow),
            {"method": "forward-hybrid"},
            pytest.param({"finetune": True, "finetune_steps": 2}, marks=pytest.mark.slow),
        ],
    )
    def test_a_larger_one_after_a_smaller_one(self, options: dict[str, Any] | None) -> None:
        def verified() -> Any:
            return curved() if options is None else decomon.clone(curved(), **options)

        model, x = verified(), samples(3)
        kinds = ("ball-2", "box", "ball-1") if options is None else ("ball-2", "box")
        questions = [(kind, eps) for eps in (0.01, 0.6, 0.1) for kind in kinds]
        answers = {
            (kind, eps): decomon.get_adv(model, KINDS[kind](x, eps), 0) for kind, eps in questions
        }
        again = {key: decomon.get_adv(model, KINDS[key[0]](x, key[1]), 0) for key in answers}
        unused = verified()
        for kind, eps in sorted(questions, key=lambda question: -question[1]):
            alone = decomon.get_adv(unused, KINDS[kind](x, eps), 0)
            np.testing.assert_array_equal(answers[kind, eps], alone)
            np.testing.assert_array_equal(again[kind, eps], alone)
            logits = evaluate(curved(), points_of(KINDS[kind](x, eps), (4,), 200))
            margin = largest_margin(logits, np.zeros(3, int)).max(axis=0)
            assert (margin <= answers[kind, eps] + CLOSE).all()
        for kind in kinds:
            assert (answers[kind, 0.01] < answers[kind, 0.1]).all()
            assert (answers[kind, 0.1] < answers[kind, 0.6]).all()

    def test_ranges_of_every_norm_in_turn(self) -> None:
        model, x = curved(), samples(3)
        for eps in (0.05, 0.5):
            for p in (2, np.inf, 1, 2):
                upper, lower = decomon.get_range_noise(model, x, eps, p=p)
                real = evaluate(model, points_of(BallDomain(x, eps, p), (4,), 100))
                assert (real <= upper + CLOSE).all()
                assert (real >= lower - CLOSE).all()


class TestTargets:
    @every
    def test_each_sample_has_its_own(self, ask: Ask) -> None:
        """In batches of every size, alone, and in every form."""
        model, x = linear(), samples(5)
        targets = np.array([1, 2, 2, 1, 2])
        expected = np.concatenate(
            [ask(model, x[i : i + 1], 0.3, 0, int(targets[i])) for i in range(5)]
        )
        other = ask(model, x, 0.3, 0, 3 - targets)
        kernel, bias = (np.asarray(w, np.float64) for w in model.get_weights())
        logits = x @ kernel + bias
        at_center = logits[np.arange(5), targets] - logits[:, 0]
        assert (expected >= at_center - CLOSE).all()
        assert (np.abs(expected - other) > 1e-3).all()
        for form in (targets, np.eye(3)[targets], targets[:, None]):
            for batch_size in (-1, 2, 3):
                found = ask(model, x, 0.3, 0, form, batch_size=batch_size)
                np.testing.assert_allclose(found, expected, atol=CLOSE)

    @every
    def test_a_source_is_never_its_own_target(self, ask: Ask) -> None:
        """Its margin over itself is 0, so nothing would ever be robust."""
        model, x = linear(), samples(6)
        predicted = np.asarray(model(x)).argmax(axis=1)
        every_class = np.ones((6, 3), int)
        alone = ask(model, x, 1e-9, predicted)
        assert (alone < 0).all()
        np.testing.assert_array_equal(ask(model, x, 1e-9, predicted, every_class), alone)
        both = np.stack([predicted, (predicted + 1) % 3], axis=1)
        np.testing.assert_allclose(
            ask(model, x, 1e-9, predicted, both),
            ask(model, x, 1e-9, predicted, both[:, 1]),
            atol=CLOSE,
        )


def state(model: Any) -> tuple[Any, ...]:
    """What could be changed about a Keras model."""
    inner = [layer for layer in model._flatten_layers() if layer is not model]
    nodes = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in inner]
    names = [variable.path for variable in model.weights]
    return model.name, json.dumps(model.get_config(), default=str), nodes, names


FUNCTIONS: dict[str, Callable[[Any, Array], Any]] = {
    "get_adv": lambda m, x: decomon.get_adv(m, KINDS["vertex"](x, 0.1), 0),
    "check_adv": lambda m, x: decomon.check_adv(m, KINDS["affine"](x, 0.1), 0),
    "get_upper": lambda m, x: decomon.get_upper(m, KINDS["grid"](x, 0.1)),
    "get_lower": lambda m, x: decomon.get_lower(m, KINDS["ball-1"](x, 0.1)),
    "get_range": lambda m, x: decomon.get_range(m, KINDS["ball-2"](x, 0.1)),
    "attack": lambda m, x: decomon.attack(m, KINDS["box"](x, 0.1), 0, restarts=1, steps=2),
    "get_adv_box": lambda m, x: decomon.get_adv_box(m, x, x + 0.1, 0, n_sub_boxes=2),
    "check_adv_box": lambda m, x: decomon.check_adv_box(m, x, x + 0.1, 0, n_sub_boxes=2),
    "get_upper_box": lambda m, x: decomon.get_upper_box(m, x, x + 0.1),
    "get_lower_box": lambda m, x: decomon.get_lower_box(m, x, x + 0.1),
    "get_range_box": lambda m, x: decomon.get_range_box(m, x, x + 0.1),
    "get_upper_box_tuning": lambda m, x: decomon.get_upper_box_tuning(m, x, x + 0.1, steps=2),
    "get_lower_box_tuning": lambda m, x: decomon.get_lower_box_tuning(m, x, x + 0.1, steps=2),
    "refine_box": lambda m, x: decomon.refine_box(m, x, x + 0.1, 3, 0),
    "attack_box": lambda m, x: decomon.attack_box(m, x, x + 0.1, 0, restarts=1, steps=2),
    "get_adv_noise": lambda m, x: decomon.get_adv_noise(m, x, 0.1, 0, p=2),
    "check_adv_noise": lambda m, x: decomon.check_adv_noise(m, x, 0.1, 0, p=2),
    "get_upper_noise": lambda m, x: decomon.get_upper_noise(m, x, 0.1, p=2),
    "get_lower_noise": lambda m, x: decomon.get_lower_noise(m, x, 0.1, p=2),
    "get_range_noise": lambda m, x: decomon.get_range_noise(m, x, 0.1, p=2),
    "attack_noise": lambda m, x: decomon.attack_noise(m, x, 0.1, 0, p=2, restarts=1, steps=2),
    "certify": lambda m, x: decomon.certify(m, x, 0, 0.1, p=2),
    "clone": lambda m, x: decomon.clone(m, "forward-hybrid", finetune=True),
}


@pytest.mark.filterwarnings("ignore::decomon.LogitsWarning")
def test_the_models_name_nodes_and_softmax_are_left_alone() -> None:
    model, x = image(), samples(2, (3, 2, 2))
    before, outputs = state(model), np.asarray(model(x))
    weights = [weight.copy() for weight in model.get_weights()]
    for name, function in FUNCTIONS.items():
        function(model, x)
        assert state(model) == before, name
    np.testing.assert_array_equal(np.asarray(model(x)), outputs)
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0)
    assert model.layers[-1].activation is keras.activations.softmax
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_every_function_was_tried() -> None:
    """What is exported and asks something of a model."""
    asking = {
        name for name in decomon.__all__ if name.startswith(("get_", "check_", "attack", "refine"))
    }
    assert asking - set(FUNCTIONS) == {"refine_boxes"}  # has no model
