"""Where a logarithm, a root or a division may not be defined, and where arithmetic overflows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import DomainError, NonFiniteBoundError
from tests.decomon.helpers import Array, keras, layers, randomise, rng_of, sample

ops = keras.ops

PARTIAL: dict[str, tuple[Callable[[Any], Any], float, str]] = {
    # the function, the end of its domain, what it needs
    "log": (ops.log, 0.0, "log needs values above 0"),
    "log1p": (ops.log1p, -1.0, "log1p needs values above -1"),
    "sqrt": (ops.sqrt, 0.0, "sqrt needs values of at least 0"),
    "rsqrt": (ops.rsqrt, 0.0, "rsqrt needs values above 0"),
    "reciprocal": (ops.reciprocal, 0.0, "reciprocal needs values on one side of 0"),
    "divide": (lambda x: 2.0 / x, 0.0, "reciprocal needs values on one side of 0"),
}
partial = pytest.mark.parametrize(
    ("function", "end", "needs"), PARTIAL.values(), ids=PARTIAL.keys()
)


def network(function: Callable[[Any], Any]) -> Any:
    x = keras.Input((3,))
    return randomise(keras.Model(x, layers.Dense(2, name="scores")(function(x))))


def ask_all(model: Any, low: Array, high: Array, **options: Any) -> list[Callable[[], Any]]:
    """Every question about boxes."""
    return [
        lambda: decomon.get_adv_box(model, low, high, 0, **options),
        lambda: decomon.check_adv_box(model, low, high, 0, **options),
        lambda: decomon.get_range_box(model, low, high, **options),
        lambda: decomon.get_upper_box(model, low, high, **options),
        lambda: decomon.get_lower_box(model, low, high, **options),
    ]


@partial
def test_inside_its_domain_a_function_is_bounded(
    function: Callable[[Any], Any], end: float, needs: str
) -> None:
    model = network(function)
    rng = rng_of(0)
    low = end + rng.uniform(0.1, 2, size=(5, 3)).astype(np.float32)
    high = (low + rng.uniform(0, 1, size=low.shape)).astype(np.float32)
    upper, lower = decomon.get_range_box(model, low, high)
    for points in sample(low, high, 100):
        real = np.asarray(model(points))
        assert (real <= upper + 1e-4).all()
        assert (real >= lower - 1e-4).all()


@partial
def test_outside_the_error_says_where_and_why(
    function: Callable[[Any], Any], end: float, needs: str
) -> None:
    model = network(function)
    low = np.full((4, 3), end + 0.5)
    high = low + 1
    low[2, 1] = end - 0.25
    for ask in ask_all(model, low, high):
        with pytest.raises(DomainError) as caught:
            ask()
        text = str(caught.value)
        assert needs in text
        assert f"[{end - 0.25:g}, {end + 1.5:g}]" in text
        assert "the input set of sample 2" in text
        assert "position (1,)" in text
        assert f"Layer {model.layers[1].name!r}" in text or "Layer '" in text
        assert "n_sub_boxes" in text
        assert isinstance(caught.value, NonFiniteBoundError)
    with pytest.raises(DomainError):
        decomon.certify(model, high, [0] * 4, high[0, 0] - low[2, 1], clip=None)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_the_sample_is_counted_over_all_batches(batch_size: int) -> None:
    model = network(ops.log)
    low, high = np.full((5, 3), 0.5), np.full((5, 3), 1.5)
    low[3, 0] = -1
    for ask in ask_all(model, low, high, batch_size=batch_size):
        with pytest.raises(DomainError, match="the input set of sample 3"):
            ask()


def test_the_ends_of_a_domain() -> None:
    """A root is defined at 0, a logarithm is not."""
    low, high = np.zeros((1, 3)), np.ones((1, 3))
    upper, lower = decomon.get_range_box(network(ops.sqrt), low, high)
    assert np.isfinite([upper, lower]).all()
    for function in (ops.log, ops.rsqrt, ops.reciprocal):
        with pytest.raises(DomainError):
            decomon.get_range_box(network(function), low, high)
    upper, lower = decomon.get_range_box(network(ops.reciprocal), -high - 1, -high)
    assert np.isfinite([upper, lower]).all()


def hidden() -> Any:
    """log(2 + a - b) with a = b: always log 2, but intervals do not know that."""
    x = keras.Input((2,))
    first = layers.Dense(2)
    second = layers.Dense(1)
    model = keras.Model(x, layers.Dense(2)(ops.log(second(first(x)))))
    randomise(model)
    first.set_weights([np.ones((2, 2)), np.zeros(2)])
    second.set_weights([np.array([[1.0], [-1.0]]), np.full(1, 2.0)])
    return model


def test_the_ways_out_that_it_names_work() -> None:
    model = hidden()
    low, high = np.full((1, 2), -2.0), np.full((1, 2), 2.0)
    loose = decomon.clone(model, "forward-ibp")
    with pytest.raises(DomainError, match="tighter method"):
        decomon.get_range_box(loose, low, high)
    real = np.asarray(model(low))
    for ways in (
        decomon.get_range_box(loose, low, high, n_sub_boxes=64),
        decomon.get_range_box(loose, low / 10, high / 10),
        decomon.get_range_box(decomon.clone(model, "crown"), low, high),
    ):
        assert (ways.upper >= real - 1e-4).all()
        assert (ways.lower <= real + 1e-4).all()
    margin = real[:, 1] - real[:, 0]
    assert decomon.get_adv_box(loose, low, high, 0, n_sub_boxes=64) >= margin - 1e-4
    attained = decomon.check_adv_box(loose, low, high, 0, n_sub_boxes=64)
    np.testing.assert_allclose(attained, margin, rtol=1e-3)


def test_a_piece_is_named() -> None:
    model = network(ops.log)
    low, high = np.full((2, 3), -0.5), np.full((2, 3), 1.5)
    low[0] = 0.5
    for ask in ask_all(model, low, high, n_sub_boxes=4):
        with pytest.raises(DomainError, match="one of the 4 pieces of the input set of sample 1"):
            ask()


@pytest.mark.parametrize(
    ("method", "finetune"),
    [
        ("forward-ibp", False),
        ("forward-affine", False),
        ("crown", False),
        pytest.param("forward-affine", True, marks=pytest.mark.slow),
        pytest.param("crown", True, marks=pytest.mark.slow),
    ],
)
def test_no_method_bounds_what_is_not_defined(method: str, finetune: bool) -> None:
    x = keras.Input((3,))
    h = ops.log(layers.Dense(4, activation="relu", name="inner")(x))
    model = randomise(keras.Model(x, layers.Dense(2)(layers.Dense(3, activation="relu")(h))))
    verified = decomon.clone(model, method, finetune=finetune, finetune_steps=2)
    low = rng_of(0).normal(size=(3, 3))
    with pytest.raises(DomainError, match=f"as far as '{method}' can tell.*log needs"):
        decomon.get_range_box(verified, low, low + 0.5)


def test_overflow_names_the_layer() -> None:
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activation="relu", name="harmless"),
            layers.Dense(4, activation="relu", name="huge"),
            layers.Dense(2, name="scores"),
        ]
    )
    randomise(model)
    kernel, bias = model.get_layer("huge").get_weights()
    model.get_layer("huge").set_weights([np.full_like(kernel, 3e38), bias])
    harmless = model.get_layer("harmless")
    harmless.set_weights([np.full_like(harmless.get_weights()[0], 5.0), np.ones(4)])
    low = np.ones((2, 3))
    for ask in ask_all(model, low, low + 1):
        with pytest.raises(NonFiniteBoundError, match="overflowed in layer 'huge'") as caught:
            ask()
        assert not isinstance(caught.value, DomainError)
        assert "the input set of sample 0" in str(caught.value)
