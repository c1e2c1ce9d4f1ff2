"""Balls: bounds, points and verdicts, against the exact optimum, the real model and boxes."""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import BallDomain, BoxDomain, LogitsWarning, Verdict
from tests.decomon.helpers import (
    Array,
    dense_net,
    evaluate,
    keras,
    largest_margin,
    layers,
    matrices,
    precision,
    randomise,
    rng_of,
    rounding,
)
from tests.decomon.sets import planar_optimum, points_of

NORMS = (1, 2, np.inf)
# Sums of absolute values have tests of their own, of the sets; here they are slow.
norms = pytest.mark.parametrize("p", [pytest.param(1, marks=pytest.mark.slow), *NORMS[1:]])
clips = pytest.mark.parametrize("clip", [None, (0.0, 1.0)], ids=["free", "clipped"])


@functools.cache
def network(dtype: str = "float64") -> Any:
    return dense_net([4, 6, 5, 3], seed=3, dtype=dtype)


@functools.cache
def image(dtype: str = "float64") -> Any:
    with precision(dtype):
        net = keras.Sequential(
            [
                keras.Input((3, 2, 2)),
                layers.Conv2D(2, 2, activation="relu"),
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        )
    return randomise(net, 4, scale=2.0)


@functools.cache
def pair() -> Any:
    """Two inputs, ``left`` of shape (3,) and ``right`` of shape (2, 2)."""
    with precision("float64"):
        left, right = keras.Input((3,), name="left"), keras.Input((2, 2), name="right")
        h = layers.Concatenate()([left, layers.Flatten()(right)])
        h = layers.Dense(5, activation="relu")(h)
        return randomise(keras.Model([left, right], layers.Dense(3)(h)), 3)


def samples(count: int = 5, shape: tuple[int, ...] = (4,), seed: int = 0) -> Array:
    """Samples in [0, 1], some of whose features are at the ends."""
    return np.clip(rng_of(seed).uniform(-0.2, 1.2, size=(count, *shape)), 0, 1)


def room(model: Any, x: Array, eps: float = 1.0, dtype: str = "float64") -> Array:
    """How far rounding can move a bound or a margin, ``(batch, 1)``."""
    return rounding(model, x - eps, x + eps, dtype)[:, None]


class TestExactOptimum:
    """Networks so small that the optimum is known, in the plane, for every norm and clip."""

    @norms
    @clips
    @pytest.mark.parametrize("widths", [(2, 4, 3), (2, 3, 2, 2)])
    def test_it_lies_between_the_bounds(
        self, widths: tuple[int, ...], p: float, clip: tuple[float, float] | None
    ) -> None:
        model, met = tiny(widths), 0
        for seed in range(3):
            randomise(model, seed, scale=1.5)
            x = samples(4, (2,), seed)
            eps = rng_of(seed).uniform(0.1, 1.5, size=(4, 2))
            eye = np.eye(widths[-1])
            best = np.array(
                [
                    max(
                        planar_optimum(matrices(model), x[i], eps[i], p, clip, eye[j] - eye[0])
                        for j in range(1, widths[-1])
                    )
                    for i in range(4)
                ]
            )
            slack = room(model, x, 1.5)[:, 0] + 1e-10
            upper = decomon.get_adv_noise(model, x, eps, 0, p=p, clip=clip)
            cut = decomon.get_adv_noise(model, x, eps, 0, p=p, clip=clip, n_sub_boxes=4)
            lower, points = decomon.check_adv_noise(
                model, x, eps, 0, p=p, clip=clip, return_points=True
            )
            attacked = decomon.attack_noise(model, x, eps, 0, p=p, clip=clip, restarts=2)
            assert (best <= upper + slack).all(), best - upper
            assert (best <= cut + slack).all(), best - cut
            assert (cut <= upper).all()
            for values, found in ((lower, points), attacked[::-1]):
                assert (values <= best + slack).all(), values - best
                real = largest_margin(np.asarray(model(found)), np.zeros(4, int))
                assert (np.abs(real - values) <= slack).all()
            assert (attacked.margin >= lower - slack).all()
            met += int((attacked.margin >= best - 1e-3 * np.abs(best)).sum())
        assert met >= 10  # of 12: the attack finds nearly every optimum of so small a network

    @norms
    def test_the_oracle_is_not_beaten_by_samples(self, p: float) -> None:
        model = tiny((2, 4, 3))
        randomise(model, 9, scale=1.5)
        x, eps = samples(2, (2,), 9), np.full((2, 2), 0.8)
        row = np.array([-1.0, 1.0, 0.0])
        for clip in (None, (0.0, 1.0)):
            values = evaluate(model, points_of(BallDomain(x, eps, p, clip), (2,), 3000)) @ row
            for i in range(2):
                best = planar_optimum(matrices(model), x[i], eps[i], p, clip, row)
                assert values[:, i].max() <= best + 1e-9
                assert values[:, i].max() >= best - 0.05 * (best - values[:, i].min())


@functools.cache
def tiny(widths: tuple[int, ...]) -> Any:
    return dense_net(widths, dtype="float64")


class TestEqualToOtherFunctions:
    @pytest.mark.slow
    @norms
    @clips
    def test_thin_wrappers(self, p: float, clip: Any) -> None:
        model, x, eps = network(), samples(), 0.2
        domain = BallDomain(x, eps, p, clip)
        labels = np.arange(5) % 3
        every: list[dict[str, Any]] = [{}, {"batch_size": 2}, {"n_sub_boxes": 3}]
        for options in every:
            found = decomon.get_adv_noise(model, x, eps, labels, p=p, clip=clip, **options)
            np.testing.assert_array_equal(found, decomon.get_adv(model, domain, labels, **options))
            found = decomon.check_adv_noise(
                model, x, eps, labels, p=p, clip=clip, return_points=True, **options
            )
            expected = decomon.check_adv(model, domain, labels, return_points=True, **options)
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)
            found = decomon.get_range_noise(model, x, eps, p=p, clip=clip, **options)
            for a, b in zip(found, decomon.get_range(model, domain, **options), strict=True):
                np.testing.assert_array_equal(a, b)
        found = decomon.attack_noise(model, x, eps, labels, p=p, clip=clip, restarts=1)
        for a, b in zip(found, decomon.attack(model, domain, labels, restarts=1), strict=True):
            np.testing.assert_array_equal(a, b)

    @norms
    def test_both_bounds_in_one_pass_are_those_of_two(self, p: float) -> None:
        model, x = network(), samples()
        upper, lower = decomon.get_range_noise(model, x, 0.2, p=p)
        slack = room(model, x)
        alone = decomon.get_upper_noise(model, x, 0.2, p=p)
        assert (np.abs(upper - alone) <= slack).all()
        alone = decomon.get_lower_noise(model, x, 0.2, p=p)
        assert (np.abs(lower - alone) <= slack).all()

    @clips
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_the_ball_of_the_infinity_norm_is_a_box(self, clip: Any, dtype: str) -> None:
        """Its ends are rounded outward, so its bounds differ by rounding, and never below."""
        model, x = network(dtype), samples().astype(dtype)
        low, high = x.astype(np.float64) - 0.25, x.astype(np.float64) + 0.25
        if clip is not None:
            low, high = np.clip(low, *clip), np.clip(high, *clip)
        slack = room(model, x, 1.0, dtype)
        pairs: list[tuple[Any, Any]] = [
            (
                decomon.get_adv_noise(model, x, 0.25, 0, clip=clip),
                decomon.get_adv_box(model, low, high, 0),
            ),
            (
                decomon.get_upper_noise(model, x, 0.25, clip=clip),
                decomon.get_upper_box(model, low, high),
            ),
            (
                -decomon.get_lower_noise(model, x, 0.25, clip=clip),
                -decomon.get_lower_box(model, low, high),
            ),
        ]
        for ball, box in pairs:
            assert (np.abs(ball - box).reshape(5, -1) <= slack).all()
        exact = 2.0**-5 * np.round(x * 32).astype(dtype)  # sums that are not rounded
        np.testing.assert_array_equal(
            decomon.get_adv_noise(model, exact, 0.25, 0),
            decomon.get_adv_box(model, exact - 0.25, exact + 0.25, 0),
        )

    def test_smaller_norms_have_smaller_balls(self) -> None:
        model, x = network(), samples()
        bounds = [decomon.get_adv_noise(model, x, 0.3, 0, p=p) for p in NORMS]
        for small, large in itertools.pairwise(bounds):
            assert (small < large).all()


class TestPoints:
    @norms
    @clips
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_they_lie_in_the_ball_and_in_the_box(self, p: float, clip: Any, dtype: str) -> None:
        """By a definition of the test's own, with exact sums; samples are of either type."""
        model, x = network(dtype), samples(6).astype(dtype)
        for eps in (0.3, np.linspace(0, 0.6, 6), rng_of(1).uniform(0.1, 0.5, size=(6, 4))):
            radii = np.asarray(eps, np.float64)
            radii = np.broadcast_to(radii if radii.ndim == 2 else radii.reshape(-1, 1), x.shape)
            found = [
                decomon.check_adv_noise(model, x, eps, 0, p=p, clip=clip, return_points=True)[1],
                decomon.attack_noise(model, x, eps, 0, p=p, clip=clip, restarts=1).points,
                decomon.certify(model, x, 0, eps, p=p, clip=clip).points,
            ]
            for points in found:
                assert points.shape == x.shape
                for point, center, radius in zip(points, x, radii, strict=True):
                    check_within(point, center, radius, p)
                if clip is not None:
                    assert (points >= clip[0]).all()
                    assert (points <= clip[1]).all()
        again = decomon.domains.BallDomain(x, radii, p, clip)
        assert again.contains(found[0][:, None]).numpy().all()

    @norms
    @clips
    def test_the_real_model_has_the_margin_there(self, p: float, clip: Any) -> None:
        for dtype in ("float32", "float64"):
            model, x = image(dtype), samples(4, (3, 2, 2))
            labels = np.asarray(model(x.astype(dtype))).argmax(axis=1)
            kernel, bias = (np.asarray(w) for w in model.layers[-1].get_weights())
            body = keras.Model(model.inputs, model.layers[-2].output)
            slack = rounding(model, x - 0.7, x + 0.7, dtype)
            values, points = decomon.check_adv_noise(
                model, x, 0.7, labels, p=p, clip=clip, return_points=True
            )
            attacked = decomon.attack_noise(model, x, 0.7, labels, p=p, clip=clip, restarts=1)
            for value, found in ((values, points), attacked[::-1]):
                assert found.shape == x.shape
                logits = np.asarray(body(found.astype(dtype))) @ kernel + bias
                assert (np.abs(largest_margin(logits, labels) - value) <= slack).all()
                wrong = np.asarray(model(found.astype(dtype))).argmax(axis=1) != labels
                assert wrong[value > slack].all()
                assert not wrong[value < -slack].any()


def check_within(point: Array, center: Array, radius: Array, p: float) -> None:
    """Evaluate ``||(x' - x) / eps||_p <= 1`` with rational numbers, up to float64 rounding.

    The set is defined by floating-point arithmetic: each of the n terms has three roundings (a
    difference, a quotient, a power) and their sum n - 1.
    """
    assert (point[radius == 0] == center[radius == 0]).all()
    moved = radius > 0
    terms = [
        abs(Fraction(float(a)) - Fraction(float(b))) / Fraction(float(r))
        for a, b, r in zip(point[moved], center[moved], radius[moved], strict=True)
    ]
    if p == np.inf:  # ends are rounded outward, to the next number
        for a, b, r in zip(point, center.astype(np.float64), radius, strict=True):
            assert np.nextafter(b - r, -np.inf) <= a <= np.nextafter(b + r, np.inf)
        return
    power = int(p)
    level = sum((term**power for term in terms), Fraction(0))
    roundings = len(terms) + 1 + 3 * power
    assert level <= 1 + Fraction(roundings, 2**53), float(level - 1)


class TestBatches:
    @norms
    def test_their_size_does_not_matter(self, p: float) -> None:
        model, x = network("float32"), samples(7).astype("float32")
        eps, labels = np.linspace(0.05, 0.4, 7), np.arange(7) % 3
        slack = room(model, x, 0.5, "float32")
        asks: list[Callable[..., Any]] = [
            lambda **o: decomon.get_adv_noise(model, x, eps, labels, p=p, clip=(0, 1), **o),
            lambda **o: decomon.get_upper_noise(model, x, eps, p=p, clip=(0, 1), **o),
            lambda **o: decomon.get_lower_noise(model, x, eps, p=p, clip=(0, 1), **o),
            lambda **o: np.concatenate(decomon.get_range_noise(model, x, eps, p=p, **o), axis=1),
        ]
        for ask in asks:
            whole = ask().reshape(7, -1)
            for batch_size in (1, 2, 3, 7, 100):
                parts = ask(batch_size=batch_size).reshape(7, -1)
                assert (np.abs(parts - whole) <= slack).all(), np.abs(parts - whole).max()

    def test_progress_is_told_after_every_batch(self) -> None:
        model, x = network(), samples(5)
        low, high = x - 0.1, x + 0.1
        domain = BoxDomain(low, high)
        asks: list[Callable[..., Any]] = [
            lambda **o: decomon.get_adv(model, domain, 0, **o),
            lambda **o: decomon.check_adv(model, domain, 0, **o),
            lambda **o: decomon.get_upper(model, domain, **o),
            lambda **o: decomon.get_lower(model, domain, **o),
            lambda **o: decomon.get_range(model, domain, **o),
            lambda **o: decomon.attack(model, domain, 0, restarts=0, **o),
            lambda **o: decomon.get_adv_box(model, low, high, 0, **o),
            lambda **o: decomon.check_adv_box(model, low, high, 0, **o),
            lambda **o: decomon.get_upper_box(model, low, high, **o),
            lambda **o: decomon.get_lower_box(model, low, high, **o),
            lambda **o: decomon.get_range_box(model, low, high, **o),
            lambda **o: decomon.attack_box(model, low, high, 0, restarts=0, **o),
            lambda **o: decomon.get_upper_box_tuning(model, low, high, steps=1, **o),
            lambda **o: decomon.get_lower_box_tuning(model, low, high, steps=1, **o),
            lambda **o: decomon.get_adv_noise(model, x, 0.1, 0, **o),
            lambda **o: decomon.check_adv_noise(model, x, 0.1, 0, **o),
            lambda **o: decomon.get_upper_noise(model, x, 0.1, **o),
            lambda **o: decomon.get_lower_noise(model, x, 0.1, **o),
            lambda **o: decomon.get_range_noise(model, x, 0.1, **o),
            lambda **o: decomon.attack_noise(model, x, 0.1, 0, restarts=0, **o),
            lambda **o: decomon.refine_box(model, low, high, 2, 0, **o),
            lambda **o: decomon.refine_box(model, low, high, 2, **o),
        ]
        for ask in asks:
            for batch_size, expected in ((2, [2, 4, 5]), (-1, [5]), (9, [5])):
                calls: list[tuple[int, int]] = []
                ask(batch_size=batch_size, progress=lambda *a, calls=calls: calls.append(a))
                assert calls == [(done, 5) for done in expected]
            with pytest.raises(TypeError, match="progress.*Received: 'yes'"):
                ask(progress="yes")

            def interrupt(done: int, total: int) -> None:
                if done == 4:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                ask(batch_size=2, progress=interrupt)
        before = decomon.get_adv_noise(dense_net([4, 6, 5, 3], 3, dtype="float64"), x, 0.1, 0, p=2)
        np.testing.assert_array_equal(decomon.get_adv_noise(model, x, 0.1, 0, p=2), before)

    def test_certificates_count_every_sample_twice(self) -> None:
        calls: list[tuple[int, int]] = []

        def note(done: int, total: int) -> None:
            calls.append((done, total))

        decomon.certify(network(), samples(5), 0, 0.1, batch_size=2, progress=note)
        assert calls == [(done, 10) for done in (2, 4, 5, 7, 9, 10)]
        wrong: Any = 3
        with pytest.raises(TypeError, match="progress.*Received: 3"):
            decomon.certify(network(), samples(5), 0, 0.1, progress=wrong)

        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            decomon.certify(network(), samples(5), 0, 0.1, progress=interrupt)

    @norms
    def test_no_samples(self, p: float) -> None:
        empty = np.zeros((0, 4))
        assert decomon.get_adv_noise(network(), empty, 0.1, 0, p=p).shape == (0,)
        values, points = decomon.check_adv_noise(network(), empty, 0.1, 0, p=p, return_points=True)
        assert values.shape == (0,)
        assert points.shape == (0, 4)
        upper, lower = decomon.get_range_noise(network(), empty, 0.1, p=p)
        assert upper.shape == lower.shape == (0, 3)
        assert decomon.attack_noise(network(), empty, 0.1, 0, p=p).points.shape == (0, 4)
        assert decomon.certify(network(), empty, np.zeros(0, int), 0.1, p=p).verdicts == ()


class TestRadii:
    @norms
    def test_one_per_sample(self, p: float) -> None:
        """Also where the numbers of samples and of features are the same."""
        model, x = network(), samples(4)
        each = np.array([0.0, 0.1, 0.3, 0.6])
        found = decomon.get_adv_noise(model, x, each, 0, p=p)
        alone = [decomon.get_adv_noise(model, x[[i]], each[i], 0, p=p)[0] for i in range(4)]
        assert (np.abs(found - alone) <= room(model, x)[:, 0]).all()
        for form in (each.tolist(), each[:, None], np.repeat(each[:, None], 4, axis=1)):
            np.testing.assert_array_equal(decomon.get_adv_noise(model, x, form, 0, p=p), found)
        real = largest_margin(np.asarray(model(x[:1])), np.zeros(1, int))
        assert abs(found[0] - real[0]) <= room(model, x)[0, 0]

    @norms
    def test_one_per_feature(self, p: float) -> None:
        """A feature of radius 0 stays; stretching the input is stretching the first kernel."""
        with precision("float64"):
            model = keras.Sequential(
                [keras.Input((4,)), layers.Dense(5, activation="relu"), layers.Dense(3)]
            )
            stretched = keras.models.clone_model(model)
        randomise(model, 6)
        radii = np.array([0.4, 0.0, 0.2, 1.0])
        kernel, bias, *rest = model.get_weights()
        x = samples(3)
        moved = kernel * radii[:, None]
        shift = 10.0 * (radii > 0)  # any centre will do
        stretched.set_weights([moved, bias, *rest])
        for i in range(3):
            stretched.layers[0].bias.assign(bias + x[i] @ kernel - shift @ moved)
            expected = decomon.get_adv_noise(stretched, shift[None], 1.0, 0, p=p)
            found = decomon.get_adv_noise(model, x[[i]], radii[None], 0, p=p)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        points = decomon.check_adv_noise(model, x, radii[None], 0, p=p, return_points=True)[1]
        np.testing.assert_array_equal(points[:, 1], x[:, 1])

    @norms
    def test_flattened_samples_radii_and_ranges(self, p: float) -> None:
        model, x = image(), samples(3, (3, 2, 2))
        radii = rng_of(2).uniform(0, 0.5, size=x.shape)
        low, high = x - 0.1, x + 0.2
        expected = decomon.get_adv_noise(model, x, radii, 0, p=p, clip=(low, high))
        flat = (values.reshape(3, -1) for values in (x, radii, low, high))
        points, sizes, *limits = flat
        found = decomon.get_adv_noise(model, points, sizes, 0, p=p, clip=limits)
        np.testing.assert_array_equal(found, expected)


NAMES = ("left", "right")
FORMS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "dict": lambda parts: dict(zip(NAMES, parts, strict=True)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("p", [2, pytest.param(1, marks=pytest.mark.slow), np.inf])
def test_several_inputs(form: Callable[[list[Any]], Any], p: float) -> None:
    """The norm is that of all inputs together; points come in the form of the samples."""
    model = pair()
    x = [samples(4, (3,), 1), samples(4, (2, 2), 2)]
    with precision("float64"):
        flat_model = keras.Sequential(
            [keras.Input((7,)), layers.Dense(5, activation="relu"), layers.Dense(3)]
        )
    flat_model.set_weights(model.get_weights())
    flat = np.concatenate([part.reshape(4, -1) for part in x], axis=1)
    for eps, flat_eps in (
        (0.3, 0.3),
        (form([0.3, 0.1]), np.repeat([[0.3, 0.1]], [3, 4], axis=1)),
        (form([0, np.full((1, 2, 2), 0.2)]), np.repeat([[0, 0.2]], [3, 4], axis=1)),
    ):
        for clip in (None, (0, 1)):
            found = decomon.get_adv_noise(model, form(x), eps, 0, p=p, clip=clip)
            expected = decomon.get_adv_noise(flat_model, flat, flat_eps, 0, p=p, clip=clip)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    values, points = decomon.check_adv_noise(model, form(x), 0.3, 0, p=p, return_points=True)
    attacked = decomon.attack_noise(model, form(x), 0.3, 0, p=p, restarts=1)
    for found in (points, attacked.points):
        assert type(found) is type(form(x))
        given = list(found.values()) if isinstance(found, dict) else list(found)
        assert [part.shape for part in given] == [part.shape for part in x]
        moved = np.concatenate([part.reshape(4, -1) for part in given], axis=1) - flat
        assert (np.linalg.norm(moved, ord=p, axis=1) <= 0.3 * (1 + 1e-12)).all()
    given = list(points.values()) if isinstance(points, dict) else list(points)
    real = largest_margin(np.asarray(model(given)), np.zeros(4, int))
    np.testing.assert_allclose(values, real, rtol=1e-9, atol=1e-9)


def test_a_chosen_output() -> None:
    with precision("float64"):
        x = keras.Input((4,))
        h = layers.Dense(5, activation="relu")(x)
        scores = layers.Dense(3, name="scores")(h)
        model = randomise(keras.Model(x, [layers.Dense(2, name="other")(h), scores]), 4)
    points = samples(3)
    alone = keras.Model(model.inputs, model.outputs[1])
    verified = decomon.clone(model, output="scores")
    for p in NORMS:
        np.testing.assert_array_equal(
            decomon.get_adv_noise(verified, points, 0.2, 0, p=p),
            decomon.get_adv_noise(alone, points, 0.2, 0, p=p),
        )
        both = decomon.get_upper_noise(model, points, 0.2, p=p)
        assert [part.shape for part in both] == [(3, 2), (3, 3)]
        np.testing.assert_allclose(
            decomon.get_upper_noise(verified, points, 0.2, p=p), both[1], rtol=1e-9, atol=1e-9
        )
    attacked = decomon.attack_noise(verified, points, 0.2, 0, p=2)
    real = largest_margin(np.asarray(alone(attacked.points)), np.zeros(3, int))
    np.testing.assert_allclose(attacked.margin, real, rtol=1e-9)
    with pytest.raises(ValueError, match=r"clone\(model, output=.*Received"):
        decomon.get_adv_noise(model, points, 0.2, 0)


RANGES: dict[str, Callable[..., Any]] = {
    "get_range": lambda m, x: decomon.get_range(m, BallDomain(x, 0.1, 2)),
    "get_upper": lambda m, x: decomon.get_upper(m, BallDomain(x, 0.1, 2)),
    "get_lower": lambda m, x: decomon.get_lower(m, BallDomain(x, 0.1, 2)),
    "get_range_box": lambda m, x: decomon.get_range_box(m, x, x),
    "get_upper_box": lambda m, x: decomon.get_upper_box(m, x, x),
    "get_lower_box": lambda m, x: decomon.get_lower_box(m, x, x),
    "get_upper_box_tuning": lambda m, x: decomon.get_upper_box_tuning(m, x, x, steps=1),
    "get_lower_box_tuning": lambda m, x: decomon.get_lower_box_tuning(m, x, x, steps=1),
    "refine_box": lambda m, x: decomon.refine_box(m, x, x),
    "get_range_noise": lambda m, x: decomon.get_range_noise(m, x, 0.1),
    "get_upper_noise": lambda m, x: decomon.get_upper_noise(m, x, 0.1),
    "get_lower_noise": lambda m, x: decomon.get_lower_noise(m, x, 0.1),
}


@pytest.mark.parametrize("ask", RANGES.values(), ids=RANGES.keys())
def test_the_warning_about_logits_names_the_callers_line(ask: Callable[..., Any]) -> None:
    with pytest.warns(LogitsWarning, match="softmax was stripped") as caught:
        ask(image(), samples(1, (3, 2, 2)))
    assert [warning.filename for warning in caught] == [__file__]
    assert "lambda m, x" in open(__file__, encoding="utf8").readlines()[caught[0].lineno - 1]  # noqa: PTH123, SIM115
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask(decomon.clone(image()), samples(1, (3, 2, 2)))
        ask(network(), samples(1))


ASKS: dict[str, Callable[..., Any]] = {
    "get_adv_noise": lambda m, x, eps, **o: decomon.get_adv_noise(m, x, eps, 0, **o),
    "check_adv_noise": lambda m, x, eps, **o: decomon.check_adv_noise(m, x, eps, 0, **o),
    "attack_noise": lambda m, x, eps, **o: decomon.attack_noise(m, x, eps, 0, **o),
    "get_range_noise": decomon.get_range_noise,
    "get_upper_noise": decomon.get_upper_noise,
    "get_lower_noise": decomon.get_lower_noise,
    "certify": lambda m, x, eps, **o: decomon.certify(m, x, 0, eps, **{"clip": None, **o}),
}
X = np.full((2, 4), 0.5)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    **{f"eps={e}": ({"eps": e}, "eps") for e in (-0.1, np.nan, np.inf, "0.1", None, True, 1j)},
    "one eps below 0": ({"eps": [0.1, -0.1]}, "eps"),
    "eps per feature without batch axis": ({"eps": np.full(4, 0.1)}, r"eps.*\(2,\).*\(1, 4\)"),
    "eps of shape (1,)": ({"eps": [0.1]}, r"eps.*\(2,\)"),
    "eps of shape (2, 3)": ({"eps": np.full((2, 3), 0.1)}, r"eps.*\(2, 4\)"),
    "eps of shape (3, 4)": ({"eps": np.full((3, 4), 0.1)}, r"eps.*\(2, 4\)"),
    "ragged eps": ({"eps": [[0.1], [0.1, 0.2]]}, "eps"),
    **{
        f"p={p!r}": ({"p": p}, "p must be 1, 2 or infinity")
        for p in (3, 0, -1, 0.5, 1.5, "2", None, np.nan, -np.inf, True, [2])
    },
    "x=nan": ({"x": np.where(np.arange(8).reshape(2, 4) == 5, np.nan, X)}, r"x.*sample 1.*\(1,\)"),
    "x=inf": ({"x": np.full((2, 4), np.inf)}, "x must be finite"),
    "no batch axis": ({"x": X[0]}, r"x must have the shape \(batch, 4\)"),
    "too many features": ({"x": np.zeros((2, 5))}, r"\(batch, 4\).*\(2, 5\)"),
    "too many axes": ({"x": np.zeros((2, 4, 1))}, r"\(batch, 4\).*\(2, 4, 1\)"),
    "text": ({"x": [["a"] * 4]}, "x must hold real numbers"),
    "crossed clip": ({"clip": (1, 0)}, "clip"),
    "clip of one": ({"clip": (0,)}, "clip"),
    "clip is a number": ({"clip": 1.0}, "clip"),
    "clip is text": ({"clip": "01"}, "clip"),
    "clip=nan": ({"clip": (np.nan, 1)}, "clip"),
    "clip of another shape": ({"clip": (np.zeros((1, 3)), np.ones((1, 3)))}, "clip"),
    "x below clip": (
        {"clip": (0.6, 1)},
        r"x must lie within clip=\(0\.6, 1\.0\).*0\.5 in sample 0",
    ),
    "x above clip": (
        {"clip": (0, 0.4)},
        r"x must lie within clip=\(0\.0, 0\.4\).*0\.5 in sample 0",
    ),
    "pixels of 0 to 255": ({"x": X * 255, "clip": (0, 1)}, "127.5 in sample 0.*"),
    "batch_size=0": ({"batch_size": 0}, "batch_size"),
    "n_sub_boxes=0": ({"n_sub_boxes": 0}, "n_sub_boxes"),
}


@pytest.mark.parametrize(("change", "match"), WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments(change: dict[str, Any], match: str) -> None:
    """A clear error, before anything is computed."""
    model = unused()
    for name, ask in ASKS.items():
        if name == "attack_noise" and "n_sub_boxes" in change:
            continue
        arguments = {"x": X, "eps": 0.1, **change}
        x, eps = arguments.pop("x"), arguments.pop("eps")
        with pytest.raises(ValueError, match=f"(?s)(?=.*{match}).*Received") as caught:
            ask(model, x, eps, **arguments)
        (culprit,) = change.keys() - {"clip" if len(change) > 1 else ""}
        assert culprit in str(caught.value).replace("epsilon", "eps")
    assert decomon.models.verifier_of(model).trace_count == 0


@functools.cache
def unused() -> Any:
    return dense_net([4, 5, 3])


def test_a_wrong_model() -> None:
    for ask in ASKS.values():
        with pytest.raises(TypeError, match="keras.Model.*Received"):
            ask("model", X, 0.1)


class TestCertify:
    @pytest.mark.parametrize("p", [1, 2])
    @clips
    def test_verdicts_agree_with_the_optimum(self, p: float, clip: Any) -> None:
        """In the plane every answer is known, so no verdict may contradict it."""
        model, seen = tiny((2, 4, 3)), set[Verdict]()
        for seed in range(3):
            randomise(model, seed, scale=1.5)
            *rest, bias = model.get_weights()  # all classes meet in the middle
            model.set_weights([*rest, bias - np.asarray(model(np.full((1, 2), 0.5)))[0]])
            x = samples(6, (2,), seed)
            labels = np.asarray(model(x)).argmax(axis=1)
            eye = np.eye(3)
            for eps in (0.02, 0.2, 1.0):
                found = decomon.certify(model, x, labels, eps, p=p, clip=clip)
                for i, verdict in enumerate(found.verdicts):
                    best = max(
                        planar_optimum(
                            matrices(model), x[i], np.full(2, eps), p, clip, eye[j] - eye[labels[i]]
                        )
                        for j in range(3)
                        if j != labels[i]
                    )
                    assert found.lower[i] - 1e-9 <= best <= found.upper[i] + 1e-9
                    if verdict is Verdict.ROBUST:
                        assert best < 0
                    elif verdict is Verdict.NON_ROBUST:
                        assert best >= -1e-12
                    else:
                        assert verdict is Verdict.UNKNOWN
                seen |= set(found.verdicts)
        assert {Verdict.ROBUST, Verdict.NON_ROBUST} <= seen

    def test_a_certificate_of_a_larger_norm_holds_for_a_smaller_one(self) -> None:
        model, x = network(), samples(8)
        labels = np.asarray(model(x)).argmax(axis=1)
        counts = []
        for p in NORMS:
            verdicts = decomon.certify(model, x, labels, 0.15, p=p).verdicts
            counts.append(sum(v is Verdict.ROBUST for v in verdicts))
        assert counts == sorted(counts, reverse=True)
        assert math.prod(counts) > 0
