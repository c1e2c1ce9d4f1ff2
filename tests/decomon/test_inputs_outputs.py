"""Models with several inputs or outputs, and which of their outputs is bounded."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import LogitsWarning, UnsupportedModelError, Verdict
from decomon.replay import predict
from tests.decomon.helpers import Array, keras, layers, precision, randomise, rng_of, sample

METHODS = ("forward-ibp", "forward-hybrid", "crown")
COUNT = 6


def body(x: Any, *, softmax: bool = False) -> Any:
    h = layers.Dense(6, activation="relu", name="first")(x)
    h = layers.Dense(5, activation="relu", name="second")(h)
    return layers.Dense(3, activation="softmax" if softmax else None, name="scores")(h)


@cache
def two_inputs(dtype: str = "float32", *, softmax: bool = False) -> Any:
    """``left`` of shape (3,) and ``right`` of shape (2, 2), joined."""
    with precision(dtype):
        left, right = keras.Input((3,), name="left"), keras.Input((2, 2), name="right")
        joined = layers.Concatenate()([left, layers.Flatten()(right)])
        return randomise(keras.Model([left, right], body(joined, softmax=softmax)), 3)


@cache
def one_input(dtype: str = "float32") -> Any:
    """The same network, with the same weights, of one flat input."""
    with precision(dtype):
        x = keras.Input((7,))
        model = keras.Model(x, body(x))
    model.set_weights(two_inputs(dtype).get_weights())
    return model


@cache
def crossed() -> Any:
    """A sub-model applied to both inputs, which are also added."""
    core = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation="relu")], name="core")
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    total = layers.Add()([core(left), layers.Subtract()([core(right), left])])
    return randomise(keras.Model({"left": left, "right": right}, layers.Dense(3)(total)), 5)


@cache
def three_outputs() -> Any:
    x, y = keras.Input((3,), name="left"), keras.Input((2, 2), name="right")
    h = layers.Concatenate()([x, layers.Flatten()(y)])
    h = layers.Dense(6, activation="relu")(h)
    table = layers.Reshape((2, 2), name="table")(layers.Dense(4)(h))
    scores = layers.Dense(3, activation="softmax", name="scores")(h)
    return randomise(keras.Model([x, y], [table, scores, layers.Dense(1, name="value")(h)]), 7)


def corners(shapes: list[tuple[int, ...]], radius: float = 0.2) -> tuple[list[Array], list[Array]]:
    rng = rng_of(1)
    centers = [rng.normal(size=(COUNT, *shape)).astype(np.float32) for shape in shapes]
    radii = [radius * rng.uniform(0, 2, size=center.shape) for center in centers]
    low = [(c - r).astype(np.float32) for c, r in zip(centers, radii, strict=True)]
    high = [(c + r).astype(np.float32) for c, r in zip(centers, radii, strict=True)]
    return low, high


LOW, HIGH = corners([(3,), (2, 2)])
FLAT_LOW, FLAT_HIGH = (
    np.concatenate([part.reshape(COUNT, -1) for part in parts], axis=1) for parts in (LOW, HIGH)
)
LABELS = np.arange(COUNT) % 3
NAMES = ("left", "right")

FORMS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "dict": lambda parts: dict(zip(NAMES, parts, strict=True)),
    "reversed dict": lambda parts: dict(reversed(list(zip(NAMES, parts, strict=True)))),
    "flattened": lambda parts: [part.reshape(COUNT, -1) for part in parts],
}
forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def parts_of(values: Any) -> list[Array]:
    return [values[name] for name in NAMES] if isinstance(values, dict) else list(values)


def margins(logits: Array, labels: Array) -> Array:
    wide = logits.astype(np.float64)
    own = np.take_along_axis(wide, labels[:, None], axis=1)
    others = np.where(np.arange(wide.shape[1]) == labels[:, None], -np.inf, wide)
    return others.max(axis=1) - own[:, 0]


@pytest.mark.parametrize("method", METHODS)
def test_several_inputs_are_bounded_like_one(method: str) -> None:
    """The same network, cut differently, in float64: bounds may differ by rounding only."""
    pair = decomon.clone(two_inputs("float64"), method)
    flat = decomon.clone(one_input("float64"), method)
    flat_corners = FLAT_LOW, FLAT_HIGH
    for n_sub_boxes in (1, 3):
        found = decomon.get_adv_box(pair, LOW, HIGH, LABELS, n_sub_boxes=n_sub_boxes)
        expected = decomon.get_adv_box(flat, *flat_corners, LABELS, n_sub_boxes=n_sub_boxes)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
        found = decomon.get_upper_box(pair, LOW, HIGH, n_sub_boxes=n_sub_boxes)
        expected = decomon.get_upper_box(flat, *flat_corners, n_sub_boxes=n_sub_boxes)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@forms
def test_every_form_of_the_inputs(form: Callable[[list[Any]], Any]) -> None:
    model = two_inputs()
    low, high = form(LOW), form(HIGH)
    np.testing.assert_array_equal(
        decomon.get_adv_box(model, low, high, LABELS), decomon.get_adv_box(model, LOW, HIGH, LABELS)
    )
    for found, expected in zip(
        decomon.get_range_box(model, low, high),
        decomon.get_range_box(model, LOW, HIGH),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
    values, points = decomon.check_adv_box(model, low, high, LABELS, return_points=True)
    assert type(points) is type(low)
    if isinstance(points, dict):
        assert list(points) == list(NAMES)
    for point, low_part, high_part in zip(parts_of(points), LOW, HIGH, strict=True):
        assert point.shape == low_part.shape
        assert (point >= low_part).all()
        assert (point <= high_part).all()
    real = np.asarray(model(parts_of(points)))
    np.testing.assert_allclose(values, margins(real, LABELS), rtol=1e-5, atol=1e-5)
    assert (values <= decomon.get_adv_box(model, low, high, LABELS) + 1e-5).all()


@pytest.mark.parametrize("method", METHODS)
def test_bounds_hold_at_every_sampled_point(method: str) -> None:
    model = crossed()
    low, high = corners([(4,), (4,)])
    high_bound, low_bound = decomon.get_range_box(decomon.clone(model, method), low, high)
    samples = [sample(low[i], high[i], 100, seed=i) for i in (0, 1)]
    for left, right in zip(*samples, strict=True):
        real = np.asarray(model({"left": left, "right": right}))
        assert (real <= high_bound + 1e-5).all()
        assert (real >= low_bound - 1e-5).all()


def test_an_input_is_held_constant() -> None:
    model = two_inputs()
    same = decomon.get_adv_box(model, LOW, [HIGH[0], LOW[1]], LABELS)
    for held in (
        [HIGH[0], None],
        (HIGH[0], None),
        {"right": None, "left": HIGH[0]},
    ):
        np.testing.assert_array_equal(decomon.get_adv_box(model, LOW, held, LABELS), same)
        _, points = decomon.check_adv_box(model, LOW, held, LABELS, return_points=True)
        np.testing.assert_array_equal(points[1], LOW[1])
    assert (same <= decomon.get_adv_box(model, LOW, HIGH, LABELS) + 1e-5).all()
    frozen = decomon.get_range_box(model, LOW, [None, None])
    real = np.asarray(model(LOW))
    for side in frozen:
        np.testing.assert_allclose(side, real, rtol=1e-4, atol=1e-4)


WRONG: dict[str, tuple[Any, Any, str]] = {
    "one array": (FLAT_LOW, HIGH, "2 inputs.*'left'.*'right'.*Received: ndarray of shape"),
    "stacked": (np.zeros((2, COUNT, 3)), HIGH, r"Received: ndarray of shape \(2, 6, 3\)"),
    "too few": (LOW[:1], HIGH, "Received: a list of 1"),
    "too many": ([*LOW, LOW[0]], HIGH, "Received: a list of 3"),
    "missing": ({"left": LOW[0]}, HIGH, "no entry for 'right'"),
    "missing in x_max": (LOW, {"left": HIGH[0]}, "x_max.*None holds.*no entry for 'right'"),
    "misspelt": (
        {"left": LOW[0], "rihgt": LOW[1]},
        HIGH,
        "no entry for 'right'.*'rihgt', which is no input",
    ),
    "left over": (
        {"left": LOW[0], "right": LOW[1], "top": LOW[0]},
        HIGH,
        "'top', which is no input",
    ),
    "shape": ([LOW[0], LOW[0]], HIGH, r"x_min\[1\].*\(batch, 2, 2\) or \(batch, 4\)"),
    "batches": ([LOW[0], LOW[1][:2]], HIGH, r"number of samples.*x_min\[0\].*x_min\[1\]"),
    "crossed": (
        LOW,
        {"left": HIGH[0], "right": LOW[1] - 1},
        r"x_min\[1\]=.*> x_max\['right'\]=.*sample 0 at position \(0, 0\)",
    ),
    "no corner": ([LOW[0], None], HIGH, r"x_min\[1\] must hold real numbers"),
    "not finite": ({"left": LOW[0] * np.nan, "right": LOW[1]}, HIGH, r"x_min\['left'\].*finite"),
    "nothing": (None, HIGH, "Received: NoneType"),
}


@pytest.mark.parametrize(("low", "high", "match"), WRONG.values(), ids=WRONG.keys())
def test_wrong_inputs(low: Any, high: Any, match: str) -> None:
    model = two_inputs.__wrapped__()
    for ask in (decomon.get_upper_box, decomon.get_lower_box, decomon.get_range_box):
        with pytest.raises(ValueError, match=match):
            ask(model, low, high)
    for ask in (decomon.get_adv_box, decomon.check_adv_box):
        with pytest.raises(ValueError, match=match):
            ask(model, low, high, LABELS)
    assert decomon.models.verifier_of(model).trace_count == 0


def test_no_samples_at_all() -> None:
    model, empty = two_inputs(), [np.zeros((0, 3)), np.zeros((0, 2, 2))]
    assert decomon.get_adv_box(model, empty, empty, 0).shape == (0,)
    _, points = decomon.check_adv_box(model, empty, empty, 0, return_points=True)
    assert [point.shape for point in points] == [(0, 3), (0, 2, 2)]
    assert decomon.certify(model, empty, np.zeros(0, int), 0.1).verdicts == ()
    upper, lower = decomon.get_range_box(three_outputs(), empty, empty)
    assert [side.shape for side in upper] == [side.shape for side in lower]
    assert [side.shape for side in upper] == [(0, 2, 2), (0, 3), (0, 1)]


class TestCertify:
    X = (0.2 + 0.6 / (1 + np.exp(-LOW[0])), 0.2 + 0.6 / (1 + np.exp(-LOW[1])))

    def labels(self, model: Any) -> Array:
        return np.asarray(model(list(self.X))).argmax(axis=1)

    @forms
    def test_every_form(self, form: Callable[[list[Any]], Any]) -> None:
        model = two_inputs(softmax=True)
        labels = self.labels(model)
        expected = decomon.certify(model, list(self.X), labels, 0.05)
        found = decomon.certify(model, form(list(self.X)), labels, 0.05)
        assert found.verdicts == expected.verdicts
        np.testing.assert_array_equal(found.upper, expected.upper)
        np.testing.assert_array_equal(found.predicted, labels)
        np.testing.assert_array_equal(found.epsilon, np.full(COUNT, 0.05))
        points = parts_of(found.points)
        assert [point.shape for point in points] == [part.shape for part in self.X]
        np.testing.assert_array_equal(
            np.asarray(model(points)).argmax(axis=1), found.predicted_points
        )
        np.testing.assert_array_equal(predict(model, form(list(self.X))), labels)

    def test_verdicts_agree_with_the_real_model(self) -> None:
        model = two_inputs()
        labels = self.labels(model)
        seen: set[Verdict] = set()
        for epsilon in (1e-3, 0.2, 2.0):
            found = decomon.certify(model, self.X, labels, epsilon, clip=None)
            seen |= set(found.verdicts)
            rng = rng_of(2)
            for _ in range(50):
                moved = [part + epsilon * rng.uniform(-1, 1, part.shape) for part in self.X]
                wrong = np.asarray(model(moved)).argmax(axis=1) != labels
                for verdict, missed in zip(found.verdicts, wrong, strict=True):
                    assert not (missed and verdict is Verdict.ROBUST)
        assert {Verdict.ROBUST, Verdict.NON_ROBUST} <= seen

    def test_an_epsilon_for_each_input(self) -> None:
        model = two_inputs()
        labels = self.labels(model)
        each = np.linspace(0.0, 0.1, COUNT)
        for epsilon, radii in (
            ([0.1, 0], (0.1, 0.0)),
            ((0, each), (0.0, each)),
            ({"right": each, "left": 0.05}, (0.05, each)),
            (each, (each, each)),
        ):
            found = decomon.certify(model, self.X, labels, epsilon, clip=None)
            wide = [np.broadcast_to(radius, COUNT) for radius in radii]
            low, high = (
                [
                    part + sign * radius.reshape(-1, *[1] * (part.ndim - 1))
                    for part, radius in zip(self.X, wide, strict=True)
                ]
                for sign in (-1, 1)
            )
            upper = decomon.get_adv_box(model, low, high, labels)
            assert (found.upper >= upper).all()
            np.testing.assert_allclose(found.upper, upper, rtol=1e-5, atol=1e-5)
            if isinstance(epsilon, np.ndarray):
                np.testing.assert_array_equal(found.epsilon, epsilon)
                continue
            assert type(found.epsilon) is type(epsilon)
            for part, radius in zip(parts_of(found.epsilon), wide, strict=True):
                np.testing.assert_array_equal(part, radius)

    def test_a_range_for_each_input(self) -> None:
        model = two_inputs()
        x = [self.X[0], self.X[1] * 100]
        labels = np.asarray(model(x)).argmax(axis=1)
        for clip in ([(0, 1), None], ((0, 1), (0, 100)), {"right": [0, 100], "left": (0, 1)}):
            found = decomon.certify(model, x, labels, 0.3, clip=clip)
            assert (found.points[0] >= 0).all()
            assert (found.points[0] <= 1).all()
        with pytest.raises(ValueError, match=r"x\[1\] must lie within.*for each input"):
            decomon.certify(model, x, labels, 0.3)
        held = decomon.certify(model, x, labels, [0.3, 0])  # needs no range for what is constant
        np.testing.assert_array_equal(held.points[1], x[1])

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"epsilon": [0.1]}, "2 inputs.*epsilon.*a list of 1"),
            ({"epsilon": [0.1, -1]}, r"epsilon\[1\]"),
            ({"epsilon": {"left": 0.1}}, "no entry for 'right'"),
            ({"epsilon": np.zeros(2)}, r"epsilon must be.*\(6,\)"),
            ({"clip": [(0, 1)]}, "clip.*a list of 1"),
            ({"clip": [(0, 1), (1, 0)]}, r"clip\[1\] must be None or a pair"),
            ({"clip": (0, 1, 2)}, "clip must be None or a pair"),
            ({"clip": {"left": (0, 1)}}, "no entry for 'right'"),
            ({"x": np.zeros((COUNT, 7))}, "2 inputs"),
        ],
    )
    def test_wrong_settings(self, options: dict[str, Any], match: str) -> None:
        settings = {"x": self.X, "labels": LABELS, "epsilon": 0.1, **options}
        with pytest.raises(ValueError, match=match):
            decomon.certify(two_inputs(), **settings)


def test_names_come_from_a_dict_of_inputs() -> None:
    model = crossed()
    low, high = corners([(4,), (4,)])
    named = decomon.get_range_box(
        model, {"right": low[1], "left": low[0]}, {"left": high[0], "right": high[1]}
    )
    for side, expected in zip(named, decomon.get_range_box(model, low, high), strict=True):
        np.testing.assert_array_equal(side, expected)
    np.testing.assert_array_equal(
        predict(model, low), np.asarray(model({"left": low[0], "right": low[1]})).argmax(axis=1)
    )


def test_a_single_input_by_name() -> None:
    x = keras.Input((4,), name="pixels")
    model = randomise(keras.Model({"pixels": x}, layers.Dense(3)(x)))
    low = rng_of(0).uniform(size=(2, 4)).astype(np.float32)
    values, points = decomon.check_adv_box(
        model, {"pixels": low}, {"pixels": low + 1}, 0, return_points=True
    )
    expected, point = decomon.check_adv_box(model, low, low + 1, 0, return_points=True)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(points["pixels"], point)
    with pytest.raises(ValueError, match="one key 'pixels'.*no entry for 'pixels'"):
        decomon.get_adv_box(model, {"pixel": low}, low + 1, 0)


def test_inputs_of_different_precision() -> None:
    """Corners that float32 cannot hold reach the input that is float64 as they are."""
    single = keras.Input((2,), name="single", dtype="float32")
    double = keras.Input((2,), name="double", dtype="float64")
    joined = layers.Concatenate(dtype="float64")([single, double])
    outputs = layers.Dense(2, dtype="float64")(joined)
    model = randomise(keras.Model([single, double], outputs))
    x = rng_of(3).normal(size=(2, 3, 2))
    low, high = list(x), list(x + 1e-9)
    upper, lower = decomon.get_range_box(model, low, high)
    for ratio in (0, 0.5, 1):
        points = [a * (1 - ratio) + b * ratio for a, b in zip(low, high, strict=True)]
        real = np.asarray(model(points))
        assert (real <= upper + 1e-12).all()
        assert (real >= lower - 1e-12).all()


class TestOutputs:
    def test_ranges_are_lists(self) -> None:
        model = three_outputs()
        with warnings.catch_warnings():
            warnings.simplefilter("error", LogitsWarning)
            upper, lower = decomon.get_range_box(model, LOW, HIGH)
            assert isinstance(upper, list)
            assert isinstance(lower, list)
            alone = decomon.get_upper_box(model, LOW, HIGH), decomon.get_lower_box(model, LOW, HIGH)
        for found, expected in zip((upper, lower), alone, strict=True):
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        samples = [sample(LOW[i], HIGH[i], 100, seed=i) for i in (0, 1)]
        for points in zip(*samples, strict=True):
            for real, high, low in zip(model(list(points)), upper, lower, strict=True):
                assert real.shape == high.shape == low.shape
                assert (np.asarray(real) <= high + 1e-5).all()
                assert (np.asarray(real) >= low - 1e-5).all()

    def test_each_output_alone(self) -> None:
        model = three_outputs()
        upper, lower = decomon.get_range_box(model, LOW, HIGH)
        for position, name in enumerate(("table", "scores", "value")):
            for output in (position, position - 3, name):
                one = decomon.clone(model, output=output, rm_last_softmax=False)
                found = decomon.get_range_box(one, LOW, HIGH)
                np.testing.assert_allclose(found.upper, upper[position], rtol=1e-4, atol=1e-5)
                np.testing.assert_allclose(found.lower, lower[position], rtol=1e-4, atol=1e-5)

    def test_margins_need_one_output(self) -> None:
        model = three_outputs()
        for asked in (model, decomon.clone(model)):
            for ask in (decomon.get_adv_box, decomon.check_adv_box):
                with pytest.raises(ValueError, match=r"clone\(model, output=.*'scores' of shape"):
                    ask(asked, LOW, HIGH, LABELS)
            with pytest.raises(ValueError, match=r"clone\(model, output=.*'scores' of shape"):
                decomon.certify(asked, LOW, LABELS, 0.1, clip=None)
        for output in ("table", "value"):
            with pytest.raises(ValueError, match="at least two"):
                decomon.get_adv_box(decomon.clone(model, output=output), LOW, HIGH, LABELS)

    def test_margins_of_the_chosen_output(self) -> None:
        model = three_outputs()
        verified = decomon.clone(model, output="scores")
        alone = keras.Model(model.inputs, model.outputs[1])
        assert verified.stripped == "softmax"
        np.testing.assert_array_equal(
            decomon.get_adv_box(verified, LOW, HIGH, LABELS),
            decomon.get_adv_box(alone, LOW, HIGH, LABELS),
        )
        predicted = np.asarray(alone(LOW)).argmax(axis=1)
        np.testing.assert_array_equal(predict(verified, LOW), predicted)
        found = decomon.certify(verified, LOW, predicted, 0.01, clip=None)
        np.testing.assert_array_equal(found.predicted, predicted)
        assert Verdict.ROBUST in found.verdicts
        assert Verdict.MISCLASSIFIED not in found.verdicts

    def test_names_come_from_a_dict_of_outputs(self) -> None:
        model = three_outputs()
        table, scores, value = model.outputs
        named = keras.Model(model.inputs, {"b": table, "c": scores, "a": value})
        verified = decomon.clone(named, output="c")
        np.testing.assert_array_equal(
            decomon.get_adv_box(verified, LOW, HIGH, LABELS),
            decomon.get_adv_box(decomon.clone(model, output=1), LOW, HIGH, LABELS),
        )
        assert verified.output_shapes == {"c": (3,)}
        upper = decomon.get_upper_box(named, LOW, HIGH)
        assert [part.shape[1:] for part in upper] == [tuple(t.shape[1:]) for t in named.outputs]

    @pytest.mark.parametrize("output", ["score", 3, -4, 1.0, True, ("scores",)])
    def test_no_such_output(self, output: Any) -> None:
        for function in (decomon.clone, decomon.convert):
            with pytest.raises(ValueError, match="'table', 'scores', 'value'.*Received: output="):
                function(three_outputs(), output=output)
        with pytest.raises(ValueError, match="Received: output="):
            decomon.clone(one_input(), output=output)

    def test_the_only_output(self) -> None:
        model = one_input()
        expected = decomon.get_adv_box(model, FLAT_LOW, FLAT_HIGH, LABELS)
        for output in (None, 0, -1, "scores"):
            verified = decomon.clone(model, output=output)
            found = decomon.get_adv_box(verified, FLAT_LOW, FLAT_HIGH, LABELS)
            np.testing.assert_array_equal(found, expected)

    def test_two_outputs_of_one_layer(self) -> None:
        x, y = keras.Input((4,)), keras.Input((4,))
        shared = layers.Dense(3, name="shared")
        model = keras.Model([x, y], [shared(x), shared(y)])
        with pytest.raises(ValueError, match="not unique"):
            decomon.clone(model, output="shared")
        low, high = corners([(4,), (4,)])
        ranges = [decomon.get_upper_box(decomon.clone(model, output=i), low, high) for i in (0, 1)]
        for found, real in zip(ranges, model(low), strict=True):
            assert (np.asarray(real) <= found + 1e-5).all()


class TestLogits:
    @pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
    @pytest.mark.parametrize("fused", [True, False])
    @pytest.mark.parametrize("method", ["forward-ibp", "crown"])
    def test_bounds_of_probabilities(self, activation: str, fused: bool, method: str) -> None:
        x = keras.Input((4,))
        h = layers.Dense(5, activation="relu")(x)
        y = layers.Dense(3, activation=activation if fused else None)(h)
        model = randomise(keras.Model(x, y if fused else layers.Activation(activation)(y)))
        (low,), (high,) = corners([(4,)])
        verified = decomon.clone(model, method, rm_last_softmax=False)
        assert verified.stripped == ""
        with warnings.catch_warnings():
            warnings.simplefilter("error", LogitsWarning)
            upper, lower = decomon.get_range_box(verified, low, high)
        assert (upper <= 1 + 1e-5).all()
        assert (lower >= -1e-5).all()
        for points in sample(low, high, 100):
            real = np.asarray(model(points))
            assert (real <= upper + 1e-5).all()
            assert (real >= lower - 1e-5).all()
        with pytest.warns(LogitsWarning, match="rm_last_softmax=False"):
            decomon.get_upper_box(model, low, high)
        with warnings.catch_warnings():
            warnings.simplefilter("error", LogitsWarning)
            logits = decomon.get_upper_box(decomon.clone(model, method), low, high)
        assert np.abs(logits - upper).max() > 0.01

    def test_margins_of_probabilities(self) -> None:
        model = two_inputs(softmax=True)
        verified = decomon.clone(model, rm_last_softmax=False)
        upper = decomon.get_adv_box(verified, LOW, HIGH, LABELS)
        values, points = decomon.check_adv_box(verified, LOW, HIGH, LABELS, return_points=True)
        assert (values <= upper + 1e-5).all()
        np.testing.assert_allclose(
            values, margins(np.asarray(model(points)), LABELS), rtol=1e-4, atol=1e-5
        )

    @pytest.mark.parametrize("rm_last_softmax", [None, "no", 2])
    def test_not_a_flag(self, rm_last_softmax: Any) -> None:
        for function in (decomon.clone, decomon.convert):
            with pytest.raises(
                ValueError, match="rm_last_softmax must be True or False.*Received: rm_last_softmax"
            ):
                function(one_input(), rm_last_softmax=rm_last_softmax)


class TestIntegers:
    """The model cuts decimals off; so what it makes of a box is not the box."""

    def model(self, dtype: str = "int32") -> Any:
        x = keras.Input((3,), dtype=dtype, name="pixels")
        return randomise(keras.Model(x, layers.Dense(3)(layers.Rescaling(0.5)(x))))

    def test_bounds_hold_for_what_the_model_sees(self) -> None:
        model = self.model()
        rng = rng_of(0)
        center = rng.uniform(-3, 3, size=(8, 3))
        low, high = center - 0.4, center + 0.4
        upper, lower = decomon.get_range_box(model, low, high)
        margin = decomon.get_adv_box(model, low, high, 0)
        for points in sample(low, high, 200):
            real = np.asarray(model(points))
            assert (real <= upper + 1e-5).all()
            assert (real >= lower - 1e-5).all()
            assert (margins(real, np.zeros(8, int)) <= margin + 1e-5).all()

    def test_points_attain_their_values(self) -> None:
        model = self.model()
        center = rng_of(1).uniform(-3, 3, size=(8, 3))
        low, high = center - 1.7, center + 1.7
        values, points = decomon.check_adv_box(model, low, high, 0, return_points=True)
        assert (points >= low).all()
        assert (points <= high).all()
        real = margins(np.asarray(model(points)), np.zeros(8, int))
        np.testing.assert_allclose(values, real, rtol=1e-5, atol=1e-5)
        # An affine network is largest at a corner of what it can see.
        np.testing.assert_allclose(
            values, decomon.get_adv_box(model, low, high, 0), rtol=1e-4, atol=1e-4
        )

    @pytest.mark.parametrize("value", [-1, 256, 1e10])
    def test_values_that_would_wrap_around(self, value: float) -> None:
        model = self.model("uint8")
        x = np.zeros((2, 3))
        x[1, 2] = value
        for low, high in ((np.minimum(x, 0), x), (x, np.maximum(x, 0))):
            with pytest.raises(ValueError, match=r"0 and 255.*uint8.*sample 1 at position \(2,\)"):
                decomon.get_upper_box(model, np.minimum(low, high), np.maximum(low, high))

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "bool"])
    def test_types_that_bounds_do_not_hold_for(self, dtype: str) -> None:
        x = keras.Input((3,), dtype=dtype, name="pixels")
        model = keras.Model(x, layers.Dense(3)(x))
        with pytest.raises(UnsupportedModelError, match=f"'pixels'.*Received: {dtype}"):
            decomon.clone(model)


def test_a_verifier_knows_its_inputs_and_outputs() -> None:
    verified = decomon.clone(three_outputs())
    assert verified.input_shapes == {"left": (3,), "right": (2, 2)}
    assert verified.output_shapes == {"table": (2, 2), "scores": (3,), "value": (1,)}
    assert verified.input_shape == (7,)
    assert verified.output_shape == (8,)
    lines: list[str] = []
    verified.summary(print_fn=lines.append)
    for name in ("left", "right", "table", "scores", "value"):
        assert any(f"'{name}'" in line for line in lines)
    chosen = decomon.clone(three_outputs(), output=-2)
    assert chosen.output_shapes == {"scores": (3,)}
    assert chosen.output_shape == (3,)
    single = decomon.clone(one_input())
    assert list(single.input_shapes.values()) == [single.input_shape]
    assert list(single.output_shapes.values()) == [single.output_shape]


def changed_rescaling(model: Any) -> None:
    model.get_layer("scale").scale[1] = 3.0


def changed_array(model: Any) -> None:
    model.get_layer("shift").offset[:] = 2.0


def changed_mean(model: Any) -> None:
    layer = model.get_layer("normal")
    layer.mean = layer.mean + 1.0


def changed_inner_activation(model: Any) -> None:
    model.get_layer("wrapped").layer.activation = keras.activations.relu


CHANGES = (changed_rescaling, changed_array, changed_mean, changed_inner_activation)


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_settings_that_were_changed_are_noticed(change: Callable[[Any], None]) -> None:
    x = keras.Input((2, 3))
    y = layers.Rescaling([1.0, 2.0, 0.5], name="scale")(x)
    y = layers.Rescaling(1.0, offset=np.zeros(3, np.float32), name="shift")(y)
    y = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0], name="normal")(y)
    y = layers.SpectralNormalization(layers.Dense(3), name="wrapped")(y)
    model = randomise(keras.Model(x, layers.Dense(2)(layers.Flatten()(y))))
    low = rng_of(0).normal(size=(20, 2, 3)).astype(np.float32)
    before = decomon.models.verifier_of(model)
    decomon.get_range_box(model, low, low + 0.1)
    assert decomon.models.verifier_of(model) is before
    old = np.asarray(model(low))
    change(model)
    upper, lower = decomon.get_range_box(model, low, low + 0.1)
    real = np.asarray(model(low))
    assert np.abs(real - old).max() > 0.01
    assert (real <= upper + 1e-4).all()
    assert (real >= lower - 1e-4).all()
    assert decomon.models.verifier_of(model) is not before
