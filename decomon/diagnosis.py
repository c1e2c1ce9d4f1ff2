"""Saying where and why a bound is not finite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from decomon._backend import tf
from decomon.bounds import Interval
from decomon.domains import Domain
from decomon.errors import DomainError, NonFiniteBoundError
from decomon.nodes import Node
from decomon.ops._base import ElementwiseOp
from decomon.ops.elementwise.smooth import Smooth
from decomon.verifier import Verifier

_TIGHTEST = "crown"


def check_bounds(
    values: NDArray[np.floating], verifier: Verifier, domain: Domain, first: int
) -> NDArray[np.floating]:
    """Raise if a bound on a batch of input sets is not finite: it proves nothing.

    Parameters
    ----------
    values : ``(batch, ...)``
    first : number of the first sample
    """
    wrong = np.argwhere(~np.isfinite(values))
    if wrong.size:
        sample = int(wrong[0][0])
        one = domain[sample : sample + 1]
        place = f"the input set of sample {first + sample}"
        raise explain(verifier, one, place, float(values[tuple(wrong[0])]))
    return values


def explain(verifier: Verifier, one: Domain, place: str, value: float) -> NonFiniteBoundError:
    """Return the error that says why bounds on a set, or values at a point, are not finite.

    The first node whose interval is not finite is where it began, because those before it are.

    Parameters
    ----------
    one : one input set
    place : what messages call it
    value : the bound
    """
    intervals = verifier.intervals(one)
    for node, interval in zip(verifier.graph.nodes, intervals, strict=True):
        if _finite(interval):
            continue
        if isinstance(node.op, ElementwiseOp):
            argument = intervals[node.inputs[0]]
            outside = np.argwhere(node.op.outside(argument).numpy()[0])
            if len(outside):
                position = tuple(int(i) for i in outside[0])
                return _left(verifier, node, node.op, argument, position, place)
        return _overflow(f"the arithmetic overflowed in layer {node.name!r}", place, value)
    return _overflow("the arithmetic overflowed", place, value)


def _left(
    verifier: Verifier,
    node: Node,
    op: ElementwiseOp,
    argument: Interval,
    position: tuple[int, ...],
    place: str,
) -> DomainError:
    lower, upper = (
        float(side.numpy()[(0, *position)]) for side in (argument.lower, argument.upper)
    )
    function = op.name if isinstance(op, Smooth) else type(op).__name__
    method = verifier.method.name
    ways = ["smaller input sets", "more pieces (n_sub_boxes)"]
    if method != _TIGHTEST:
        ways.append(f"a tighter method (method={_TIGHTEST!r})")
    return DomainError(
        f"Layer {node.name!r} ({function}): its argument can be anywhere in [{lower:.6g}, "
        f"{upper:.6g}] within {place}, as far as {method!r} can tell, but {function} needs "
        f"{op.requirement}. If the network is defined on the whole box, {', '.join(ways[:-1])} or "
        f"{ways[-1]} can show it. Received: method={method!r}, argument at position {position}"
    )


def _overflow(what: str, place: str, value: float) -> NonFiniteBoundError:
    return NonFiniteBoundError(
        f"The bounds on {place} are not finite: {what}, so nothing is proven. Check the model's "
        "weights and the size of the inputs, or use clone(model, dtype='float64'). "
        f"Received: {value}"
    )


def _finite(interval: Interval) -> bool:
    sides = (interval.lower, interval.upper)
    return all(bool(tf.reduce_all(tf.math.is_finite(side))) for side in sides)
