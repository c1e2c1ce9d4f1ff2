from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decomon_widgets.samples import Samples, draw_indices, next_seed

_RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "image_shape", "expected"),
    [
        ((784,), None, (28, 28, 1)),
        ((28, 28), None, (28, 28, 1)),
        ((20, 30), None, (20, 30, 1)),
        ((28, 28, 1), None, (28, 28, 1)),
        ((32, 30, 3), None, (32, 30, 3)),
        ((600,), (20, 30), (20, 30, 1)),
        ((12,), (2, 2, 3), (2, 2, 3)),
    ],
)
def test_images_of_all_shapes_are_drawn(
    shape: tuple[int, ...], image_shape: Any, expected: tuple[int, int, int]
) -> None:
    x = _RNG.uniform(size=(5, *shape))
    samples = Samples.check(x, np.zeros(5), image_shape, (0, 1))
    assert samples.image_shape == expected
    pixels = samples.pixels((4, 1))
    assert pixels.shape == (2, *expected)
    np.testing.assert_allclose(pixels[0].ravel() / 255, x[4].ravel(), atol=0.5 / 255 + 1e-9)


@pytest.mark.parametrize(
    ("x", "y", "image_shape", "clip", "message"),
    [
        (np.zeros((4, 10)), np.zeros(4), None, None, r"image_shape=.*Received.*\(10,\)"),
        (np.zeros((4, 5, 5, 2)), np.zeros(4), None, None, r"image_shape=.*\(5, 5, 2\)"),
        (np.zeros((4, 10)), np.zeros(4), (3, 3), None, r"has 10.*Received.*\(3, 3\)"),
        (np.zeros((4, 10)), np.zeros(4), (2, 5, 1, 1), None, "image_shape"),
        (np.zeros(4), np.zeros(4), None, None, r"shape \(4,\)"),
        (np.zeros((0, 9)), np.zeros(0), None, None, r"N > 0"),
        (np.array([["a"]]), np.zeros(1), None, None, "numbers"),
        (np.full((4, 9), np.nan), np.zeros(4), None, None, "sample 0"),
        (
            np.vstack([np.zeros((2, 9)), np.full((1, 9), np.inf)]),
            np.zeros(3),
            None,
            None,
            "sample 2",
        ),
        (np.full((4, 9), 255), np.zeros(4), None, (0.0, 1.0), "from 255 to 255"),
        (np.zeros((4, 9)), np.zeros(3), None, None, r"shape \(3,\), for 4 samples"),
        (np.zeros((4, 9)), np.full(4, 0.5), None, None, "integers"),
        (np.zeros((4, 9)), np.full(4, -1), None, None, "integers"),
        (np.zeros((4, 9)), np.full(4, np.nan), None, None, "integers"),
        (np.zeros((4, 9)), np.ones((4, 3)), None, None, "exactly one 1"),
        (np.zeros((4, 9)), np.zeros((4, 3)), None, None, "exactly one 1"),
        (np.zeros((4, 9)), np.zeros((4, 1, 1)), None, None, "one-hot"),
    ],
)
def test_unusable_data_is_an_error_that_shows_what_was_received(
    x: Any, y: Any, image_shape: Any, clip: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Samples.check(x, y, image_shape, clip)
    assert "Received" in str(error.value)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool"])
def test_labels_are_indices_or_one_hot(dtype: str) -> None:
    x = np.zeros((3, 9))
    for y in (np.array([2, 0, 1]), np.array([[2], [0], [1]]), np.eye(3)[[2, 0, 1]]):
        if dtype == "bool" and y.shape != (3, 3):
            continue
        samples = Samples.check(x, y.astype(dtype), None, None)
        assert samples.labels.tolist() == [2, 0, 1]


def test_without_clip_the_range_of_the_data_is_drawn() -> None:
    x = np.array([[-3.0, 0, 0, 5.0]])
    pixels = Samples.check(x, [0], None, None).pixels((0,))
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert Samples.check(np.zeros((1, 4)), [0], None, None).pixels((0,)).max() == 0


@given(seed=st.integers(0, 2**31 - 1), size=st.integers(1, 200), data=st.data())
def test_draws_are_reproducible_and_a_reset_brings_others(
    seed: int, size: int, data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, size))
    current = draw_indices(seed, size, n)
    assert current == draw_indices(seed, size, n)
    assert len(set(current)) == n
    assert all(0 <= k < size for k in current)
    following = draw_indices(next_seed(seed, size, n, current), size, n)
    if size >= 2 * n:
        assert not set(following) & set(current)
    elif size > n:
        assert set(following) != set(current)


def test_consecutive_resets_visit_everything_before_anything_twice() -> None:
    seed, seen = 0, list(draw_indices(0, 100, 10))
    for _ in range(9):
        seed = next_seed(seed, 100, 10, draw_indices(seed, 100, 10))
        seen += draw_indices(seed, 100, 10)
    assert sorted(seen) == list(range(100))
