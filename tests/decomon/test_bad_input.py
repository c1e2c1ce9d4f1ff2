"""Wrong input: a clear error that names what was received, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import decomon
from decomon import NonFiniteBoundError, UnsupportedModelError
from decomon.certify import certify
from tests.decomon.helpers import (
    METHODS,
    dense_net,
    keras,
    layers,
    precision,
    randomise,
    rng_of,
    tf,
)


@pytest.fixture(scope="module")
def model() -> Any:
    return dense_net([4, 5, 3])


@pytest.fixture(scope="module")
def untouched() -> Any:
    return dense_net([4, 5, 3])


@pytest.fixture
def nothing_computed(untouched: Any) -> Iterator[None]:
    """Fail if anything was even compiled: the model is used for wrong questions only."""
    yield
    assert decomon.models.verifier_of(untouched).trace_count == 0


ASK: dict[str, Callable[..., Any]] = {
    "get": lambda model, a, b, **o: decomon.get_adv_box(model, a, b, 0, **o),
    "check": lambda model, a, b, **o: decomon.check_adv_box(model, a, b, 0, **o),
    "upper": decomon.get_upper_box,
    "lower": decomon.get_lower_box,
    "range": decomon.get_range_box,
}
asks = pytest.mark.parametrize("ask", ASK.values(), ids=ASK.keys())
X = np.zeros((2, 4), np.float32)


def put(value: Any, sample: int, position: int) -> Any:
    x = X.copy()
    x[sample, position] = value
    return x


@asks
@pytest.mark.usefixtures("nothing_computed")
class TestBoxes:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, ask: Any, untouched: Any, value: float) -> None:
        for arguments, name in (((put(value, 1, 2), X), "x_min"), ((X, put(value, 1, 2)), "x_max")):
            with pytest.raises(ValueError, match=rf"{name}.*finite.*sample 1 at position \(2,\)"):
                ask(untouched, *arguments)

    def test_crossed(self, ask: Any, untouched: Any) -> None:
        with pytest.raises(
            ValueError, match=r"x_min=0\.5 > x_max=0\.0 in sample 1 at position \(3,\)"
        ):
            ask(untouched, put(0.5, 1, 3), X)

    def test_crossed_by_less_than_float32_resolves(self, ask: Any, untouched: Any) -> None:
        x = np.full((1, 4), 1 / 3)
        with pytest.raises(ValueError, match="sample 0"):
            ask(untouched, x + 1e-12, x)

    @pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 5), (2, 2, 2), (2, 4, 1), ()])
    def test_shape(self, ask: Any, untouched: Any, shape: tuple[int, ...]) -> None:
        wrong = np.zeros(shape)
        with pytest.raises(ValueError, match="shape") as error:
            ask(untouched, wrong, wrong)
        assert "(batch, 4)" in str(error.value)
        assert str(shape) in str(error.value)

    def test_different_batches(self, ask: Any, untouched: Any) -> None:
        with pytest.raises(ValueError, match=r"\(2, 4\).*\(3, 4\)"):
            ask(untouched, X, np.zeros((3, 4)))

    @pytest.mark.parametrize(
        "wrong", [[["a"] * 4] * 2, np.zeros((2, 4), complex), None, [[1, 2], [3]]]
    )
    def test_not_numbers(self, ask: Any, untouched: Any, wrong: Any) -> None:
        with pytest.raises(ValueError, match="Received"):
            ask(untouched, wrong, X)

    @pytest.mark.parametrize("n_sub_boxes", [0, -1, True, 1.5, 2.0, "2", None])
    def test_number_of_sub_boxes(self, ask: Any, untouched: Any, n_sub_boxes: Any) -> None:
        with pytest.raises(ValueError, match=rf"Received: n_sub_boxes={n_sub_boxes!r}"):
            ask(untouched, X, X, n_sub_boxes=n_sub_boxes)

    @pytest.mark.parametrize("batch_size", [0, -2, True, 1.5, "8", None])
    def test_batch_size(self, ask: Any, untouched: Any, batch_size: Any) -> None:
        with pytest.raises(ValueError, match=rf"Received: batch_size={batch_size!r}"):
            ask(untouched, X, X, batch_size=batch_size)

    def test_misspelt_keyword(self, ask: Any, untouched: Any) -> None:
        with pytest.raises(TypeError, match="n_sub_box"):
            ask(untouched, X, X, n_sub_box=2)

    @pytest.mark.parametrize("wrong", [None, "model", np.zeros(3), object(), keras.layers.Dense(3)])
    def test_not_a_model(self, ask: Any, untouched: Any, wrong: Any) -> None:
        with pytest.raises(TypeError, match=r"keras\.Model.*Received"):
            ask(wrong, X, X)


@pytest.mark.parametrize("shape", [(1,), (2, 2)])
def test_margins_need_classes(shape: tuple[int, ...]) -> None:
    x = keras.Input((4,))
    y = layers.Dense(1)(x) if shape == (1,) else layers.Reshape((2, 2))(x)
    with pytest.raises(ValueError, match="Received: a model"):
        decomon.get_adv_box(keras.Model(x, y), X, X, 0)


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"method": "crow"}, "crown-forward-ibp"),
    ({"method": None}, "crown"),
    ({"method": 3}, "crown"),
    ({"method": "CROWN"}, "crown"),
    ({"slope": "steep"}, "volume-slope"),
    ({"slope": None}, "volume-slope"),
    ({"dtype": "float16"}, "float32"),
    ({"dtype": np.float32}, "float32"),
    ({"perturbation_domain": "box"}, "BoxDomain"),
    ({"perturbation_domain": decomon.BoxDomain(X, X)}, "BoxDomain"),
    ({"perturbation_domain": int}, "BoxDomain"),
    ({"finetune": "yes"}, "True or False"),
    ({"finetune": None}, "True or False"),
    ({"finetune": 2}, "True or False"),
    ({"finetune_steps": 0}, "positive"),
    ({"finetune_steps": -1}, "positive"),
    ({"finetune_steps": True}, "positive"),
    ({"finetune_steps": 2.5}, "positive"),
    ({"finetune_steps": float("nan")}, "positive"),
    ({"learning_rate": 0}, "positive"),
    ({"learning_rate": "fast"}, "positive"),
    ({"learning_rate": float("nan")}, "positive"),
    ({"learning_rate": float("inf")}, "positive"),
]


@pytest.mark.parametrize(("options", "shown"), OPTIONS, ids=[str(o) for o, _ in OPTIONS])
def test_unknown_options(model: Any, options: dict[str, Any], shown: str) -> None:
    (name,) = options
    for function in (decomon.clone, decomon.convert):
        with pytest.raises(ValueError, match=rf"(?s){shown}.*Received: .*") as error:
            function(model, **options)
        assert name in str(error.value)


@pytest.mark.parametrize("function", [decomon.clone, decomon.convert])
def test_misspelt_option(model: Any, function: Any) -> None:
    with pytest.raises(TypeError, match="finetun"):
        function(model, finetun=True)


def test_model_that_is_not_built() -> None:
    with pytest.raises(ValueError, match=r"not built.*Received"):
        decomon.clone(keras.Sequential([layers.Dense(3)]))


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.dense(x)


def test_subclassed_model() -> None:
    for built in (False, True):
        model = Subclassed()
        if built:
            model(X)
        with pytest.raises(UnsupportedModelError, match=r"subclassed.*Received"):
            decomon.clone(model)


class Doubled(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return 2 * x


class MyDense(keras.layers.Dense):
    pass


def wave(x: Any) -> Any:
    return tf.math.lgamma(x)


def test_all_unsupported_layers_are_listed() -> None:
    inner = keras.Sequential([keras.Input((4,)), Doubled(name="inside")], name="inner")
    x = keras.Input((4,))
    y = Doubled(name="first")(x)
    y = layers.Dense(4, activation=wave, name="wavy")(y)
    y = inner(y)
    y = MyDense(4, name="own")(y)
    y = layers.Dense(4, activation="relu", name="fine")(y)
    y = layers.Lambda(lambda t: t, name="anything")(y)
    y = keras.ops.sort(y)
    y = layers.Dense(3)(y)
    with pytest.raises(UnsupportedModelError) as error:
        decomon.clone(keras.Model(x, y))
    text = str(error.value)
    for name in ("first", "wavy", "inner/inside", "own", "anything", "sort"):
        assert f"'{name}'" in text, name
    assert "'fine'" not in text
    assert "activation 'wave'" in text
    assert "decomon.ops.supported()" in text
    assert isinstance(error.value, ValueError)


def refused(build: Callable[[], Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        decomon.clone(build())


def test_layers_called_in_training_mode() -> None:
    x = keras.Input((4,))
    for layer in (layers.Dropout(0.5), layers.BatchNormalization()):
        y = layers.Dense(3)(layer(x, training=True))
        refused(lambda y=y: keras.Model(x, y), "training=True")


def test_half_precision() -> None:
    for policy in ("float16", "mixed_float16", "bfloat16"):
        with precision("float32"):
            net = keras.Sequential([keras.Input((4,)), layers.Dense(3, dtype=policy)])
        refused(lambda net=net: net, "float16")
    fused = layers.Dense(3, activation=layers.LeakyReLU(0.3, dtype="float16"))
    refused(lambda: keras.Sequential([keras.Input((4,)), fused]), "float16")


def test_free_dimensions() -> None:
    refused(
        lambda: keras.Sequential([keras.Input((None, 4)), layers.Dense(3)]),
        r"free dimensions.*None",
    )


OVERFLOWING = [
    *((method, False) for method in METHODS if "crown-" not in method),
    *(pytest.param(m, False, marks=pytest.mark.slow) for m in METHODS if "crown-" in m),
    pytest.param("crown", True, marks=pytest.mark.slow),
    pytest.param("forward-affine", True, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("method", "finetune"), OVERFLOWING)
def test_overflow_is_an_error_and_never_a_verdict(method: str, finetune: bool) -> None:
    """Either an error, or bounds that contain what the network computes without overflow."""
    net, wide = dense_net([4, 6, 5, 3]), dense_net([4, 6, 5, 3], dtype="float64")
    start = net.get_weights()
    verified = decomon.clone(net, method=method, finetune=finetune, finetune_steps=2)
    for weights, size in ((1e20, 1.0), (1e20, 1e30), (1.0, 1e38), (1e13, 1.0)):
        values = [w * weights if w.ndim == 2 else w for w in start]
        values[-1] = np.array([5.0, 0.0, 0.0])
        net.set_weights(values)
        wide.set_weights(values)
        center = rng_of(0).uniform(-1, 1, size=(3, 4)) * size
        check_overflow(verified, wide, center - 0.1 * size, center + 0.1 * size)


def check_overflow(verified: Any, wide: Any, x_min: Any, x_max: Any) -> None:
    logits = np.asarray(wide((x_min + x_max) / 2))
    margin = np.max(logits[:, 1:] - logits[:, :1], axis=1)
    room = 1e-4 * np.abs(logits).max()
    single = np.finfo(np.float32).max
    for ask in (decomon.get_adv_box, decomon.check_adv_box):
        try:
            bound = ask(verified, x_min, x_max, 0)
        except NonFiniteBoundError:
            continue
        assert not np.isnan(bound).any()
        if ask is decomon.get_adv_box:
            assert (bound >= margin - room).all()
        else:  # attained by the model in float32, so no larger than that can hold
            assert (np.abs(bound) <= single).all()
    try:
        high, low = decomon.get_range_box(verified, x_min, x_max)
    except NonFiniteBoundError:
        return
    assert (high >= logits - room).all()
    assert (low <= logits + room).all()


def test_no_point_is_reported_where_the_model_itself_overflows() -> None:
    net = dense_net([4, 6, 5, 3])
    values = [w * 1e20 if w.ndim == 2 else w for w in net.get_weights()]
    values[-1] = np.array([5.0, 0.0, 0.0])
    net.set_weights(values)
    center = rng_of(0).normal(size=(3, 4)) * 1e30
    with pytest.raises(NonFiniteBoundError):
        decomon.check_adv_box(net, center - 1e29, center + 1e29, 0)


@pytest.mark.parametrize("method", ["forward-ibp", "forward-affine", "forward-hybrid", "crown"])
def test_one_neuron_that_overflows(method: str) -> None:
    """It has no finite interval, so nothing that depends on it is proven, whatever its weight."""
    net = dense_net([2, 3, 3, 2])
    values = [np.zeros_like(w) for w in net.get_weights()]
    values[0][:, 1] = [3e38, -3e38]
    values[2][1, 1] = -1.0
    values[-1] = np.array([5.0, 0.0], np.float32)
    net.set_weights(values)
    x = np.full((1, 2), 10.0)
    with pytest.raises(NonFiniteBoundError):
        decomon.get_adv_box(decomon.clone(net, method), x - 9, x + 9, 0)


def test_overflow_gives_no_certificate() -> None:
    net = dense_net([4, 6, 5, 3])
    net.set_weights([w * 1e20 for w in net.get_weights()])
    with pytest.raises(NonFiniteBoundError, match="not a number|overflow"):
        certify(net, X + 1e30, [0, 0], 1e29, clip=None)


def test_weights_that_are_not_numbers(model: Any) -> None:
    net = randomise(dense_net([4, 5, 3]))
    values = net.get_weights()
    values[0][1, 2] = np.nan
    net.set_weights(values)
    for ask in ASK.values():
        with pytest.raises(NonFiniteBoundError):
            ask(net, X - 1, X + 1)


def test_a_wide_float32_range_that_overflows_only_in_the_middle() -> None:
    """x_max - x_min is beyond float32 although both corners are not."""
    net = keras.Sequential([keras.Input((2,)), layers.ReLU()])
    x = np.full((1, 2), 3e38, np.float32)
    try:
        high, low = decomon.get_range_box(net, -x, x)
    except NonFiniteBoundError:
        return
    assert (high >= x).all()
    assert (low <= 0).all()
    assert tf.reduce_all(tf.math.is_finite(high))
