"""Input sets whose parameters are differentiated or known only when compiled code runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from decomon._backend import Shape, Tensor, tf
from decomon._tensors import size_of
from decomon.bounds import Interval
from decomon.domains import BoxDomain, Domain
from decomon.domains._checks import as_floats, check_finite
from decomon.inputs import check_domain
from decomon.known import KnownDomain, KnownInterval, KnownNode
from decomon.rounding import round_down, round_up
from decomon.signature import Signature
from decomon.verifier import Verifier


def is_symbolic(domain: Domain) -> bool:
    """Say whether some parameter has no value yet, because code is being compiled."""
    return any(tf.is_symbolic_tensor(values) for values in domain.tensors())


def live_domain(domain: Any, signature: Signature, verifier: Verifier) -> Domain:
    """Return the input sets as tensors of the compute type, with every point the model can see.

    Values are checked, and rounded outward.  Gradients are those with respect to the given tensors.
    Sets without values are only checked for their shapes, and not rounded.

    Raises
    ------
    ValueError, TypeError
        As :func:`~decomon.inputs.check_domain`.
    """
    if isinstance(domain, Domain) and is_symbolic(domain):
        return _symbolic(domain, signature, verifier)
    with tf.init_scope():  # values are there, whatever is being compiled
        exact = check_domain(domain, signature).outer(verifier)
    if not any(tf.is_tensor(values) for values in domain.tensors()):
        return exact
    given = domain.as_tensors(verifier.dtype)
    if given.kind != exact.kind and isinstance(exact, BoxDomain):
        hull = given.interval()
        given = BoxDomain(hull.lower, hull.upper)
    pairs = zip(given.tensors(), exact.tensors(), strict=True)
    return exact.rebuild(*(_valued(tensor, value) for tensor, value in pairs))


def known_on(domain: Domain, intermediate: Any, names: Sequence[str], verifier: Verifier) -> Domain:
    """Return the sets with what is known of inner nodes on them.

    What is said of the input and of the output is left out: the one is the domain's to say, the
    other is what is asked.

    Parameters
    ----------
    domain : of tensors of the compute type
    intermediate : intervals, or pairs of ends, by name of the node
    names : of all nodes

    Raises
    ------
    ValueError
        If a name is unknown, or an interval has another shape, is not finite or has crossed ends.
    """
    given = _named(intermediate, names)
    graph = verifier.graph
    batch = domain.tensors()[0].shape[0]
    nodes: list[KnownNode] = []
    ends: list[Tensor] = []
    for index, (name, node) in enumerate(zip(names, graph.nodes, strict=True)):
        if name not in given:
            continue
        lower, upper = _pair(name, given[name])
        _check_shapes(name, (lower, upper), batch, node.shape)
        _check_values(name, lower, upper)
        if 0 < index < graph.output:
            interval = given[name]
            own = isinstance(interval, KnownInterval)
            nodes.append(KnownNode(index, node.shape, own))
            ends.append(_rounded(lower, verifier.dtype, round_down))
            ends.append(_rounded(upper, verifier.dtype, round_up))
            if own:
                pair = (interval.own.lower, interval.own.upper)
                ends.extend(tf.cast(end, verifier.dtype) for end in pair)
    return KnownDomain(domain, tuple(nodes), tuple(ends)) if nodes else domain


def _symbolic(domain: Domain, signature: Signature, verifier: Verifier) -> Domain:
    whole = [repr(port.name) for port in signature.inputs if port.whole]
    if whole:
        raise ValueError(
            f"Input {', '.join(whole)} is of an integer type: its sets must have values when they "
            "are bounded, because decimals are cut off. Call the model outside of tf.function, or "
            f"pass NumPy arrays. Received: {type(domain).__name__} of symbolic tensors"
        )
    specs = domain.specs(verifier.graph.input_shape, verifier.dtype)
    pairs = zip(domain.as_tensors(verifier.dtype).tensors(), specs, strict=True)
    return domain.rebuild(*(_fitting(tensor, spec) for tensor, spec in pairs))


def _fitting(tensor: Tensor, spec: Any) -> Tensor:
    """Give flattened samples their shape."""
    found = tensor.shape
    if found.is_compatible_with(spec.shape):
        return tensor
    wanted = spec.shape[1:]
    size = size_of(tuple(wanted)) if wanted.is_fully_defined() else -1
    if found.rank != 2 or found[1] != size:
        raise ValueError(
            "The domain must be one of the model's inputs: its parameters must have the shape "
            f"{spec.shape}. Received: {found}"
        )
    return tf.reshape(tensor, [-1, *wanted])


def _valued(tensor: Tensor, value: Tensor) -> Tensor:
    """Return a value as if it had been computed from a tensor that it differs from by rounding."""

    @tf.custom_gradient
    def replaced(shaped: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        del shaped
        return tf.identity(value), tf.identity

    return replaced(tf.reshape(tensor, value.shape))


def _named(intermediate: Any, names: Sequence[str]) -> Mapping[Any, Any]:
    if not isinstance(intermediate, Mapping):
        raise TypeError(
            "intermediate must be a dict of intervals by layer name, as intermediate_bounds() "
            f"returns it. Received: {type(intermediate)}"
        )
    given = cast("Mapping[Any, Any]", intermediate)
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ValueError(
            "intermediate must be about nodes of this network, which are "
            f"{', '.join(map(repr, names))}. Received: an entry {unknown[0]!r}"
        )
    return given


def _pair(name: str, given: Any) -> tuple[Any, Any]:
    """Return both ends as arrays or tensors."""
    ends: Sequence[Any] = ()
    if isinstance(given, Interval):
        ends = (given.lower, given.upper)
    elif isinstance(given, list | tuple):
        ends = cast("Sequence[Any]", given)
    if len(ends) != 2:
        raise TypeError(
            f"intermediate[{name!r}] must be an interval or a pair (lower, upper). "
            f"Received: {type(cast('object', given))}"
        )
    sides = (f"lower end of intermediate[{name!r}]", f"upper end of intermediate[{name!r}]")
    lower, upper = (
        values if tf.is_tensor(values) else as_floats(side, values)
        for side, values in zip(sides, ends, strict=True)
    )
    return lower, upper


def _check_shapes(name: str, ends: tuple[Any, Any], batch: int | None, shape: Shape) -> None:
    for side, values in zip(("lower", "upper"), ends, strict=True):
        if not tf.TensorShape([batch, *shape]).is_compatible_with(values.shape):
            sides = ", ".join(map(str, ("batch" if batch is None else batch, *shape)))
            raise ValueError(
                f"The {side} end of intermediate[{name!r}] must have the shape ({sides}). "
                f"Received: {tuple(values.shape)}"
            )


def _check_values(name: str, lower: Any, upper: Any) -> None:
    """Refuse ends that are no interval; without values, that cannot be seen."""
    if tf.is_symbolic_tensor(lower) or tf.is_symbolic_tensor(upper):
        return
    low, high = np.asarray(lower), np.asarray(upper)
    check_finite(f"The lower end of intermediate[{name!r}]", low)
    check_finite(f"The upper end of intermediate[{name!r}]", high)
    crossed = np.argwhere(low > high)
    if crossed.size:
        place = tuple(int(i) for i in crossed[0])
        raise ValueError(
            f"The lower end of intermediate[{name!r}] must not exceed the upper one. Received: "
            f"{low[place]} > {high[place]} in sample {place[0]} at position {place[1:]} "
            f"({len(crossed)} such entries)"
        )


def _rounded(
    values: Any, dtype: Any, direction: Callable[[NDArray[np.floating], Any], Any]
) -> Tensor:
    """Return a tensor of the compute type, rounded outward if it has a value."""
    if tf.is_symbolic_tensor(values):
        return tf.cast(values, dtype)
    with tf.init_scope():
        exact = tf.constant(direction(np.asarray(values), dtype.as_numpy_dtype), dtype)
    return _valued(tf.cast(values, dtype), exact) if tf.is_tensor(values) else exact
