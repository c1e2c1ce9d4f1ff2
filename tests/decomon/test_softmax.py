"""Softmax, log-sum-exp and the thresholds of sparsemax: exact images, sound and tight planes.

Everything is checked in extended precision, against the numbers that the bounds consist of, with
no tolerance: the ops move their bounds outward by their own rounding errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.bounds import Gathered, Interval, Mixed
from decomon.models import SLOPES
from decomon.ops import NonlinearOp
from decomon.ops.elementwise.curves import SIGMOID
from decomon.ops.logsumexp import LogSumExp
from decomon.ops.narrow import Narrow
from decomon.ops.simplex import LogSoftmaxImage
from decomon.ops.softmax import OnSimplex, Softmax
from decomon.ops.sparsemax import SparsemaxImage, Threshold
from decomon.ops.summed_sparsemax import SummedImage, SummedThreshold
from tests.decomon.boxes import (
    WIDE,
    as_interval,
    points_of,
    random_parameters,
    vector_boxes,
    wide,
)
from tests.decomon.helpers import Array, keras, layers, rng_of, tf

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
SIZES = pytest.mark.parametrize("n", [1, 2, 3, 5, 17])
RULE = SLOPES["volume-slope"]


def softmax(x: Any) -> Any:
    terms = np.exp(x - x.max(axis=-1, keepdims=True))
    return terms / terms.sum(axis=-1, keepdims=True)


def log_sum_exp(x: Any) -> Any:
    most = x.max(axis=-1)
    return most + np.log(np.exp(x - most[..., None]).sum(axis=-1))


def threshold(x: Any) -> Any:
    """By bisection: the sum of what exceeds it is one."""
    low, high = x.max(axis=-1) - 1, x.max(axis=-1)
    for _ in range(70):
        middle = (low + high) / 2
        above = np.maximum(x - middle[..., None], 0).sum(axis=-1) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return (low + high) / 2


def summed_threshold(x: Any) -> Any:
    ordered = -np.sort(-x, axis=-1)
    sums = np.cumsum(ordered, axis=-1)
    support = ordered > (sums - 1) / np.arange(1, x.shape[-1] + 1)
    return ((sums * support).sum(axis=-1) - 1) / support.sum(axis=-1)


def sparsemax(x: Any) -> Any:
    return np.maximum(x - threshold(x)[..., None], 0)


def summed_sparsemax(x: Any) -> Any:
    return np.maximum(x - summed_threshold(x)[..., None], 0)


OPS: dict[str, tuple[NonlinearOp, Callable[[Any], Any]]] = {
    "softmax": (Softmax(), softmax),
    "log-sum-exp": (LogSumExp(), log_sum_exp),
    "threshold": (Threshold(), threshold),
    "summed": (SummedThreshold(), summed_threshold),
}
EACH = pytest.mark.parametrize("name", OPS)
IMAGES: dict[str, tuple[Narrow, Callable[[Any], Any]]] = {
    "log-softmax": (LogSoftmaxImage(), lambda x: x - log_sum_exp(x)[..., None]),
    "sparsemax": (SparsemaxImage(), sparsemax),
    "summed": (SummedImage(), summed_sparsemax),
}


def planes(
    op: NonlinearOp, box: Interval, parameters: tuple[Any, ...]
) -> tuple[Any, Any, Any, Any]:
    """Lower slopes and offsets, upper slopes and offsets."""
    found: Any = op.relax([box], op.project(parameters))
    found = found.planes if isinstance(found, OnSimplex) else found
    assert isinstance(found, Gathered | Mixed)
    lower, upper = (found.lower_slope, found.lower_offset), (found.upper_slope, found.upper_offset)
    a, b, c, d = wide(*lower, *upper)
    return a, b, c, d


def start(op: NonlinearOp, box: Interval) -> tuple[Any, ...]:
    return tuple(p[:, None] for p in op.initial([box], RULE))


def at(slope: Any, offset: Any, x: Any) -> Any:
    """Planes ``(batch, spec, ..., n)`` at points ``(count, batch, n)``."""
    equation = "bsik,pbk->pbsi" if slope.ndim == 4 else "bsk,pbk->pbs"
    return np.einsum(equation, slope, x) + offset


def center(low: Array, high: Array) -> Any:
    return (low.astype(WIDE) + high.astype(WIDE))[None] / 2


@EACH
@SIZES
@DTYPES
def test_planes_and_images_are_valid(name: str, n: int, dtype: str) -> None:
    op, function = OPS[name]
    low, high = vector_boxes(n, dtype)
    box, x = as_interval(low, high), points_of(low, high, 200)
    value = function(x)
    # Bisection ends an ulp of its largest number from the threshold.
    own = 2 * np.finfo(WIDE).eps * (1 + np.abs(x).max(axis=-1)) if "threshold" in name else 0.0
    least, most = wide(*(lambda i: (i.lower, i.upper))(op.interval(box)))
    assert np.isfinite(least).all()
    assert np.isfinite(most).all()
    assert (value >= least - own).all()
    assert (value <= most + own).all()
    first = op.initial([box], RULE)
    for parameters in (start(op, box), random_parameters(first, 3)):
        found = planes(op, box, parameters)
        assert all(np.isfinite(part).all() for part in found)
        wanted = np.expand_dims(value, 2)
        room = np.expand_dims(own, 2) if isinstance(own, np.ndarray) else own
        assert (at(*found[:2], x) <= wanted + room).all()
        assert (at(*found[2:], x) >= wanted - room).all()


@pytest.mark.parametrize("name", IMAGES)
@SIZES
@DTYPES
def test_images_are_valid_and_attained(name: str, n: int, dtype: str) -> None:
    op, function = IMAGES[name]
    low, high = vector_boxes(n, dtype)
    found = op.image(as_interval(low, high))
    least, most = wide(found.lower, found.upper)
    value = function(points_of(low, high, 200))
    own = 4 * np.finfo(WIDE).eps * (1 + np.maximum(np.abs(low), np.abs(high)).max(axis=-1))
    assert (value >= least - own[:, None]).all()
    assert (value <= most + own[:, None]).all()
    if name == "summed":  # jumps: only the range over all sizes of the support is known
        return
    check_attained(function, low, high, least, most)


def check_attained(
    function: Callable[[Any], Any], low: Array, high: Array, least: Any, most: Any
) -> None:
    """Each end belongs to a corner: the own argument at one end, all others at the other."""
    n = low.shape[-1]
    eye = np.eye(n, dtype=bool)
    a, b = low.astype(WIDE)[:, None], high.astype(WIDE)[:, None]
    lowest = np.einsum("bii->bi", function(np.where(eye, a, b)))
    highest = np.einsum("bii->bi", function(np.where(eye, b, a)))
    size = np.maximum(np.abs(low), np.abs(high)).max(axis=-1, keepdims=True) + 1
    room = 8 * (n + 8) * float(np.finfo(low.dtype).eps) * size
    assert (lowest - least <= room).all()
    assert (most - highest <= room).all()


@SIZES
@DTYPES
def test_the_image_of_softmax_is_attained(n: int, dtype: str) -> None:
    low, high = vector_boxes(n, dtype)
    found = Softmax().interval(as_interval(low, high))
    check_attained(softmax, low, high, *wide(found.lower, found.upper))


@EACH
@SIZES
def test_planes_are_never_wider_than_the_image_at_the_centre(name: str, n: int) -> None:
    """The volume below a plane over a box is its value at the centre."""
    op, _ = OPS[name]
    low, high = vector_boxes(n, "float64")
    box = as_interval(low, high)
    found = planes(op, box, start(op, box))
    image = op.interval(box)
    least, most = wide(image.lower, image.upper)
    middle = center(low, high)
    size = (np.maximum(np.abs(low), np.abs(high)).sum(axis=-1) + 1).reshape(
        -1, *[1] * (least.ndim - 1)
    )
    room = 64 * (n + 12) ** 2 * np.finfo("float64").eps * size
    assert (at(*found[:2], middle)[0, :, 0] >= least - room).all()
    assert (at(*found[2:], middle)[0, :, 0] <= most + room).all()


@pytest.mark.parametrize("n", [2, 3, 6])
def test_softmax_is_not_looser_than_its_naive_bounds(n: int) -> None:
    """Wei et al. 2023: chords of the exponential, tangents of the log-sum-exp, at the centre."""
    low, high = vector_boxes(n, "float64")
    keep = np.maximum(np.abs(low), np.abs(high)).max(axis=-1) < 100
    low, high = low[keep], high[keep]
    box = as_interval(low, high)
    found = planes(Softmax(), box, start(Softmax(), box))
    middle = center(low, high)[0]
    lower, upper = (at(*part, middle[None])[0, :, 0] for part in (found[:2], found[2:]))
    image = Softmax().interval(box)
    least, most = wide(image.lower, image.upper)
    # Upper: the chord of exp over the logarithms of the probabilities.
    log_value, log_least, log_most = (np.log(v) for v in (softmax(middle), least, most))
    width = log_most - log_least
    share = np.where(width > 0, (log_value - log_least) / np.where(width > 0, width, 1), 0)
    naive_upper = least + (most - least) * share
    room = 1e-11
    assert (upper <= naive_upper + room).all()
    # Lower: the own exponential over the sum of all chords.
    chords = (np.exp(low.astype(WIDE)) + np.exp(high.astype(WIDE))) / 2
    naive_lower = np.exp(middle) / chords.sum(axis=-1, keepdims=True)
    assert (lower >= naive_lower - room).all()


def test_two_entries_are_bounded_as_a_sigmoid_of_their_difference() -> None:
    low, high = vector_boxes(2, "float64")
    keep = np.maximum(np.abs(low), np.abs(high)).max(axis=-1) < 100
    low, high = low[keep], high[keep]
    low[:, 1] = high[:, 1]  # only then is the difference's box the box
    box = as_interval(low, high)
    lower_slope, lower_offset, upper_slope, upper_offset = planes(
        Softmax(), box, start(Softmax(), box)
    )
    difference = as_interval(low[:, :1] - high[:, 1:], high[:, :1] - low[:, 1:])
    lines = SIGMOID.relax([difference], start(SIGMOID, difference))
    middle = center(low, high)
    (z,) = wide(difference.center)
    slopes = wide(lines.lower_slope, lines.upper_slope)
    offsets = wide(0.0 if lines.lower_offset is None else lines.lower_offset, lines.upper_offset)
    for k, (slope, offset) in enumerate(((lower_slope, lower_offset), (upper_slope, upper_offset))):
        got = at(slope, offset, middle)[0, :, 0, 0]
        line = (
            slopes[k][:, 0] * z + offsets[k][..., 0, :] if offsets[k].ndim else slopes[k][:, 0] * z
        )
        assert (np.abs(got - line[:, 0]) <= 1e-10).all()


@pytest.mark.parametrize("name", ["log-sum-exp", "threshold"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_lower_planes_touch_the_convex_function_at_the_centre(name: str, n: int) -> None:
    op, function = OPS[name]
    low, high = vector_boxes(n, "float64")
    box = as_interval(low, high)
    found = planes(op, box, start(op, box))
    middle = center(low, high)
    size = np.maximum(np.abs(low), np.abs(high)).sum(axis=-1) + 1
    gap = function(middle)[0] - at(*found[:2], middle)[0, :, 0]
    assert (gap <= 64 * (n + 12) ** 2 * np.finfo("float64").eps * size).all()


def test_the_threshold_is_exact_where_the_support_is_fixed() -> None:
    rng = rng_of(0)
    center_ = np.array([[1.0, 0.8, -3.0], [0.0, 0.2, 0.1], [5.0, 1.0, 1.0]])
    low, high = center_ - 0.05 * rng.uniform(size=(3, 3)), center_ + 0.05 * rng.uniform(size=(3, 3))
    box = as_interval(low, high)
    found = planes(Threshold(), box, start(Threshold(), box))
    x = points_of(low, high, 100)
    for part in (found[:2], found[2:]):
        assert (np.abs(at(*part, x)[:, :, 0] - threshold(x)) <= 1e-12).all()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_adding_up_to_one_is_used(n: int) -> None:
    """Rows with one coefficient are exact; others are never looser at the centre, and sound."""
    low, high = vector_boxes(n, "float64")
    keep = np.maximum(np.abs(low), np.abs(high)).max(axis=-1) < 100
    low, high = low[keep], high[keep]
    box = as_interval(low, high)
    relaxed = Softmax().relax([box], start(Softmax(), box))
    rng = rng_of(5)
    rows = rng.normal(size=(len(low), 8, n)) + 3 * rng.normal(size=(1, 8, 1))
    rows[:, 0] = 2.5
    (sent,), offset = relaxed.substitute(tf.constant(rows))
    (plain,), plain_offset = relaxed.planes.substitute(tf.constant(rows))
    middle = center(low, high)[0][:, None]
    got = (wide(sent)[0] * middle).sum(axis=-1) + wide(offset)[0]
    naive = (wide(plain)[0] * middle).sum(axis=-1) + wide(plain_offset)[0]
    assert (got <= naive + 1e-11).all()
    assert (got < naive - 1e-2).any() or n == 1
    assert (np.abs(got[:, 0] - 2.5) <= 1e-12).all()
    x = points_of(low, high, 200)
    value = np.einsum("bsn,pbn->pbs", rows, softmax(x))
    bound = np.einsum("bsn,pbn->pbs", wide(sent)[0], x) + wide(offset)[0]
    assert (bound >= value - 1e-12).all()


def test_rows_may_be_the_same_for_all_samples() -> None:
    low, high = vector_boxes(3, "float32")
    box = as_interval(low, high)
    relaxed = Softmax().relax([box], start(Softmax(), box))
    rows = rng_of(0).normal(size=(1, 4, 3)).astype("float32")
    once = relaxed.substitute(tf.constant(rows))
    each = relaxed.substitute(tf.constant(np.repeat(rows, len(low), axis=0)))
    np.testing.assert_allclose(once[0][0], each[0][0], atol=1e-6)
    np.testing.assert_allclose(once[1], each[1], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log-sum-exp", "threshold"])
def test_gradients_reach_the_parameters(name: str) -> None:
    op, _ = OPS[name]
    rng = rng_of(3)
    low = rng.normal(size=(4, 3))
    box = as_interval(low, low + rng.uniform(0.5, 3, size=(4, 3)))
    parameters = tuple(p + 0.1 * (0.5 - p) for p in start(op, box))
    parameters = tuple(tf.identity(p + 0.05) for p in parameters)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        relaxed: Any = op.relax([box], parameters)
        shape = (4, 2, 3) if name == "softmax" else (4, 2)
        rows = tf.constant(rng.normal(size=shape))
        sent, offset = relaxed.substitute(rows)
        total = tf.reduce_sum(tf.nn.relu(sent[0])) + tf.reduce_sum(offset)
    for gradient in tape.gradient(total, parameters):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


def test_the_installed_sparsemax_is_recognised() -> None:
    """Whichever threshold the installed Keras has, the network is what Keras computes."""
    from decomon.graph import from_keras

    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Activation("sparsemax")(x))
    points = rng_of(0).normal(size=(200, 4)).astype("float32") * 0.5
    got = np.asarray(from_keras(model)(tf.constant(points)))
    assert (np.abs(got - np.asarray(model(points))) <= 1e-6).all()


def test_a_single_entry_is_certain() -> None:
    x = keras.Input((3, 1))
    model = keras.Model(x, layers.Dense(2)(layers.Flatten()(layers.Softmax()(x))))
    point = rng_of(0).normal(size=(2, 3, 1)).astype("float32")
    upper, lower = decomon.get_range_box(model, point - 0.1, point + 0.1)
    np.testing.assert_allclose(upper, np.asarray(model(point)), rtol=1e-5)
    np.testing.assert_allclose(lower, np.asarray(model(point)), rtol=1e-5)
