"""The examples of the README run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pytest
from IPython.display import display

from decomon_widgets import datasets
from tests import readme

ROOT = Path(__file__).parents[1]


def test_python_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "_URL", "http://127.0.0.1:9/mnist.npz")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, Any] = {"display": display}  # a notebook has it
    try:
        for block in blocks:
            exec(block, names)
        assert np.all(names["lower"] <= names["tighter"])
        assert np.all(names["lower"] <= names["upper"])
        assert np.all(names["bounds"].lower <= names["bounds"].upper)
        assert names["points"].shape == names["x"].shape
        assert len(names["grid"].verdicts) == 10
    finally:
        ipywidgets.Widget.close_all()


def test_generated_tables_are_up_to_date() -> None:
    text = readme.PATH.read_text()
    assert regenerated_is(text), f"README.md is out of date: run `{readme.COMMAND}`"


def regenerated_is(text: str) -> bool:
    return readme.regenerated(text) == text


def test_an_outdated_table_is_noticed() -> None:
    text = readme.PATH.read_text()
    assert not regenerated_is(text.replace("EinsumDense", "EinsumDance", 1))
    with pytest.raises(ValueError, match="must contain"):
        readme.regenerated(text.replace("<!-- supported: end -->", ""))


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (["Conv1D", "Conv2D", "Conv2DTranspose"], ["Conv1D/2D", "Conv2DTranspose"]),
        (["Dense", "Dot", "ELU"], ["Dense", "Dot", "ELU"]),
    ],
)
def test_names_that_differ_in_their_dimension_are_merged(
    names: list[str], written: list[str]
) -> None:
    assert readme.merged(names) == written


def test_every_option_of_the_command_line_exists(capsys: pytest.CaptureFixture[str]) -> None:
    from decomon_widgets.cli import build_parser

    lines = re.findall(
        r"^decomon (?:lab|certify) .*$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert len(lines) >= 4
    for line in lines:
        words = re.split(r"\s+(?:#|>)", line)[0].split()[1:]
        assert build_parser().parse_args(words).command in {"lab", "certify"}
