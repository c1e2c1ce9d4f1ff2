"""Balls cut by boxes, against independent convex solvers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from decomon.bounds import AffineBound
from decomon.domains.ball import BallDomain
from decomon.domains.box import BoxDomain
from tests.decomon.helpers import Array, rng_of, tf

NORMS = (1, 2)
DTYPES = (np.float32, np.float64)
KINDS = ("inner", "border", "free", "constant", "tiny", "huge", "split")
quick = settings(max_examples=10, deadline=None, derandomize=True, database=None)


def make(p: Any, kind: str, dtype: Any = np.float64, seed: int = 0, shape: Any = (2, 3)) -> Any:
    """Return random balls as tensors: cut by a box in some way, or not at all."""
    rng = rng_of(seed)
    batch = 3
    x = rng.uniform(0, 1, (batch, *shape)).astype(dtype)
    eps: Any = rng.uniform(0.1, 1, (batch, *shape)).astype(dtype)
    clip: Any = (np.zeros(shape, dtype), np.ones(shape, dtype))
    if kind == "border":
        x = np.round(x)
    elif kind == "free":
        clip = None
    elif kind == "constant":
        eps = eps * rng.integers(0, 2, eps.shape).astype(dtype)
        eps[0] = 0
    elif kind == "tiny":
        eps = eps * dtype(1e-5)
    elif kind == "huge":
        eps = eps * dtype(1e6)
    domain: Any = BallDomain(x, eps, p, clip)
    domain = domain.rebuild(*map(tf.constant, domain.tensors()))
    if kind == "split":
        for _ in range(4):
            cuts = tf.constant(rng.uniform(size=(batch, x[0].size)))
            domain = domain.split(cuts)[rng.integers(2)]
    return domain


def weights_of(domain: Any, seed: int = 1, spec: int = 5) -> Array:
    rng = rng_of(seed)
    shape = (len(domain), spec, *domain.x.shape[1:])
    weights = rng.normal(size=shape) ** 3 * rng.integers(0, 4, size=shape).clip(max=1)
    weights[:, 0] = 0
    return weights.astype(domain.x.dtype.as_numpy_dtype)


def concretize(domain: Any, weights: Array) -> Array:
    offset = tf.zeros(weights.shape[:2], weights.dtype)
    return domain.concretize(AffineBound(tf.constant(weights), offset)).numpy()


def parameters(domain: Any) -> tuple[Array, ...]:
    flat = [np.asarray(values, np.float64).reshape(len(domain), -1) for values in domain.tensors()]
    return tuple(flat)


def optimum(p: int, w: Array, x: Array, eps: Array, low: Array, high: Array) -> float:
    """Maximise ``w . x'`` for one sample and one row, in float64, by another way than decomon."""
    moving = eps > 0
    fixed = float(w[~moving] @ x[~moving])
    w, x, eps, low, high = (values[moving] for values in (w, x, eps, low, high))
    if not moving.any():
        return fixed
    a, b = np.maximum((low - x) / eps, -1), np.minimum((high - x) / eps, 1)
    gain = w * eps
    if p == 1:
        size = len(gain)
        # x' = x + eps (up - down)
        found = linprog(
            np.concatenate([-gain, gain]),
            A_ub=np.vstack(
                [
                    np.ones(2 * size),
                    np.hstack([np.eye(size), -np.eye(size)]),
                    np.hstack([-np.eye(size), np.eye(size)]),
                ]
            ),
            b_ub=np.concatenate([[1], b, -a]),
            bounds=(0, None),
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        assert found.success, found.message
        return fixed + float(w @ x) - found.fun
    # The scale t of clip(t gain, a, b) is bisected in its logarithm.
    begin, end = -60.0, 60.0
    for _ in range(200):
        middle = (begin + end) / 2
        over = np.square(np.clip(np.exp(middle) * gain, a, b)).sum() > 1
        begin, end = (begin, middle) if over else (middle, end)
    return fixed + float(w @ x + gain @ np.clip(np.exp(begin) * gain, a, b))


def optima(domain: Any, weights: Array) -> Array:
    rows = weights.reshape(*weights.shape[:2], -1).astype(np.float64)
    values = zip(*parameters(domain), strict=True)
    return np.array(
        [[optimum(domain.p, row, *one) for row in of] for of, one in zip(rows, values, strict=True)]
    )


def scale_of(domain: Any, weights: Array) -> Array:
    """Return how large the terms of each sum are, at most."""
    x, eps, low, high = parameters(domain)
    reach = np.maximum(np.abs(low), np.abs(high)) + np.abs(x) * (eps > 0)
    rows = np.abs(weights.reshape(*weights.shape[:2], -1).astype(np.float64))
    return (rows @ reach[:, :, None])[:, :, 0] + 1e-300


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", NORMS)
def test_maximum_is_the_one_of_a_convex_solver(p: int, kind: str, dtype: Any) -> None:
    for seed in range(4):
        domain = make(p, kind, dtype, seed)
        weights = weights_of(domain, seed)
        got, best = concretize(domain, weights), optima(domain, weights)
        size = scale_of(domain, weights)
        unit = np.finfo(dtype).eps
        solver = 1e-9 if p == 1 else 1e-13
        assert (got >= best - (16 * unit + solver) * size).all()
        # Close to a tip of the ball, the radius left is a root of the budget left.
        loose = np.sqrt(unit) if kind == "split" else 32 * unit
        assert (got <= best + (loose + solver) * size).all()
        zero = ~weights.any(axis=(2, 3))
        np.testing.assert_allclose(got[zero], 0, atol=0)


@pytest.mark.parametrize("seed", range(5))
def test_maximum_over_a_cut_ball_of_norm_two_is_the_one_of_slsqp(seed: int) -> None:
    domain = make(2, "split" if seed % 2 else "inner", seed=seed, shape=(4,))
    weights = weights_of(domain, seed, spec=2)[:, 1:]
    got = concretize(domain, weights)
    for i, (x, eps, low, high) in enumerate(zip(*parameters(domain), strict=True)):
        w = weights[i, 0].astype(np.float64)

        def left(z: Array, x: Array = x, eps: Array = eps) -> Any:
            return 1 - np.square((z - x) / eps).sum()

        found = minimize(
            lambda z, w=w: -w @ z,
            domain.center().numpy()[i],
            bounds=list(zip(low, high, strict=True)),
            constraints={"type": "ineq", "fun": left},
            method="SLSQP",
            options={"ftol": 1e-13, "maxiter": 500},
        )
        np.testing.assert_allclose(got[i, 0], -found.fun, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("size", [0.02, 0.3, 4.0, 30.0])
def test_maximum_in_many_dimensions(p: int, size: float) -> None:
    rng = rng_of(3)
    n = 900
    x = rng.uniform(0, 1, (2, n)) * rng.integers(0, 2, (2, n))
    domain: Any = BallDomain(x, size, p, (0, 1))
    domain = domain.rebuild(*map(tf.constant, domain.tensors()))
    weights = rng.normal(size=(2, 4, n)) ** np.array([1, 3, 5, 1])[:, None]
    best = optima(domain, weights)
    np.testing.assert_allclose(concretize(domain, weights), best, rtol=1e-9)
    single = domain.as_tensors(tf.float32)
    got = concretize(single, weights.astype(np.float32))
    np.testing.assert_allclose(got, best, atol=(1e-5 * scale_of(domain, weights)).max())


@given(st.integers(0, 10**6), st.sampled_from(NORMS), st.sampled_from(KINDS))
@quick
def test_properties_of_random_balls(seed: int, p: int, kind: str) -> None:
    for dtype in DTYPES:
        domain = make(p, kind, dtype, seed, shape=(seed % 6 + 1,))
        weights = weights_of(domain, seed)
        room = 64 * np.finfo(dtype).eps * scale_of(domain, weights)
        upper = concretize(domain, weights)
        assert np.isfinite(upper).all()
        box = BoxDomain(*domain.clip)
        assert (upper <= concretize(box, weights)).all()
        points = domain.sample(40, seed=seed)
        assert domain.contains(points).numpy().all()
        values = np.einsum("bsn,bcn->bsc", weights.astype(np.float64), points.numpy())
        assert (values <= (upper + room)[:, :, None]).all()
        best = domain.maximizer(tf.constant(weights))
        assert domain.contains(best).numpy().all()
        attained = np.einsum("bsn,bsn->bs", weights.astype(np.float64), best.numpy())
        assert (attained <= upper + room).all()
        if kind != "split" and kind != "tiny":
            np.testing.assert_allclose(attained, upper, atol=2e-5 if dtype == np.float32 else 1e-9)
        hull = domain.interval()
        assert (hull.lower <= points.numpy().min(axis=1)).numpy().all()
        assert (hull.upper >= points.numpy().max(axis=1)).numpy().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", NORMS)
def test_interval_is_the_maximum_of_each_coordinate(p: int, kind: str) -> None:
    for seed in range(3):
        domain = make(p, kind, seed=seed, shape=(5,))
        eye = np.tile(np.eye(5), (len(domain), 1, 1))
        hull = domain.interval()
        np.testing.assert_allclose(hull.upper, concretize(domain, eye), atol=1e-7, rtol=1e-12)
        np.testing.assert_allclose(hull.lower, -concretize(domain, -eye), atol=1e-7, rtol=1e-12)
        assert (hull.upper.numpy() >= optima(domain, eye) - 1e-9).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", NORMS)
def test_gradient_is_the_maximizer(p: int, kind: str) -> None:
    domain = make(p, kind, seed=5)
    weights = tf.constant(weights_of(domain, 5)[:, 1:])
    offset = tf.zeros(weights.shape[:2], weights.dtype)
    given = domain.tensors()
    with tf.GradientTape() as tape:
        tape.watch((weights, given))
        total = tf.reduce_sum(domain.rebuild(*given).concretize(AffineBound(weights, offset)))
    of_weights, of_domain = tape.gradient(total, (weights, given))
    assert all(np.isfinite(values).all() for values in of_domain)
    # Where a weight is 0, the maximiser is any point.
    counts = weights.numpy() != 0
    where = domain.maximizer(weights).numpy()
    np.testing.assert_allclose(of_weights.numpy()[counts], where[counts], atol=1e-6)


@pytest.mark.parametrize("p", NORMS)
def test_gradient_of_the_radius_is_the_slope(p: int) -> None:
    rng = rng_of(2)
    x, clip = rng.uniform(0.2, 0.8, (1, 6)), (0.0, 1.0)
    weights = tf.constant(rng.normal(size=(1, 3, 6)))
    offset = tf.zeros((1, 3), weights.dtype)

    def value(eps: Any) -> Any:
        low, high = tf.maximum(clip[0], x - eps), tf.minimum(clip[1], x + eps)
        full = eps + tf.zeros_like(x)
        ball = BallDomain(x, 1.0, p).rebuild(tf.constant(x), full, low, high)
        return tf.reduce_sum(ball.concretize(AffineBound(weights, offset)))

    for size in (0.1, 0.5, 0.9):
        eps = tf.constant(size, tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(eps)
            at = value(eps)
        slope = (value(eps + 1e-6) - value(eps - 1e-6)) / 2e-6
        np.testing.assert_allclose(tape.gradient(at, eps), slope, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", NORMS)
def test_projection_is_the_nearest_point(p: int, kind: str) -> None:
    for dtype in DTYPES:
        domain = make(p, kind, dtype, seed=7)
        rng = rng_of(1)
        sizes = np.array([0.1, 1, 3, 10, 100, 1000])[:, None, None]
        points = tf.constant((rng.normal(size=(3, 6, 2, 3)) * sizes).astype(dtype))
        nearest = domain.project(points)
        assert domain.contains(nearest).numpy().all()
        inner = domain.sample(30, seed=4)
        np.testing.assert_array_equal(domain.project(inner), inner)
        # A point is nearest if and only if no direction into the set is at less than 90 degrees.
        away = (points - nearest).numpy().astype(np.float64)
        reach = optima(domain, away)
        at = (away * nearest.numpy()).sum(axis=(2, 3))
        slack = 1e-7 if dtype == np.float64 else 1e-4
        if kind == "split":
            slack *= 100
        assert (reach - at <= slack * (1 + np.abs(away).sum(axis=(2, 3)))).all()


@pytest.mark.parametrize("p", NORMS)
def test_halves_cover_the_set_and_are_not_empty(p: int) -> None:
    rng = rng_of(4)
    domains = [make(p, "inner", seed=9), make(p, "border", np.float32, seed=9)]
    for _ in range(5):
        halves = []
        for domain in domains:
            scores = rng.uniform(size=(3, 6))
            left, right = domain.split(tf.constant(scores))
            points = domain.sample(100, seed=2)
            assert (left.contains(points) | right.contains(points)).numpy().all()
            for half in (left, right):
                assert half.contains(half.center()[:, None]).numpy().all()
                assert domain.contains(half.sample(20, seed=1)).numpy().all()
            hull = domain.interval()
            chosen = (np.arange(6) == scores.argmax(axis=1)[:, None]).reshape(3, 2, 3)
            middle = ((hull.lower + hull.upper) / 2).numpy()[chosen]
            np.testing.assert_allclose(left.clip[1].numpy()[chosen], middle, rtol=1e-6)
            np.testing.assert_allclose(right.clip[0].numpy()[chosen], middle, rtol=1e-6)
            halves += [left, right]
        domains = [halves[i] for i in rng.choice(len(halves), 2, replace=False)]


@pytest.mark.parametrize("p", NORMS)
def test_halves_never_have_a_larger_maximum(p: int) -> None:
    domain = make(p, "inner", seed=3)
    weights = weights_of(domain, 2)
    importance = tf.ones(weights.shape[:2], weights.dtype)
    whole = concretize(domain, weights)
    scores = domain.scores(tf.constant(weights), importance)
    assert scores.shape == (3, 6)
    parts = [concretize(half, weights) for half in domain.split(scores)]
    assert (np.maximum(*parts) <= whole + 1e-12).all()
    np.testing.assert_allclose(np.maximum(*parts), whole, atol=1e-7)
    assert (np.minimum(*parts)[:, 1:].sum(axis=1) < whole[:, 1:].sum(axis=1)).all()


@pytest.mark.parametrize("kind", ["inner", "border", "free", "constant", "tiny", "huge"])
@pytest.mark.parametrize("p", NORMS)
def test_outer_contains_all_rounded_points(p: int, kind: str) -> None:
    for dtypes in [(np.float32,), (np.float16, np.float32), (np.float32, np.float64)]:
        exact = make(p, kind, np.float64, seed=6)
        if kind == "huge" and np.float16 in dtypes:
            continue  # beyond its range
        outer = exact.outer(*dtypes)
        assert outer.x.dtype == dtypes[-1]
        points = exact.sample(200, seed=0).numpy()
        corners = exact.maximizer(tf.constant(rng_of(0).normal(size=(3, 50, 2, 3)))).numpy()
        for seen in (points, corners):
            for dtype in dtypes:
                seen = seen.astype(dtype)
            assert outer.contains(tf.constant(seen)).numpy().all()
        nearest = exact.nearest(*dtypes)
        assert nearest.x.dtype == dtypes[-1]
        constant = exact.eps.numpy() == 0
        np.testing.assert_array_equal(outer.clip[0].numpy()[constant], outer.x.numpy()[constant])
        np.testing.assert_array_equal(outer.clip[1].numpy()[constant], outer.x.numpy()[constant])


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("spacings", [0.3, 1.0, 3.0, 30.0])
def test_outer_contains_points_that_rounding_moves_out(p: int, spacings: float) -> None:
    """Radii of a few float32 numbers, around centres that are none."""
    rng = rng_of(4)
    x = rng.uniform(0.5, 1, size=(40, 3))
    eps = spacings * 2.0**-24 * rng.uniform(1, 2, size=x.shape)
    ball = BallDomain(x, eps, p)
    signs = rng.choice([-1.0, 1.0], size=(40, 60, 3)) * rng.integers(0, 2, size=(40, 60, 3))
    axes = np.repeat(np.concatenate([np.eye(3), -np.eye(3)])[None], 40, axis=0)
    rows = tf.constant(np.concatenate([signs, axes], axis=1))
    points = ball.as_tensors(tf.float64).maximizer(rows).numpy()
    outer = ball.outer(np.float32)
    assert outer.contains(tf.constant(points.astype(np.float32))).numpy().all()


@pytest.mark.parametrize("p", NORMS)
def test_outer_is_hardly_larger(p: int) -> None:
    x = rng_of(0).uniform(size=(2, 784))
    eps = np.full((1, 784), 0.5)
    eps[:, 0] = 1e-9  # less than rounding errors; it must not enlarge the others
    outer: Any = BallDomain(x, eps, p, (0, 1)).outer(np.float32, np.float32)
    growth = outer.eps.numpy()[:, 1:] / 0.5
    assert (growth > 1).all()
    assert (growth < 1 + 784 * 2.0**-22).all()
    width = outer.interval().upper - outer.interval().lower
    assert (width.numpy()[:, 0] < 1e-6).all()


@pytest.mark.parametrize("kind", ["inner", "border", "free", "constant", "tiny", "huge"])
@pytest.mark.parametrize("p", NORMS)
def test_inside_is_contained_and_close(p: int, kind: str) -> None:
    for dtype in DTYPES:
        tensors = make(p, kind, dtype, seed=8)
        domain = tensors.rebuild(*(values.numpy() for values in tensors.tensors()))
        target = tensors.maximizer(tf.constant(weights_of(tensors, 3))).numpy()[:, 1]
        for moved in (target.astype(np.float32), target * (1 + 1e-7), target.astype(np.float64)):
            got = domain.inside(moved)
            assert isinstance(got, np.ndarray)
            assert got.dtype == dtype
            assert got.shape == moved.shape
            assert domain.contains(tf.constant(got)[:, None]).numpy().all()
            np.testing.assert_allclose(got, moved, atol=2e-5)
        center = domain.inside(domain.x)
        np.testing.assert_array_equal(center, domain.x)


@pytest.mark.parametrize("p", NORMS)
def test_contains_is_the_definition(p: int) -> None:
    domain = BallDomain(np.array([[0.5, 0.0]]), np.array([[0.5, 0.0]]), p, (0, 1))
    inner = [[[1.0, 0.0], [0.0, 0.0], [0.5, 0.0]]]
    outer = [[[np.nextafter(1, 2), 0.0], [0.5, 1e-30], [-1e-300, 0], [np.nan, 0]]]
    assert domain.contains(tf.constant(inner, tf.float64)).numpy().all()
    assert not domain.contains(tf.constant(outer, tf.float64)).numpy().any()
    corner = BallDomain(np.zeros((1, 2)), 1, p).contains(tf.constant([[[0.6, 0.6], [0.8, 0.8]]]))
    np.testing.assert_array_equal(corner, [[p == 2, False]])


def test_samples_reach_the_boundary_and_depend_on_the_seed_only() -> None:
    for p in NORMS:
        domain = make(p, "inner", shape=(50,))
        points = domain.sample(60, seed=3).numpy()
        np.testing.assert_array_equal(points, domain.sample(60, seed=3))
        assert (points != domain.sample(60, seed=4).numpy()).any()
        x, eps, low, high = (values.numpy()[:, None] for values in domain.tensors())
        level = (np.abs((points - x) / eps) ** p).sum(axis=2)
        assert (level.max(axis=1) > 1 - 1e-9).all()
        assert (level.min(axis=1) < 0.5).all()
        moved = (points != x).sum(axis=2)
        assert moved.min() < 5
        assert moved.max() > 40
        assert ((points == low) | (points == high)).any()


def test_infinity_is_a_box() -> None:
    x = rng_of(0).uniform(size=(3, 4))
    eps = np.array([0.1, 0.2, 0.3])
    ball = BallDomain(x, eps, clip=(0, 1))
    box = ball.shaped((4,))
    assert type(box) is BoxDomain
    exact = np.clip(x - eps[:, None], 0, 1), np.clip(x + eps[:, None], 0, 1)
    np.testing.assert_allclose(box.x_min, exact[0], atol=1e-15)
    np.testing.assert_allclose(box.x_max, exact[1], atol=1e-15)
    assert ball.separable
    assert not BallDomain(x, eps, 2).separable
    # Compiled code gets the ball itself.
    weights = rng_of(1).normal(size=(3, 2, 4))
    np.testing.assert_array_equal(concretize(ball, weights), concretize(box, weights))
    for name in ("interval", "center"):
        getattr(ball, name)()
    assert ball.contains(ball.sample(5, 0)).numpy().all()


@pytest.mark.parametrize(
    ("eps", "expected"),
    [
        (0.25, np.full((2, 2, 3), 0.25)),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0])[:, None, None] * np.ones((2, 2, 3))),
        (np.arange(6.0).reshape(1, 2, 3), np.tile(np.arange(6.0).reshape(1, 2, 3), (2, 1, 1))),
        (np.array([[[1.0], [2.0]]]), np.tile([[1.0], [2.0]], (2, 1, 3))),
    ],
)
def test_radii_per_sample_and_per_feature(eps: Any, expected: Array) -> None:
    x = rng_of(0).uniform(size=(2, 2, 3))
    for given_x in (x, x.reshape(2, 6)):
        if np.ndim(eps) == 3 and eps.shape[-1] == 1 and given_x.ndim == 2:
            continue  # broadcasting needs the shape
        domain: Any = BallDomain(given_x, eps, 2).shaped((2, 3))
        np.testing.assert_array_equal(domain.eps, expected)
        np.testing.assert_array_equal(domain.x, x)
        assert all(values.shape == (2, 2, 3) for values in domain.tensors())
    assert len(domain) == 2
    assert len(domain[1:]) == 1


def test_hull_is_rounded_outward() -> None:
    rng = rng_of(0)
    x = rng.normal(size=(1, 1000)).astype(np.float32)
    eps = rng.uniform(1e-3, 1, size=(1, 1000)).astype(np.float32)
    low, high = BallDomain(x, eps, 2).clip
    wide, radius = x.astype(np.longdouble), eps.astype(np.longdouble)
    assert (low <= wide - radius).all()
    assert (high >= wide + radius).all()
    np.testing.assert_allclose(low, wide - radius, rtol=0, atol=4e-7)


def test_what_is_no_ball_is_refused() -> None:
    x = np.full((2, 3), 0.5)
    for p in (3, 0, -1, True, "2", None, float("nan"), 1.5):
        with pytest.raises(ValueError, match=r"p must be 1, 2 or infinity.*Received: p="):
            BallDomain(x, 0.1, p)
    for eps, words in [
        (-0.1, "at least 0.*Received: eps=-0.1"),
        ([0.1, -0.2], "at least 0.*Received.*-0.2"),
        (np.nan, "eps must be finite.*Received: eps=nan"),
        (np.inf, "eps must be finite"),
        (np.ones(3), r"eps\[None\], of shape \(1, 3\).*Received: eps of shape \(3,\)"),
        (np.ones((3, 3)), "Received: eps of shape"),
        ("wide", "eps must hold real numbers"),
    ]:
        with pytest.raises(ValueError, match=words):
            BallDomain(x, eps, 2)
    for clip, words in [
        ((0.6, 1.0), r"x must lie within clip=\(0.6, 1.0\).*Received: 0.5 in sample 0"),
        ((1.0, 0.0), "low <= high"),
        (3, "pair"),
        ((0, 1, 2), "pair"),
        ((0, np.nan), "NaN"),
        ((np.zeros(4), 1), "broadcast"),
    ]:
        with pytest.raises(ValueError, match=words):
            BallDomain(x, 0.1, 2, clip)
    with pytest.raises(ValueError, match="x must be finite"):
        BallDomain(np.array([[np.nan]]), 0.1, 2)
    with pytest.raises(ValueError, match="batch axis"):
        BallDomain(0.5, 0.1, 2)
    with pytest.raises(ValueError, match="x must have the shape"):
        BallDomain(x, 0.1, 2).shaped((4,))


def test_a_sample_on_the_border_of_a_clip_of_another_type_is_accepted() -> None:
    low, high = -0.42421296, 2.8214867
    x = np.array([[low, high]], np.float32)
    assert BallDomain(x, 0.1, 2, (low, high)).contains(tf.constant(x)[:, None]).numpy().all()


@pytest.mark.parametrize("p", [*NORMS, np.inf])
def test_compiled_code_has_a_free_batch_and_no_fixed_radius(p: Any) -> None:
    dtype = tf.float32
    specs = BallDomain(np.zeros((1, 2, 3)), 1, p).specs((2, 3), dtype)
    rows = tf.TensorSpec([None, None, 2, 3], dtype)
    template = BallDomain(np.zeros((1, 2, 3)), 1, p)

    def everything(x: Any, eps: Any, low: Any, high: Any, weights: Any) -> Any:
        domain = template.rebuild(x, eps, low, high)
        bound = AffineBound(weights, tf.zeros(tf.shape(weights)[:2]))
        scores = domain.scores(tf.abs(weights), tf.ones(tf.shape(weights)[:2]))
        halves = domain.split(scores + tf.zeros_like(tf.reshape(x, [-1, 6])))
        return (
            domain.concretize(bound),
            domain.contains(domain.maximizer(weights)),
            domain.contains(domain.project(domain.maximizer(weights) * 2)),
            domain.contains(domain.sample(4, 0)),
            domain.interval().lower,
            [half.concretize(bound) for half in halves],
        )

    compiled = tf.function(everything, input_signature=[*specs, rows], autograph=False)
    for batch, eps in [(1, 0.1), (3, 0.2), (4, 2.0)]:
        x = rng_of(batch).uniform(size=(batch, 2, 3)).astype(np.float32)
        domain = BallDomain(x, np.float32(eps), p, (0, 1)).as_tensors(dtype)
        weights = tf.constant(rng_of(1).normal(size=(batch, 5, 2, 3)), dtype)
        given: Any = (*domain.tensors(), weights)
        got, expected = compiled(*given), everything(*given)
        for one, other in zip(tf.nest.flatten(got), tf.nest.flatten(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        assert all(np.asarray(flags).all() for flags in got[1:4])
    assert compiled.experimental_get_tracing_count() == 1
    single = compiled(*given[:-1], weights[:1])[0]
    assert single.shape == (4, 5)


def test_symbolic_parameters_are_brought_to_shape() -> None:
    @tf.function(autograph=False)
    def upper(x: Any, eps: Any, weights: Any) -> Any:
        domain = BallDomain(x, eps, 2, (0.0, 1.0))
        return domain.concretize(AffineBound(weights, tf.zeros(tf.shape(weights)[:2])))

    x = rng_of(0).uniform(size=(2, 3)).astype(np.float32)
    weights = rng_of(1).normal(size=(2, 4, 3)).astype(np.float32)
    for eps in (np.float32(0.3), np.array([0.1, 0.5], np.float32), np.full((1, 3), 0.2, "f")):
        got = upper(tf.constant(x), tf.constant(eps), tf.constant(weights))
        domain: Any = BallDomain(x, eps, 2, (0, 1))
        np.testing.assert_allclose(got, optima(domain, weights), rtol=1e-5)


def test_a_weight_that_is_not_a_number_is_not_hidden() -> None:
    for p in NORMS:
        domain = make(p, "inner")
        weights = weights_of(domain)
        weights[0, 1, 0, 0] = np.nan
        got = concretize(domain, weights)
        assert np.isnan(got[0, 1])
        assert np.isfinite(got[1:]).all()


def test_balls_of_different_norms_are_of_different_kinds() -> None:
    x = np.zeros((1, 2))
    assert len({BallDomain(x, 1, p).kind for p in (1, 2, np.inf)}) == 3
    assert BallDomain(x, 1, 2).kind == BallDomain(x + 1, 3.0, 2.0).kind
