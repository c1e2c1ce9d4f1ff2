"""The widgets in a real JupyterLab, with a real kernel."""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = pytest.mark.browser

_REPOSITORY = Path(__file__).parents[2]
_TUTORIAL = _REPOSITORY / "tutorials" / "tutorial3_adversarial_attack.ipynb"
_KERNEL = "decomon-test"
_START_SECONDS = 90
_RUN_SECONDS = 170

# A verifier that answers when a file says so: the test decides how long a computation takes.
_FAKE_CELLS = (
    """
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from ipywidgets import HBox, VBox, interact, jslink

from decomon_widgets import BoundHistogram, EpsilonSlider, SampleGrid

rng = np.random.default_rng(0)
x = rng.uniform(size=(60, 64)).astype("float32")
y = np.arange(60) % 10
gate = Path("open")
gate.touch()


def certify(model, x, labels, epsilon, *, clip, n_sub_boxes):
    while not gate.exists():
        time.sleep(0.01)
    if epsilon > 0.09:
        raise ValueError("no such epsilon <b>here</b>")
    radius = 0.01 + 0.004 * labels
    refuted = epsilon > 2 * radius
    names = np.where(epsilon < radius, "robust", np.where(refuted, "non_robust", "unknown"))
    return SimpleNamespace(
        verdicts=tuple(map(str, names)),
        upper=epsilon - radius,
        lower=epsilon - 2 * radius,
        predicted=labels,
        predicted_points=np.where(refuted, (labels + 1) % 10, labels),
        reasons=("",) * len(labels),
    )
""",
    """
slider = EpsilonSlider()
grid = SampleGrid(None, x, y, seed=1, _certify=certify)
histogram = BoundHistogram(grid)
jslink((slider, "value"), (grid, "epsilon"))
seen = []
grid.observe(lambda change: seen.append(change["new"]), "verdicts")
VBox([slider, HBox([grid, histogram])])
""",
    """
@interact(eps=EpsilonSlider())
def show(eps):
    print(f"interact says {eps:.6f}")
""",
)


class Lab:
    """A running JupyterLab server."""

    def __init__(
        self, root: Path, port: int, token: str, process: "subprocess.Popen[bytes]"
    ) -> None:
        self.root = root
        self.process = process
        self._base = f"http://127.0.0.1:{port}"
        self._token = token

    def url(self, name: str) -> str:
        return f"{self._base}/lab/tree/{name}?token={self._token}&reset"

    def wait_until_up(self, seconds: float) -> None:
        request = urllib.request.Request(f"{self._base}/api/status?token={self._token}")
        patience = threading.Event()
        for _ in range(int(10 * seconds)):
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                patience.wait(0.1)
        log = (self.root.parent / "lab.log").read_text(errors="replace")
        raise RuntimeError(f"JupyterLab did not start:\n{log[-4000:]}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("lab")
    root = home / "notebooks"
    spec = home / "data" / "kernels" / _KERNEL
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    for folder in (root, spec, settings):
        folder.mkdir(parents=True)
    kernel = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "decomon test",
        "language": "python",
        "env": {"PYTHONPATH": str(_REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"},
    }
    (spec / "kernel.json").write_text(json.dumps(kernel))
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}"),
        *("--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"),
    ]
    with (home / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    server = Lab(root, port, token, process)
    try:
        server.wait_until_up(_START_SECONDS)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Notebook:
    """A notebook opened in JupyterLab."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.grid = page.locator(".dcm-sample-grid")
        self.tiles = self.grid.locator(".dcm-tile")
        self.range = page.locator(".dcm-slider .dcm-range").first
        self.entry = page.locator(".dcm-slider .dcm-entry").first

    def run_all(self) -> None:
        """Run all cells; returns when the kernel has answered the last one."""
        cells = self.page.evaluate(
            """async () => {
                const panel = window.jupyterapp.shell.currentWidget;
                await panel.context.ready;
                await panel.sessionContext.ready;
                await panel.sessionContext.session.kernel.info;
                await window.jupyterapp.commands.execute("notebook:run-all-cells");
                return panel.content.widgets
                    .filter((cell) => cell.model.type === "code")
                    .map((cell) => ({
                        count: cell.model.executionCount,
                        outputs: cell.model.outputs.toJSON(),
                    }));
            }"""
        )
        errors = [
            output
            for cell in cells
            for output in cell["outputs"]
            if output["output_type"] == "error"
        ]
        assert errors == []
        assert all(cell["count"] for cell in cells)

    def run(self, code: str) -> str:
        """Run code in the kernel, behind the notebook's back; returns what it printed."""
        return self.page.evaluate(
            """async (code) => {
                const panel = window.jupyterapp.shell.currentWidget;
                const future = panel.sessionContext.session.kernel.requestExecute({ code });
                let text = "";
                future.onIOPub = (message) => {
                    const { header, content } = message;
                    if (header.msg_type === "stream") text += content.text;
                    if (header.msg_type === "error") text += content.traceback.join("\\n");
                };
                await future.done;
                return text.trim();
            }""",
            code,
        )

    def wait_for(self, code: str, printed: str) -> None:
        """Run code again and again until it prints something.

        The page sends changes of a widget one by one, each after the answer to the last one.
        """
        end = time.monotonic() + 60
        while (answer := self.run(code)) != printed:
            assert time.monotonic() < end, f"{code} printed {answer!r}, not {printed!r}"

    def show_widgets(self) -> None:
        """Scroll to the cell with the grid."""
        self.page.evaluate(
            """async () => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                const index = notebook.widgets.findIndex(
                    (cell) => cell.model.sharedModel.getSource().includes("SampleGrid("));
                notebook.activeCellIndex = index;
                await notebook.scrollToItem(index, "start");
            }"""
        )
        self.grid.wait_for()

    def wait_for_verdicts(self, condition: str) -> list[str]:
        """Wait until the verdicts on the screen fulfil a JavaScript condition on the array `v`."""
        self.page.wait_for_function(
            f"""() => {{
                const grid = document.querySelector(".dcm-sample-grid");
                if (!grid || grid.classList.contains("dcm-busy")) return false;
                const v = [...grid.querySelectorAll(".dcm-tile")].map((t) => t.dataset.verdict);
                return v.length > 0 && {condition};
            }}"""
        )
        return self.verdicts()

    def verdicts(self) -> list[str]:
        return self.tiles.evaluate_all("(tiles) => tiles.map((t) => t.dataset.verdict)")

    def indices(self) -> list[str]:
        return self.tiles.evaluate_all("(tiles) => tiles.map((t) => t.dataset.index)")

    def enter(self, text: str) -> None:
        self.entry.fill(text)
        self.entry.press("Enter")

    def shoot(self, folder: Path | None, name: str) -> None:
        if folder:
            self.page.screenshot(path=folder / f"{name}.png")


@pytest.fixture
def open_notebook(lab: Lab, browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1500, "height": 1200})
    context.set_default_timeout(60_000)

    def open_notebook(name: str, notebook: nbformat.NotebookNode) -> Notebook:
        # Without a kernel of this name JupyterLab would ask for one and wait.
        notebook.metadata["kernelspec"] = {
            "name": _KERNEL,
            "display_name": "decomon test",
            "language": "python",
        }
        nbformat.write(notebook, lab.root / name)
        page = context.new_page()
        page.set_default_timeout(_RUN_SECONDS * 1000)
        page.goto(lab.url(name))
        page.wait_for_function("() => window.jupyterapp !== undefined")
        page.evaluate("() => window.jupyterapp.restored")
        page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget?.content?.widgets?.length > 0"
        )
        return Notebook(page)

    yield open_notebook
    context.close()


def test_tutorial(open_notebook: Any, shots: Path | None) -> None:
    notebook = open_notebook("tutorial3.ipynb", nbformat.read(_TUTORIAL, as_version=4))
    notebook.run_all()
    notebook.show_widgets()

    small = notebook.wait_for_verdicts("v.every((name) => name !== 'pending')")
    assert len(small) == 10
    assert small.count("robust") > 5
    notebook.shoot(shots, "tutorial_small_epsilon")

    notebook.range.focus()
    notebook.range.press("PageUp")
    notebook.range.press("PageUp")
    notebook.wait_for_verdicts("v.every((name) => name !== 'pending')")
    notebook.shoot(shots, "tutorial_middle_epsilon")

    notebook.range.press("End")
    large = notebook.wait_for_verdicts("v.every((name) => name !== 'pending')")
    changed = [after for before, after in zip(small, large, strict=True) if before == "robust"]
    assert set(changed) <= {"robust", "unknown", "non_robust"}
    assert {"unknown", "non_robust"} & set(changed)
    notebook.shoot(shots, "tutorial_large_epsilon")

    before = set(notebook.indices())
    notebook.grid.get_by_role("button", name="Reset").click()
    notebook.page.wait_for_function(
        "(old) => !document.querySelector('.dcm-tile').dataset.index || "
        "[...document.querySelectorAll('.dcm-tile')].every((t) => !old.includes(t.dataset.index))",
        arg=sorted(before),
    )
    notebook.wait_for_verdicts("v.every((name) => name !== 'pending')")
    assert len(set(notebook.indices()) - before) == 10
    notebook.shoot(shots, "tutorial_after_reset")


def test_widgets_with_a_controlled_verifier(
    open_notebook: Any, lab: Lab, shots: Path | None
) -> None:
    notebook = open_notebook(
        "widgets.ipynb",
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in _FAKE_CELLS]),
    )
    gate = lab.root / "open"
    notebook.run_all()
    notebook.show_widgets()
    notebook.wait_for_verdicts("v.every((name) => name === 'robust')")

    # A front-end link moves the grid; typed fractions arrive exactly.
    notebook.enter("8/255")
    notebook.wait_for_verdicts("v.includes('unknown') && !v.includes('pending')")
    notebook.wait_for("print(slider.value == grid.epsilon == 8 / 255)", "True")

    # While the verifier computes, the kernel answers, and old verdicts stay only where they hold.
    gate.unlink()
    notebook.enter("0.02")
    notebook.grid.locator("xpath=self::*[contains(@class, 'dcm-busy')]").wait_for()
    notebook.wait_for("print(grid.busy, grid.epsilon)", "True 0.02")
    waiting = notebook.verdicts()
    assert set(waiting) == {"robust", "pending"}
    notebook.enter("0.03")
    notebook.enter("0.04")
    notebook.wait_for("print(grid.epsilon)", "0.04")
    gate.touch()
    notebook.wait_for_verdicts("!v.includes('pending') && v.includes('non_robust')")
    notebook.wait_for("print(grid.evaluated_epsilon, grid.busy)", "0.04 False")

    # Observers hear of it, and a cell that waits gets the result.
    assert int(notebook.run("print(len(seen))")) > 0
    answer = notebook.run("grid.epsilon = 0.05; print(grid.wait(60), grid.evaluated_epsilon)")
    assert answer == "True 0.05"
    # The result is also published while a cell keeps the kernel busy.
    answer = notebook.run(
        "grid.epsilon = 0.06\nwhile grid.busy: time.sleep(0.01)\nprint(grid.evaluated_epsilon)"
    )
    assert answer == "0.06"
    notebook.page.wait_for_function(
        "() => document.querySelector('.dcm-slider .dcm-entry').value === '0.0600'"
    )

    # An exception is shown as one, never as a verdict or as markup.
    notebook.enter("0.095")
    notebook.grid.locator(".dcm-error").wait_for()
    assert "<b>here</b>" in notebook.grid.locator(".dcm-error").inner_text()
    assert set(notebook.verdicts()) <= {"pending", "non_robust"}
    notebook.shoot(shots, "fake_error")
    notebook.enter("0.03")
    notebook.wait_for_verdicts("!v.includes('pending')")
    assert notebook.grid.locator(".dcm-error").count() == 0

    # The arrow keys move inside of the grid, not to another cell.
    active = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    notebook.tiles.nth(0).click()
    cell = notebook.page.evaluate(active)
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.keyboard.press("ArrowDown")
    assert notebook.page.evaluate(active) == cell
    chosen = notebook.tiles.evaluate_all(
        "(tiles) => tiles.findIndex((t) => t.getAttribute('aria-selected') === 'true')"
    )
    assert chosen > 1
    notebook.wait_for("print(grid.selected)", str(chosen))

    # The colours follow the theme of JupyterLab.
    style = "(e) => { const s = getComputedStyle(e); return [s.color, s.getPropertyValue(NAME)]; }"
    style = style.replace("NAME", "'--dcm-robust'")
    light = notebook.grid.evaluate(style)
    themes = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
    notebook.page.evaluate(themes, "JupyterLab Dark")
    notebook.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    dark = notebook.grid.evaluate(style)
    assert all(a != b for a, b in zip(light, dark, strict=True))
    notebook.shoot(shots, "fake_dark")
    notebook.page.evaluate(themes, "JupyterLab Light")

    # An `interact` with a slider.
    notebook.page.locator(".widget-interact .dcm-entry").fill("8/255")
    notebook.page.locator(".widget-interact .dcm-entry").press("Enter")
    notebook.page.get_by_text(f"interact says {8 / 255:.6f}").wait_for()

    # A closed grid leaves the page and stops.
    notebook.run("grid.close()")
    notebook.grid.wait_for(state="detached")
