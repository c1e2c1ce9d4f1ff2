"""The language of VNN-LIB: nested lists, linear expressions and conditions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias, final

from decomon.vnnlib.properties import VnnlibError

Form: TypeAlias = "str | list[Form]"
Variable: TypeAlias = tuple[str, int]
"""The letter ``X`` or ``Y``, and the number."""

_TOKEN: Final = re.compile(r'\s+|;[^\n]*|(?P<token>[()]|"(?:[^"]|"")*"|\|[^|]*\||[^\s()";|]+)')
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_MOST: Final = 200_000
_DEEPEST: Final = 100
_ZERO: Final = Fraction(0)
_ONE: Final = Fraction(1)


@final
@dataclass(frozen=True)
class Linear:
    """``sum coefficients[v] v + constant``, exactly."""

    coefficients: Mapping[Variable, Fraction]
    constant: Fraction

    def plus(self, other: Linear) -> Linear:
        """Return a sum."""
        total = dict(self.coefficients)
        for variable, value in other.coefficients.items():
            value += total.pop(variable, 0)
            if value:
                total[variable] = value
        return Linear(total, self.constant + other.constant)

    def minus(self, other: Linear) -> Linear:
        """Return a difference."""
        return self.plus(
            Linear({each: -value for each, value in other.coefficients.items()}, -other.constant)
        )


Choice: TypeAlias = list[Linear]
"""Expressions that all have to be at most 0."""


def forms(text: str) -> Iterator[tuple[int, list[Form]]]:
    """Return the commands of a file, each with the line where it begins.

    Raises
    ------
    VnnlibError
        If parentheses do not match.
    """
    stack: list[list[Form]] = []
    line, seen, begin, position = 1, 0, 0, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise VnnlibError(f"line {text.count(chr(10), 0, position) + 1}: a quote has no end")
        position, token = match.end(), match["token"]
        if token is None:
            continue
        if token == "(":
            if not stack:
                begin = match.start()
                line += text.count("\n", seen, begin)
                seen = begin
            if len(stack) == _DEEPEST:
                raise VnnlibError(f"line {line}: more than {_DEEPEST} parentheses are open")
            stack.append([])
        elif not stack:
            line += text.count("\n", seen, match.start())
            raise VnnlibError(f"line {line}: a command must begin with '('. Received: {token}")
        elif token == ")":
            done = stack.pop()
            if stack:
                stack[-1].append(done)
            else:
                yield line, done
        else:
            stack[-1].append(token)
    if stack:
        raise VnnlibError(f"line {line}: a parenthesis is not closed: {text[begin : begin + 40]!r}")


def written(form: Form, length: int = 80) -> str:
    """Return the text of a form, for messages."""
    text = form if isinstance(form, str) else f"({' '.join(written(part) for part in form)})"
    return text if len(text) <= length else text[: length - 1] + "…"


def linear(form: Form, declared: Mapping[str, Variable]) -> Linear:
    """Read an arithmetic expression.

    Raises
    ------
    VnnlibError
        If it is not linear, or has a variable that is not declared.
    """
    if isinstance(form, str):
        return _atom(form, declared)
    if not form or not isinstance(form[0], str):
        raise VnnlibError(f"an expression must begin with a function. Received: {written(form)}")
    kind, parts = form[0], [linear(part, declared) for part in form[1:]]
    if kind not in ("+", "-", "*", "/"):
        raise VnnlibError(
            f"only +, -, * and / of numbers and variables are supported. Received: {written(form)}"
        )
    if not parts:
        raise VnnlibError(f"{kind} needs operands. Received: {written(form)}")
    first, *others = parts
    if kind == "-" and not others:
        return _times(first, -_ONE)
    for part in others:
        if kind == "*":
            first = _product(first, part, form)
        elif kind == "/":
            first = _quotient(first, part, form)
        else:
            first = first.plus(part) if kind == "+" else first.minus(part)
    return first


def _atom(text: str, declared: Mapping[str, Variable]) -> Linear:
    if text in declared:
        return Linear({declared[text]: _ONE}, _ZERO)
    if _NUMBER.fullmatch(text):
        return Linear({}, Fraction(text))
    raise VnnlibError(f"{text!r} is neither a declared variable nor a decimal number")


def _times(value: Linear, factor: Fraction) -> Linear:
    if not factor:
        return Linear({}, _ZERO)
    scaled = {variable: factor * each for variable, each in value.coefficients.items()}
    return Linear(scaled, factor * value.constant)


def _product(x: Linear, y: Linear, form: Form) -> Linear:
    if x.coefficients and y.coefficients:
        raise VnnlibError(
            f"conditions must be linear, and this multiplies variables. Received: {written(form)}"
        )
    return _times(y, x.constant) if y.coefficients else _times(x, y.constant)


def _quotient(x: Linear, y: Linear, form: Form) -> Linear:
    if y.coefficients or not y.constant:
        raise VnnlibError(f"only numbers other than 0 may be divided by. Received: {written(form)}")
    return _times(x, 1 / y.constant)


def choices(form: Form, declared: Mapping[str, Variable]) -> list[Choice]:
    """Read a condition in disjunctive normal form: one of the choices has to hold.

    Raises
    ------
    VnnlibError
        If it is anything else than ``and`` and ``or`` of ``<=``, ``>=`` and ``=``.
    """
    if isinstance(form, str) or not form or not isinstance(form[0], str):
        if form in ("true", "false"):
            return [[]] if form == "true" else []
        raise VnnlibError(
            f"a condition must begin with and, or, <=, >= or =. Received: {written(form)}"
        )
    kind, parts = form[0], form[1:]
    if kind == "and":
        return both([choices(part, declared) for part in parts])
    if kind == "or":
        found = [choice for part in parts for choice in choices(part, declared)]
        check_count(len(found))
        return found
    if kind in ("<=", ">=", "="):
        return [_compared(kind, [linear(part, declared) for part in parts], form)]
    if kind in ("<", ">", "distinct"):
        raise VnnlibError(
            "strict conditions are not supported: a property of this format says what is unsafe "
            f"with <= and >=, so write those. Received: {written(form)}"
        )
    raise VnnlibError(
        f"{kind!r} is not supported: conditions are made of and, or, <=, >= and =. "
        f"Received: {written(form)}"
    )


def _compared(kind: str, parts: list[Linear], form: Form) -> Choice:
    if len(parts) < 2:
        raise VnnlibError(f"{kind} needs two operands. Received: {written(form)}")
    found: Choice = []
    for x, y in itertools.pairwise(parts):
        if kind in ("<=", "="):
            found.append(x.minus(y))
        if kind in (">=", "="):
            found.append(y.minus(x))
    return found


def both(conditions: Sequence[list[Choice]]) -> list[Choice]:
    """Return the choices that meet all of several conditions."""
    common: Choice = [each for found in conditions if len(found) == 1 for each in found[0]]
    together = [common]
    for found in conditions:
        if len(found) == 1:
            continue
        check_count(len(together) * len(found))
        together = [[*choice, *other] for choice in together for other in found]
    return together


def check_count(count: int) -> None:
    """Refuse what would take forever."""
    if count > _MOST:
        raise VnnlibError(
            f"its disjunctions make more than {_MOST} combinations. Cut it into several files. "
            f"Received: {count} combinations"
        )
