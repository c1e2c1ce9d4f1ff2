"""Memory budgets cut the work into pieces and never change the answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import decomon
from tests.decomon.helpers import boxes, dense_net, rounding
from tests.decomon.zoo import build

ROOT = Path(__file__).parents[2]
LIMIT = 64 * 2**20


def limited(model: Any, rows: int, samples: int, *args: Any, **options: Any) -> Any:
    """A verifier with room for a few rows and samples at a time."""
    verified = decomon.clone(model, *args, **options)
    verified.verifier.row_limit = rows
    verified.verifier.sample_limit = samples
    return verified


@pytest.mark.parametrize(
    ("name", "method", "rows"),
    [
        ("image", "crown", 1),
        ("residual", "forward-hybrid", 3),
        pytest.param("image", "crown-forward-affine", 2, marks=pytest.mark.slow),
        pytest.param("residual", "crown", 4, marks=pytest.mark.slow),
        pytest.param("flat_image", "crown", 5, marks=pytest.mark.slow),
    ],
)
def test_few_rows_and_samples_at_a_time(name: str, method: str, rows: int) -> None:
    model = build(name, seed=1)
    x_min, x_max = boxes(model, 5, 0.5, dtype="float64")
    error = rounding(model, x_min, x_max, "float64")
    source = np.arange(5) % 3
    small = limited(model, rows, 2, method)
    usual = decomon.clone(model, method)
    for n_sub_boxes in (1, 3):
        a, b = (
            decomon.get_adv_box(v, x_min, x_max, source, n_sub_boxes=n_sub_boxes)
            for v in (small, usual)
        )
        assert (np.abs(a - b) <= error).all()
    for a, b in zip(
        decomon.get_range_box(small, x_min, x_max),
        decomon.get_range_box(usual, x_min, x_max),
        strict=True,
    ):
        assert (np.abs(a - b) <= error[:, None]).all()
    values, points = decomon.check_adv_box(small, x_min, x_max, source, return_points=True)
    assert points.shape == x_min.shape
    assert (values <= decomon.get_adv_box(usual, x_min, x_max, source) + error).all()


@pytest.mark.slow
def test_tuning_a_few_rows_at_a_time() -> None:
    model = dense_net([4, 8, 8, 3], seed=1)
    x_min, x_max = boxes(model, 5, 0.5)
    small = limited(model, 3, 2, finetune=True, finetune_steps=3)
    tuned = decomon.get_adv_box(small, x_min, x_max, 0)
    start = decomon.get_adv_box(model, x_min, x_max, 0)
    found = decomon.check_adv_box(model, x_min, x_max, 0)
    error = rounding(model, x_min, x_max)
    assert (tuned <= start + error).all()
    assert (tuned >= found - error).all()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
@pytest.mark.parametrize("name", ["dense", pytest.param("convolutional", marks=pytest.mark.slow)])
def test_a_network_that_needs_twenty_times_the_limit(name: str) -> None:
    """A backward pass from all unstable neurons at once would take twenty times what is allowed."""
    found = cap(name, LIMIT)
    assert found["needed"] >= 20 * LIMIT
    assert found["grown"] <= LIMIT + found["exempt"], f"{found['grown'] / 2**20:.0f} MB"
    # The same sums in another order.  Roundings in a sum of n terms are as good as independent,
    # sqrt(n) u of its size (Higham and Mary 2019), once for each layer's intervals and once for the
    # rows behind it; boxes around zero make the bounds sums of sizes.
    unit = float(np.finfo(np.float32).eps) / 2
    relative = 2 * found["layers"] * np.sqrt(found["terms"]) * unit
    assert relative < 1e-4
    np.testing.assert_allclose(found["limited"], found["alone"], rtol=relative)


def cap(name: str, limit: int) -> dict[str, Any]:
    """What ``memory_cap.py`` says, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.decomon.memory_cap", name, str(limit)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("flat_image", "crown"),
        pytest.param("residual", "crown", marks=pytest.mark.slow),
        pytest.param("image", "crown-forward-hybrid", marks=pytest.mark.slow),
        pytest.param("image", "forward-affine", marks=pytest.mark.slow),
    ],
)
def test_the_limit_never_changes_the_answer(name: str, method: str) -> None:
    model = build(name, seed=1)
    x_min, x_max = boxes(model, 7, 0.5, dtype="float64")
    error = rounding(model, x_min, x_max, "float64")
    usual = decomon.get_adv_box(decomon.clone(model, method), x_min, x_max, 0)
    for limit in (2**12, 2**16, 2**40):
        verified = decomon.clone(model, method, memory_limit=limit)
        upper = decomon.get_adv_box(verified, x_min, x_max, 0)
        assert (np.abs(upper - usual) <= error).all()


@pytest.mark.parametrize("limit", [0, -1, "64 MB", float("nan")])
def test_a_limit_that_is_none(limit: Any) -> None:
    with pytest.raises(ValueError, match="memory_limit.*Received"):
        decomon.clone(dense_net([2, 3, 2]), memory_limit=limit)


def test_only_the_rows_of_the_output_are_optimised_where_memory_is_short() -> None:
    model = dense_net([4, 8, 8, 3], seed=1)
    x_min, x_max = boxes(model, 5, 0.5)
    short = decomon.clone(model, finetune=True, finetune_steps=5, memory_limit=4096)
    assert not short.verifier.budget.inner
    assert decomon.clone(model, finetune=True).verifier.budget.inner
    tuned = decomon.get_adv_box(short, x_min, x_max, 0)
    start = decomon.get_adv_box(model, x_min, x_max, 0)
    found = decomon.check_adv_box(model, x_min, x_max, 0)
    error = rounding(model, x_min, x_max)
    assert (tuned <= start + error).all()
    assert (tuned < start - error).any()
    assert (tuned >= found - error).all()
