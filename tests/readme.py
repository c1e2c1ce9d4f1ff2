"""The parts of README.md that are generated; ``python -m tests.readme`` writes them anew."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import keras

from decomon.ops import supported
from decomon.ops.refusals import refusals
from tests.benchmarks.complete_table import complete_table
from tests.benchmarks.table import speed_table

PATH = Path(__file__).parents[1] / "README.md"
COMMAND = "python -m tests.readme"


def regenerated(text: str) -> str:
    """Return the README's text with the generated parts up to date."""
    parts = {
        "supported": supported_table(),
        "refused": refused_table(),
        "complete": complete_table(),
        "speed": speed_table(),
    }
    for name, content in parts.items():
        begin, end = f"<!-- {name}: written by `{COMMAND}` -->", f"<!-- {name}: end -->"
        pattern = re.compile(f"({re.escape(begin)}\n).*({re.escape(end)})", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"README.md must contain the lines {begin!r} and {end!r}")
        text = pattern.sub(lambda found, body=content: found[1] + body + found[2], text)
    return text


def supported_table() -> str:
    """What has a rule: a line for each group of Keras' own layers, and one for the functions."""
    known = supported()
    groups: dict[str, list[str]] = {}
    for name in known.layers:
        kind = vars(keras.layers).get(name)
        if kind is not None:  # a class of Keras: tests register classes of their own
            groups.setdefault(kind.__module__.split(".")[3], []).append(name)
    rows = [(f"{group} layers", names) for group, names in sorted(groups.items())]
    activations = [name for name in known.activations if name in vars(keras.activations)]
    rows.append(("`keras.activations`", activations))
    spaces = {"": keras.ops, "image.": keras.ops.image, "nn.": keras.ops.nn}
    public = {prefix + name for prefix, space in spaces.items() for name in vars(space)}
    rows.append(("`keras.ops`", [name for name in known.operations if name in public]))
    return "| | supported |\n|---|---|\n" + "".join(
        f"| {title} | {', '.join(merged(names))} |\n" for title, names in rows if names
    )


def refused_table() -> str:
    """What is refused, by reason."""
    groups: dict[str, list[str]] = {}
    for kind, reason in refusals().items():
        if vars(keras.layers).get(kind.__name__) is kind:
            groups.setdefault(reason, []).append(kind.__name__)
    return "| refused | because |\n|---|---|\n" + "".join(
        f"| {', '.join(merged(names))} | {reason} |\n" for reason, names in groups.items()
    )


def merged(names: Iterable[str]) -> list[str]:
    """Write names that differ only in their dimension as one: ``Conv1D/2D/3D``."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        stem, size, tail = re.findall(r"^(.*?)(?:([123]D)(.*))?$", name)[0]
        groups.setdefault((stem, tail), []).append(size)
    return [f"{stem}{'/'.join(sizes)}{tail}" for (stem, tail), sizes in groups.items()]


if __name__ == "__main__":
    PATH.write_text(regenerated(PATH.read_text()))
