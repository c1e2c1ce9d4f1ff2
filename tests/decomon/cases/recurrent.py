"""Recurrent layers and what wraps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.decomon.helpers import layers
from tests.decomon.layer_cases import LayerCase

_SEQUENCE = (3, 2)


def _case(label: str, make: Callable[[], Any], *shapes: tuple[int, ...]) -> LayerCase:
    return LayerCase(label, make, shapes or (_SEQUENCE,))


def _options(kind: Any, **activations: Any) -> list[LayerCase]:
    """What all recurrent layers can do."""
    return [
        _case("sequences", lambda: kind(3, return_sequences=True)),
        _case("backwards", lambda: kind(3, go_backwards=True, return_sequences=True)),
        _case("last-backwards", lambda: kind(3, go_backwards=True)),
        _case("no-bias", lambda: kind(2, use_bias=False)),
        _case("unroll", lambda: kind(2, unroll=True)),
        _case("dropout", lambda: kind(2, dropout=0.4, recurrent_dropout=0.4)),
        _case("one-step", lambda: kind(3), (1, 2)),
        _case("other-activations", lambda: kind(2, **activations)),
        _case("last", lambda: kind(3)),
    ]


_GATED = {"activation": "relu", "recurrent_activation": "hard_sigmoid"}


def _rnn(*cells: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        built = [cell() for cell in cells]
        return layers.RNN(built[0] if len(built) == 1 else built, **options)

    return make


def _both(make: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    return lambda: layers.Bidirectional(make(), **options)


def _each(make: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: layers.TimeDistributed(make())


def _convolutional(kind: Any, rank: int) -> list[LayerCase]:
    sides = (4, 3, 3)[:rank]
    last, first = (2, *sides, 2), (2, 2, *sides)
    return [
        _case("same", lambda: kind(2, 2, padding="same", return_sequences=True), last),
        _case("no-bias", lambda: kind(1, 2, use_bias=False, go_backwards=True), last),
        _case("dilation", lambda: kind(1, 2, dilation_rate=2), last),
        _case("first", lambda: kind(2, 2, data_format="channels_first"), first),
        _case("strides", lambda: kind(2, 2, strides=2), last),
    ]


CASES: dict[str, list[LayerCase]] = {
    "SimpleRNN": [
        *_options(layers.SimpleRNN, activation="relu"),
        _case("softmax", lambda: layers.SimpleRNN(2, activation="softmax")),
        _case("linear", lambda: layers.SimpleRNN(2, activation=None)),
    ],
    "GRU": [
        *_options(layers.GRU, **_GATED),
        *(
            _case(f"before-{case.label}", case.make, *case.shapes)
            for case in _options(
                lambda units, **options: layers.GRU(units, reset_after=False, **options), **_GATED
            )
        ),
        _case("softmax", lambda: layers.GRU(2, recurrent_activation="softmax")),
    ],
    "LSTM": [
        *_options(layers.LSTM, **_GATED),
        _case("no-forget-bias", lambda: layers.LSTM(2, unit_forget_bias=False)),
        _case("softmax", lambda: layers.LSTM(2, recurrent_activation="softmax")),
        _case("layer-activation", lambda: layers.LSTM(2, activation=layers.LeakyReLU(0.2)), (2, 2)),
    ],
    "RNN": [
        _case("simple", _rnn(lambda: layers.SimpleRNNCell(3))),
        _case("gru", _rnn(lambda: layers.GRUCell(2), return_sequences=True)),
        _case("gru-before", _rnn(lambda: layers.GRUCell(2, reset_after=False))),
        _case("lstm", _rnn(lambda: layers.LSTMCell(2), go_backwards=True)),
        _case("one-stacked", _rnn(lambda: layers.StackedRNNCells([layers.LSTMCell(2)]))),
        _case(
            "stacked",
            _rnn(
                lambda: layers.LSTMCell(2),
                lambda: layers.GRUCell(3),
                lambda: layers.SimpleRNNCell(2),
                return_sequences=True,
            ),
        ),
    ],
    "Bidirectional": [
        _case("lstm", _both(lambda: layers.LSTM(2))),
        _case("gru-sum", _both(lambda: layers.GRU(2, return_sequences=True), merge_mode="sum")),
        _case("average", _both(lambda: layers.SimpleRNN(2), merge_mode="ave")),
        _case("product", _both(lambda: layers.SimpleRNN(2), merge_mode="mul")),
        _case(
            "other-backward",
            lambda: layers.Bidirectional(
                layers.GRU(2, return_sequences=True),
                backward_layer=layers.SimpleRNN(2, return_sequences=True, go_backwards=True),
            ),
        ),
        _case("sequences", _both(lambda: layers.SimpleRNN(2, return_sequences=True))),
    ],
    "TimeDistributed": [
        _case("dense", _each(lambda: layers.Dense(3, activation="relu")), (3, 4)),
        _case("conv", _each(lambda: layers.Conv2D(2, 2, activation="tanh")), (2, 4, 3, 2)),
        _case("pool", _each(lambda: layers.AveragePooling1D(2)), (2, 4, 3)),
        _case("max-pool", _each(lambda: layers.MaxPooling1D(2)), (2, 4, 3)),
        _case("norm", _each(layers.LayerNormalization), (2, 4)),
        _case("batch-norm", _each(layers.BatchNormalization), (3, 4)),
        _case("softmax", _each(layers.Softmax), (2, 3)),
        _case("flatten", _each(layers.Flatten), (2, 3, 2)),
        _case("dropout", _each(lambda: layers.Dropout(0.5)), (2, 3)),
        _case("recurrent", _each(lambda: layers.SimpleRNN(2)), (2, 3, 2)),
        _case("nested", _each(_each(lambda: layers.Dense(2, activation="tanh"))), (2, 3, 2)),
    ],
    "ConvLSTM1D": _convolutional(layers.ConvLSTM1D, 1),
    "ConvLSTM2D": _convolutional(layers.ConvLSTM2D, 2),
    "ConvLSTM3D": [
        _case("valid", lambda: layers.ConvLSTM3D(1, 2), (2, 3, 2, 3, 1)),
    ],
}
