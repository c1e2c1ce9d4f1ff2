"""Which labels must win and which must not: all accepted forms, and the refusal of all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import decomon
from tests.decomon.helpers import Array, boxes, dense_net

CLASSES = 3


@pytest.fixture(scope="module")
def model() -> Any:
    return dense_net([4, 6, CLASSES], seed=4)


@pytest.fixture(params=["get_adv_box", "check_adv_box"])
def ask(request: pytest.FixtureRequest, model: Any) -> Callable[..., Array]:
    """Ask about the first ``batch`` of some boxes."""
    x_min, x_max = boxes(model, 12, 0.4, seed=1)

    def call(batch: int, *labels: Any, **options: Any) -> Array:
        return getattr(decomon, request.param)(
            model, x_min[:batch], x_max[:batch], *labels, **options
        )

    return call


Ask = Callable[..., Array]


def one_hot(labels: Any) -> Array:
    return np.eye(CLASSES)[np.asarray(labels)]


# A batch that is, or is a multiple of, the number of classes is the ambiguous one.
@pytest.mark.parametrize("batch", [1, 2, 3, 6, 12])
def test_equivalent_forms_of_one_source_per_sample(ask: Ask, batch: int) -> None:
    labels = np.arange(batch) % CLASSES
    expected = ask(batch, labels)
    assert expected.shape == (batch,)
    for dtype in (int, np.int8, np.uint8, np.int32, np.int64, float, np.float32, bool):
        np.testing.assert_array_equal(ask(batch, one_hot(labels).astype(dtype)), expected)
    for dtype in (np.int8, np.uint8, np.int64):
        np.testing.assert_array_equal(ask(batch, labels.astype(dtype)), expected)
        np.testing.assert_array_equal(ask(batch, labels.astype(dtype)[:, None]), expected)
    np.testing.assert_array_equal(ask(batch, labels.tolist()), expected)
    np.testing.assert_array_equal(ask(batch, one_hot(labels).tolist()), expected)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_scalar_is_the_label_of_every_sample(ask: Ask, label: int) -> None:
    expected = ask(6, np.full(6, label))
    np.testing.assert_array_equal(ask(6, label), expected)
    np.testing.assert_array_equal(ask(6, np.int64(label)), expected)
    np.testing.assert_array_equal(ask(6, np.array(label)), expected)
    np.testing.assert_array_equal(ask(1, label), expected[:1])


@pytest.mark.parametrize("labels", [[0, 1, 0], [0, 0, 0], [1, 1, 1]])
def test_three_zeros_and_ones_for_three_classes_are_indices(ask: Ask, labels: list[int]) -> None:
    """One-dimensional labels are never a mask, even if they look like one."""
    expected = np.concatenate([ask(i + 1, labels[: i + 1])[-1:] for i in range(3)])
    np.testing.assert_allclose(ask(3, labels), expected, rtol=1e-5)


def test_several_sources_are_the_worst_of_them(ask: Ask) -> None:
    """All sources must win: margins are over every pair of a source and a target."""
    both = ask(6, np.tile([0, 1], (6, 1)))
    alone = np.maximum(ask(6, 0, 2), ask(6, 1, 2))
    # the search for points starts elsewhere when it looks at two rows at once
    assert (both >= alone - 1e-4).all()
    mask = np.tile([1, 1, 0], (6, 1))
    for dtype in (int, float, bool):
        np.testing.assert_array_equal(ask(6, mask.astype(dtype)), both)
    np.testing.assert_array_equal(ask(6, np.tile([0, 1, 1], (6, 1))[:, [0, 1]]), both)


def test_several_sources_bound_exactly_the_worst(model: Any) -> None:
    x_min, x_max = boxes(model, 6, 0.4, seed=1)
    both = decomon.get_adv_box(model, x_min, x_max, np.tile([0, 1], (6, 1)))
    single = [decomon.get_adv_box(model, x_min, x_max, i, 2) for i in (0, 1)]
    np.testing.assert_allclose(both, np.maximum(*single), rtol=1e-5, atol=1e-6)


def test_targets_split_the_margin(model: Any) -> None:
    x_min, x_max = boxes(model, 6, 0.4, seed=1)
    every = decomon.get_adv_box(model, x_min, x_max, 0)
    parts = [decomon.get_adv_box(model, x_min, x_max, 0, target) for target in (1, 2)]
    np.testing.assert_allclose(every, np.maximum(*parts), rtol=1e-5, atol=1e-6)
    assert (parts[0] != parts[1]).all()


def test_targets_have_the_same_forms(ask: Ask) -> None:
    targets = np.array([1, 2, 1, 2, 1, 2])
    expected = ask(6, 0, targets)
    for form in (targets[:, None], one_hot(targets), one_hot(targets).astype(bool), list(targets)):
        np.testing.assert_array_equal(ask(6, 0, form), expected)
    np.testing.assert_array_equal(ask(6, 0, target_labels=targets), expected)
    for i in range(6):  # each sample has its own target
        np.testing.assert_allclose(ask(i + 1, 0, int(targets[i]))[i], expected[i], rtol=1e-5)


def test_targets_default_to_all_others(ask: Ask) -> None:
    labels = np.arange(6) % CLASSES
    expected = ask(6, labels)
    np.testing.assert_array_equal(ask(6, labels, None), expected)
    np.testing.assert_array_equal(ask(6, labels, 1 - one_hot(labels)), expected)
    np.testing.assert_array_equal(ask(6, labels, np.ones((6, 3))), expected)  # never its own target
    np.testing.assert_array_equal(ask(6, labels, np.tile([0, 1, 2, 2], (6, 1))), expected)


def test_labels_follow_their_samples_through_batches(ask: Ask) -> None:
    sources = np.arange(12) % CLASSES
    targets = (sources + 1 + (np.arange(12) % 2)) % CLASSES
    whole = ask(12, sources, targets)
    for batch_size in (1, 5, 7, 12, 100):
        parts = ask(12, sources, targets, batch_size=batch_size)
        np.testing.assert_allclose(parts, whole, rtol=1e-5, atol=1e-6)


def test_samples_with_different_numbers_of_sources(model: Any) -> None:
    x_min, x_max = boxes(model, 3, 0.4, seed=1)
    mask = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    mixed = decomon.get_adv_box(model, x_min, x_max, mask)
    for i in range(3):
        alone = decomon.get_adv_box(model, x_min[i : i + 1], x_max[i : i + 1], mask[i : i + 1])
        np.testing.assert_allclose(mixed[i], alone[0], rtol=1e-5, atol=1e-6)
        values, points = decomon.check_adv_box(
            model, x_min[i : i + 1], x_max[i : i + 1], mask[i : i + 1], return_points=True
        )
        logits = np.asarray(model(points))[0]
        pairs = [
            logits[j] - logits[k] for k in range(3) for j in range(3) if mask[i][k] > mask[i][j]
        ]
        np.testing.assert_allclose(values[0], max(pairs), rtol=1e-4, atol=1e-5)


WRONG: dict[str, tuple[Any, str]] = {
    "too large": (3, "3"),
    "negative": (-1, "-1"),
    "one of many too large": ([0, 1, 2, 0, 1, 7], "7 for sample 5"),
    "float indices": ([0.0, 1.0, 2.0, 0.0, 1.0, 2.0], "float64"),
    "a float": (1.0, "float64"),
    "fraction": (0.5, "float64"),
    "smooth mask": (np.full((6, 3), 1 / 3), "(6, 3)"),
    "boolean indices": ([True] * 6, "bool"),
    "boolean": (True, "bool"),
    "text": (["a"] * 6, "(6,)"),
    "none": (None, "object"),
    "too few": ([0, 1], "(2,)"),
    "too many": ([0] * 7, "(7,)"),
    "mask of other batch": (np.eye(3), "(3, 3)"),
    "three axes": (np.zeros((6, 3, 1), int), "(6, 3, 1)"),
    "empty": (np.zeros((6, 0), int), "(6, 0)"),
    "empty row": (np.array([[1, 0, 0]] * 5 + [[0, 0, 0]]), "Row 5"),
    "ragged": ([[0], [1, 2], [0], [0], [0], [0]], "Received"),
    "not a number": (np.full((6, 3), np.nan), "(6, 3)"),
    "complex": (np.zeros(6, complex), "complex"),
}


@pytest.mark.parametrize("which", ["source_labels", "target_labels"])
@pytest.mark.parametrize(("labels", "shown"), WRONG.values(), ids=WRONG.keys())
def test_other_labels_are_refused(ask: Ask, which: str, labels: Any, shown: str) -> None:
    if labels is None and which == "target_labels":
        return  # the default
    arguments = {"source_labels": 0, which: labels}
    with pytest.raises(ValueError, match="Received") as error:
        ask(6, **arguments)
    assert shown in str(error.value)
    assert which in str(error.value)


def test_a_sample_without_any_target_is_refused(ask: Ask) -> None:
    with pytest.raises(ValueError, match=r"sample 0.*\[1\]"):
        ask(6, 1, 1)
    with pytest.raises(ValueError, match="sample 4"):
        ask(6, [0, 0, 0, 0, 2, 0], 2)
    with pytest.raises(ValueError, match="sample 0"):
        ask(6, np.ones((6, 3)))
