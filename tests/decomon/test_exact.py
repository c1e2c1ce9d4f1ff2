"""Bounds against the exact optimum of tiny networks, and against another implementation."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import decomon
from decomon.certify import METHODS
from tests.decomon.helpers import (
    Array,
    dense_net,
    margin_rows,
    matrices,
    randomise,
    rng_of,
    rounding,
)
from tests.decomon.oracles import DenseCrown, forward, optimum

TINY = [(2, 3, 3), (3, 4, 2), (2, 2, 2, 3), (1, 3, 2, 2)]
# Linear programs are solved to this feasibility (the default of HiGHS), in units of the constraint.
FEASIBILITY = 1e-7


@functools.cache
def network(widths: tuple[int, ...]) -> Any:
    return dense_net(widths, dtype="float64")


@functools.cache
def verified(widths: tuple[int, ...], method: str, finetune: bool) -> decomon.DecomonModel:
    return decomon.clone(network(widths), method=method, finetune=finetune, finetune_steps=8)


def tiny_case(widths: tuple[int, ...], seed: int) -> tuple[Any, Array, Array]:
    """New weights for the network of these widths (the compiled engine stays) and a few boxes."""
    model = randomise(network(widths), seed, scale=1.5)
    rng = rng_of(seed + 1000)
    center = rng.normal(size=(3, widths[0]))
    radius = np.array([0.1, 0.5, 2.0])[:, None] * rng.uniform(0.2, 1, size=center.shape)
    return model, center - radius, center + radius


def exact(model: Any, x_min: Array, x_max: Array, pairs: list[tuple[int, int]]) -> Array:
    """The largest ``f_j - f_i`` over all pairs (i, j), for every box."""
    eye = np.eye(model.output_shape[-1])
    return np.array(
        [
            max(optimum(matrices(model), low, high, eye[j] - eye[i]) for i, j in pairs)
            for low, high in zip(x_min, x_max, strict=True)
        ]
    )


def check(
    widths: tuple[int, ...], seed: int, variants: list[tuple[str, bool]], **labels: Any
) -> None:
    model, x_min, x_max = tiny_case(widths, seed)
    classes = widths[-1]
    sources = np.atleast_1d(labels["source_labels"]).ravel().tolist()
    targets = labels.get("target_labels")
    targets = range(classes) if targets is None else np.atleast_1d(targets).ravel().tolist()
    pairs = [(i, j) for i in sources for j in targets if j not in sources]
    best = exact(model, x_min, x_max, pairs)
    weight = np.prod([np.abs(kernel).sum(axis=0).max() for kernel, _ in matrices(model)])
    slack = rounding(model, x_min, x_max, "float64") + FEASIBILITY * (1 + weight)
    arrays: dict[str, Any] = {
        key: np.tile(np.atleast_2d(value), (3, 1)) if np.ndim(value) else value
        for key, value in labels.items()
    }
    for method, finetune in variants:
        checked = verified(widths, method, finetune)
        for n_sub_boxes in (1, 4):
            upper = decomon.get_adv_box(checked, x_min, x_max, n_sub_boxes=n_sub_boxes, **arrays)
            assert (best <= upper + slack).all(), (method, finetune, n_sub_boxes, best - upper)
        lower = decomon.check_adv_box(checked, x_min, x_max, **arrays)
        assert (lower <= best + slack).all(), (method, finetune, lower - best)


@pytest.mark.parametrize("widths", TINY)
@pytest.mark.parametrize("seed", range(2))
def test_optimum_lies_between_the_bounds(widths: tuple[int, ...], seed: int) -> None:
    variants = [("crown", False), *([("forward-hybrid", True)] if len(widths) == 4 else [])]
    check(widths, seed, variants, source_labels=seed % 2)


@pytest.mark.slow
@pytest.mark.parametrize("widths", TINY)
@pytest.mark.parametrize("seed", range(2, 20))
def test_optimum_lies_between_the_bounds_of_every_method(
    widths: tuple[int, ...], seed: int
) -> None:
    every = [(method, tune) for method in METHODS for tune in (False, True)]
    check(widths, seed, every, source_labels=seed % widths[-1])


@pytest.mark.parametrize("seed", range(3))
def test_optimum_with_targets_and_several_sources(seed: int) -> None:
    one = [("crown", False)]
    check((2, 3, 3), seed, one, source_labels=0, target_labels=2)
    check((2, 3, 3), seed, one, source_labels=[0, 2])
    check((2, 3, 3), seed, one, source_labels=[0, 2], target_labels=[1, 2])


def test_bounds_are_exact_where_no_neuron_is_unstable() -> None:
    """On boxes so small that the network is affine, both bounds meet at the optimum."""
    model = dense_net([3, 5, 4, 3], seed=5, dtype="float64")
    center = rng_of(0).normal(size=(20, 3))
    x_min, x_max = center - 1e-4, center + 1e-4
    stable = []
    for low, high in zip(x_min, x_max, strict=True):
        crown = DenseCrown(matrices(model), low, high, inside="crown")
        stable.append(all(((a >= 0) | (b <= 0)).all() for a, b in crown.pre))
    kept = np.array(stable)
    assert kept.sum() > 10
    x_min, x_max = x_min[kept], x_max[kept]
    upper = decomon.get_adv_box(model, x_min, x_max, 0)
    lower = decomon.check_adv_box(model, x_min, x_max, 0)
    assert (np.abs(upper - lower) <= rounding(model, x_min, x_max, "float64")).all()


NETS = [(3, 6, 3), (4, 8, 7, 3), (3, 6, 5, 6, 4), (5, 6, 6, 6, 6, 3)]


FAST = [(NETS[2], ("crown", "crown")), (NETS[1], ("crown-ibp", "ibp")), (NETS[0], ("ibp", "ibp"))]
SAME = [("crown", "crown"), ("crown-ibp", "ibp"), ("ibp", "ibp")]


@pytest.mark.parametrize(
    ("widths", "method", "inside"),
    [
        pytest.param(net, *pair, marks=[] if (net, pair) in FAST else pytest.mark.slow)
        for net in NETS
        for pair in SAME
    ],
)
def test_equal_to_another_implementation(widths: tuple[int, ...], method: str, inside: str) -> None:
    model = dense_net(widths, dtype="float64")
    verified_model = decomon.clone(model, method=method)
    for seed in range(6):
        randomise(model, seed)
        center = rng_of(seed).normal(size=(3, widths[0]))
        radius = np.array([0.05, 0.3, 1.0])[:, None]
        x_min, x_max = center - radius, center + radius
        source = np.array([forward(matrices(model), x).argmax() for x in center])
        rows = margin_rows(widths[-1], source)
        ours = decomon.get_adv_box(verified_model, x_min, x_max, source)
        theirs = []
        for i in range(3):
            oracle = DenseCrown(matrices(model), x_min[i], x_max[i], inside=inside)
            bound = oracle.intervals if method == "ibp" else oracle.margins
            theirs.append(bound(rows[i]).max())
        error = 2 * rounding(model, x_min, x_max, "float64")
        assert (np.abs(ours - np.array(theirs)) <= error).all(), ours - np.array(theirs)


def test_intermediate_bounds_contain_every_layer() -> None:
    model = dense_net([4, 6, 5, 3], seed=2, dtype="float64")
    x_min, x_max = rng_of(1).normal(size=(2, 4)), None
    x_max = x_min + 0.3
    found = decomon.clone(model).intermediate_bounds(decomon.BoxDomain(x_min, x_max))
    for seed in range(50):
        x = rng_of(seed).uniform(x_min, x_max)
        for layer in model.layers:
            x = np.asarray(layer(x))
            interval = found[layer.name]
            assert (x >= np.asarray(interval.lower) - 1e-12).all()
            assert (x <= np.asarray(interval.upper) + 1e-12).all()
