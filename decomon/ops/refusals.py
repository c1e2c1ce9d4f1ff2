"""Keras layers that are refused, each with its reason and what to do instead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, cast

from decomon._backend import keras

_REFUSALS: dict[type, str] = {}

_BEFORE = "Apply it to the data first, and certify the model from its output on"
_OWN_LAYER = "a layer of your own with a rule (decomon.ops.register, tutorial custom_layer.ipynb)"


def register_refusal(reason: str, *classes: type) -> None:
    """Say why classes of layers have no rule.

    Parameters
    ----------
    reason : str
        Completes "... has no certified rule: "; it ends with the way out and without a full stop.
    classes : classes
        Subclasses are refused for the same reason, unless they have a rule of their own.
    """
    for kind in classes:
        _REFUSALS[kind] = reason


def refusals() -> Mapping[type, str]:
    """Return the reason for each class that is refused by name."""
    return MappingProxyType(_REFUSALS)


def why_unsupported(kind: type, known: Collection[type]) -> str:
    """Return why a class without a rule has none; ``known`` are the classes that have one."""
    if kind in _REFUSALS:
        return _REFUSALS[kind]
    for base in kind.__mro__[1:]:
        if base in _REFUSALS:
            return f"it is a subclass of {base.__name__}: {_REFUSALS[base]}"
        if base in known:
            return (
                f"it is a subclass of {base.__name__} and may compute something else. If it "
                f"does not, say so with decomon.ops.register_like({base.__name__}, "
                f"{kind.__name__}); otherwise add a rule with decomon.ops.register (tutorial "
                "custom_layer.ipynb)"
            )
    if kind.__module__.partition(".")[0] == "keras":
        return "no rule has been written for it. Add one with decomon.ops.register"
    return (
        "it is a class of your own, and what it computes is not known. Add a rule with "
        "decomon.ops.register (tutorial custom_layer.ipynb)"
    )


def _layers(*names: str) -> list[type]:
    """Return the classes of these names that the installed Keras has."""
    present = cast("dict[str, Any]", vars(keras.layers))
    return [present[name] for name in names if name in present]


register_refusal(
    f"it sorts numbers into bins, which is not continuous. {_BEFORE}",
    *_layers("Discretization"),
)
register_refusal(
    f"it hashes its input, so neighbouring values land anywhere. {_BEFORE}",
    *_layers("Hashing", "HashedCrossing"),
)
register_refusal(
    f"it encodes integers, and there is nothing between two integers to bound. {_BEFORE}",
    *_layers("CategoryEncoding"),
)
register_refusal(
    f"it looks its input up in a vocabulary, which is not continuous. {_BEFORE}",
    *_layers("IntegerLookup", "StringLookup", "TextVectorization"),
)
register_refusal(
    "it looks up integers, and there is nothing between two integers to bound. Certify the rest of "
    "the model, as a function of the vectors that come out of it: keras.Model(layer.output, "
    "model.output)",
    *_layers("Embedding", "ReversibleEmbedding"),
)
register_refusal(
    "it drops a step when its values equal mask_value exactly, which is not continuous. Leave it "
    "out, and certify sequences of one fixed length",
    *_layers("Masking"),
)
register_refusal(
    "it runs a Python function that cannot be read. Write the function with keras.ops in the "
    f"Functional model, or as {_OWN_LAYER}",
    *_layers("Lambda"),
)
register_refusal(
    f"what it runs is not a Keras graph and cannot be read. Rebuild it with Keras layers, or as "
    f"{_OWN_LAYER}",
    *_layers("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"),
)
register_refusal(
    "it is random: it augments training images, and passes images on unchanged at inference. Leave "
    "it out of the model that is certified",
    *_layers(
        "RandAugment",
        "RandomBrightness",
        "RandomColorDegeneration",
        "RandomColorJitter",
        "RandomContrast",
        "RandomElasticTransform",
        "RandomErasing",
        "RandomFlip",
        "RandomGaussianBlur",
        "RandomGrayscale",
        "RandomHue",
        "RandomInvert",
        "RandomPerspective",
        "RandomPosterization",
        "RandomRotation",
        "RandomSaturation",
        "RandomSharpness",
        "RandomShear",
        "RandomTranslation",
        "RandomZoom",
        "AugMix",
        "CutMix",
        "MixUp",
    ),
)
register_refusal(
    "it augments training images, and passes images on unchanged at inference. Leave it out of the "
    "model that is certified",
    *_layers("Equalization", "Solarization"),
)
register_refusal(
    "it crops at random in training. Use CenterCrop and Resizing, as it does at inference, in the "
    "model that is certified",
    *_layers("RandomCrop"),
)
register_refusal(
    "it stretches the colours of each image by the image's own extremes, which is not continuous "
    f"where an image has only one colour. {_BEFORE}",
    *_layers("AutoContrast"),
)
register_refusal(
    f"it counts pixels in a histogram, which is not continuous. {_BEFORE}",
    *_layers("ContrastLimitedAdaptiveHistogramEqualization"),
)
register_refusal(
    "it handles the bounding boxes of training data and leaves images as they are. Leave it out of "
    "the model that is certified",
    *_layers("MaxNumBoundingBoxes"),
)
register_refusal(
    "it is a list of preprocessing layers. Put those into the model one by one",
    *_layers("Pipeline"),
)
register_refusal(
    f"the magnitudes of its Fourier transform have no rule yet. {_BEFORE}",
    *_layers("MelSpectrogram", "STFTSpectrogram"),
)
register_refusal(
    "it is one step of a recurrent layer, no layer by itself. Wrap it: keras.layers.RNN(cell)",
    *_layers("SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells"),
)
