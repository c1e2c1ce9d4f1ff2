"""What a person does in a notebook with widgets, in any front end that shows them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from tests.browser.servers import KERNEL, Server

__all__ = ["Notebook", "WidgetPage", "open_in_jupyter"]

_PATIENCE = 60

# What the grid shows, read in one go: nothing is painted in between.
_SHOWN = """(grid) => {
    const probe = document.createElement("span");
    grid.append(probe);
    const colour = (verdict) => {
        probe.style.color = `var(--dcm-${verdict})`;
        return getComputedStyle(probe).color;
    };
    const tiles = [...grid.querySelectorAll(".dcm-tile")].map((tile) => ({
        index: Number(tile.dataset.index),
        verdict: tile.dataset.verdict,
        painted: getComputedStyle(tile.querySelector(".dcm-frame")).borderTopColor,
        wanted: colour(tile.dataset.verdict),
    }));
    probe.remove();
    const epsilon = grid.querySelector(".dcm-epsilon").textContent;
    return { epsilon: Number(/[0-9.e-]+/.exec(epsilon)[0]), tiles };
}"""


class WidgetPage:
    """A page with a slider and a grid; a front end may put each into a shadow root of its own."""

    def __init__(self, page: Any, root: Path) -> None:
        self.page = page
        self.root = root
        self.grid = page.locator(".dcm-sample-grid").first
        self.tiles = self.grid.locator(".dcm-tile")
        self.range = page.locator(".dcm-slider .dcm-range").first
        self.entry = page.locator(".dcm-slider .dcm-entry").first

    def wait_until(self, reached: Callable[[], Any], what: str) -> Any:
        """Look again after every painted frame, until something is true; returns it."""
        end = time.monotonic() + _PATIENCE
        while not (found := reached()):
            assert time.monotonic() < end, f"{what}: not reached after {_PATIENCE} s"
            self.page.evaluate("() => new Promise(requestAnimationFrame)")
        return found

    def wait_for_verdicts(self, accepts: Callable[[list[str]], bool]) -> list[str]:
        """Wait until the grid is not busy and shows acceptable verdicts."""

        def settled() -> list[str]:
            names = [] if self.busy() else self.verdicts()
            return names if names and accepts(names) else []

        return self.wait_until(settled, "verdicts")

    def busy(self) -> bool:
        return self.grid.evaluate("(grid) => grid.classList.contains('dcm-busy')")

    def verdicts(self) -> list[str]:
        return self.tiles.evaluate_all("(tiles) => tiles.map((t) => t.dataset.verdict)")

    def indices(self) -> list[str]:
        return self.tiles.evaluate_all("(tiles) => tiles.map((t) => t.dataset.index)")

    def shown(self) -> dict[str, Any]:
        """Epsilon of the grid, and index, verdict and colours of its tiles."""
        return self.grid.evaluate(_SHOWN)

    def kernel_state(self) -> dict[str, Any]:
        """What the kernel wrote down when the grid changed for the last time."""
        path = self.root / "state.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def settled(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The states of kernel and page once both are idle and agree; None before."""
        state = self.kernel_state()
        if not state or state["busy"] or state["evaluated"] != state["epsilon"] or self.busy():
            return None
        shown = self.shown()
        agree = (
            abs(float(self.range.input_value()) - state["epsilon"]) < 1e-9
            and abs(shown["epsilon"] - state["epsilon"]) < 5.1e-5  # four digits
            and [tile["verdict"] for tile in shown["tiles"]] == state["verdicts"]
        )
        return (state, shown) if agree and self.kernel_state() == state else None

    def enter(self, text: str) -> None:
        self.entry.fill(text)
        self.entry.press("Enter")

    def drag(self, start: float, end: float, positions: int, at_each: Callable[[], None]) -> None:
        """Drag the handle of the slider with the pointer, between fractions of its width."""
        self.range.scroll_into_view_if_needed()
        box = self.range.bounding_box()
        middle = box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(box["x"] + start * box["width"], middle)
        mouse.down()
        for number in range(1, positions + 1):
            fraction = start + (end - start) * number / positions
            mouse.move(box["x"] + fraction * box["width"], middle)
            at_each()
        mouse.up()

    def shoot(self, folder: Path | None, name: str) -> None:
        if folder:
            self.page.screenshot(path=folder / f"{name}.png")


class Notebook(WidgetPage):
    """A notebook opened in JupyterLab or Notebook 7."""

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

    def start(self, code: str) -> None:
        """Run code in the kernel without waiting for its end."""
        self.page.evaluate(
            """(code) => {
                const panel = window.jupyterapp.shell.currentWidget;
                panel.sessionContext.session.kernel.requestExecute({ code });
            }""",
            code,
        )

    def wait_for(self, code: str, printed: str) -> None:
        """Run code again and again until it prints something.

        The page sends changes of a widget one by one, each after the answer to the last one.
        """
        end = time.monotonic() + _PATIENCE
        while (answer := self.run(code)) != printed:
            assert time.monotonic() < end, f"{code} printed {answer!r}, not {printed!r}"

    def show_cell(self, containing: str) -> None:
        """Scroll to the first cell with this text."""
        self.page.evaluate(
            """async (text) => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                const index = notebook.widgets.findIndex(
                    (cell) => cell.model.sharedModel.getSource().includes(text));
                notebook.activeCellIndex = index;
                await notebook.scrollToItem(index, "start");
            }""",
            containing,
        )

    def show_widgets(self) -> None:
        """Scroll to the cell with the grid."""
        self.show_cell("SampleGrid(")
        self.grid.wait_for()

    def restart_kernel(self) -> None:
        """Restart the kernel; returns when the new one answers."""
        self.page.evaluate(
            """async () => {
                const panel = window.jupyterapp.shell.currentWidget;
                await panel.sessionContext.restartKernel();
                await panel.sessionContext.session.kernel.info;
            }"""
        )

    def shut_kernel_down(self) -> None:
        """End the kernel, so that nobody who opens the notebook later finds it."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def save(self) -> None:
        """Save the notebook as it is now."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")

    def theme(self, name: str, *, light: bool) -> None:
        """Choose a theme of JupyterLab."""
        self.page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
            name,
        )
        self.page.wait_for_function(
            f"() => document.body.dataset.jpThemeLight === '{str(light).lower()}'"
        )


def open_in_jupyter(
    context: Any, server: Server, url: str, document: nbformat.NotebookNode | None = None
) -> Notebook:
    """Open a notebook in JupyterLab (`url` "lab/tree/...") or Notebook 7 ("notebooks/...").

    Parameters
    ----------
    document
        What to write into the notebook before; without, it is opened as it is.
    """
    if document is not None:
        # Without a kernel of this name the front end would ask for one and wait.
        document.metadata["kernelspec"] = {
            "name": KERNEL,
            "display_name": "decomon test",
            "language": "python",
        }
        nbformat.write(document, server.root / url.split("?")[0].rpartition("/")[2])
    page = context.new_page()
    page.goto(server.url(url))
    page.wait_for_function("() => window.jupyterapp !== undefined")
    page.evaluate("() => window.jupyterapp.restored")
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.content?.widgets?.length > 0"
    )
    return Notebook(page, server.root)
