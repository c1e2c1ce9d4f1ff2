"""How fast the explorer answers in JupyterLab: ``python -m tests.benchmarks.latency``.

Measured in a Chromium, for 50 positions of the slider and ten images of the tutorial network:

* from the input event of the slider to the painted verdict colours, which need no kernel;
* from the same event to the painted frame with the numbers of the kernel for that position.

The times of the machine count: nothing else should run on it. With ``--check`` the command fails
where a target is missed.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import nbformat

from tests.browser.pages import open_in_jupyter
from tests.browser.servers import jupyterlab

POSITIONS: Final = 50
COLOURS_MS: Final = 16.0
NUMBERS_MS: Final = 100.0

_CELLS: Final = (
    """
from decomon_widgets.quiet import load_tensorflow

load_tensorflow()
from decomon_widgets.explorer import RobustnessExplorer
from decomon_widgets.datasets import load_mnist, load_model

mnist = load_mnist(source="embedded")
""",
    """
explorer = RobustnessExplorer(load_model("dense"), mnist.x_test, mnist.y_test, seed=0)
explorer
""",
)

# An input event comes right before the callbacks of a frame, as those of a real pointer do, and a
# message posted in a callback arrives when its frame is painted.
_MEASURE: Final = """async (count) => {
    const explorer = document.querySelector(".dcm-explorer");
    const range = explorer.querySelector(".dcm-slider .dcm-range");
    const step = 1e-4;
    const most = Math.floor(Number(range.max) / step);
    const frame = (work) => new Promise((resolve) => {
        requestAnimationFrame(() => {
            const begin = performance.now();
            work();
            const { port1, port2 } = new MessageChannel();
            port1.onmessage = () => resolve({ begin, end: performance.now() });
            port2.postMessage(null);
        });
    });
    const evaluated = (value) => new Promise((resolve) => {
        const arrived = () => Math.abs(Number(explorer.dataset.evaluated) - value) < 1e-9;
        if (arrived()) return resolve();
        const observer = new MutationObserver(() => {
            if (!arrived()) return;
            observer.disconnect();
            resolve();
        });
        observer.observe(explorer, { attributes: true, attributeFilter: ["data-evaluated"] });
    });
    const verdicts = () =>
        [...explorer.querySelectorAll(".dcm-tile")].map((tile) => tile.dataset.verdict).join();
    const [colours, numbers] = [[], []];
    let [changes, corrected] = [0, 0];
    for (let k = 1; k <= count; k += 1) {
        // There and back in large steps, so that colours change at most of them.
        const position = Math.round(most * Math.abs(Math.sin(1.3 * k)));
        const value = Number((position * step).toPrecision(12));
        const before = verdicts();
        const first = await frame(() => {
            range.value = String(value);
            range.dispatchEvent(new Event("input", { bubbles: true }));
        });
        const painted = verdicts();
        colours.push(first.end - first.begin);
        changes += painted !== before;
        await evaluated(value);
        const last = await frame(() => {});
        numbers.push(last.end - first.begin);
        corrected += verdicts() !== painted;
        range.dispatchEvent(new Event("change", { bubbles: true }));
    }
    return { colours, numbers, changes, corrected };
}"""


def measure(chromium: str) -> dict[str, Any]:
    """Return the milliseconds from input to colours and to numbers, and how often colours changed.

    Parameters
    ----------
    chromium : path of the browser
    """
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        jupyterlab(Path(folder) / "lab") as server,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1500, "height": 1200})
        context.set_default_timeout(170_000)
        cells = [nbformat.v4.new_code_cell(cell) for cell in _CELLS]
        document = nbformat.v4.new_notebook(cells=cells)
        notebook = open_in_jupyter(context, server, "lab/tree/latency.ipynb?reset", document)
        notebook.run_all()
        notebook.show_cell("RobustnessExplorer(")
        notebook.wait_for("print(explorer.wait(60), explorer.refining)", "True False")
        notebook.page.evaluate(_MEASURE, 10)  # the first frames compile what they run
        found = notebook.page.evaluate(_MEASURE, POSITIONS)
        browser.close()
    return found


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Measure how fast the explorer answers.")
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    parser.add_argument("--json", type=Path, help="write the times to this file")
    options = parser.parse_args(arguments)
    chromium = os.environ.get("DECOMON_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        parser.error("no Chromium found: install it or set DECOMON_CHROMIUM to its path")
    found = measure(chromium)
    print(f"{'slider input to painted':24} {'median':>9} {'95 %':>9} {'target':>9}")
    missed = False
    for name, limit in (("colours", COLOURS_MS), ("numbers", NUMBERS_MS)):
        middle, high = statistics.median(found[name]), percentile(found[name], 95)
        missed |= high > limit
        print(f"{name:24} {middle:6.1f} ms {high:6.1f} ms {limit:6.1f} ms")
    print(f"colours changed at {found['changes']} of {POSITIONS} positions")
    if found["corrected"]:
        print(f"and once more with the numbers at {found['corrected']} of them")
    if options.json:
        options.json.write_text(json.dumps(found), encoding="utf-8")
    return int(options.check and missed)


if __name__ == "__main__":
    sys.exit(main())
