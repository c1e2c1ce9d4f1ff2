"""Complete networks as people build them, randomly weighted; each entry builds a new one.

``large`` gives the sizes of real use; otherwise the same structure, smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.decomon.helpers import keras, layers, precision, rng_of

Build = Callable[[bool], Any]


def lenet(large: bool) -> Any:
    """LeNet-5 with tanh and average pooling (LeCun et al. 1998)."""
    side = 28 if large else 16
    return keras.Sequential(
        [
            keras.Input((side, side, 1)),
            layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16 if large else 8, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120 if large else 30, activation="tanh"),
            layers.Dense(84 if large else 20, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def lenet_max(large: bool) -> Any:
    """The same with ReLU and overlapping maximum pooling."""
    side = 28 if large else 14
    return keras.Sequential(
        [
            keras.Input((side, side, 1)),
            layers.Conv2D(6, 5 if large else 3, padding="same", activation="relu"),
            layers.MaxPooling2D(3, strides=2, padding="same"),
            layers.Conv2D(16 if large else 8, 5 if large else 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(84 if large else 20, activation="relu"),
            layers.Dense(10),
        ]
    )


def resnet(large: bool) -> Any:
    """Residual blocks; where the image shrinks, so does the skip (He et al. 2016)."""

    def block(x: Any, filters: int, strides: int) -> Any:
        y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        if strides > 1 or x.shape[-1] != filters:
            x = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
            x = layers.BatchNormalization()(x)
        return layers.ReLU()(layers.Add()([y, x]))

    side, width = (16, 16) if large else (8, 4)
    x = keras.Input((side, side, 3))
    y = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = block(y, width, 1)
    y = block(y, 2 * width, 2)
    y = block(y, 4 * width, 2)
    y = layers.GlobalAveragePooling2D()(y)
    return keras.Model(x, layers.Dense(10)(y))


def mobilenet(large: bool) -> Any:
    """Inverted residuals with depthwise convolutions and relu6 (Sandler et al. 2018)."""

    def block(x: Any, filters: int, strides: int) -> Any:
        y = layers.Conv2D(2 * x.shape[-1], 1, use_bias=False)(x)
        y = layers.ReLU(max_value=6)(layers.BatchNormalization()(y))
        if strides > 1:
            y = layers.ZeroPadding2D(((0, 1), (0, 1)))(y)
        padding = "valid" if strides > 1 else "same"
        y = layers.DepthwiseConv2D(3, strides=strides, padding=padding, use_bias=False)(y)
        y = layers.Activation("relu6")(layers.BatchNormalization()(y))
        y = layers.Conv2D(filters, 1, use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        return layers.Add()([x, y]) if strides == 1 and x.shape[-1] == filters else y

    side, width = (16, 8) if large else (8, 4)
    x = keras.Input((side, side, 3))
    y = layers.Conv2D(width, 3, strides=2, padding="same", activation="relu6")(x)
    y = layers.SeparableConv2D(width, 3, padding="same", activation="relu6")(y)
    y = block(y, width, 1)
    y = block(y, 2 * width, 2)
    y = layers.GlobalAveragePooling2D(keepdims=True)(y)
    y = layers.Dropout(0.2)(y)
    y = layers.Conv2D(10, 1)(y)
    return keras.Model(x, layers.Softmax()(layers.Reshape((10,))(y)))


def densenet(large: bool) -> Any:
    """Every layer sees all earlier ones, concatenated (Huang et al. 2017)."""
    side, growth = (16, 8) if large else (8, 3)
    x = keras.Input((side, side, 3))
    y = layers.Conv2D(2 * growth, 3, padding="same")(x)
    for last in (False, True):
        for _ in range(3 if large else 2):
            z = layers.ReLU()(layers.BatchNormalization()(y))
            z = layers.Conv2D(growth, 3, padding="same", use_bias=False)(z)
            y = layers.Concatenate()([y, z])
        if not last:
            y = layers.ReLU()(layers.BatchNormalization()(y))
            y = layers.Conv2D(y.shape[-1] // 2, 1, use_bias=False)(y)
            y = layers.AveragePooling2D(2, strides=2)(y)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.GlobalMaxPooling2D()(y)
    return keras.Model(x, layers.Dense(10)(y))


def unet(large: bool) -> Any:
    """Down and up again, with skips at every resolution; an image of logits comes out."""

    def convolve(x: Any, filters: int) -> Any:
        return layers.Conv2D(filters, 3, padding="same", activation="elu")(x)

    side, width = (16, 8) if large else (8, 3)
    x = keras.Input((side, side, 1))
    first = convolve(x, width)
    second = convolve(layers.MaxPooling2D(2)(first), 2 * width)
    bottom = convolve(layers.MaxPooling2D(2)(second), 4 * width)
    y = layers.UpSampling2D(interpolation="bilinear")(bottom)
    y = convolve(layers.Concatenate()([second, y]), 2 * width)
    y = layers.UpSampling2D(2)(y)
    y = convolve(layers.Concatenate()([first, y]), width)
    return keras.Model(x, layers.Conv2D(1, 1, activation="sigmoid")(y))


def mixer(large: bool) -> Any:
    """Perceptrons across patches and across channels (Tolstikhin et al. 2021)."""
    side, patch, width = (16, 4, 16) if large else (8, 4, 6)
    x = keras.Input((side, side, 3))
    y = layers.Conv2D(width, patch, strides=patch)(x)
    y = layers.Reshape((-1, width))(y)
    tokens = y.shape[1]
    for _ in range(2):
        z = layers.LayerNormalization(epsilon=1e-6)(y)
        z = layers.Permute((2, 1))(z)
        z = layers.Dense(2 * tokens, activation="gelu")(z)
        z = layers.Permute((2, 1))(layers.Dense(tokens)(z))
        y = layers.Add()([y, z])
        z = layers.LayerNormalization(epsilon=1e-6)(y)
        z = layers.Dense(width)(layers.Dense(2 * width, activation="gelu")(z))
        y = layers.Add()([y, z])
    y = layers.LayerNormalization(epsilon=1e-6)(y)
    return keras.Model(x, layers.Dense(10)(layers.GlobalAveragePooling1D()(y)))


def vision_transformer(large: bool) -> Any:
    """Attention over patches (Dosovitskiy et al. 2021)."""
    side, patch, width, heads = (16, 4, 16, 4) if large else (6, 3, 6, 2)
    x = keras.Input((side, side, 3))
    y = layers.Conv2D(width, patch, strides=patch)(x)
    y = layers.Reshape((-1, width))(y)
    for _ in range(2 if large else 1):
        z = layers.LayerNormalization(epsilon=1e-6)(y)
        z = layers.MultiHeadAttention(heads, width // heads, dropout=0.1)(z, z)
        y = layers.Add()([y, z])
        z = layers.LayerNormalization(epsilon=1e-6)(y)
        z = layers.Dense(2 * width, activation=keras.activations.gelu)(z)
        y = layers.Add()([y, layers.Dense(width)(layers.Dropout(0.1)(z))])
    y = layers.LayerNormalization(epsilon=1e-6)(y)
    return keras.Model(x, layers.Dense(10)(layers.Flatten()(y)))


def recurrent(large: bool) -> Any:
    """An LSTM on 20 steps (Hochreiter and Schmidhuber 1997)."""
    return keras.Sequential(
        [
            keras.Input((20, 8 if large else 2)),
            layers.LSTM(32 if large else 4),
            layers.Dense(5, activation="softmax"),
        ]
    )


def two_inputs(large: bool) -> Any:
    """An image and a few measurements, each with a branch of its own."""
    side, width = (16, 8) if large else (8, 3)
    image, numbers = keras.Input((side, side, 1)), keras.Input((6,))
    a = layers.Conv2D(width, 3, strides=2, activation="swish")(image)
    a = layers.GlobalAveragePooling2D()(layers.Conv2D(width, 3, activation="swish")(a))
    b = layers.Dense(4 * width, activation="softplus")(numbers)
    b = layers.Dense(width, activation="sigmoid")(b)
    y = layers.Concatenate()([layers.Multiply()([a, b]), a, b])
    y = layers.Dense(16, activation="selu")(y)
    return keras.Model([image, numbers], layers.Dense(4)(y))


def autoencoder(large: bool) -> Any:
    """Strided convolutions down to a code, transposed ones up to an image."""
    side, width = (16, 8) if large else (8, 3)
    x = keras.Input((side, side, 1))
    y = layers.Conv2D(width, 3, strides=2, padding="same")(x)
    y = layers.Conv2D(2 * width, 3, strides=2, padding="same")(layers.LeakyReLU(0.2)(y))
    y = layers.LeakyReLU(0.2)(y)
    shape = tuple(y.shape[1:])
    code = layers.Dense(8, activation="tanh", name="code")(layers.Flatten()(y))
    y = layers.Dense(shape[0] * shape[1] * shape[2])(code)
    y = layers.PReLU(shared_axes=[1, 2])(layers.Reshape(shape)(y))
    y = layers.Conv2DTranspose(width, 3, strides=2, padding="same", activation="softplus")(y)
    y = layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="hard_sigmoid")(y)
    return keras.Model(x, y)


ARCHITECTURES: dict[str, Build] = {
    build.__name__: build
    for build in (
        lenet,
        lenet_max,
        resnet,
        mobilenet,
        densenet,
        unet,
        mixer,
        vision_transformer,
        recurrent,
        two_inputs,
        autoencoder,
    )
}


def build(name: str, *, large: bool = False, seed: int = 0, dtype: str = "float32") -> Any:
    """An architecture with Keras' own initial weights, statistics and biases moved a little."""
    with precision(dtype):
        keras.utils.set_random_seed(seed)
        model = ARCHITECTURES[name](large)
        rng = rng_of(seed)
        for variable in model.weights:
            if len(variable.shape) == 1:
                noise = rng.uniform(-0.2, 0.2, variable.shape)
                variable.assign(variable.numpy() + noise)
        return model
