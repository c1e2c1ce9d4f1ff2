"""Every method on every kind of input sets and every family of ops: no point beats a bound."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.rounding import gamma
from tests.decomon.helpers import METHODS, Array, keras, layers, precision, randomise, rng_of, tf
from tests.decomon.sets import KINDS, points_of

# More operations than any output here is made of.
OPERATIONS = 10_000


@pytest.fixture(autouse=True)
def _eagerly() -> Iterator[None]:
    """Compiling takes longer than computing once; other tests compile."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def chain(shape: tuple[int, ...], *parts: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *parts])


def merged() -> Any:
    x = keras.Input((4,))
    a, b = layers.Dense(3)(x), layers.Dense(3, "relu")(x)
    both = [layers.Multiply()([a, b]), layers.Maximum()([a, b]), layers.Dot(1)([a, b])]
    return keras.Model(x, layers.Dense(2)(layers.Concatenate()(both)))


def attentive() -> Any:
    x = keras.Input((2, 2))
    y = layers.Attention()([layers.Dense(2)(x), x])
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Add()([x, y]))))


def computed() -> Any:
    x = keras.Input((4,))
    y = keras.ops.sin(layers.Dense(3)(x)) + keras.ops.exp(-keras.ops.square(layers.Dense(3)(x)))
    return keras.Model(x, layers.Dense(2)(y / (1.5 + keras.ops.sum(x, axis=-1, keepdims=True))))


FAMILIES: dict[str, Callable[[], Any]] = {
    "affine": lambda: chain((4,), layers.Dense(3), layers.Dense(2)),
    "hinges": lambda: chain(
        (4,), layers.Dense(4, "relu"), layers.Dense(4), layers.LeakyReLU(), layers.Dense(2)
    ),
    "convolutions": lambda: chain(
        (4, 4, 1),
        layers.Conv2D(2, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(2),
        layers.Conv2D(2, 2),
        layers.Flatten(),
        layers.ReLU(),
        layers.Dense(2),
    ),
    "curves": lambda: chain(
        (4,), layers.Dense(3, "tanh"), layers.Dense(3, "gelu"), layers.Dense(2, "sigmoid")
    ),
    "steps": lambda: chain(
        (4,), layers.Dense(3, "hard_sigmoid"), layers.Dense(3, "hard_shrink"), layers.Dense(2)
    ),
    "merges": merged,
    "normalisations": lambda: chain(
        (4,), layers.Dense(3), layers.LayerNormalization(), layers.Dense(2, "softmax")
    ),
    "attention": attentive,
    "recurrence": lambda: chain((2, 2), layers.SimpleRNN(2), layers.Dense(2)),
    "functions": computed,
}

QUICK_KINDS = ("box", "ball-2", "clipped-ball-1", "vertex", "affine")
CELLS = [(m, k, f) for m in METHODS for k in KINDS for f in FAMILIES]


def often(method: str, kind: str, family: str) -> bool:
    """Choose cells so that every pair of a method, a kind and a family is among them.

    Nine kinds and ten families are more than there are methods: each pair of kind and family
    meets one method, and the shift makes each method meet all of both. The other kinds are asked
    for in slow runs; smaller networks meet all of them in every run.
    """
    if kind not in QUICK_KINDS:
        return False
    places = METHODS.index(method), [*KINDS].index(kind), [*FAMILIES].index(family)
    return (places[1] + places[2]) % len(METHODS) == places[0]


@functools.cache
def network(family: str) -> Any:
    with precision("float64"):
        return randomise(FAMILIES[family](), seed=3)


@functools.cache
def verified(family: str, method: str) -> decomon.DecomonModel:
    return decomon.clone(network(family), method, rm_last_softmax=False)


def climbed(model: Any, domain: decomon.Domain, shape: tuple[int, ...]) -> Array:
    """Points that conditional gradients lead to, ``(2 outputs, batch, *shape)``."""
    sets = domain.shaped(shape).as_tensors(tf.float64)
    size = model.output_shape[-1]
    rows = tf.concat([tf.eye(size, dtype="float64"), -tf.eye(size, dtype="float64")], axis=0)
    at = tf.repeat(sets.center()[:, None], 2 * size, axis=1)
    for step in range(8):
        flat = tf.reshape(at, [-1, *shape])
        with tf.GradientTape() as tape:
            tape.watch(flat)
            values = tf.reshape(model(flat), [len(domain), 2 * size, size])
            total = tf.reduce_sum(values * rows)
        slope = tf.reshape(tape.gradient(total, flat), at.shape)
        at = at + 2 / (step + 2) * (sets.maximizer(slope) - at)
    return np.moveaxis(sets.project(at).numpy(), 0, 1)


@pytest.mark.parametrize(
    ("method", "kind", "family"),
    [pytest.param(*c, marks=[] if often(*c) else pytest.mark.slow) for c in CELLS],
)
def test_no_point_beats_a_bound(method: str, kind: str, family: str) -> None:
    model = network(family)
    shape = model.input_shape[1:]
    domain = KINDS[kind](rng_of(5).uniform(0.2, 0.8, size=(3, *shape)), 0.2)
    upper, lower = decomon.get_range(verified(family, method), domain)
    points = np.concatenate([points_of(domain, shape, 30), climbed(model, domain, shape)])
    assert domain.contains(np.moveaxis(points, 0, 1)).numpy().all()
    outputs = np.asarray(model(points.reshape(-1, *shape)))
    outputs = outputs.reshape(*points.shape[:2], *upper.shape[1:])
    noise = gamma(OPERATIONS, "float64") * np.maximum(1, np.maximum(abs(upper), abs(lower)))
    assert (outputs <= upper + noise).all(), (outputs - upper).max()
    assert (outputs >= lower - noise).all(), (lower - outputs).max()


@pytest.mark.parametrize("kind", KINDS)
def test_methods_are_ordered(kind: str) -> None:
    """Intervals are loosest on every kind of sets, and no method is wider than they are."""
    domain = KINDS[kind](rng_of(5).uniform(0.2, 0.8, size=(3, 4)), 0.2)
    widths = {}
    for method in ("forward-ibp", "forward-hybrid", "crown-forward-ibp", "crown"):
        upper, lower = decomon.get_range(verified("hinges", method), domain)
        widths[method] = (upper - lower).mean()
    assert max(widths, key=lambda method: widths[method]) == "forward-ibp"
    assert widths["crown"] < 0.9 * widths["forward-ibp"]


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_never_looser(kind: str) -> None:
    """Splitting works on every kind of sets, and tightens."""
    domain = KINDS[kind](rng_of(5).uniform(0.2, 0.8, size=(3, 4)), 0.8)
    model = verified("hinges", "crown-forward-ibp")
    one, four = (decomon.get_adv(model, domain, 0, n_sub_boxes=n) for n in (1, 4))
    assert (four <= one).all()
    assert (four < one).any()
    noise = gamma(OPERATIONS, "float64") * np.maximum(1, abs(four))
    assert (decomon.check_adv(model, domain, 0) <= four + noise).all()
