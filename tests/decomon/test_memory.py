"""Memory budgets cut the work into pieces and never change the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import decomon
from tests.decomon.helpers import boxes, dense_net, rounding
from tests.decomon.zoo import build


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
