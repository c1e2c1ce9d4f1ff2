"""Reading VNN-LIB files."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from decomon.vnnlib._expressions import (
    Choice,
    Form,
    Linear,
    Variable,
    both,
    choices,
    forms,
    written,
)
from decomon.vnnlib.properties import Case, Conditions, Floats, VnnlibError, VnnlibProperty

_NAME: Final = re.compile(r"([XY])_(0|[1-9]\d*)")
# What solvers of formulas need, and what says nothing about the property.
_SILENT: Final = (
    "check-sat",
    "exit",
    "get-model",
    "get-value",
    "set-info",
    "set-logic",
    "set-option",
)
_LISTED: Final = 5
# What is left of an input, ``(n_inputs,)`` each.
_Box = tuple[Floats, Floats]


def read_vnnlib(
    path: str | os.PathLike[str], n_inputs: int | None = None, n_outputs: int | None = None
) -> VnnlibProperty:
    """Read a property with boxes of inputs and linear conditions on the outputs.

    Parameters
    ----------
    path : path of a ``.vnnlib`` file, or ``.vnnlib.gz``
    n_inputs, n_outputs : int, optional
        How many inputs and outputs the network has: then the file has to say the same.

    Returns
    -------
    VnnlibProperty
        What is *unsafe*: the property of the network is that this does not happen.

    Raises
    ------
    VnnlibError
        If the file is missing, broken, or says anything that is not of the form above: inputs
        without bounds, conditions on several inputs or on inputs and outputs together, products of
        variables, strict conditions, variables that are not declared.  The message has the line.

    Notes
    -----
    The format is that of the first version of VNN-LIB: ``declare-const`` of ``X_0, X_1, ...`` and
    ``Y_0, Y_1, ...``, and ``assert`` of conditions made of ``and``, ``or``, ``<=``, ``>=`` and
    ``=``.  Decimal numbers are read exactly; what they add up to is rounded to the nearest number
    in double precision.
    """
    file = Path(path)
    try:
        declared, found = _commands(_text(file))
        counts = {letter: _count(letter, declared) for letter in "XY"}
        for letter, wanted in (("X", n_inputs), ("Y", n_outputs)):
            kind = "inputs" if letter == "X" else "outputs"
            if wanted is not None and counts[letter] != wanted:
                raise VnnlibError(
                    f"it is about another network: it declares {counts[letter]} {kind} "
                    f"({letter}_0, ...). Received: a network with {wanted} {kind}"
                )
        cases = _cases(found, counts["X"], counts["Y"])
    except VnnlibError as error:
        raise VnnlibError(f"{file}: {error}") from None
    return VnnlibProperty(file.name, counts["X"], counts["Y"], cases)


def _text(path: Path) -> str:
    if not path.is_file():
        raise VnnlibError("there is no such file")
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise VnnlibError(f"it cannot be read as a text: {error}") from error


def _commands(text: str) -> tuple[dict[str, Variable], list[list[Choice]]]:
    """Return the variables, and the conditions that have to hold together."""
    declared: dict[str, Variable] = {}
    found: list[list[Choice]] = []
    for line, form in forms(text):
        try:
            kind = form[0] if form else ""
            if kind in ("declare-const", "declare-fun"):
                _declare(form, declared)
            elif kind == "assert" and len(form) == 2:
                found.append(choices(form[1], declared))
            elif kind == "vnnlib-version":
                raise VnnlibError(
                    "only the first version of the format is supported. Write the property with "
                    f"declare-const and assert. Received: {written(form)}"
                )
            elif kind not in _SILENT:
                raise VnnlibError(
                    "only declare-const and assert with one condition are supported. "
                    f"Received: {written(form)}"
                )
        except VnnlibError as error:
            raise VnnlibError(f"line {line}: {error}") from None
    return declared, found


def _declare(form: list[Form], declared: dict[str, Variable]) -> None:
    constant = form[0] == "declare-const" or (len(form) == 4 and form[2] == [])
    name, kind = (form[1], form[-1]) if len(form) > 2 else ("", "")
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None or not constant or kind != "Real" or len(form) > 4:
        raise VnnlibError(
            "variables are X_0, X_1, ... for inputs and Y_0, Y_1, ... for outputs, of the type "
            f"Real. Received: {written(form)}"
        )
    if match[0] in declared:
        raise VnnlibError(f"{match[0]} is declared twice")
    declared[match[0]] = match[1], int(match[2])


def _count(letter: str, declared: dict[str, Variable]) -> int:
    numbers = sorted(number for each, number in declared.values() if each == letter)
    if not numbers:
        kind = "input" if letter == "X" else "output"
        raise VnnlibError(f"it declares no {kind}: declare {letter}_0, ...")
    for i, number in enumerate(numbers):
        if i != number:
            raise VnnlibError(f"{letter}_{i} is not declared, and {letter}_{numbers[-1]} is")
    return len(numbers)


def _cases(found: list[list[Choice]], n_inputs: int, n_outputs: int) -> tuple[Case, ...]:
    """Collect the conditions on the outputs by the box of inputs that they belong to."""
    # What every choice has to meet is looked at once.
    common = [each for choice in found if len(choice) == 1 for each in choice[0]]
    free = (np.full(n_inputs, -np.inf), np.full(n_inputs, np.inf))
    base, shared = _meet(free, common, n_outputs)
    boxes: dict[bytes, _Box] = {}
    unsafe: dict[bytes, list[Conditions]] = {}
    if shared is None:
        return _known((), base)
    for choice in both([each for each in found if len(each) != 1]):
        box, rows = _meet(base, choice, n_outputs)
        if rows is None or (box[0] > box[1]).any():
            continue
        _check_bounded(box)
        key = box[0].tobytes() + box[1].tobytes()
        boxes[key] = box
        together = [*shared, *rows]
        matrix = np.array([row for row, _ in together]).reshape(-1, n_outputs)
        limits = np.array([limit for _, limit in together], np.float64)
        unsafe.setdefault(key, []).append(Conditions(matrix, limits))
    return _known(
        tuple(Case(*box, tuple(unsafe[key])) for key, box in boxes.items()),
        base,
    )


def _known(cases: tuple[Case, ...], box: _Box) -> tuple[Case, ...]:
    if cases:
        return cases
    crossed = np.flatnonzero(box[0] > box[1])
    where = (
        f" X_{crossed[0]} must be at least {box[0][crossed[0]]} and at most {box[1][crossed[0]]}"
        if crossed.size
        else " conditions without variables, or disjunctions, that nothing meets"
    )
    raise VnnlibError(
        "no input and outputs can meet its conditions, whatever the network is, so it says "
        f"nothing. Received:{where}"
    )


_Row = tuple[Floats, float]


def _meet(
    box: _Box, conditions: Iterable[Linear], n_outputs: int
) -> tuple[_Box, list[_Row] | None]:
    """Apply conditions to a box; return it and those on the outputs, None if one never holds."""
    lower, upper = box[0].copy(), box[1].copy()
    rows: list[_Row] = []
    for condition in conditions:
        letters = {letter for letter, _ in condition.coefficients}
        if not letters:
            if condition.constant > 0:
                return (lower, upper), None
        elif letters == {"Y"}:
            row = np.zeros(n_outputs)
            for (_, number), value in condition.coefficients.items():
                row[number] = _float(value)
            rows.append((row, _float(-condition.constant)))
        elif len(condition.coefficients) == 1:
            ((_, number), value) = next(iter(condition.coefficients.items()))
            bound = _float(-condition.constant / value)
            _tighten(upper if value > 0 else lower, number, bound, min if value > 0 else max)
        else:
            raise VnnlibError(_entangled(condition, letters))
    return (lower, upper), rows


def _tighten(
    side: Floats, number: int, bound: float, pick: Callable[[float, float], float]
) -> None:
    side[number] = pick(float(side[number]), bound)


def _entangled(condition: Linear, letters: set[str]) -> str:
    names = sorted(f"{letter}_{number}" for letter, number in condition.coefficients)
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    if letters == {"X"}:
        return (
            "inputs must lie in boxes, so that every condition on inputs is about a single one. "
            f"Received: a condition on {listed}"
        )
    return (
        "conditions must be about inputs or about outputs. "
        f"Received: a condition on {listed} together"
    )


def _check_bounded(box: _Box) -> None:
    for side, kind in zip(box, ("lower", "upper"), strict=True):
        free = np.flatnonzero(~np.isfinite(side))
        if free.size:
            names = ", ".join(f"X_{i}" for i in free[:_LISTED])
            more = f" and {len(free) - _LISTED} more" if len(free) > _LISTED else ""
            raise VnnlibError(
                f"every input needs bounds on both sides. Received: no {kind} bound of "
                f"{names}{more}"
            )


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        raise VnnlibError("a number is too large for double precision") from None
