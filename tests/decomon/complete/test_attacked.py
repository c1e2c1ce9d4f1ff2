"""What complete verification says of larger networks, where the truth is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import decomon
from decomon import Verdict
from tests.decomon.complete.networks import centres, weigh
from tests.decomon.helpers import Array, ascend, keras, layers, margin_rows
from tests.decomon.reference import FOLDER, network

needs_reference = pytest.mark.skipif(not FOLDER.is_dir(), reason="no reference networks")

STEPS = 100
RESTARTS = 12  # of each of nine targets: 10,800 steps for each image


@needs_reference
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp_tuto3", "conv_small"])
def test_no_proof_is_refuted_by_a_long_attack(name: str) -> None:
    model, x, y = network(name)
    x, y = x[:30].astype(np.float32), y[:30]
    side = np.float32(0.03)
    x_min, x_max = np.clip(x - side, 0, 1), np.clip(x + side, 0, 1)
    found = decomon.verify_box(model, x_min, x_max, y, timeout=300)
    status = np.array(found.status)
    proven = status == Verdict.ROBUST
    assert proven.sum() >= 5
    rows = margin_rows(10, y[proven])
    for target in range(rows.shape[1]):
        values, _ = ascend(
            model, x_min[proven], x_max[proven], rows[:, target], steps=STEPS, restarts=RESTARTS
        )
        assert (values < 0).all(), (target, np.flatnonzero(proven)[values >= 0], values.max())
        assert (values <= found.upper[proven] + 1e-4 * np.abs(found.upper[proven])).all()
    broken = np.flatnonzero(status == Verdict.NON_ROBUST)
    for sample in broken:
        point = found.counterexample[sample]
        assert (x_min[sample] <= point).all()
        assert (point <= x_max[sample]).all()
        logits = np.asarray(model(point[None].astype(np.float32), training=False))[0]
        assert logits.argmax() != y[sample]


STEEPER = {"sigmoid": 4.0}
"""Relative to the others, whose curves bend within a smaller range."""


def curved(activation: str) -> Any:
    """A network whose curves are far from straight lines over the sets below."""
    hidden = [layers.Dense(8, activation=activation) for _ in range(2)]
    model = weigh(keras.Sequential([keras.Input((3,)), *hidden, layers.Dense(3)]), 1)
    weights = model.get_weights()
    gain = 4 * STEEPER.get(activation, 1.0)
    model.set_weights([gain * weights[0], gain * weights[1], *weights[2:]])
    return model


def critical(model: Any, x: Array, source: Array) -> Array:
    """Largest radii that bounds alone prove, by bisection."""
    low, high = np.zeros(len(x)), np.full(len(x), 0.5)
    for _ in range(10):
        middle = (low + high) / 2
        proven = decomon.get_adv_noise(model, x, middle, source, clip=(0, 1)) < 0
        low, high = np.where(proven, middle, low), np.where(proven, high, middle)
    return low


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "gelu"])
def test_branching_proves_more_than_bounds_alone(activation: str) -> None:
    model = curved(activation)
    bounded = decomon.clone(model, method="crown", finetune=True)
    x = centres(model, 12, 3)
    source = np.asarray(model(x)).argmax(axis=1)
    radii = critical(bounded, x, source)
    eps = np.concatenate([radii * factor for factor in (0.95, 1.01, 1.1, 1.3)])
    many, labels = np.tile(x, (4, 1)), np.tile(source, 4)
    alone = decomon.get_adv_noise(bounded, many, eps, labels, clip=(0, 1)) < 0
    found = decomon.verify_noise(model, many, eps, np.inf, (0, 1), labels, timeout=40)
    proven = np.array([status == Verdict.ROBUST for status in found.status])
    broken = np.array([status == Verdict.NON_ROBUST for status in found.status])
    assert alone.any()
    assert (proven | ~alone).all()  # nothing is lost
    assert proven.sum() > alone.sum()
    lower = decomon.check_adv_noise(model, many, eps, labels, clip=(0, 1))
    assert not (proven & (lower >= 0)).any()
    for sample in np.flatnonzero(broken):
        point = found.counterexample[sample]
        assert (np.abs(point.astype(np.float64) - many[sample]) <= eps[sample] + 1e-15).all()
        logits = np.asarray(model(point[None].astype(np.float32), training=False))[0]
        assert logits.argmax() != labels[sample] or logits.max() == np.sort(logits)[-2]
