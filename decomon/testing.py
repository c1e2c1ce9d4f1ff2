"""Checks for rules of your own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from decomon._backend import keras, tf
from decomon.bounds import Interval, Lines
from decomon.domains import BoxDomain
from decomon.graph import Graph, from_keras
from decomon.methods import METHODS
from decomon.ops import ElementwiseOp
from decomon.ops.elementwise.slopes import VolumeSlope
from decomon.signature import Signature, run
from decomon.verifier import Verifier

_METHODS = ("forward-ibp", "forward-affine", "crown")
_RADII = (0.0, 1e-6, 0.1, 1.0, 10.0)
_SAMPLES = 200
_COMBINATIONS = 100


def check_layer(
    layer: Any,
    *input_shapes: tuple[int, ...],
    low: float = -5.0,
    high: float = 5.0,
    seed: int = 0,
) -> None:
    """Look for a point at which the rule of a layer is wrong.

    First, what the rule builds must compute what the layer computes; then no point of many
    random boxes, their corners included, may leave the bounds of any method.  Passing
    is no proof: a bound can be wrong at points that were not tried.

    Parameters
    ----------
    layer : keras.layers.Layer
        One with weights that matter: biases that are zero hide mistakes.
    input_shapes : tuples
        The shape of each of its inputs, without batch axis.
    low, high : float
        All boxes lie between these values: leave out what the layer is not defined for.
    seed : int
        Other seeds try other points.

    Raises
    ------
    AssertionError
        With the first point that was found.
    UnsupportedModelError
        If there is no rule.

    Examples
    --------
    >>> check_layer(keras.layers.Dense(3, bias_initializer="normal"), (4,))
    """
    model = _with_inputs(layer, input_shapes)
    graph = from_keras(model, strip=False)
    rng = np.random.default_rng(seed)
    corners = [_box(rng, graph.input_shape, radius, low, high) for radius in _RADII]
    x_min, x_max = (np.concatenate(side) for side in zip(*corners, strict=True))
    points = _points(rng, x_min, x_max)
    _check_values(layer.name, model, graph, points)
    values = np.asarray(graph(tf.constant(points.reshape(-1, *graph.input_shape))))
    rows = _rows(rng, len(x_min), graph.nodes[-1].size)
    found = np.einsum("sbn,brn->sbr", values.reshape(*points.shape[:2], -1), rows)
    for method in _METHODS:
        verifier = Verifier(graph, METHODS[method], VolumeSlope(), dtype="float64")
        domain = BoxDomain(tf.constant(x_min), tf.constant(x_max))
        upper = np.asarray(verifier.bounds(domain, tf.constant(rows)).upper)
        # Sums of this many terms, each no larger than this, may be off by this much.
        room = 1e-12 * np.abs(rows).sum(axis=2) * (1 + np.abs(values).max(initial=0.0))
        wrong = ~(found <= upper + room)
        if wrong.any():
            sample, position, row = np.unravel_index(np.argmax(wrong), wrong.shape)
            raise AssertionError(
                f"A bound of layer {layer.name!r} by {method!r} is wrong: "
                f"{upper[position, row]:g} for the combination {_shown(rows[position, row])} of "
                f"its outputs and inputs, which is {found[sample, position, row]:g} at "
                f"{_shown(points[sample, position])}, in the box from "
                f"{_shown(x_min[position])} to {_shown(x_max[position])}"
            )


def _with_inputs(layer: Any, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """Return a model whose output is that of the layer, and the inputs, in one row.

    Lines that bound the layer are wrong if they are so in comparison with its inputs, which a bound
    of the layer alone may not show.
    """
    inputs = [keras.Input(shape) for shape in shapes]
    outputs = keras.tree.flatten(layer(inputs if len(inputs) > 1 else inputs[0]))
    flat = [keras.layers.Reshape((-1,))(value) for value in (*outputs, *inputs)]
    return keras.Model(inputs, keras.layers.Concatenate()(flat))


def _rows(rng: np.random.Generator, count: int, size: int) -> NDArray[np.float64]:
    """Return each output alone and combinations of them, from both sides."""
    scale = 10.0 ** rng.uniform(-2, 1, size=(_COMBINATIONS, size))
    rows = np.concatenate([np.eye(size), rng.normal(size=scale.shape) * scale])
    return np.repeat(np.concatenate([rows, -rows])[None], count, axis=0)


def _box(
    rng: np.random.Generator, shape: tuple[int, ...], radius: float, low: float, high: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    center = rng.uniform(low, high, size=(4, *shape))
    width = radius * rng.uniform(size=center.shape)
    return np.maximum(center - width, low), np.minimum(center + width, high)


def _points(
    rng: np.random.Generator, x_min: NDArray[np.float64], x_max: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Points inside and at corners: ``(samples, batch, *shape)``."""
    share = rng.uniform(size=(_SAMPLES, *x_min.shape))
    share[::2] = rng.integers(0, 2, size=share[::2].shape)
    return np.clip(x_min * (1 - share) + x_max * share, x_min, x_max)


def _check_values(name: str, model: Any, graph: Graph, points: NDArray[np.float64]) -> None:
    """Compare in the layer's own precision, so that nothing but rounding may differ."""
    dtype = model.compute_dtype
    at = points.reshape(-1, *points.shape[2:]).astype(dtype)
    expected = np.asarray(run(model, Signature.of(model).split(at), 0), np.float64)
    found = np.asarray(graph(tf.constant(at)), np.float64)
    gap = np.abs(found - expected)
    allowed = 1e3 * np.finfo(dtype).eps * (1 + np.abs(expected).max(initial=0.0))
    if not (gap <= allowed).all():
        worst = np.unravel_index(np.argmax(np.nan_to_num(gap, nan=np.inf)), gap.shape)
        raise AssertionError(
            f"The rule of layer {name!r} computes something else than the layer: {found[worst]:g} "
            f"instead of {expected[worst]:g} for output {int(worst[1])} at "
            f"{_shown(at[worst[0]])}"
        )


def lines(
    curve: ElementwiseOp, low: float, high: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the lines that bound a curve on an interval before any optimisation.

    Returns
    -------
    slope and offset of the line that is nowhere above the curve, and of the one nowhere below it

    Examples
    --------
    >>> lower, upper = lines(Hinge(), -1.0, 2.0)
    """
    interval = Interval(*(tf.constant([[end]], tf.float64) for end in (low, high)))
    start = curve.initial([interval], VolumeSlope())
    found = curve.relax([interval], tuple(value[:, None] for value in start))
    if not isinstance(found, Lines):
        raise TypeError(f"A curve is bounded by lines. Received: {curve!r}")
    offset = 0.0 if found.lower_offset is None else _number(found.lower_offset)
    upper = _number(found.upper_slope), _number(found.upper_offset)
    return (_number(found.lower_slope), offset), upper


def _shown(values: NDArray[Any]) -> str:
    return np.array2string(values.ravel(), precision=3, threshold=8, edgeitems=3, max_line_width=90)


def _number(tensor: Any) -> float:
    return float(np.asarray(tensor).item())
