"""The Keras model that bounds another one: what a call returns, and that Keras takes it for one."""

from __future__ import annotations

import gc
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.bounds import Interval
from decomon.errors import DomainError, NonFiniteBoundError
from decomon.models import signature_of, verifier_of
from decomon.outputs import OutputBounds
from tests.decomon.helpers import (
    METHODS,
    Array,
    boxes,
    dense_net,
    evaluate,
    keras,
    layers,
    randomise,
    rng_of,
    sample,
    tf,
)
from tests.decomon.zoo import ZOO, build

AFFINE = METHODS[1:]


def ports_of(model: Any) -> list[tuple[int, ...]]:
    return [port.shape for port in signature_of(model).inputs]


def several() -> Any:
    """Two inputs, two outputs as a dict, a layer that both outputs share."""
    left, right = keras.Input((3,), name="left"), keras.Input((2, 2), name="right")
    shared = layers.Dense(4, activation="relu", name="shared")
    a = shared(layers.Dense(4, activation="tanh", name="wide")(left))
    b = shared(layers.Dense(4, name="flat")(layers.Flatten()(right)))
    scores = layers.Dense(3, name="last")(layers.Concatenate()([a, b]))
    table = layers.Reshape((2, 2), name="grid")(layers.Dense(4, name="other")(b))
    return randomise(keras.Model([left, right], {"scores": scores, "table": table}), 1)


def flat_boxes(count: int, size: int, radius: float, seed: int = 0) -> tuple[Array, Array]:
    center = rng_of(seed).normal(size=(count, size)).astype(np.float32)
    return center - np.float32(radius), center + np.float32(radius)


def room(values: Any) -> Array:
    """What rounding of these small networks can move."""
    return 1e-5 * (1 + np.abs(np.asarray(values)))


def affine_at(weights: Array, offset: Array, points: Array) -> Array:
    """``w . x + b`` at points ``(count, batch, *input shape)``."""
    batch = offset.shape[0]
    flat = weights.reshape(*offset.shape, -1)
    x = points.reshape(points.shape[0], batch, -1)
    values = np.einsum("bon,cbn->cbo", flat.reshape(batch, -1, x.shape[2]), x)
    return values.reshape(points.shape[0], *offset.shape) + offset


def check_bounds(bounds: OutputBounds, values: Array, points: Array, domain: Any) -> None:
    """Bounds contain values at points, and the affine ones lie between values and bounds.

    ``values`` are ``(count, batch, *output shape)``, ``points`` of the flat input or the only one.
    """
    lower, upper = np.asarray(bounds.lower), np.asarray(bounds.upper)
    assert lower.shape == upper.shape == values.shape[1:]
    assert (values <= upper + room(upper)).all()
    assert (values >= lower - room(lower)).all()
    if bounds.w_u is None:
        assert bounds.w_l is None
        assert bounds.b_l is None
        assert bounds.b_u is None
        return
    w_l, b_l, w_u, b_u = (np.asarray(v) for v in (bounds.w_l, bounds.b_l, bounds.w_u, bounds.b_u))
    assert b_l.shape == b_u.shape == upper.shape
    above, below = affine_at(w_u, b_u, points), affine_at(w_l, b_l, points)
    assert (values <= above + room(above)).all()
    assert (values >= below - room(below)).all()
    low, high = (np.asarray(side) for side in (domain.x_min, domain.x_max))
    center, radius = (low + high) / 2, (high - low) / 2
    sizes = affine_at(np.abs(w_u), 0 * b_u, radius[None])[0]
    largest = affine_at(w_u, b_u, center[None])[0] + sizes
    sizes = affine_at(np.abs(w_l), 0 * b_l, radius[None])[0]
    least = affine_at(w_l, b_l, center[None])[0] - sizes
    assert (upper <= largest + room(largest)).all()
    assert (lower >= least - room(least)).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["sequential", "with_softmax", "residual", "image"])
def test_a_call_bounds_the_outputs(name: str, method: str) -> None:
    model = build(name, dtype="float32")
    low, high = boxes(model, 3, 0.2)
    domain = decomon.BoxDomain(low, high)
    verified = decomon.clone(model, method, rm_last_softmax=False)
    bounds = verified(domain)
    points = sample(low, high, 200)
    check_bounds(bounds, evaluate(model, points), points, domain)
    assert (bounds.w_u is None) == (method == "forward-ibp")
    if bounds.w_u is not None:
        assert bounds.w_u.shape == (3, *model.output_shape[1:], *model.input_shape[1:])
    upper, lower = decomon.get_range(verified, domain)
    np.testing.assert_array_equal(bounds.upper, upper)
    np.testing.assert_array_equal(bounds.lower, lower)


@pytest.mark.parametrize("finetune", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_several_inputs_and_outputs(finetune: bool) -> None:
    model = several()
    verified = decomon.clone(model, finetune=finetune, finetune_steps=2)
    low, high = flat_boxes(4, 7, 0.2)
    domain = decomon.BoxDomain(low, high)
    bounds = verified(domain)
    points = sample(low, high, 100)
    flat = points.reshape(-1, 7)
    real = model([flat[:, :3], flat[:, 3:].reshape(-1, 2, 2)])
    upper, lower = decomon.get_range(verified, domain)
    assert list(bounds) == ["scores", "table"]
    for position, (key, shape) in enumerate({"scores": (3,), "table": (2, 2)}.items()):
        found = bounds[key]
        np.testing.assert_array_equal(found.upper, upper[position])
        np.testing.assert_array_equal(found.lower, lower[position])
        for parts in (found.w_l, found.w_u):
            assert [tuple(part.shape) for part in parts] == [(4, *shape, 3), (4, *shape, 2, 2)]
        joined = {
            side: np.concatenate([np.reshape(part, (4, *shape, -1)) for part in parts], axis=-1)
            for side, parts in (("w_l", found.w_l), ("w_u", found.w_u))
        }
        one = OutputBounds(
            found.lower, found.upper, joined["w_l"], found.b_l, joined["w_u"], found.b_u
        )
        values = np.asarray(real[key]).reshape(100, 4, *shape)
        check_bounds(one, values, points, domain)
    chosen = decomon.clone(model, output="table", finetune=finetune, finetune_steps=2)(domain)
    assert chosen.upper.shape == (4, 2, 2)
    if not finetune:
        np.testing.assert_allclose(chosen.upper, bounds["table"].upper, rtol=1e-5, atol=1e-5)


def test_coefficients_have_the_structure_of_the_inputs() -> None:
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    y = layers.Dense(2)(layers.Concatenate()([a, b]))
    low, high = flat_boxes(2, 5, 0.1)
    domain = decomon.BoxDomain(low, high)
    named = decomon.clone(keras.Model({"a": a, "b": b}, [y, layers.ReLU()(y)]))(domain)
    assert isinstance(named, list)
    assert {key: tuple(part.shape) for key, part in named[0].w_u.items()} == {
        "a": (2, 2, 2),
        "b": (2, 2, 3),
    }


@pytest.mark.parametrize("p", [1, 2, np.inf])
def test_the_same_in_compiled_code(p: float) -> None:
    model = dense_net([4, 5, 3], dtype="float64")
    verified = decomon.clone(model)

    @tf.function
    def bound(x: Any, eps: Any) -> Any:
        return verified(decomon.BallDomain(x, eps, p=p, clip=(-1.0, 1.0)))

    for batch, eps in ((3, 0.1), (5, 0.3)):
        x = rng_of(batch).uniform(-1, 1, size=(batch, 4))
        compiled = bound(tf.constant(x), tf.constant(eps, tf.float64))
        plain = verified(decomon.BallDomain(x, eps, p=p, clip=(-1.0, 1.0)))
        assert isinstance(compiled, OutputBounds)
        for name in ("lower", "upper", "w_l", "b_l", "w_u", "b_u"):
            found, wanted = getattr(compiled, name), getattr(plain, name)
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_optimisation_in_compiled_code() -> None:
    """There all samples take all steps, which is never worse than stopping early."""
    model = dense_net([4, 5, 3])
    verified = decomon.clone(model, finetune=True, finetune_steps=4)
    low, high = boxes(model, 3, 0.2)
    inside = tf.function(lambda a, b: verified(decomon.BoxDomain(a, b)).upper)(low, high)
    np.testing.assert_allclose(verified(decomon.BoxDomain(low, high)).upper, inside, rtol=1e-5)


def test_a_first_call_in_compiled_code_serves_later_ones() -> None:
    model = dense_net([4, 6, 3])
    verified = decomon.clone(model)
    low, high = boxes(model, 3, 0.2)
    inside = tf.function(lambda a, b: verified(decomon.BoxDomain(a, b)).upper)(low, high)
    np.testing.assert_allclose(verified(decomon.BoxDomain(low, high)).upper, inside, rtol=1e-6)


def test_values_are_rounded_outward() -> None:
    """Points that lie between two float32 numbers are seen as one that lies further out."""
    model = dense_net([3, 4, 2])
    x = rng_of(0).normal(size=(20, 3))
    verified = decomon.clone(model)
    for domain in (decomon.BoxDomain(x, x), decomon.BoxDomain(*map(tf.constant, (x, x)))):
        bounds = verified(domain)
        real = np.asarray(model(tf.constant(x)))
        assert (real <= np.asarray(bounds.upper) + room(real)).all()
        assert (np.asarray(bounds.upper) > np.asarray(bounds.lower)).any()


def mean_width(verified: Any, domain: Any, **options: Any) -> Any:
    bounds = verified(domain, **options)
    return tf.reduce_mean(bounds.upper - bounds.lower)


def gradients(verified: Any, domain: Any, variables: Any) -> list[Array]:
    with tf.GradientTape() as tape:
        width = mean_width(verified, domain)
    return [np.asarray(tf.convert_to_tensor(g)) for g in tape.gradient(width, variables)]


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_the_weights(method: str) -> None:
    model = dense_net([4, 6, 5, 3], seed=3, dtype="float64")
    low, high = boxes(model, 3, 0.3, dtype="float64")
    domain = decomon.BoxDomain(low, high)
    verified = decomon.clone(model, method)
    variables = model.trainable_variables[:-1]  # the last bias moves both sides alike
    found = gradients(verified, domain, variables)
    for position, variable in enumerate(variables):
        value = np.asarray(variable)
        direction = rng_of(position).normal(size=value.shape)
        step = 1e-6
        ends: list[float] = []
        for sign in (1, -1):
            variable.assign(value + sign * step * direction)
            ends.append(float(mean_width(verified, domain)))
        variable.assign(value)
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose((found[position] * direction).sum(), slope, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("method", ["forward-ibp", "crown-forward-ibp", "crown"])
def test_training_lowers_the_width(method: str, compiled: bool) -> None:
    model = dense_net([4, 8, 8, 3], seed=1)
    low, high = boxes(model, 16, 0.2)
    domain = decomon.BoxDomain(low, high)
    verified = decomon.clone(model, method)
    optimizer = keras.optimizers.SGD(0.01)

    def step() -> Any:
        with tf.GradientTape() as tape:
            width = mean_width(verified, domain)
        found = tape.gradient(width, verified.trainable_variables[:-1])
        optimizer.apply_gradients(zip(found, verified.trainable_variables[:-1], strict=True))
        return width

    train = tf.function(step) if compiled else step
    before = float(mean_width(verified, domain))
    for _ in range(5):
        train()
    after = float(mean_width(verified, domain))
    assert after < 0.95 * before
    upper, _ = decomon.get_range(decomon.clone(model, method), domain)
    np.testing.assert_allclose(verified(domain).upper, upper, rtol=1e-6)


@pytest.mark.slow
def test_gradients_of_optimised_bounds_are_finite() -> None:
    model = dense_net([4, 6, 6, 3], seed=1)
    domain = decomon.BoxDomain(*boxes(model, 4, 0.3))
    verified = decomon.clone(model, finetune=True, finetune_steps=2)
    found = gradients(verified, domain, model.trainable_variables[:-1])
    plain = gradients(decomon.clone(model), domain, model.trainable_variables[:-1])
    for gradient, start in zip(found, plain, strict=True):
        assert np.isfinite(gradient).all()
        assert (gradient * start).sum() > 0


@pytest.mark.parametrize("p", [1, 2, np.inf])
def test_gradients_with_respect_to_the_domain(p: float) -> None:
    model = dense_net([4, 3], seed=2, dtype="float64")
    verified = decomon.clone(model)
    x, eps = tf.constant(rng_of(0).normal(size=(3, 4))), tf.constant(0.2, tf.float64)

    def width(center: Any, radius: Any) -> Any:
        return mean_width(verified, decomon.BallDomain(center, radius, p=p, clip=(-9.0, 9.0)))

    with tf.GradientTape() as tape:
        tape.watch((x, eps))
        value = width(x, eps)
    to_x, to_eps = tape.gradient(value, (x, eps))
    step = 1e-6
    slope = (width(x, eps + step) - width(x, eps - step)) / (2 * step)
    np.testing.assert_allclose(to_eps, slope, rtol=1e-4)
    direction = rng_of(1).normal(size=(3, 4))
    slope = (width(x + step * direction, eps) - width(x - step * direction, eps)) / (2 * step)
    np.testing.assert_allclose((np.asarray(to_x) * direction).sum(), slope, rtol=1e-4, atol=1e-8)


def test_gradients_with_respect_to_a_box() -> None:
    """An affine network grows by |w| where a side moves out."""
    model = dense_net([3, 2])
    low, high = (tf.Variable(side) for side in boxes(model, 2, 0.3))
    verified = decomon.clone(model)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(verified(decomon.BoxDomain(low.value(), high.value())).upper)
    kernel = np.asarray(model.trainable_variables[0])
    to_low, to_high = tape.gradient(total, (low, high))
    np.testing.assert_allclose(to_high, np.tile(np.maximum(kernel, 0).sum(axis=1), (2, 1)), 1e-5)
    np.testing.assert_allclose(to_low, np.tile(np.minimum(kernel, 0).sum(axis=1), (2, 1)), 1e-5)


class TestSpecifications:
    """``back_bounds``: linear functions of the outputs, bounded through the network."""

    model = dense_net([4, 8, 8, 3], seed=4)
    domain = decomon.BoxDomain(*boxes(model, 5, 0.3))
    rows = rng_of(0).normal(size=(2, 3)).astype(np.float32)

    @pytest.mark.parametrize("method", METHODS)
    def test_bounds_of_the_rows(self, method: str) -> None:
        verified = decomon.clone(self.model, method, back_bounds=[self.rows])
        bounds = verified(self.domain)
        points = sample(self.domain.x_min, self.domain.x_max, 200)
        check_bounds(bounds, evaluate(self.model, points) @ self.rows.T, points, self.domain)
        own = verified(self.domain, back_bounds=[None])
        upper, lower = decomon.get_range(decomon.clone(self.model, method), self.domain)
        np.testing.assert_array_equal(own.upper, upper)
        np.testing.assert_array_equal(own.lower, lower)
        # Each output has its best value at a point of its own.
        apart = np.maximum(self.rows, 0) @ upper.T + np.minimum(self.rows, 0) @ lower.T
        assert (np.asarray(bounds.upper) <= apart.T + room(apart.T)).all()
        assert (np.asarray(bounds.upper) < apart.T - 1e-3).any()

    def test_rows_of_each_sample(self) -> None:
        verified = decomon.clone(self.model)
        many = rng_of(1).normal(size=(5, 2, 3))
        together = verified(self.domain, back_bounds=[many])
        assert together.upper.shape == (5, 2)
        assert together.w_u.shape == (5, 2, 4)
        for i in range(5):
            alone = verified(self.domain[i : i + 1], back_bounds=[many[i]])
            np.testing.assert_allclose(alone.upper[0], together.upper[i], rtol=1e-5, atol=1e-6)

    def test_margins(self) -> None:
        rows = np.array([[-1, 1, 0], [-1, 0, 1.0]])
        bounds = decomon.clone(self.model, back_bounds=[rows])(self.domain)
        adv = decomon.get_adv(self.model, self.domain, 0)
        np.testing.assert_allclose(np.max(bounds.upper, axis=1), adv, rtol=1e-5, atol=1e-6)

    def test_several_outputs(self) -> None:
        model = several()
        domain = decomon.BoxDomain(*flat_boxes(4, 7, 0.2))
        rows = rng_of(2).normal(size=(4, 2, 2, 2)).astype(np.float32)
        own = decomon.clone(model)(domain)
        mixed = decomon.clone(model, back_bounds={"table": rows, "scores": None})(domain)
        np.testing.assert_allclose(mixed["scores"].upper, own["scores"].upper, 1e-5, 1e-5)
        assert mixed["table"].upper.shape == (4, 2)
        points = sample(domain.x_min, domain.x_max, 50).reshape(-1, 7)
        real = model([points[:, :3], points[:, 3:].reshape(-1, 2, 2)])["table"]
        values = np.einsum("bsij,cbij->cbs", rows, np.asarray(real).reshape(50, 4, 2, 2))
        assert (values <= np.asarray(mixed["table"].upper) + 1e-4).all()
        assert (values >= np.asarray(mixed["table"].lower) - 1e-4).all()

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (np.ones((2, 3)), "must be a list.*Received: ndarray of shape"),
            ([np.ones((2, 3)), None], "1 outputs.*Received: 2 entries"),
            ([np.ones((2, 4))], r"\(spec, 3\).*Received: shape \(2, 4\)"),
            ([np.ones((0, 3))], "at least one row"),
            ([np.ones(3)], "Received: shape"),
            ([np.full((1, 3), np.nan)], "finite"),
            ([np.ones((4, 2, 3))], "4 samples in back_bounds, 5 in the domain"),
            ({"wrong": None}, "a dict with the keys 'wrong'"),
        ],
    )
    def test_what_is_refused(self, rows: Any, message: str) -> None:
        with pytest.raises(ValueError, match=f"(?s){message}"):
            decomon.clone(self.model)(self.domain, back_bounds=rows)

    def test_functions_of_the_outputs_refuse_it(self) -> None:
        verified = decomon.clone(self.model, back_bounds=[self.rows])
        with pytest.raises(ValueError, match="cloned with back_bounds"):
            decomon.get_range(verified, self.domain)
        with pytest.raises(ValueError, match="cloned with back_bounds"):
            decomon.get_adv(verified, self.domain, 0)


class TestFinals:
    """``final_ibp`` and ``final_affine``: what a call returns."""

    model = dense_net([4, 5, 3])
    domain = decomon.BoxDomain(*boxes(model, 2, 0.2))

    @pytest.mark.parametrize("method", AFFINE)
    def test_one_or_both(self, method: str) -> None:
        both = decomon.clone(self.model, method)(self.domain)
        pairs: list[tuple[bool | None, bool | None]] = [(True, False), (False, True)]
        for ibp, affine in [*pairs, (None, False), (False, None)]:
            verified = decomon.clone(self.model, method, final_ibp=ibp, final_affine=affine)
            bounds = verified(self.domain)
            wanted = {"lower": ibp is not False, "upper": ibp is not False}
            wanted |= dict.fromkeys(("w_l", "b_l", "w_u", "b_u"), affine is not False)
            for name, present in wanted.items():
                assert (getattr(bounds, name) is not None) == present
                if present:
                    np.testing.assert_array_equal(getattr(bounds, name), getattr(both, name))

    def test_intervals_have_no_coefficients(self) -> None:
        with pytest.raises(ValueError, match="'forward-ibp' computes no affine bounds"):
            decomon.clone(self.model, "ibp", final_affine=True)
        for affine in (None, False):
            bounds = decomon.clone(self.model, "ibp", final_affine=affine)(self.domain)
            assert bounds.w_u is None
            assert bounds.upper is not None

    @pytest.mark.parametrize("options", [{"method": "ibp"}, {"final_affine": False}])
    def test_something_is_returned(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="nothing is returned"):
            decomon.clone(self.model, final_ibp=False, **options)

    def test_flags_are_checked(self) -> None:
        with pytest.raises(ValueError, match="final_ibp must be True, False or None"):
            decomon.clone(self.model, final_ibp="yes")  # pyright: ignore[reportArgumentType]


class TestIntermediate:
    """Intervals of inner nodes that are known are not computed again."""

    model = dense_net([4, 10, 10, 10, 3], seed=5)
    domain = decomon.BoxDomain(*boxes(model, 6, 1.0))

    def test_names(self) -> None:
        found = decomon.clone(self.model).intermediate_bounds(self.domain)
        assert len(found) == len(decomon.clone(self.model).graph.nodes)
        x = sample(self.domain.x_min, self.domain.x_max, 100)
        for layer in self.model.layers:
            kernel, bias = (np.asarray(v) for v in layer.weights)
            before = x @ kernel + bias
            x = np.asarray(layer(x))
            for name, values in ((f"{layer.name} (Dense)", before), (layer.name, x)):
                if name in found:
                    low, high = (np.asarray(v) for v in (found[name].lower, found[name].upper))
                    assert (values >= low - room(low)).all()
                    assert (values <= high + room(high)).all()
            assert layer.name in found
        assert sum("(Dense)" in name for name in found) == 3

    @pytest.mark.parametrize("method", ["crown-forward-ibp", "forward-affine", "crown"])
    def test_reused_by_a_cheaper_method(self, method: str) -> None:
        """Whoever computes the intervals, the rows are then bounded as by CROWN."""
        known = decomon.clone(self.model, "crown").intermediate_bounds(self.domain)
        wanted = decomon.clone(self.model, "crown")(self.domain)
        verified = decomon.clone(self.model, method)
        found = verified(self.domain, intermediate=known)
        for name in ("lower", "upper", "w_l", "b_l", "w_u", "b_u"):
            if method != "forward-affine" or name in ("lower", "upper"):
                np.testing.assert_allclose(
                    getattr(found, name), getattr(wanted, name), rtol=1e-5, atol=1e-5
                )
        again = verified.intermediate_bounds(self.domain, known)
        for name, interval in known.items():
            if name != self.model.layers[-1].name:
                np.testing.assert_array_equal(again[name].upper, interval.upper)

    def test_own_result(self) -> None:
        for method in METHODS:
            verified = decomon.clone(self.model, method)
            known = verified.intermediate_bounds(self.domain)
            found = verified(self.domain, intermediate=known)
            wanted = verified(self.domain)
            if method != "forward-affine":  # substitutions go further back than affine bounds do
                assert (found.upper <= wanted.upper + room(wanted.upper)).numpy().all()
                assert (found.lower >= wanted.lower - room(wanted.lower)).numpy().all()

    def test_nothing_is_bounded_twice(self) -> None:
        """What is compiled for known intervals is a fraction of what computes them."""
        verifier = decomon.clone(self.model).verifier
        nodes = [node.shape for node in verifier.graph.nodes]
        assert len(nodes) == 8
        domain = self.domain.as_tensors(tf.float32)
        from decomon.known import KnownDomain, KnownNode
        from decomon.methods import State

        def substitutions(sets: Any) -> set[int]:
            state = State(
                verifier.graph, sets, verifier.method, verifier.slopes, {}, verifier.budget
            )
            state.propagate()
            return set(state.passed)

        intervals = verifier.intervals(domain)
        computed = substitutions(domain)
        assert len(computed) == 2
        for left_out in (set[int](), {3}, computed):
            given = [i for i in range(1, 7) if i not in left_out]
            ends = [end for i in given for end in (intervals[i].lower, intervals[i].upper)]
            known = tuple(KnownNode(i, nodes[i], own=False) for i in given)
            assert substitutions(KnownDomain(domain, known, tuple(ends))) == left_out & computed

    def test_tighter_is_tighter(self) -> None:
        """With the same slopes, bounds are monotone in the intervals."""
        options: dict[str, Any] = {"slope": "zero-lb"}
        verified = decomon.clone(self.model, "crown-ibp", **options)
        loose = verified(self.domain)
        known = decomon.clone(self.model, "crown", **options).intermediate_bounds(self.domain)
        partial = {name: known[name] for name in list(known)[3:4]}
        assert list(partial) == [f"{self.model.layers[1].name} (Dense)"]
        some = verified(self.domain, intermediate=partial)
        full = verified(self.domain, intermediate=known)
        for tighter, looser in ((full, some), (some, loose)):
            assert (tighter.upper <= looser.upper + room(looser.upper)).numpy().all()
            assert float(tf.reduce_mean(tighter.upper)) < float(tf.reduce_mean(looser.upper))

    def test_pairs_wider_types_and_compiled_code(self) -> None:
        verified = decomon.clone(self.model, "crown-ibp")
        known = decomon.clone(self.model, "crown").intermediate_bounds(self.domain)
        plain = {name: Interval(i.lower, i.upper) for name, i in known.items()}
        wanted = verified(self.domain, intermediate=plain).upper
        pairs = {name: (i.lower.numpy().astype(float), i.upper) for name, i in known.items()}
        found = verified(self.domain, intermediate=pairs).upper
        np.testing.assert_array_equal(found, wanted)

        @tf.function
        def bound(low: Any, high: Any) -> Any:
            domain = decomon.BoxDomain(low, high)
            known = decomon.clone(self.model, "crown").intermediate_bounds(domain)
            return verified(domain, intermediate=known).upper

        crown = decomon.clone(self.model)(self.domain).upper
        found = bound(self.domain.x_min, self.domain.x_max)
        np.testing.assert_allclose(found, crown, rtol=1e-5, atol=1e-5)

    def test_with_optimised_slopes(self) -> None:
        known = decomon.clone(self.model, "crown").intermediate_bounds(self.domain)
        start = decomon.clone(self.model)(self.domain)
        verified = decomon.clone(self.model, "crown-ibp", finetune=True, finetune_steps=3)
        found = verified(self.domain, intermediate=known)
        assert (found.upper <= start.upper + room(start.upper)).numpy().all()
        assert (found.upper < start.upper - 1e-4).numpy().any()

    def test_of_the_output_nothing_is_taken(self) -> None:
        name = self.model.layers[-1].name
        zero = np.zeros((6, 3))
        verified = decomon.clone(self.model)
        found = verified(self.domain, intermediate={name: (zero, zero)})
        np.testing.assert_array_equal(found.upper, verified(self.domain).upper)

    def test_what_is_refused(self) -> None:
        verified = decomon.clone(self.model)
        name = f"{self.model.layers[1].name} (Dense)"
        one, two = np.ones((6, 10)), 2 * np.ones((6, 10))
        wrong: list[tuple[type[Exception], Any, str]] = [
            (TypeError, [one], "dict of intervals"),
            (TypeError, {name: one}, "interval or a pair"),
            (ValueError, {"nowhere": (one, two)}, "'nowhere'"),
            (ValueError, {name: (two, one)}, r"must not exceed.*2.0 > 1.0 in sample 0"),
            (ValueError, {name: (one[:, :9], two)}, r"must have the shape \(6, 10\)"),
            (ValueError, {name: (one[:5], two[:5])}, r"must have the shape \(6, 10\)"),
            (ValueError, {name: (one * np.nan, two)}, "must be finite"),
            (ValueError, {name: (one, two * np.inf)}, "must be finite"),
        ]
        for error, given, message in wrong:
            with pytest.raises(error, match=f"(?s){message}"):
                verified(self.domain, intermediate=given)

    def test_calls_of_a_shared_layer_are_told_apart(self) -> None:
        """What is known of one call must not be taken for the other."""
        model = several()
        domain = decomon.BoxDomain(*flat_boxes(4, 7, 0.2))
        whole, table = decomon.clone(model), decomon.clone(model, output="table")
        names = list(whole.intermediate_bounds(domain))
        assert len(set(names)) == len(names) == len(whole.graph.nodes)
        assert "shared" in names
        assert "shared (Hinge)" in names
        known = table.intermediate_bounds(domain)
        assert "shared" not in known
        assert "shared (for table)" in known
        with pytest.raises(ValueError, match="Received: an entry 'shared"):
            decomon.clone(model, output="scores")(domain, intermediate=known)


class TestKeras:
    """Keras takes it for one of its models, and it leaves the user's alone."""

    @pytest.mark.parametrize("name", sorted(ZOO))
    def test_the_model_is_left_alone(self, name: str) -> None:
        model = build(name, dtype="float32")
        attributes, nodes = set(vars(model)), [len(i._inbound_nodes) for i in model.layers]
        config, weights = model.get_config(), [v.numpy() for v in model.weights]
        verified = decomon.clone(model)
        verified(decomon.BoxDomain(*boxes(model, 2, 0.1)))
        assert isinstance(verified, keras.Model)
        assert verified.model is model
        assert set(vars(model)) == attributes
        assert [len(i._inbound_nodes) for i in model.layers] == nodes
        assert model.get_config() == config
        assert not model.compiled
        for kind in ("weights", "trainable_variables", "non_trainable_variables"):
            ours, theirs = getattr(verified, kind), getattr(model, kind)
            assert [id(v) for v in ours] == [id(v) for v in theirs]
        for before, after in zip(weights, model.weights, strict=True):
            np.testing.assert_array_equal(before, after)

    def test_identity(self) -> None:
        model = dense_net([4, 3])
        one, two = decomon.clone(model), decomon.clone(model)
        assert one != two
        table = weakref.WeakKeyDictionary({one: 1, two: 2})
        assert (table[one], table[two]) == (1, 2)
        assert verifier_of(one) is one.verifier

    def test_it_is_freed(self) -> None:
        model = dense_net([4, 5, 3])
        verified = decomon.clone(model)
        verified(decomon.BoxDomain(*boxes(model, 2, 0.1)))
        gone, inner = weakref.ref(verified), weakref.ref(model)
        del verified, model
        gc.collect()
        assert gone() is None
        gc.collect()
        assert inner() is None

    def test_summary(self, capsys: pytest.CaptureFixture[str]) -> None:
        model = build("residual", dtype="float32")
        verified = decomon.clone(model, "crown", slope="zero-lb")
        lines: list[str] = []
        verified.summary(print_fn=lines.append)
        assert capsys.readouterr().out == ""
        for index, name in enumerate(verified._names):
            (row,) = [i for i, line in enumerate(lines) if line.split()[:1] == [str(index)]]
            assert name in lines[row]
        text = "\n".join(lines)
        for word in ("zero-lb", "relaxed", "affine, exact", "crown", "interval arithmetic"):
            assert word in text
        verified.summary()
        assert capsys.readouterr().out == text + "\n"
        lines.clear()
        decomon.clone(model, "ibp").summary(print_fn=lines.append, line_length=60)
        assert not any("relaxed" in line or "crown" in line for line in lines[2:])
        assert max(map(len, lines)) <= 60

    def test_predict(self) -> None:
        model = several()
        verified = decomon.clone(model)
        domain = decomon.BoxDomain(*flat_boxes(5, 7, 0.2))
        seen: list[tuple[int, int]] = []
        found = verified.predict(domain, 2, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(2, 5), (4, 5), (5, 5)]
        wanted = verified(domain)
        for key in ("scores", "table"):
            assert isinstance(found[key].upper, np.ndarray)
            np.testing.assert_allclose(found[key].upper, wanted[key].upper, 1e-5, 1e-6)
            for ours, theirs in zip(found[key].w_l, wanted[key].w_l, strict=True):
                assert isinstance(ours, np.ndarray)
                np.testing.assert_allclose(ours, theirs, 1e-5, 1e-5)
        assert verified.predict(domain[:0])["table"].upper.shape == (0, 2, 2)

    def test_predict_with_rows_of_each_sample(self) -> None:
        model = dense_net([4, 5, 3])
        domain = decomon.BoxDomain(*boxes(model, 5, 0.2))
        verified = decomon.clone(model, back_bounds=[rng_of(0).normal(size=(5, 2, 3))])
        np.testing.assert_allclose(
            verified.predict(domain, 2).upper, verified(domain).upper, rtol=1e-5, atol=1e-6
        )

    def test_points_are_no_sets(self) -> None:
        model = dense_net([4, 5, 3])
        verified = decomon.clone(model)
        x = np.zeros((2, 4), np.float32)
        with pytest.raises(TypeError, match=r"verified\.model\.predict"):
            verified.predict(x)
        points: list[Any] = [x, tf.constant(x), keras.Input((4,))]
        for wrong in points:
            with pytest.raises(TypeError, match="domain must be a set of inputs"):
                verified(wrong)
        with pytest.raises(TypeError, match=r"verified\.model"):
            decomon.clone(verified)

    def test_bad_domains(self) -> None:
        verified = decomon.clone(dense_net([4, 5, 3]))
        x = np.zeros((2, 4), np.float32)
        for low, high in ((x + 1, x), (x * np.nan, x), (x[:, :3], x[:, :3]), (x[:1], x)):
            with pytest.raises(ValueError, match="Received"):
                verified(decomon.BoxDomain(low, high))
            with pytest.raises(ValueError, match="Received"):
                verified(decomon.BoxDomain(tf.constant(low), tf.constant(high)))
        compiled = tf.function(lambda a: verified(decomon.BoxDomain(a, a)).upper)
        with pytest.raises(ValueError, match=r"Received: \(2, 3\)"):
            compiled(tf.constant(x[:, :3]))
        flat = decomon.clone(build("image", dtype="float32"))
        low, high = boxes(flat.model, 2, 0.1)
        wanted = flat(decomon.BoxDomain(low, high)).upper
        shape = tf.function(lambda a, b: flat(decomon.BoxDomain(a, b)).upper)
        ends = (tf.constant(side.reshape(2, -1)) for side in (low, high))
        np.testing.assert_allclose(shape(*ends), wanted, rtol=1e-5, atol=1e-5)

    def test_overflow_is_an_error(self) -> None:
        model = dense_net([3, 4, 2])
        with pytest.raises(NonFiniteBoundError, match="not finite"):
            decomon.clone(model)(decomon.BoxDomain(np.full((1, 3), -3e38), np.full((1, 3), 3e38)))
        x = keras.Input((2,))
        logarithm = keras.Model(x, keras.ops.log(x))
        with pytest.raises(DomainError):
            decomon.clone(logarithm)(decomon.BoxDomain(-np.ones((1, 2)), np.ones((1, 2))))

    def test_integer_inputs(self) -> None:
        x = keras.Input((3,), dtype="uint8")
        model = randomise(keras.Model(x, layers.Dense(2)(layers.Rescaling(1 / 255)(x))))
        low, high = np.full((1, 3), 3.5), np.full((1, 3), 7.5)
        verified = decomon.clone(model)
        bounds = verified(decomon.BoxDomain(low, high))
        real = np.asarray(model(np.array([[3, 7, 3]], np.uint8)))
        assert (real <= np.asarray(bounds.upper) + 1e-6).all()
        assert (real >= np.asarray(bounds.lower) - 1e-6).all()
        with pytest.raises(ValueError, match="integer type"):
            tf.function(lambda a: verified(decomon.BoxDomain(a, a)).upper)(tf.constant(low))


def options_of_every_kind() -> list[Any]:
    rows = rng_of(3).normal(size=(2, 3))
    return [
        ("dense", {"method": "hybrid"}),
        ("dense", {"finetune": True, "finetune_steps": 2, "learning_rate": 0.25}),
        ("dense", {"slope": "same-slope", "dtype": "float64", "name": "bounder"}),
        pytest.param(
            "dense",
            {"back_bounds": [rows], "final_ibp": True, "final_affine": False},
            marks=pytest.mark.slow,
        ),
        ("softmax", {"rm_last_softmax": False}),
        pytest.param("several", {}, marks=pytest.mark.slow),
        ("several", {"output": "table"}),
        ("several", {"back_bounds": {"scores": rows, "table": None}, "final_ibp": False}),
    ]


# Keras saves the optimizer of an inner model before it has variables, and loads it after.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize(("kind", "options"), options_of_every_kind())
def test_saved_and_loaded(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    if kind == "several":
        model: Any = several()
        domain = decomon.BoxDomain(*flat_boxes(3, 7, 0.2))
    else:
        model = dense_net([4, 6, 5, 3], softmax=kind == "softmax")
        domain = decomon.BoxDomain(*boxes(model, 3, 0.2))
    model.compile("adam", "mse")
    verified = decomon.clone(model, **options)
    path = tmp_path / "verified.keras"
    verified.save(path)
    loaded = keras.models.load_model(path)
    assert type(loaded) is decomon.DecomonModel
    assert repr(loaded) == repr(verified)
    assert loaded.output == verified.output
    assert loaded.name == verified.name
    again = decomon.DecomonModel.from_config(verified.get_config())
    again.set_weights(verified.get_weights())
    copies = [loaded, again, pickle.loads(pickle.dumps(verified))]
    wanted = keras.tree.flatten(keras.tree.map_structure(fields, verified(domain)))
    for copy in copies:
        assert {**copy.get_config(), "model": None} == {**verified.get_config(), "model": None}
        found = keras.tree.flatten(keras.tree.map_structure(fields, copy(domain)))
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
        for ours, theirs in zip(copy.weights, verified.weights, strict=True):
            assert ours is not theirs
            np.testing.assert_array_equal(ours, theirs)


def fields(bounds: OutputBounds) -> list[Any]:
    return [value for value in bounds.__tf_flatten__()[1] if value is not None]


def test_every_method_says_what_it_is_for() -> None:
    texts = {name: method.description for name, method in decomon.methods.METHODS.items()}
    assert set(texts) == set(METHODS)
    assert len(set(texts.values())) == len(METHODS)
    for text in texts.values():
        assert "Cost:" in text
        assert "Choose it" in text
    assert decomon.clone.__doc__ is not None
    for name in METHODS:
        assert f"``{name}``" in decomon.clone.__doc__


def test_weights_may_be_loaded_after_cloning(tmp_path: Path) -> None:
    model = dense_net([4, 5, 3])
    verified = decomon.clone(model)
    other = dense_net([4, 5, 3], seed=1)
    path = tmp_path / "other.weights.h5"
    other.save_weights(path)
    model.load_weights(path)
    box = decomon.BoxDomain(*boxes(model, 3, 0.2))
    np.testing.assert_array_equal(verified(box).upper, decomon.clone(other)(box).upper)
