"""Affine layers: every option that changes what they compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.decomon.helpers import layers, rng_of
from tests.decomon.layer_cases import LayerCase

Shape = tuple[int, ...]
FIRST: dict[str, Any] = {"data_format": "channels_first"}


def _maker(kind: Any, shape: Shape, **fixed: Any) -> Callable[..., LayerCase]:
    """Cases of one layer class, on inputs of one shape unless said otherwise."""

    def case(label: str, *args: Any, shape: Shape = shape, **options: Any) -> LayerCase:
        return LayerCase(label, lambda: kind(*args, **fixed, **options), (shape,))

    return case


def _merge(kind: Any) -> Callable[..., LayerCase]:
    def case(label: str, *shapes: Shape, **options: Any) -> LayerCase:
        return LayerCase(label, lambda: kind(**options), shapes)

    return case


def _sums(kind: Any) -> list[LayerCase]:
    """Cases of a layer that adds tensors."""
    case = _merge(kind)
    return [
        case("pair", (3, 2), (3, 2)),
        case("four", (4,), (4,), (4,), (4,)),
        case("broadcast", (3, 2), (1, 2), (3, 1)),
        case("small-first", (1, 1), (3, 2)),
        case("outer", (1, 2), (3, 1)),
        case("ranks", (3, 2), (2,)),
        case("ranks-first", (2,), (3, 2), (4, 3, 2)),
        case("same-side", (2, 1), (2, 2)),
    ]


def _convolutions() -> dict[str, list[LayerCase]]:
    one, two = _maker(layers.Conv1D, (7, 4)), _maker(layers.Conv2D, (7, 6, 4))
    three = _maker(layers.Conv3D, (4, 5, 3, 2))
    return {
        "Conv1D": [
            one("plain", 3, 3),
            one("strides", 3, 3, strides=2),
            one("dilation", 3, 2, dilation_rate=3),
            one("groups", 6, 2, groups=2),
            one("same", 3, 4, padding="same"),
            one("same-strides", 3, 4, padding="same", strides=3),
            one("causal", 3, 3, padding="causal"),
            one("causal-strides", 3, 3, padding="causal", strides=2),
            one("causal-dilation", 2, 3, padding="causal", dilation_rate=2, use_bias=False),
            one("relu", 3, 2, activation="relu"),
            one("first", 3, 3, shape=(4, 7), **FIRST),
            one("first-causal", 3, 3, padding="causal", dilation_rate=2, shape=(4, 7), **FIRST),
            one("first-groups", 4, 2, groups=2, strides=2, shape=(4, 7), **FIRST),
            one("first-bias-along-width", 6, 2, shape=(4, 7), **FIRST),
        ],
        "Conv2D": [
            two("lora", 3, 2, lora_rank=1),
            two("groups-dilation", 4, 2, groups=2, dilation_rate=(1, 2), padding="same"),
            two("first-dilation", 3, 2, dilation_rate=2, shape=(4, 7, 6), **FIRST),
            two("first-bias-along-width", 5, 2, shape=(4, 7, 6), **FIRST),
            two("first-one-filter", 1, 2, shape=(4, 7, 6), **FIRST),
        ],
        "Conv3D": [
            three("plain", 3, 2),
            three("oblong", 2, (2, 3, 1)),
            three("strides", 2, 2, strides=(2, 1, 2)),
            three("dilation", 2, 2, dilation_rate=(1, 2, 2)),
            three("groups", 4, 2, groups=2),
            three("same", 2, (3, 2, 2), padding="same"),
            three("same-strides", 2, 2, padding="same", strides=2, use_bias=False),
            three("relu", 2, 2, activation="relu"),
            three("first", 3, (2, 3, 2), shape=(2, 4, 5, 3), **FIRST),
            three("first-strides", 4, 2, strides=2, groups=2, shape=(2, 4, 5, 4), **FIRST),
        ],
        "Conv1DTranspose": _transposed(layers.Conv1DTranspose, 1),
        "Conv2DTranspose": _transposed(layers.Conv2DTranspose, 2),
        "Conv3DTranspose": _transposed(layers.Conv3DTranspose, 3),
    }


def _transposed(kind: Any, rank: int) -> list[LayerCase]:
    sides = (4, 3, 2)[:rank]
    case = _maker(kind, (*sides, 3))
    first: dict[str, Any] = {"shape": (3, *sides), **FIRST}
    oblong, uneven = (3, 2, 1)[:rank], (2, 3, 1)[:rank]
    return [
        case("plain", 2, 3),
        case("oblong", 2, oblong, strides=uneven),
        case("strides", 2, 2, strides=3),
        case("same", 2, 3, padding="same"),
        case("same-strides", 2, 3, padding="same", strides=2),
        case("output-padding", 2, 3, strides=3, output_padding=1),
        case("same-output-padding", 2, 3, padding="same", strides=3, output_padding=2),
        case("dilation", 2, 2, dilation_rate=2),
        case("same-dilation", 2, 3, padding="same", dilation_rate=2),
        case("no-bias", 2, 2, use_bias=False),
        case("relu", 2, 2, activation="relu"),
        case("first", 2, 3, strides=2, **first),
        case("first-same", 3, 2, padding="same", strides=2, use_bias=False, **first),
        case("first-bias-along-width", sides[-1] * 2, 2, strides=2, padding="same", **first),
    ]


def _separate() -> dict[str, list[LayerCase]]:
    deep1, deep2 = _maker(layers.DepthwiseConv1D, (8, 3)), _maker(layers.DepthwiseConv2D, (7, 6, 3))
    apart1, apart2 = (
        _maker(layers.SeparableConv1D, (8, 3)),
        _maker(layers.SeparableConv2D, (7, 6, 3)),
    )
    return {
        "DepthwiseConv1D": [
            deep1("plain", 3),
            deep1("multiplier", 2, depth_multiplier=2),
            deep1("strides", 3, strides=2),
            deep1("same", 3, padding="same", strides=3),
            deep1("dilation", 2, dilation_rate=2),
            deep1("dilated-strides", 3, dilation_rate=2, strides=2, padding="same"),
            deep1("relu", 3, activation="relu", use_bias=False),
            deep1("first", 2, depth_multiplier=2, shape=(3, 8), **FIRST),
            deep1("first-dilation", 2, dilation_rate=2, padding="same", shape=(3, 8), **FIRST),
        ],
        "DepthwiseConv2D": [
            deep2("plain", 3),
            deep2("oblong", (3, 2), depth_multiplier=2),
            deep2("strides", 3, strides=2),
            deep2("same", (2, 3), padding="same"),
            deep2("same-strides", 3, padding="same", strides=2),
            deep2("dilation", 2, dilation_rate=(1, 3)),
            deep2("same-dilation", 2, dilation_rate=2, padding="same"),
            deep2("dilated-strides", 2, dilation_rate=2, strides=2),
            deep2("same-dilated-strides", 3, dilation_rate=2, strides=2, padding="same"),
            deep2("no-bias", 2, use_bias=False, activation="relu"),
            deep2("first", 3, depth_multiplier=2, shape=(3, 7, 5), **FIRST),
            deep2("first-strides", 3, strides=2, padding="same", shape=(3, 7, 6), **FIRST),
        ],
        "SeparableConv1D": [
            apart1("plain", 4, 3),
            apart1("multiplier", 2, 3, depth_multiplier=3),
            apart1("strides", 4, 3, strides=2, padding="same"),
            apart1("dilation", 4, 2, dilation_rate=3, padding="same"),
            apart1("dilated-strides", 4, 2, dilation_rate=2, strides=2, padding="same"),
            apart1("relu", 4, 2, activation="relu", use_bias=False),
            apart1("first", 4, 2, strides=2, shape=(3, 8), **FIRST),
        ],
        "SeparableConv2D": [
            apart2("plain", 4, 3),
            apart2("multiplier", 2, (2, 3), depth_multiplier=2),
            apart2("strides", 4, 3, strides=2),
            apart2("same-strides", 4, 3, strides=2, padding="same"),
            apart2("dilation", 2, 2, dilation_rate=(2, 1)),
            apart2("same-dilation", 2, 3, dilation_rate=2, padding="same"),
            apart2("dilated-strides", 2, 2, dilation_rate=2, strides=2),
            apart2("same-dilated-strides", 2, 2, dilation_rate=2, strides=2, padding="same"),
            apart2("relu", 4, 2, activation="relu", use_bias=False),
            apart2("first", 4, 3, padding="same", depth_multiplier=2, shape=(3, 7, 6), **FIRST),
        ],
    }


def _pools() -> dict[str, list[LayerCase]]:
    one = _maker(layers.AveragePooling1D, (7, 2))
    three = _maker(layers.AveragePooling3D, (5, 4, 6, 2))
    cases = {
        "AveragePooling1D": [
            one("plain", 2),
            one("overlap", 3, strides=2),
            one("apart", 2, strides=3),
            one("same", 3, strides=2, padding="same"),
            one("first", 2, padding="same", shape=(2, 7), **FIRST),
        ],
        "AveragePooling3D": [
            three("plain", 2),
            three("oblong", (2, 1, 3), strides=(1, 2, 2)),
            three("same", (3, 2, 2), strides=2, padding="same"),
            three("first", 2, shape=(2, 5, 4, 6), **FIRST),
            three("first-same", 2, padding="same", shape=(2, 5, 4, 3), **FIRST),
        ],
    }
    for rank in (1, 2, 3):
        sides = (5, 4, 3)[:rank]
        first: dict[str, Any] = {"shape": (2, *sides), **FIRST}
        whole = f"GlobalAveragePooling{rank}D"
        case = _maker(getattr(layers, whole), (*sides, 2))
        cases[whole] = [
            case("plain"),
            case("keepdims", keepdims=True),
            case("first", **first),
            case("first-keepdims", keepdims=True, **first),
        ]
        adaptive = f"AdaptiveAveragePooling{rank}D"
        case = _maker(getattr(layers, adaptive), (*sides, 2))
        cases[adaptive] = [
            case("one", 1),
            case("two", 2),
            case("three", 3),
            case("more", 7),
            case("first", 2, **first),
            case("uneven", (3, 2, 1)[:rank]),
        ]
    return cases


def _reshaping() -> dict[str, list[LayerCase]]:
    crop1, crop2 = _maker(layers.Cropping1D, (6, 2)), _maker(layers.Cropping2D, (6, 5, 2))
    crop3 = _maker(layers.Cropping3D, (5, 4, 6, 2))
    pad1 = _maker(layers.ZeroPadding1D, (3, 2))
    pad3 = _maker(layers.ZeroPadding3D, (2, 3, 2, 2))
    up2, up3 = _maker(layers.UpSampling2D, (3, 2, 2)), _maker(layers.UpSampling3D, (2, 3, 2, 2))
    return {
        "Cropping1D": [crop1("one", 1), crop1("uneven", (2, 0)), crop1("none", 0)],
        "Cropping2D": [
            crop2("one", 1),
            crop2("pair", (2, 1)),
            crop2("uneven", ((0, 2), (3, 0))),
            crop2("first", ((1, 2), (0, 3)), shape=(2, 6, 5), **FIRST),
        ],
        "Cropping3D": [
            crop3("one", 1),
            crop3("uneven", ((0, 2), (3, 0), (1, 1))),
            crop3("first", ((1, 0), (0, 3), (2, 1)), shape=(2, 5, 4, 6), **FIRST),
        ],
        "ZeroPadding1D": [
            pad1("one", 1),
            pad1("uneven", (0, 2)),
            pad1("first", (1, 2), shape=(2, 3), **FIRST),
        ],
        "ZeroPadding3D": [
            pad3("one", 1),
            pad3("uneven", ((1, 0), (0, 2), (1, 1))),
            pad3("first", ((1, 0), (0, 2), (1, 1)), **FIRST),
        ],
        "RepeatVector": [_maker(layers.RepeatVector, (3,))("three", 3)],
        "UpSampling1D": [
            _maker(layers.UpSampling1D, (3, 2))("two", 2),
            _maker(layers.UpSampling1D, (3, 2))("three", 3),
        ],
        "UpSampling2D": [
            up2("plain"),
            up2("uneven", (3, 1)),
            up2("first", (2, 3), shape=(2, 3, 2), **FIRST),
            up2("bilinear", (2, 3), interpolation="bilinear"),
            up2("bicubic", 2, interpolation="bicubic"),
            up2("lanczos3", 2, interpolation="lanczos3"),
            up2("lanczos5", 2, interpolation="lanczos5"),
            up2("first-bilinear", 2, interpolation="bilinear", shape=(2, 3, 4), **FIRST),
        ],
        "UpSampling3D": [
            up3("plain"),
            up3("uneven", (1, 2, 3)),
            up3("first", (2, 1, 2), **FIRST),
        ],
    }


def _images() -> dict[str, list[LayerCase]]:
    size, crop = _maker(layers.Resizing, (5, 6, 2)), _maker(layers.CenterCrop, (5, 6, 2))
    scale = _maker(layers.Rescaling, (3, 2))
    first: dict[str, Any] = {"shape": (2, 5, 6), **FIRST}
    kinds = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5")
    cut: dict[str, Any] = {"crop_to_aspect_ratio": True}
    padded: dict[str, Any] = {"pad_to_aspect_ratio": True}
    return {
        "Resizing": [
            *(size(f"{kind}-up", 7, 11, interpolation=kind) for kind in kinds),
            *(size(f"{kind}-down", 3, 4, interpolation=kind) for kind in kinds),
            *(
                size(f"{kind}-antialias", 3, 2, interpolation=kind, antialias=True)
                for kind in kinds
            ),
            size("same", 5, 6),
            size("one-side", 5, 9, interpolation="bicubic"),
            size("crop", 4, 9, **cut),
            size("crop-tall", 9, 4, interpolation="nearest", **cut),
            size("crop-first", 2, 7, **cut, **first),
            size("pad", 4, 9, **padded),
            size("pad-fill", 9, 4, fill_value=0.75, interpolation="bicubic", **padded),
            size("pad-first", 3, 8, fill_value=-1.5, interpolation="area", **padded, **first),
            size("pad-nothing", 10, 12, fill_value=2.0, **padded),
            size("first", 8, 3, interpolation="lanczos3", **first),
        ],
        "CenterCrop": [
            crop("odd", 2, 3),
            crop("even", 4, 4),
            crop("same", 5, 6),
            crop("first", 4, 3, **first),
            crop("enlarge", 8, 9),
            crop("enlarge-one", 3, 9),
            crop("enlarge-first", 7, 4, **first),
        ],
        "Rescaling": [
            scale("number", 1 / 255),
            scale("offset", 2.0, offset=-1.0),
            scale("negative", -0.3, offset=0.1),
            scale("zero", 0.0, offset=0.5),
            scale("list", [0.5, -2.0], offset=[1.0, 0.25]),
            scale("array", np.array([[0.5], [2.0], [-1.0]]), offset=np.array([0.1, 0.2])),
        ],
    }


def _normal() -> dict[str, list[LayerCase]]:
    case = _maker(layers.Normalization, (3, 2))
    both = {"mean": [0.5, -1.0], "variance": [4.0, 0.25]}
    every = {"mean": np.arange(6.0).reshape(3, 2), "variance": np.arange(6.0).reshape(3, 2) + 0.5}

    def adapted(**options: Any) -> Any:
        layer = layers.Normalization(**options)
        layer.adapt(rng_of(5).normal(size=(40, 3, 2)) * 3 + 1)
        return layer

    return {
        "Normalization": [
            case("number", mean=3.0, variance=2.0),
            case("all", axis=None, mean=3.0, variance=2.0),
            case("last", **both),
            case("first", axis=1, mean=[1.0, 2.0, 3.0], variance=[0.5, 2.0, 1.0]),
            case("both", axis=(1, 2), **every),
            case("both-broadcast", axis=(1, 2), **both),
            case("negative-axis", axis=(-1,), **both),
            case("invert", invert=True, **both),
            case("constant", mean=[0.5, 1.0], variance=[0.0, 1.0]),
            LayerCase("adapted", adapted, ((3, 2),)),
            LayerCase("adapted-axis", lambda: adapted(axis=1, invert=True), ((3, 2),)),
            LayerCase("adapted-all", lambda: adapted(axis=None), ((3, 2),)),
        ],
        "SpectralNormalization": [
            LayerCase("dense", lambda: layers.SpectralNormalization(layers.Dense(3)), ((4,),)),
            LayerCase(
                "conv",
                lambda: layers.SpectralNormalization(layers.Conv2D(3, 2), power_iterations=2),
                ((4, 3, 2),),
            ),
            LayerCase(
                "relu",
                lambda: layers.SpectralNormalization(layers.Dense(3, activation="relu")),
                ((4,),),
            ),
        ],
        "BatchNormalization": [
            _maker(layers.BatchNormalization, (3, 2))("renorm", renorm=True),
            _maker(layers.BatchNormalization, (2, 3, 2, 2))("volume-axis2", axis=2),
        ],
    }


def _einsums() -> list[LayerCase]:
    def case(label: str, equation: str, output: Any, *shapes: Shape, **options: Any) -> LayerCase:
        return LayerCase(label, lambda: layers.EinsumDense(equation, output, **options), shapes)

    return [
        case("dense", "ab,bc->ac", 4, (3,), bias_axes="c"),
        case("no-bias", "ab,bc->ac", 4, (3,)),
        case("sequence", "abc,cd->abd", (3, 4), (3, 2), bias_axes="d"),
        case("ellipsis", "...x,xy->...y", 4, (3, 2), bias_axes="y"),
        case("heads", "abc,cde->abde", (3, 2, 4), (3, 5), bias_axes="de"),
        case("merge-heads", "abcd,cde->abe", (3, 4), (3, 2, 5), bias_axes="e"),
        case("middle", "abc,bd->adc", (4, 2), (3, 2), bias_axes="d"),
        case("entries", "abc,bc->abc", (3, 2), (3, 2), bias_axes="bc"),
        case("channels", "abc,c->abc", (3, 2), (3, 2)),
        case("sum", "abc,cd->ad", 4, (3, 2), bias_axes="d"),
        case("bias-along-last", "abc,cd->abd", (3, 3), (3, 2), bias_axes="b"),
        case("bias-along-first", "abcd,de->abce", (3, 3, 4), (3, 3, 2), bias_axes="c"),
        case("bias-in-the-middle", "abcd,de->abce", (3, 5, 4), (3, 5, 2), bias_axes="c"),
        case("relu", "abc,cd->abd", (3, 4), (3, 2), bias_axes="d", activation="relu"),
        case("lora", "ab,bc->ac", 4, (3,), lora_rank=2),
    ]


CASES: dict[str, list[LayerCase]] = {
    **_convolutions(),
    **_separate(),
    **_pools(),
    **_reshaping(),
    **_images(),
    **_normal(),
    "EinsumDense": _einsums(),
    "Dense": [_maker(layers.Dense, (3,))("lora", 4, lora_rank=2)],
    "Add": _sums(layers.Add),
    "Average": _sums(layers.Average),
    "Subtract": [
        _merge(layers.Subtract)("same", (3, 2), (3, 2)),
        _merge(layers.Subtract)("broadcast", (3, 1), (1, 2)),
        _merge(layers.Subtract)("column", (3, 3), (3, 1)),
        _merge(layers.Subtract)("number", (3, 2), (1, 1)),
        _merge(layers.Subtract)("ranks", (2,), (3, 2)),
    ],
    "Concatenate": [
        _merge(layers.Concatenate)("three", (2, 1), (2, 3), (2, 2)),
        _merge(layers.Concatenate)("volume-axis2", (2, 1, 2, 2), (2, 2, 2, 2), axis=2),
    ],
}
