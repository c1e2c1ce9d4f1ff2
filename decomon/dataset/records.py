"""Rows of results, and the files that keep them: CSV and Parquet."""

from __future__ import annotations

import abc
import csv
import importlib
import io
import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Final, cast, final

from decomon.certify import Verdict

_SAVED_EVERY: Final = 5.0  # seconds
_SHARE_OF_TIME: Final = 0.05  # at most, for writing a file that is always written as a whole
_METADATA: Final = b"decomon"


@final
@dataclass(frozen=True)
class Row:
    """What is known of one sample; the fields are the columns of a file."""

    index: int
    verdict: str
    upper: float
    lower: float
    predicted: int
    predicted_at_point: int
    label: int
    epsilon: float
    reason: str
    seconds: float

    def check(self) -> Row:
        """Raise a ValueError if the values contradict each other."""
        right = self.predicted == self.label
        meanings = {
            Verdict.ROBUST: right and self.upper < 0 and self.predicted_at_point == self.label,
            Verdict.NON_ROBUST: right and self.predicted_at_point != self.label,
            Verdict.UNKNOWN: right,
            Verdict.MISCLASSIFIED: not right,
        }
        if not meanings.get(Verdict(self.verdict)) or math.isnan(self.upper + self.lower):
            raise ValueError(f"its values contradict the verdict {self.verdict!r}")
        return self


_COLUMNS: Final = tuple(field.name for field in fields(Row))
_WHOLE: Final = ("index", "predicted", "predicted_at_point", "label")
_TEXT: Final = ("verdict", "reason")


class ResultsFile(abc.ABC):
    """A file with one row per sample that is done, in the order in which they were done.

    Attributes
    ----------
    rows : what was in the file when it was opened
    """

    rows: tuple[Row, ...] = ()

    @abc.abstractmethod
    def append(self, rows: Sequence[Row]) -> None:
        """Add rows of a chunk."""

    @abc.abstractmethod
    def close(self) -> None:
        """Write what is left."""


def open_results(results: Any, settings: Mapping[str, str]) -> ResultsFile:
    """Open a file to begin with, or to go on with.

    Parameters
    ----------
    results : path that ends in .csv or .parquet
    settings : what the results depend on; for large things, a digest

    Raises
    ------
    ValueError
        If it is no results file, or one of other settings.
    """
    if not isinstance(results, str | os.PathLike):
        raise TypeError(f"results must be the path of a file. Received: results={results!r}")
    path = Path(cast("os.PathLike[str]", results))
    kinds: dict[str, type[CsvFile | ParquetFile]] = {".csv": CsvFile, ".parquet": ParquetFile}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise ValueError(
            f"results must be a file name that ends in .csv or .parquet. Received: {str(path)!r}"
        )
    if path.is_dir():
        raise ValueError(f"results must be a file. Received: the folder {str(path)!r}")
    if not path.parent.is_dir():
        raise ValueError(f"results: there is no folder {str(path.parent)!r}. Make it first")
    return kind(path, settings)


@final
class CsvFile(ResultsFile):
    """A CSV file, to which rows are appended; a second file beside it has the settings.

    A row counts when its line is complete, so one that was cut off is computed again.
    """

    def __init__(self, path: Path, settings: Mapping[str, str]) -> None:
        notes = path.with_name(path.name + ".settings.json")
        content = path.read_bytes() if path.exists() else b""
        complete = content[: content.rfind(b"\n") + 1]
        if content and not notes.exists():
            raise _not_ours(path, f"there is no {notes.name} beside it, which has its settings")
        if notes.exists() and complete:
            _check_same(path, _decoded(path, notes.read_text(encoding="utf-8")), settings)
            self.rows = _csv_rows(path, complete)
        else:
            _replace(notes, (json.dumps(dict(settings), indent=2) + "\n").encode())
            complete = b""
        self._file: BinaryIO = path.open("r+b" if path.exists() else "x+b")
        self._file.truncate(len(complete))
        self._file.seek(len(complete))
        if not complete:
            self._write([_COLUMNS])

    def append(self, rows: Sequence[Row]) -> None:
        self._write([astuple(row) for row in rows])

    def close(self) -> None:
        self._file.close()

    def _write(self, lines: Iterable[Iterable[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._file.write(text.getvalue().encode())
        self._file.flush()


@final
class ParquetFile(ResultsFile):
    """A Parquet file, written as a whole every few seconds; its metadata has the settings."""

    def __init__(self, path: Path, settings: Mapping[str, str]) -> None:
        self._arrow, self._parquet = _pyarrow(), _pyarrow(".parquet")
        self._path, self._settings = path, dict(settings)
        self._columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        self._next = 0.0
        if path.exists() and path.stat().st_size:
            self.rows = self._read()
            self._add(self.rows)
        else:
            self._save()

    def append(self, rows: Sequence[Row]) -> None:
        self._add(rows)
        if time.monotonic() >= self._next:
            self._save()

    def close(self) -> None:
        self._save()

    def _add(self, rows: Sequence[Row]) -> None:
        for name in _COLUMNS:
            self._columns[name].extend(getattr(row, name) for row in rows)

    def _save(self) -> None:
        start = time.monotonic()
        arrow = self._arrow
        types = {True: arrow.int64(), False: arrow.float64()}
        schema = arrow.schema(
            [
                (name, arrow.string() if name in _TEXT else types[name in _WHOLE])
                for name in _COLUMNS
            ],
            metadata={_METADATA: json.dumps(self._settings).encode()},
        )
        stream = io.BytesIO()
        self._parquet.write_table(arrow.table(self._columns, schema=schema), stream)
        _replace(self._path, stream.getvalue())
        end = time.monotonic()
        self._next = end + max(_SAVED_EVERY, (end - start) / _SHARE_OF_TIME)

    def _read(self) -> tuple[Row, ...]:
        path = self._path
        try:
            table: Any = self._parquet.read_table(io.BytesIO(path.read_bytes()))
        except self._arrow.ArrowException as error:
            raise _not_ours(path, f"it is no Parquet file ({error})") from error
        metadata: dict[bytes, bytes] = table.schema.metadata or {}
        notes = metadata.get(_METADATA)
        if notes is None or tuple(table.column_names) != _COLUMNS:
            raise _not_ours(path, f"its columns are {', '.join(table.column_names)}")
        _check_same(path, _decoded(path, notes.decode()), self._settings)
        return _parsed(path, zip(*table.to_pydict().values(), strict=True))


def _pyarrow(part: str = "") -> Any:
    try:
        return importlib.import_module(f"pyarrow{part}")
    except ImportError as error:
        raise ImportError(
            "Results in a .parquet file need pyarrow: python -m pip install 'decomon[parquet]'. "
            "A .csv file needs nothing"
        ) from error


def _csv_rows(path: Path, content: bytes) -> tuple[Row, ...]:
    try:
        lines = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _not_ours(path, f"it cannot be read ({error})") from error
    if tuple(lines[0]) != _COLUMNS:
        raise _not_ours(path, f"its columns are {', '.join(lines[0])}")
    return _parsed(path, lines[1:])


def _parsed(path: Path, lines: Iterable[Sequence[Any]]) -> tuple[Row, ...]:
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        try:
            named = dict(zip(_COLUMNS, line, strict=True))
            values: dict[str, Any] = {
                name: int(value)
                if name in _WHOLE
                else (str(value) if name in _TEXT else float(value))
                for name, value in named.items()
            }
            rows.append(Row(**values).check())
        except (ValueError, TypeError) as error:
            raise _not_ours(path, f"row {number} is damaged: {error}") from error
    return tuple(rows)


def _decoded(path: Path, text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _not_ours(path, f"its settings cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise _not_ours(path, "its settings cannot be read")
    return {str(key): str(value) for key, value in cast("dict[Any, Any]", found).items()}


def _check_same(path: Path, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    different = [
        f"{name} (there {found.get(name, 'unknown')}, here {wanted.get(name, 'unknown')})"
        for name in dict.fromkeys((*wanted, *found))
        if found.get(name) != wanted.get(name)
    ]
    if different:
        raise ValueError(
            f"The results in {str(path)!r} are of something else, so they cannot be gone on with. "
            "Give another file, or move this one away. "
            f"Received: other {', '.join(different)}"
        )


def _not_ours(path: Path, why: str) -> ValueError:
    return ValueError(
        f"{str(path)!r} is not a results file that can be gone on with: {why}. Give another file, "
        "or move this one away"
    )


def _replace(path: Path, content: bytes) -> None:
    """Write a file that is there completely or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
