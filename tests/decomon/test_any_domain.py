"""The functions that take a domain, on every kind of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import BallDomain, BoxDomain
from decomon.domains.vertex import VertexDomain
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
    rounding,
)
from tests.decomon.sets import KINDS, points_of

CLOSE = 1e-9
"""Room for rounding: values here are of order 1, in float64, and sums are short."""
SLOW_KINDS = ("ball-1", "vertex")
kinds = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW_KINDS else kind for kind in KINDS],
)


@functools.cache
def network(dtype: str = "float64") -> Any:
    return dense_net([4, 7, 5, 3], seed=3, dtype=dtype)


@functools.cache
def image() -> Any:
    with precision("float64"):
        net = keras.Sequential(
            [
                keras.Input((3, 2, 2)),
                layers.Conv2D(3, 2, activation="relu"),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
    return randomise(net, 1, scale=2.0)


def samples(count: int = 4, shape: tuple[int, ...] = (4,)) -> Array:
    return rng_of(0).uniform(0.1, 0.9, size=(count, *shape))


@kinds
def test_bounds_hold_and_points_attain(kind: str) -> None:
    for model, shape in ((network(), (4,)), (image(), (3, 2, 2))):
        x = samples(4, shape)
        domain, labels = KINDS[kind](x, 0.4), np.arange(4) % 3
        real = evaluate(model, points_of(domain, shape, 300))
        upper, lower = decomon.get_range(model, domain)
        assert (real <= upper + CLOSE).all()
        assert (real >= lower - CLOSE).all()
        margin = largest_margin(real, labels).max(axis=0)
        bound = decomon.get_adv(model, domain, labels)
        assert (margin <= bound + CLOSE).all()
        values, points = decomon.check_adv(model, domain, labels, return_points=True)
        assert points.shape == x.shape
        assert np.asarray(domain.shaped(shape).contains(points[:, None])).all()
        at_points = largest_margin(np.asarray(model(points)), labels)
        np.testing.assert_allclose(values, at_points, atol=CLOSE)
        assert (values <= bound + CLOSE).all()


@kinds
def test_in_float32_sets_of_float64_numbers(kind: str) -> None:
    """What the model sees is rounded, and is bounded all the same."""
    model, x = network("float32"), samples()
    domain = KINDS[kind](x, 0.4)
    points = points_of(domain, (4,), 300).astype(np.float32)
    error = rounding(model, x - 0.5, x + 0.5)
    upper, lower = decomon.get_range(model, domain)
    real = evaluate(model, points)
    assert (real <= upper + error[:, None]).all()
    assert (real >= lower - error[:, None]).all()
    values, found = decomon.check_adv(model, domain, 0, return_points=True)
    assert np.asarray(domain.shaped((4,)).contains(found[:, None])).all()
    margin = largest_margin(np.asarray(model(found.astype(np.float32))), np.zeros(4, int))
    assert (np.abs(margin - values) <= error).all()


@kinds
def test_both_sides_and_batches(kind: str) -> None:
    model, x = network(), samples(5)
    domain = KINDS[kind](x, 0.3)
    upper, lower = decomon.get_range(model, domain)
    np.testing.assert_allclose(decomon.get_upper(model, domain), upper, atol=CLOSE)
    np.testing.assert_allclose(decomon.get_lower(model, domain), lower, atol=CLOSE)
    bound = decomon.get_adv(model, domain, 0)
    for batch_size in (1, 2, 9):
        found = decomon.get_range(model, domain, batch_size)
        np.testing.assert_allclose(found.upper, upper, atol=CLOSE)
        np.testing.assert_allclose(found.lower, lower, atol=CLOSE)
        np.testing.assert_allclose(
            decomon.get_adv(model, domain, 0, None, batch_size), bound, atol=CLOSE
        )


@kinds
def test_pieces(kind: str) -> None:
    model, x = network(), samples()
    domain = KINDS[kind](x, 0.8)
    whole = decomon.get_adv(model, domain, 0)
    cut = decomon.get_adv(model, domain, 0, n_sub_boxes=5)
    assert (cut <= whole).all()
    assert (cut < whole - 1e-6).any()
    margin = largest_margin(evaluate(model, points_of(domain, (4,), 300)), np.zeros(4, int))
    assert (margin <= cut + CLOSE).all()
    values, points = decomon.check_adv(model, domain, 0, n_sub_boxes=5, return_points=True)
    assert np.asarray(domain.shaped((4,)).contains(points[:, None])).all()
    assert (values <= cut + CLOSE).all()


@kinds
@pytest.mark.parametrize("eps", [0.0, 1e-12])
def test_sets_that_are_nearly_points(kind: str, eps: float) -> None:
    if kind == "grid":
        return  # has steps, which float64 must resolve
    model, x = network(), samples()
    upper, lower = decomon.get_range(model, KINDS[kind](x, eps))
    real = np.asarray(model(x))
    np.testing.assert_allclose(upper, real, atol=CLOSE)
    np.testing.assert_allclose(lower, real, atol=CLOSE)


@pytest.mark.slow  # test_matrix asks for more, of smaller networks
def test_methods_serve_every_kind() -> None:
    """A model is made once; the kind that it was announced for makes no difference."""
    model, x = network(), samples()
    for method in ("forward-ibp", "crown"):
        announced = decomon.clone(model, method, perturbation_domain=BallDomain)
        plain = decomon.clone(model, method)
        for kind in ("box", "ball-2", "vertex"):
            domain = KINDS[kind](x, 0.2)
            np.testing.assert_array_equal(
                decomon.get_adv(announced, domain, 0), decomon.get_adv(plain, domain, 0)
            )


def test_smaller_sets_have_smaller_bounds_of_linear_networks() -> None:
    """Balls of smaller p lie in those of larger p; the hull of points of a box lies in the box."""
    with precision("float64"):
        model = randomise(keras.Sequential([keras.Input((4,)), layers.Dense(3)]), 2)
    x = samples()
    bound = {kind: decomon.get_adv(model, KINDS[kind](x, 0.3), 0) for kind in KINDS}
    order = [
        ("clipped-ball-1", "ball-1"),
        ("clipped-ball-2", "ball-2"),
        ("ball-1", "ball-2"),
        ("ball-2", "ball-inf"),
        ("vertex", "box"),
        ("grid", "box"),
    ]
    for small, large in order:
        assert (bound[small] <= bound[large] + CLOSE).all(), (small, large)
    np.testing.assert_allclose(bound["ball-inf"], bound["box"], rtol=1e-9)
    np.testing.assert_allclose(bound["grid"], bound["box"], rtol=1e-9)  # it has the corners


@pytest.mark.slow
def test_several_inputs_follow_one_another() -> None:
    """Sets are of one flat input; points come back by input."""
    with precision("float64"):
        left, right = keras.Input((3,), name="left"), keras.Input((2, 2), name="right")
        h = layers.Concatenate()([left, layers.Flatten()(right)])
        h = layers.Dense(5, activation="relu")(h)
        model = randomise(keras.Model([left, right], layers.Dense(3)(h)), 3)
        flat = keras.Sequential(
            [keras.Input((7,)), layers.Dense(5, activation="relu"), layers.Dense(3)]
        )
    flat.set_weights(model.get_weights())
    x = samples(3, (7,))
    for kind, build in KINDS.items():
        domain = build(x, 0.3)
        np.testing.assert_allclose(
            decomon.get_adv(model, domain, 0), decomon.get_adv(flat, domain, 0), atol=CLOSE
        )
        values, points = decomon.check_adv(model, domain, 0, return_points=True)
        assert [part.shape for part in points] == [(3, 3), (3, 2, 2)], kind
        real = largest_margin(np.asarray(model(points)), np.zeros(3, int))
        np.testing.assert_allclose(values, real, atol=CLOSE)
    for shape in ((3, 6), (3, 7, 1)):
        with pytest.raises(ValueError, match=r"\(batch, 7\).*Received"):
            decomon.get_adv(model, BoxDomain(np.zeros(shape), np.ones(shape)), 0)


ASKS: dict[str, Callable[..., Any]] = {
    "get_adv": lambda m, d, **o: decomon.get_adv(m, d, 0, **o),
    "check_adv": lambda m, d, **o: decomon.check_adv(m, d, 0, **o),
    "attack": lambda m, d, **o: decomon.attack(m, d, 0, **o),
    "get_upper": decomon.get_upper,
    "get_lower": decomon.get_lower,
    "get_range": decomon.get_range,
}
asks = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())


@functools.cache
def unused() -> Any:
    return dense_net([4, 5, 3])


@asks
def test_wrong_sets(ask: Callable[..., Any]) -> None:
    model, x = unused(), samples()
    for wrong in (x, (x, x), None, BoxDomain, "box"):
        with pytest.raises(TypeError, match="BoxDomain.*BallDomain.*Received"):
            ask(model, wrong)
    for wrong in (
        BoxDomain(x[:, :3], x[:, :3]),
        BoxDomain(x[0], x[0]),
        BallDomain(x[:, :3], 0.1, 2),
        BallDomain(x[:, :3], 0.1),
        VertexDomain(np.zeros((2, 3, 5))),
        KINDS["affine"](x[:, :3], 0.1),
        KINDS["grid"](x[:, :3], 0.1),
    ):
        with pytest.raises(ValueError, match=r"4\).*Received"):
            ask(model, wrong)
    for low, high, match in (
        (x + 1, x, r"x_min=.* > x_max=.*sample 0"),
        (x * np.nan, x, "x_min must be finite"),
        (x, x[:2], "same number of samples"),
    ):
        with pytest.raises(ValueError, match=f"{match}.*Received|Received.*{match}"):
            ask(model, BoxDomain(low, high))
    for options in ({"batch_size": 0}, {"batch_size": 1.5}):
        with pytest.raises(ValueError, match="batch_size.*Received"):
            ask(model, BoxDomain(x, x), **options)
    assert decomon.models.verifier_of(model).trace_count == 0


@asks
def test_whole_numbers_need_boxes(ask: Callable[..., Any]) -> None:
    x = keras.Input((4,), dtype="int32", name="pixels")
    model = randomise(keras.Model(x, layers.Dense(3)(layers.Rescaling(0.5)(x))))
    points = np.round(samples() * 9)
    ask(model, BoxDomain(points, points + 2))
    for kind in ("ball-1", "ball-2", "vertex", "affine"):
        with pytest.raises(ValueError, match="'pixels' is of an integer type.*BoxDomain.*Received"):
            ask(model, KINDS[kind](points, 2.0))


def test_sets_of_tensors_and_lists() -> None:
    """Whatever NumPy can read."""
    model, x = network(), samples()
    expected = decomon.get_adv(model, BoxDomain(x, x + 0.1), 0)
    for form in (keras.ops.convert_to_tensor, list, lambda values: values.tolist()):
        found = decomon.get_adv(model, BoxDomain(form(x), form(x + 0.1)), 0)
        np.testing.assert_array_equal(found, expected)
    ball = BallDomain(keras.ops.convert_to_tensor(x), 0.1, 2)
    np.testing.assert_allclose(
        decomon.get_adv(model, ball, 0),
        decomon.get_adv(model, BallDomain(x, 0.1, 2), 0),
        atol=1e-6,
    )
