"""A slider that moves never compiles anything again, and never shows an old bound."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import decomon
from tests.decomon.helpers import boxes, dense_net

VARIANTS = [
    ("forward-ibp", False),
    ("crown", True),
    pytest.param("crown", False, marks=pytest.mark.slow),
    pytest.param("forward-hybrid", True, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("method", "finetune"), VARIANTS)
def test_other_values_shapes_and_questions_do_not_retrace(method: str, finetune: bool) -> None:
    model = dense_net([4, 8, 8, 5], seed=1)
    verified = decomon.clone(model, method, finetune=finetune, finetune_steps=3)
    x_min, x_max = boxes(model, 6, 0.3)
    decomon.get_adv_box(verified, x_min, x_max, 0)
    decomon.check_adv_box(verified, x_min, x_max, 0)
    traced = verified.verifier.trace_count
    assert traced > 0
    mask = np.tile([1, 1, 0, 0, 0], (3, 1))
    for ask in (decomon.get_adv_box, decomon.check_adv_box):
        ask(verified, x_min - 1, x_max + 1, 0)  # another epsilon
        ask(verified, x_min[:1], x_max[:1], 0)  # other batch sizes
        ask(verified, np.tile(x_min, (3, 1)), np.tile(x_max, (3, 1)), 0)
        ask(verified, x_min, x_max, 0, 2)  # other numbers of rows
        ask(verified, x_min[:3], x_max[:3], mask)
        ask(verified, x_min, x_max, 0, batch_size=4)
        ask(verified, x_min, x_max, 0, n_sub_boxes=3)
        ask(verified, x_min.astype(np.float64), x_max.astype(np.float64), 0)
    decomon.get_range_box(verified, x_min, x_max)
    assert verified.verifier.trace_count == traced


def test_a_sweep_of_epsilons_traces_once_and_is_never_stale() -> None:
    model = dense_net([4, 8, 8, 5], seed=1)
    center = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    epsilons = np.linspace(0, 0.5, 50)
    decomon.get_adv_box(model, center, center, 0)
    traced = decomon.models.verifier_of(model).trace_count
    upward = [decomon.get_adv_box(model, center - e, center + e, 0) for e in epsilons]
    downward = [decomon.get_adv_box(model, center - e, center + e, 0) for e in epsilons[::-1]]
    assert decomon.models.verifier_of(model).trace_count == traced
    np.testing.assert_array_equal(np.stack(upward), np.stack(downward[::-1]))
    assert (np.stack(upward[1:]) != np.stack(upward[:-1])).all()
    expected = decomon.get_adv_box(decomon.clone(model), center - 0.5, center + 0.5, 0)
    np.testing.assert_array_equal(upward[-1], expected)


def test_many_engines_in_one_process_raise_no_alarm() -> None:
    """TensorFlow warns of functions that are traced again and again; here nothing is."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logger = logging.getLogger("tensorflow")
    logger.addHandler(listener)
    try:
        for seed in range(8):
            model = dense_net([3, 3, 2], seed=seed)
            x_min, x_max = boxes(model, 2, 0.3)
            decomon.get_adv_box(model, x_min, x_max, 0)
    finally:
        logger.removeHandler(listener)
    assert not [text for text in heard if "retracing" in text]
