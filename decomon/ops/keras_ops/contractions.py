"""Matrix products and all other sums of products: each is written as an Einstein sum.

Axes are named by numbers; axes of different operands with one name are multiplied along it, and
names that the result does not have are summed over.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from decomon._backend import Shape
from decomon.ops._registry import UnsupportedError, Value
from decomon.ops.keras_ops import _classes
from decomon.ops.keras_ops._use import Fixed, Operand, Use, integers, rule, touches_batch
from decomon.ops.keras_ops.arithmetic import sides, times
from decomon.ops.linear import Einsum, Matrix, Sum
from decomon.ops.products import multiply
from decomon.ops.refusals import register_refusal
from decomon.ops.shaping import Gather, Permute, Reshape

Labels: TypeAlias = tuple[int, ...]


@final
@dataclass(frozen=True)
class Term:
    """An operand and the names of its axes, the batch axis included."""

    operand: Operand
    labels: Labels

    @property
    def sides(self) -> tuple[int | None, ...]:
        """The size of each axis; None for the batch axis."""
        return sides(self.operand)


@rule("numpy.Matmul")
def matmul(use: Use) -> Value:
    """Matrices are the last two axes; axes before them broadcast."""
    x, y = use.operand("x1"), use.operand("x2")
    first, second = sides(x), sides(y)
    if not first or not second:
        raise UnsupportedError("one of its operands is a single number")
    names = itertools.count()
    row, inner, column = next(names), next(names), next(names)
    left = (row, inner) if len(first) > 1 else (inner,)
    right = (inner, column) if len(second) > 1 else (inner,)
    outer_x, outer_y, outer = broadcast(first[: -len(left)], second[: -len(right)], names)
    result = (*outer, *left[:-1], *right[1:])
    return contract(use, [Term(x, (*outer_x, *left)), Term(y, (*outer_y, *right))], result)


@rule("numpy.Dot")
def dot(use: Use) -> Value:
    """Sum over the last axis of the one and the last axis but one of the other."""
    x, y = use.operand("x1"), use.operand("x2")
    if not sides(x) or not sides(y):
        return times(use, x, y)
    return along(use, x, y, [-1], [-2 if len(sides(y)) > 1 else -1])


@rule("numpy.Inner")
def inner(use: Use) -> Value:
    """Sum over the last axes of both."""
    x, y = use.operand("x1"), use.operand("x2")
    if not sides(x) or not sides(y):
        return times(use, x, y)
    return along(use, x, y, [-1], [-1])


@rule("numpy.Tensordot", "axes")
def tensordot(use: Use) -> Value:
    """Sum over pairs of axes: so many in the middle, or those that are named."""
    x, y, axes = use.operand("x1"), use.operand("x2"), use.options["axes"]
    if isinstance(axes, int):
        count = len(sides(x))
        return along(use, x, y, range(count - axes, count), range(axes))
    first, second = (integers(a, "axes").ravel() for a in axes)
    return along(use, x, y, [int(a) for a in first], [int(a) for a in second])


@rule("numpy.Outer")
def outer(use: Use) -> Value:
    """All products of two vectors; the one is a number per sample, the other a constant."""
    x, y = use.operand("x1"), use.operand("x2")
    if isinstance(x, Fixed) or isinstance(y, Value) or x.shape:
        raise touches_batch("it flattens its operands, batch axis included; use keras.ops.einsum")
    if y.is_variable and len(y.shape) != 1:
        raise UnsupportedError("its variable must have one axis")
    flat = y if y.is_variable else Fixed(y.source.ravel(), (y.source.size,))
    return contract(use, [Term(x, (0,)), Term(flat, (1,))], (0, 1))


register_refusal(
    "it flattens the batch axis with all others, and samples must not be mixed. Use "
    "keras.ops.einsum('bi,bi->b', x, y), which keeps the batch axis",
    *_classes.find("numpy.Vdot"),
)


@rule("numpy.Einsum", "subscripts")
def einsum(use: Use) -> Value:
    """Any number of tensors and constants."""
    operands = use.arguments["operands"]
    if use.arguments["kwargs"]:
        raise UnsupportedError(f"its options {sorted(use.arguments['kwargs'])} are not covered")
    terms, result = parse(
        use.options["subscripts"], [use.as_operand(x, "operands") for x in operands]
    )
    return contract(use, terms, result)


def along(use: Use, x: Operand, y: Operand, first: Sequence[int], second: Sequence[int]) -> Value:
    """Sum products over pairs of axes; the other axes of the first come first."""
    left, right = list(range(len(sides(x)))), list(range(len(sides(x)), 100))
    right = right[: len(sides(y))]
    for a, b in zip(first, second, strict=True):
        right[b] = left[a]
    summed = set(left) & set(right)
    result = tuple(label for label in (*left, *right) if label not in summed)
    return contract(use, [Term(x, tuple(left)), Term(y, tuple(right))], result)


def broadcast(
    first: Sequence[int | None], second: Sequence[int | None], names: itertools.count[int]
) -> tuple[Labels, Labels, Labels]:
    """Name the axes of two shapes that broadcast, and those of the result.

    An axis of size 1 that meets a longer one gets a name of its own: it is summed away.
    """
    rank = max(len(first), len(second))
    left: list[int] = []
    right: list[int] = []
    result: list[int] = []
    for i in range(-rank, 0):
        a = first[i] if i >= -len(first) else 1
        b = second[i] if i >= -len(second) else 1
        shared, alone = next(names), next(names)
        if a != b and 1 not in (a, b):
            raise touches_batch(f"an axis of size {a or b} meets the batch axis")
        if i >= -len(first):
            left.append(alone if a == 1 and b != 1 else shared)
        if i >= -len(second):
            right.append(alone if b == 1 and a != 1 else shared)
        result.append(shared)
    return tuple(left), tuple(right), tuple(result)


def parse(subscripts: str, operands: Sequence[Operand]) -> tuple[list[Term], Labels]:
    """Name the axes of the operands of an Einstein sum, and those of its result.

    Letters become their code points; the axes of an ellipsis, aligned at the last one, negative
    numbers, and those of size 1 that broadcast there, names of their own.
    """
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    parts = inputs.split(",")
    if len(parts) != len(operands):
        raise UnsupportedError(f"{subscripts!r} does not have {len(operands)} operands")
    if not arrow:
        letters = inputs.replace(",", "").replace("...", "")
        once = "".join(dict.fromkeys(letter for letter in letters if letters.count(letter) == 1))
        if once != "".join(sorted(once)):
            raise UnsupportedError(
                f"{subscripts!r} does not say in which order its result has its axes, and Keras "
                "declares another order than it computes; write '->' and the result's letters"
            )
        output = f"...{once}" if "..." in inputs else once
    hidden = [
        sides(operand)[len(part.partition("...")[0]) :][: len(sides(operand)) - len(part) + 3]
        if "..." in part
        else ()
        for part, operand in zip(parts, operands, strict=True)
    ]
    longest = max(len(shape) for shape in hidden)
    full: list[int | None] = [1] * longest
    for shape in hidden:
        for i, side in enumerate(reversed(shape), start=1):
            if side != 1:
                full[-i] = side
    fresh = itertools.count(-longest - 1, -1)
    terms: list[Term] = []
    for part, operand, shape in zip(parts, operands, hidden, strict=True):
        inner: list[int] = []
        for i, side in enumerate(shape, start=-len(shape)):
            if side != full[i] and side != 1:
                raise touches_batch(f"an axis of size {side or full[i]} meets the batch axis")
            inner.append(i if side == full[i] else next(fresh))
        before, _, after = part.partition("...")
        labels = (*map(ord, before), *inner, *map(ord, after))
        if len(labels) != len(sides(operand)):
            raise UnsupportedError(f"{subscripts!r} does not fit operands of these shapes")
        terms.append(Term(operand, labels))
    before, dots, after = output.partition("...")
    middle = range(-longest, 0) if dots else ()
    return terms, (*map(ord, before), *middle, *map(ord, after))


def contract(use: Use, terms: Sequence[Term], result: Labels) -> Value:
    """Add a sum of products of tensors and constants.

    Two tensors are multiplied entry by entry, along all axes of both, and then summed; a
    constant is the matrix of a linear op.
    """
    values = [term for term in terms if isinstance(term.operand, Value)]
    fixed = [term for term in terms if isinstance(term.operand, Fixed)]
    batch = values[0].labels[0]
    for term in terms:
        named = [label for label, side in zip(term.labels, term.sides, strict=True) if side is None]
        if term.labels.count(batch) != len(named) or any(label != batch for label in named):
            raise touches_batch("it multiplies or sums over the batch axis")
    sizes: dict[int, int] = {}
    for label, side in itertools.chain(*(zip(t.labels, t.sides, strict=True) for t in terms)):
        if side is not None and sizes.setdefault(label, side) != side:
            raise UnsupportedError(f"it multiplies along axes of sizes {sizes[label]} and {side}")
    if result[:1] != (batch,):
        raise touches_batch("the batch axis is not the first axis of its result")
    present = {label for term in terms for label in term.labels}
    if len(set(result)) != len(result) or not present >= set(result):
        raise UnsupportedError("an axis of its result is missing in its operands, or repeated")
    current = values[0]
    others = [*values[1:], *fixed]
    while others:
        other = others.pop(0)
        needed = {*result, *(label for term in others for label in term.labels)}
        if isinstance(other.operand, Fixed):
            current = _with_constant(use, current, other, needed)
        else:
            current = _with_tensor(use, current, other, needed)
    current = _prepared(use, current, set(result))
    return _ordered(use, current, result)


def _with_tensor(use: Use, x: Term, y: Term, needed: Collection[int]) -> Term:
    """Multiply tensors along all axes of both, then sum over those that are not needed."""
    if x == y:
        x = y = _prepared(use, x, set(x.labels))
    else:
        x, y = (_prepared(use, a, {*needed, *b.labels}) for a, b in ((x, y), (y, x)))
    labels = tuple(dict.fromkeys((*x.labels, *y.labels)))
    first, second = _aligned(use, x, labels), _aligned(use, y, labels)
    product = Term(multiply(use.call, first, first if x == y else second), labels)
    return _prepared(use, product, needed)


def _with_constant(use: Use, x: Term, constant: Term, needed: Collection[int]) -> Term:
    """Apply the linear op that a constant is the matrix of."""
    x = _prepared(use, x, {*needed, *constant.labels})
    labels = tuple(
        label for label in dict.fromkeys((*x.labels, *constant.labels)) if label in needed
    )
    value, source = _value(x), _fixed(constant).source
    summed, new = x.labels[-1], labels[-1]
    if constant.labels == (summed, new) and labels[:-1] == x.labels[:-1] and summed != new:
        return Term(use.apply(Matrix(source), value), labels)
    distinct = dict.fromkeys((*x.labels, *constant.labels))
    names = dict(zip(distinct, string.ascii_letters, strict=False))
    first, second, third = (
        "".join(names[label] for label in group) for group in (x.labels, constant.labels, labels)
    )
    return Term(use.apply(Einsum(f"{first},{second}->{third}", source), value), labels)


def _prepared(use: Use, term: Term, needed: Collection[int]) -> Term:
    """Take diagonals of axes with one name, then sum over axes that are not needed."""
    value, labels = _value(term), list(term.labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            order = [*(k for k in range(len(labels)) if k not in (i, j)), i, j]
            side = value.shape[i - 1]
            value = use.apply(Permute(tuple(order)), value)
            value = use.apply(Reshape((*value.shape[:-2], side * side)), value)
            diagonal = tuple(range(0, side * side, side + 1))
            value = use.apply(Gather(diagonal, len(value.shape)), value)
            labels = [labels[k] for k in order[:-1]]
    summed = tuple(i for i, label in enumerate(labels) if label not in needed)
    if summed:
        value = use.apply(Sum(summed), value)
    return Term(value, tuple(label for label in labels if label in needed))


def _ordered(use: Use, term: Term, labels: Labels) -> Value:
    """Permute the axes of a tensor."""
    if term.labels == labels:
        return _value(term)
    return use.apply(Permute(tuple(term.labels.index(label) for label in labels)), _value(term))


def _aligned(use: Use, term: Term, labels: Labels) -> Value:
    """Give a tensor all axes of these names; those that it does not have get the size 1."""
    value = _ordered(use, term, tuple(label for label in labels if label in term.labels))
    sizes = iter(value.shape)
    shape: Shape = tuple(next(sizes) if label in term.labels else 1 for label in labels[1:])
    return value if value.shape == shape else use.apply(Reshape(shape), value)


def _value(term: Term) -> Value:
    if not isinstance(term.operand, Value):
        raise TypeError(f"Expected a tensor of the network. Received: {term.operand!r}")
    return term.operand


def _fixed(term: Term) -> Fixed:
    if not isinstance(term.operand, Fixed):
        raise TypeError(f"Expected a constant. Received: {term.operand!r}")
    return term.operand
