import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import decomon
from decomon_widgets.margin_view import axis_range, best_margins, order_classes
from decomon_widgets.margins import ClassMargins, check_methods, class_margins

_CASES = json.loads(Path(__file__).with_name("margin_cases.json").read_text("utf-8"))

_bounds = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(2, 6)),
    elements=st.one_of(st.floats(-1e9, 1e9), st.sampled_from([np.inf, -np.inf, np.nan, 0.0])),
)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(12, "relu"), keras.layers.Dense(4)]
    )


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(6, 5)).astype("float32")


@pytest.mark.parametrize("clip", [(0.0, 1.0), None])
@pytest.mark.parametrize("epsilon", [0.0, 0.02, 0.3])
def test_no_point_of_the_domain_leaves_the_bounds(
    model: Any, x: np.ndarray, epsilon: float, clip: Any
) -> None:
    rng = np.random.default_rng(2)
    methods = ("ibp", "crown-ibp", "crown")
    bound = ClassMargins(model)
    for label, point in enumerate(x[:4]):
        lower, upper = bound(point, label, epsilon, clip, methods)
        assert lower.shape == upper.shape == (3, 4)
        signs = rng.choice([-1, 0, 1], (300, 5))
        points = point + epsilon * np.where(signs == 0, rng.uniform(-1, 1, signs.shape), signs)
        points = points if clip is None else points.clip(*clip)
        logits = model(points.astype("float32")).numpy()
        margins = logits - logits[:, [label]]
        assert (margins <= upper[:, None] + 1e-5).all()
        assert (margins >= lower[:, None] - 1e-5).all()
        assert (lower[:, label] == 0).all()
        assert (upper[:, label] == 0).all()
        # The tightest is between the others and what is attained, not anything wide.
        assert (upper[2] - lower[2] <= upper[0] - lower[0] + 1e-9).all()
        if epsilon == 0:
            assert np.allclose(upper, lower, atol=1e-9)


def test_the_bounds_are_those_of_one_target_each(model: Any, x: np.ndarray) -> None:
    label, others = 1, [0, 2, 3]
    lower, upper = class_margins(model, x[0], label, 0.05, methods=("crown",))
    verified = decomon.clone(model, "crown", dtype="float64")
    points = np.repeat(x[:1], 3, axis=0)
    above = decomon.get_adv_noise(verified, points, 0.05, label, np.array(others), clip=(0, 1))
    below = decomon.get_adv_noise(
        verified, points, 0.05, np.array(others), [label] * 3, clip=(0, 1)
    )
    assert np.allclose(upper[0, others], above, atol=1e-6)
    assert np.allclose(lower[0, others], -below, atol=1e-6)


def test_a_final_softmax_is_stripped_and_a_decomon_model_is_accepted(x: np.ndarray) -> None:
    keras.utils.set_random_seed(3)
    logits = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(3)]
    )
    proper = keras.Sequential([logits, keras.layers.Softmax()])
    proper.build((None, 5))
    wanted = class_margins(logits, x[0], 0, 0.05)
    for given_model in (proper, decomon.clone(proper, "ibp")):
        found = class_margins(given_model, x[0], 0, 0.05)
        assert np.allclose(found, wanted)


def test_new_weights_and_new_layers_count_at_once(x: np.ndarray) -> None:
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(3)]
    )
    bound = ClassMargins(model)
    _, before = bound(x[0], 0, 0.05)
    model.layers[-1].bias.assign([0.0, 100.0, 0.0])
    _, after = bound(x[0], 0, 0.05)
    assert np.allclose(after[:, 1], before[:, 1] + 100)
    model.layers[0].activation = keras.activations.tanh
    assert np.allclose(bound(x[0], 0, 0.05), class_margins(model, x[0], 0, 0.05))


@pytest.mark.parametrize("methods", [(), ("crown", "crown"), ("krown",), (3,), 5, None])
def test_unusable_methods_are_refused(methods: Any) -> None:
    with pytest.raises(ValueError, match="Received"):
        check_methods(methods)


def test_unusable_questions_are_refused(model: Any, x: np.ndarray) -> None:
    for arguments in (
        (x[0], 4, 0.1),
        (x[0], -1, 0.1),
        (x[0, :3], 0, 0.1),
        (x[0], 0, -0.1),
        (x[0], 0, np.nan),
        (x[0] + 5, 0, 0.1),
    ):
        with pytest.raises(ValueError, match="Received"):
            class_margins(model, *arguments)


def test_what_overflows_is_an_error(x: np.ndarray) -> None:
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, "exponential")])
    model.layers[0].kernel.assign(np.full((5, 3), 1e4))
    with pytest.raises(decomon.NonFiniteBoundError):
        class_margins(model, x[0], 0, 0.5)


# How they are shown


def _array(rows: list[list[Any]]) -> np.ndarray:
    return np.array([[float(value) for value in row] for row in rows])


@pytest.mark.parametrize("case", _CASES, ids=[case["name"] for case in _CASES])
def test_shared_cases(case: dict[str, Any]) -> None:
    lower, upper = _array(case["lower"]), _array(case["upper"])
    margins = best_margins(lower, upper, case["label"])
    assert [margin.standing for margin in margins] == case["standings"]
    best = [[margin.lower, margin.upper] for margin in margins]
    assert best == _array(case["best"]).tolist()
    assert [margin.index for margin in order_classes(margins, "upper")] == case["by_upper"]
    assert [margin.index for margin in order_classes(margins, "index")] == list(range(len(margins)))
    assert axis_range(lower, upper, case["label"]) == pytest.approx(case["range"])


@given(one=_bounds, two=st.randoms())
def test_nothing_is_concluded_that_no_method_proves(one: np.ndarray, two: Any) -> None:
    upper = one
    lower = upper - np.abs(two.random()) * 10
    for margin in best_margins(lower, upper, 0):
        column = upper[:, margin.index], lower[:, margin.index]
        if margin.standing == "excluded":
            assert (column[0] < 0).any()
        if margin.standing == "wins":
            assert (column[1] > 0).any()
    low, high = axis_range(lower, upper, 0)
    assert low < 0 < high or (low, high) == (-1, 1) or low <= 0 <= high
    assert np.isfinite(high - low)
