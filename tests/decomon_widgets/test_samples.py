from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decomon_widgets.samples import Samples, check_names, draw_indices, next_seed

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
    x = np.array([[[-3.0, 0], [0, 5.0]]])
    pixels = Samples.check(x, [0], None, None).pixels((0,))
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert Samples.check(np.zeros((1, 2, 2)), [0], None, None).pixels((0,)).max() == 0


@pytest.mark.parametrize(
    ("shape", "input_shape", "kind", "drawn"),
    [
        ((4,), None, "row", (1, 4, 1)),
        ((9,), None, "row", (1, 9, 1)),
        ((30,), (30,), "row", (1, 30, 1)),
        ((16,), None, "image", (4, 4, 1)),
        ((784,), (784,), "image", (28, 28, 1)),
        ((128,), (128, 1), "signal", (1, 128, 1)),
        ((100,), (10, 10), "image", (10, 10, 1)),
        ((144,), (144, 1), "signal", (1, 144, 1)),
        ((128, 1), None, "signal", (1, 128, 1)),
        ((1, 128), None, "signal", (1, 128, 1)),
        ((128, 9), None, "signal", (1, 128, 9)),
        ((384,), (128, 3), "signal", (1, 128, 3)),
        ((1, 128, 3), None, "signal", (1, 128, 3)),
        ((4, 1), None, "row", (1, 4, 1)),
        ((28, 28), None, "image", (28, 28, 1)),
        ((8, 3), None, "image", (8, 3, 1)),
        ((64, 48, 3), None, "image", (64, 48, 3)),
        ((32, 32, 1), None, "image", (32, 32, 1)),
        ((16,), (2, 4, 2), "image", (4, 4, 1)),
    ],
)
def test_the_kind_is_guessed_from_the_shapes(
    shape: tuple[int, ...], input_shape: Any, kind: str, drawn: tuple[int, int, int]
) -> None:
    x = _RNG.normal(size=(3, *shape))
    samples = Samples.check(x, np.zeros(3), None, None, input_shape=input_shape)
    assert (samples.kind, samples.image_shape) == (kind, drawn)
    assert samples.pictures((2, 0)).shape == (2, *drawn)


@pytest.mark.parametrize(
    ("shape", "kind", "drawn"),
    [
        ((16,), "row", (1, 16, 1)),
        ((16,), "signal", (1, 16, 1)),
        ((4,), "image", (2, 2, 1)),
        ((28, 28), "row", (1, 784, 1)),
        ((20, 30), "signal", (1, 20, 30)),
        ((64, 3), "image", (64, 3, 1)),
        ((1,), "signal", (1, 1, 1)),
    ],
)
def test_the_kind_can_be_said(shape: Any, kind: str, drawn: tuple[int, int, int]) -> None:
    samples = Samples.check(np.zeros((2, *shape)), [0, 1], None, None, kind=kind)
    assert (samples.kind, samples.image_shape) == (kind, drawn)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((16,), {"kind": "picture"}, "'image', 'row', 'signal'"),
        ((10,), {"kind": "image"}, r"image_shape=.*Received.*\(10,\)"),
        ((16,), {"kind": "row", "image_shape": (4, 4)}, "image_shape is for pictures"),
        ((5, 5, 2), {}, "kind='signal'"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(shape: Any, options: Any, message: str) -> None:
    image_shape = options.pop("image_shape", None)
    with pytest.raises(ValueError, match=message) as error:
        Samples.check(np.zeros((2, *shape)), [0, 1], image_shape, None, **options)
    assert "Received" in str(error.value)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8", "int32", "uint8"])
@pytest.mark.parametrize("kind", ["row", "signal"])
def test_values_travel_as_they_are(kind: str, dtype: str) -> None:
    x = _RNG.uniform(0, 100, size=(6, 5)).astype(dtype)
    samples = Samples.check(x, np.zeros(6), None, None, kind=kind)
    values = np.frombuffer(samples.drawn((4, 0)), "<f4").reshape(2, 5)
    np.testing.assert_allclose(values, x[[4, 0]].astype("float64"), rtol=1e-6)
    assert np.isfinite(values).all()


def test_values_too_large_for_the_front_end_stay_finite() -> None:
    samples = Samples.check(np.array([[1e300, -1e300]]), [0], None, None)
    assert np.isfinite(np.frombuffer(samples.drawn((0,)), "<f4")).all()


def test_rows_are_drawn_on_the_range_of_each_feature() -> None:
    x = np.array([[0.0, 10, 5], [1, 30, 5]])
    free = Samples.check(x, [0, 1], None, None).value_range.reshape(2, 3)
    np.testing.assert_array_equal(free, [[0, 10, 5], [1, 30, 5]])
    clipped = Samples.check(x, [0, 1], None, (0, 40)).value_range.reshape(2, 3)
    np.testing.assert_array_equal(clipped, [[0] * 3, [40] * 3])
    signal = Samples.check(x, [0, 1], None, (-50, 50), kind="signal")
    np.testing.assert_array_equal(signal.value_range, [0, 30])


def test_names_fit_what_is_drawn() -> None:
    assert Samples.check(np.zeros((2, 4)), [0, 1], None, None).n_names == 4
    assert Samples.check(np.zeros((2, 90, 3)), [0, 1], None, None).n_names == 3
    assert check_names(["a", "b"], 2, "feature_names") == ("a", "b")
    assert check_names((), 5, "class_names") == ()
    assert check_names(np.array(["a"]), None, "class_names") == ("a",)
    wrong: list[Any] = [["a"], "ab", ["a", 2], ["a", "b", "c"]]
    for names in wrong:
        with pytest.raises(ValueError, match=r"feature_names must hold 2 strings.*Received"):
            check_names(names, 2, "feature_names")


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


@given(seed=st.integers(0, 2**31 - 1), size=st.integers(1, 60), data=st.data())
def test_pinned_samples_are_part_of_every_draw(seed: int, size: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, size))
    pinned = tuple(data.draw(st.permutations(range(size)))[: data.draw(st.integers(0, size))])
    drawn = draw_indices(seed, size, n, pinned)
    assert drawn[: len(pinned)] == pinned
    assert len(set(drawn)) == len(drawn) == max(n, len(pinned))
    following = draw_indices(next_seed(seed, size, n, drawn, pinned), size, n, pinned)
    fresh = n - len(pinned)
    if fresh > 0 and size - len(pinned) >= 2 * fresh:
        assert set(drawn) & set(following) == set(pinned)
