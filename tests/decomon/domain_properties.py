"""What holds for every kind of set, as checks that the tests of each kind apply to their sets.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    @given(subject=...)
    def test_properties(check, subject):
        check(subject)

Sums of products of a type with unit roundoff u have errors: ``room`` bounds them, so that nothing
else can hide behind a tolerance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from decomon.bounds import AffineBound
from decomon.domains import Domain
from decomon.rounding import gamma
from tests.decomon.helpers import Array, rng_of, tf

SPEC = 4
COUNT = 40


@dataclass(frozen=True)
class Subject:
    """A set under test.

    ``domain``: shaped, so it has NumPy parameters.  ``terms``: how many numbers a feature of a
    point is a sum of.  ``peak``: the sum of their absolute values at most, ``(batch, *shape)``;
    the larger end of the interval by default.
    """

    domain: Domain
    terms: int = 2
    peak: Array | None = None
    seed: int = 0

    @property
    def tensors(self) -> Domain:
        return self.domain.rebuild(*(tf.constant(np.asarray(v)) for v in self.domain.tensors()))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.domain.center().shape)[1:]

    @property
    def dtype(self) -> Any:
        return np.asarray(self.domain.tensors()[0]).dtype

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def ends(self) -> tuple[Array, Array]:
        interval = self.domain.interval()
        return wide(interval.lower), wide(interval.upper)

    def point_room(self) -> Array:
        """Errors of the features of a point, ``(batch, *shape)``."""
        low, high = self.ends()
        peak = np.maximum(abs(low), abs(high)) if self.peak is None else wide(self.peak)
        return gamma(8 * (self.terms + 4), self.dtype) * peak

    def room(self, weights: Array) -> Array:
        """Errors of linear functions, ``(batch, spec)``."""
        share = self.point_room() * (1 + self.size / (self.terms + 4))
        return dot(abs(wide(weights)), share[:, None])

    def weights(self, rows: int = SPEC) -> Array:
        rng = rng_of(self.seed)
        shape = (len(self.domain), rows, *self.shape)
        sparse = rng.integers(0, 2, size=(len(self.domain), rows, *self.shape))
        return (rng.normal(size=shape) * sparse).astype(self.dtype)

    def samples(self) -> Any:
        return self.tensors.sample(COUNT, self.seed)


def wide(values: Any) -> Array:
    return np.asarray(values).astype(np.float64)


def dot(weights: Any, points: Any) -> Array:
    """Sum over the features of ``(batch, spec, *shape)``."""
    product = wide(weights) * wide(points)
    return product.reshape(*product.shape[:2], -1).sum(axis=2)


def all_values(weights: Any, points: Any) -> Array:
    """Every row at every point, ``(batch, spec, count)``."""
    rows, columns = wide(weights), wide(points)
    rows = rows.reshape(*rows.shape[:2], -1)
    columns = columns.reshape(*columns.shape[:2], -1)
    return np.einsum("bsn,bcn->bsc", rows, columns)


def maximum(domain: Domain, weights: Any) -> Array:
    """The maximum of linear functions over the set."""
    tensor = tf.constant(weights)
    zero = tf.zeros(tensor.shape[:2], tensor.dtype)
    return wide(domain.concretize(AffineBound(tensor, zero)))


def some_scores(domain: Domain, weights: Any) -> Any:
    tensor = tf.constant(weights)
    return domain.scores(tensor, tf.ones(tensor.shape[:2], tensor.dtype))


def check_maximum(subject: Subject) -> None:
    """It is attained at the maximizer, and no point is above it."""
    domain, weights = subject.tensors, subject.weights()
    offset = rng_of(subject.seed + 1).normal(size=weights.shape[:2]).astype(subject.dtype)
    bound = AffineBound(tf.constant(weights), tf.constant(offset))
    highest = wide(domain.concretize(bound)) - offset
    room = subject.room(weights) + 4 * np.finfo(subject.dtype).eps * abs(offset)
    where = domain.maximizer(bound.weights)
    assert where.shape == weights.shape
    assert (abs(dot(weights, where) - highest) <= room).all()
    assert (all_values(weights, subject.samples()) <= (highest + room)[..., None]).all()


def check_rows_shared_by_the_batch(subject: Subject) -> None:
    """Rows with a batch axis of 1 stand for the same rows in every sample."""
    domain, weights = subject.tensors, subject.weights()[:1]
    repeated = np.repeat(weights, len(domain), axis=0)
    shared = maximum(domain, weights)
    assert (abs(shared - maximum(domain, repeated)) <= subject.room(repeated)).all()


def check_gradient(subject: Subject) -> None:
    """The gradient with respect to the weights is a point that attains the maximum."""
    weights = tf.constant(subject.weights())
    with tf.GradientTape() as tape:
        tape.watch(weights)
        highest = subject.tensors.concretize(
            AffineBound(
                weights,
                tf.zeros(weights.shape[:2])
                if weights.dtype == tf.float32
                else tf.zeros(weights.shape[:2], tf.float64),
            )
        )
    gradient = tape.gradient(highest, weights)
    assert np.isfinite(gradient).all()
    assert (abs(dot(weights, gradient) - wide(highest)) <= subject.room(weights.numpy())).all()


def check_members(subject: Subject) -> None:
    """Points that the set gives are its own."""
    domain = subject.tensors
    weights = tf.constant(subject.weights())
    assert domain.contains(domain.maximizer(weights)).numpy().all()
    assert domain.contains(domain.center()[:, None]).numpy().all()
    points = subject.samples()
    assert points.shape == (len(domain), COUNT, *subject.shape)
    assert domain.contains(points).numpy().all()
    np.testing.assert_array_equal(points, subject.samples())
    low, high = subject.ends()
    if (high - low > 8 * subject.point_room()).any():
        assert (points != domain.sample(COUNT, subject.seed + 1)).numpy().any()


def check_strangers(subject: Subject) -> None:
    """Points that some linear function separates from the set are not in it."""
    domain, weights = subject.tensors, subject.weights()
    rng = rng_of(subject.seed + 2)
    points = wide(domain.center()[:, None]) + rng.normal(size=(len(domain), COUNT, *subject.shape))
    points = points.astype(subject.dtype)
    tests = np.concatenate([weights, wide(points) - wide(domain.project(tf.constant(points)))], 1)
    above = all_values(tests, points) - maximum(domain, tests.astype(subject.dtype))[..., None]
    outside = (above > 8 * subject.room(tests)[..., None]).any(axis=1)
    assert not domain.contains(tf.constant(points)).numpy()[outside].any()
    spoilt = points[:, :1].copy()
    spoilt.reshape(len(domain), -1)[:, 0] = np.nan
    assert not domain.contains(tf.constant(spoilt)).numpy().any()
    spoilt.reshape(len(domain), -1)[:, 0] = np.inf
    assert not domain.contains(tf.constant(spoilt)).numpy().any()


def check_projection(subject: Subject) -> None:
    """It lies in the set, no sampled point is nearer, and members stay where they are."""
    domain = subject.tensors
    members = subject.samples()
    rng = rng_of(subject.seed + 3)
    low, high = subject.ends()
    spread = np.maximum(high - low, subject.point_room() * 100)[:, None]
    for scale in (0.3, 3.0):
        moves = scale * spread * rng.normal(size=(len(domain), 7, *subject.shape))
        points = tf.constant((wide(members[:, :7]) + moves).astype(subject.dtype))
        found = domain.project(points)
        assert found.shape == points.shape
        assert domain.contains(found).numpy().all()
        axes = tuple(range(3, 3 + len(subject.shape)))
        near = np.sqrt(((wide(points) - wide(found)) ** 2).sum(axis=tuple(a - 1 for a in axes)))
        others = wide(points)[:, :, None] - wide(members)[:, None]
        nearest = np.sqrt((others**2).sum(axis=axes)).min(axis=2)
        room = np.sqrt((subject.point_room() ** 2).reshape(len(domain), -1).sum(axis=1))
        assert (near <= nearest * (1 + 1e-6) + 2 * room[:, None]).all()
    moved = abs(wide(domain.project(members)) - wide(members))
    distance = np.sqrt((moved**2).reshape(len(domain), COUNT, -1).sum(axis=2))
    limit = np.sqrt((subject.point_room() ** 2).reshape(len(domain), -1).sum(axis=1))
    assert (distance <= 2 * limit[:, None]).all()


def check_inside(subject: Subject) -> None:
    """Points that rounding moved come back, exactly, in the set's own type."""
    domain = subject.domain
    points = wide(subject.samples())
    spoilt = points * (1 + 1e-6 * rng_of(subject.seed + 4).normal(size=points.shape))
    for moved in (points.astype(np.float32), points.astype(np.float16), spoilt):
        for i in range(2):
            found = domain.inside(moved[:, i])
            assert isinstance(found, np.ndarray)
            assert found.dtype == subject.dtype
            assert found.shape == points[:, i].shape
            assert np.asarray(domain.contains(tf.constant(found[:, None]))).all()
            np.testing.assert_allclose(found, points[:, i], rtol=0.1, atol=0.1)


def check_interval(subject: Subject) -> None:
    """No smaller box holds the set."""
    domain = subject.tensors
    low, high = subject.ends()
    points, room = wide(subject.samples()), subject.point_room()
    assert (points >= (low - room)[:, None]).all()
    assert (points <= (high + room)[:, None]).all()
    each = np.eye(subject.size).reshape(1, subject.size, *subject.shape)
    each = np.repeat(each, len(domain), axis=0).astype(subject.dtype)
    flat = room.reshape(len(domain), -1) * (1 + subject.size)
    assert (abs(maximum(domain, each) - high.reshape(flat.shape)) <= flat).all()
    assert (abs(maximum(domain, -each) + low.reshape(flat.shape)) <= flat).all()


def check_split(subject: Subject) -> None:
    """The halves cover the set and nothing else, whatever the cut."""
    domain, weights = subject.tensors, subject.weights()
    scores = some_scores(domain, weights)
    assert scores.shape[0] == len(domain)
    assert np.isfinite(scores).all()
    assert (np.asarray(scores) >= 0).all()
    points = subject.samples()
    random = rng_of(subject.seed + 5).uniform(size=scores.shape).astype(subject.dtype)
    for cut in (scores, tf.constant(random), tf.zeros_like(scores)):
        left, right = domain.split(cut)
        assert (left.contains(points) | right.contains(points)).numpy().all()
        largest = np.maximum(maximum(left, weights), maximum(right, weights))
        room = subject.room(weights)
        assert (abs(largest - maximum(domain, weights)) <= room).all()


def check_repeated_split(subject: Subject) -> None:
    """Halving again and again leaves a set in which a linear function hardly varies."""
    domain, weights = subject.tensors, subject.weights(1)
    rng = rng_of(subject.seed + 6)
    room = subject.room(weights)[:, 0]

    def variation(part: Domain) -> Array:
        return (maximum(part, weights) + maximum(part, -weights))[:, 0]

    start = widths = variation(domain)
    for _ in range(80):
        domain = domain.split(some_scores(domain, weights))[rng.integers(2)]
        halved = variation(domain)
        assert (halved <= widths + room).all()
        widths = halved
    assert (widths <= 0.02 * start + 10 * room).all()


def check_outer(subject: Subject) -> None:
    """The set of rounded points is covered, with little room, and exactly: in double precision."""
    domain, weights = subject.tensors, wide(subject.weights())
    each = np.eye(subject.size).reshape(1, subject.size, *subject.shape)
    each = np.repeat(each, len(domain), axis=0)
    weights = np.concatenate([weights, each, -each], axis=1)
    points = np.concatenate(
        [subject.samples(), domain.maximizer(tf.constant(weights, domain.center().dtype))], 1
    )
    for chain in (
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float32),
        (np.float32, np.float64),
    ):
        rounded = points
        for dtype in chain:
            rounded = rounded.astype(dtype)
        for given in (subject.domain, domain):
            outer = given.outer(*chain)
            assert all(t.dtype == chain[-1] for t in outer.tensors())
            highest = maximum(outer.as_tensors(tf.float64), weights)
            exact = gamma(8 * (subject.size + subject.terms), np.float64)
            tiny = exact * dot(
                abs(weights), (subject.point_room() / gamma(1, subject.dtype))[:, None]
            )
            assert (all_values(weights, rounded) <= (highest + tiny)[..., None]).all()
            units = sum(np.finfo(t).eps for t in (*chain, subject.dtype))
            peak = subject.point_room() / gamma(1, subject.dtype)
            loss = 2 * units * dot(abs(weights), peak[:, None]) + 1e-4
            assert (highest <= maximum(domain, weights.astype(subject.dtype)) + loss).all()
        nearest = domain.nearest(*chain)
        assert all(t.dtype == chain[-1] for t in nearest.tensors())
        loss = loss + subject.room(weights)
        near = maximum(nearest.as_tensors(tf.float64), weights)
        assert (abs(near - maximum(domain, weights.astype(subject.dtype))) <= loss).all()


def check_round_trips(subject: Subject) -> None:
    """Parameters, samples and shapes survive."""
    domain, weights = subject.domain, subject.weights()
    highest = maximum(domain, weights)
    for same in (
        domain.rebuild(*domain.tensors()),
        domain.shaped(subject.shape),
        subject.tensors,
        subject.tensors.shaped(subject.shape),
    ):
        assert same.kind == domain.kind
        assert len(same) == len(domain)
        for one, other in zip(same.tensors(), domain.tensors(), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(maximum(same, weights), highest)
    backwards = np.arange(len(domain))[::-1]
    for chosen in (backwards, slice(0, 1), np.arange(len(domain)) == 0):
        some = domain[chosen]
        assert len(some) == len(highest[chosen])
        room = subject.room(weights)[chosen]
        assert (abs(maximum(some, weights[chosen]) - highest[chosen]) <= room).all()
    hash(domain.kind)
    specs = domain.specs(subject.shape, tf.as_dtype(subject.dtype))
    for spec, values in zip(specs, subject.tensors.tensors(), strict=True):
        assert spec.is_compatible_with(values)
        assert spec.shape[0] is None


def check_compiled(subject: Subject) -> None:
    """One trace serves every batch, with the results of eager mode."""
    domain, dtype = subject.tensors, tf.as_dtype(subject.dtype)
    specs = domain.specs(subject.shape, dtype)
    rows = tf.TensorSpec([None, None, *subject.shape], dtype)
    traces: list[int] = []

    def everything(part: Domain, weights: Any) -> tuple[Any, ...]:
        bound = AffineBound(weights, tf.zeros(tf.shape(weights)[:2], weights.dtype))
        points = part.sample(3, 1)
        scores = part.scores(weights, tf.ones(tf.shape(weights)[:2], weights.dtype))
        left, right = part.split(scores)
        return (
            part.concretize(bound),
            left.concretize(bound),
            right.concretize(bound),
            part.maximizer(weights),
            part.center(),
            points,
            part.project(points + 1),
            part.interval().lower,
            part.interval().upper,
            scores,
        ), part.contains(points)

    @tf.function(input_signature=[*specs, rows], autograph=False)
    def compiled(*tensors: Any) -> Any:
        traces.append(1)
        return everything(domain.rebuild(*tensors[:-1]), tensors[-1])

    for part in (domain, domain[:1]):
        weights = tf.constant(subject.weights()[: len(part)])
        values, members = compiled(*part.tensors(), weights)
        expected, _ = everything(part, weights)
        assert members.numpy().all()
        scale = 1 + (subject.point_room() / gamma(1, subject.dtype)).max() * subject.size
        for value, wanted in zip(values, expected, strict=True):
            np.testing.assert_allclose(
                value, wanted, atol=1e3 * np.finfo(subject.dtype).eps * scale
            )
    assert len(traces) == 1


CHECKS: tuple[Callable[[Subject], None], ...] = (
    check_maximum,
    check_rows_shared_by_the_batch,
    check_gradient,
    check_members,
    check_strangers,
    check_projection,
    check_inside,
    check_interval,
    check_split,
    check_repeated_split,
    check_outer,
    check_round_trips,
    check_compiled,
)
