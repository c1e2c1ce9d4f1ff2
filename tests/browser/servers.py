"""Notebook servers, each on a free port of this machine and with a home of its own."""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KERNEL", "REPOSITORY", "Server", "jupyterlab", "marimo", "notebook", "voila"]

REPOSITORY = Path(__file__).parents[2]
KERNEL = "decomon-test"
_START_SECONDS = 90
# The code of this checkout, whatever is installed.
_CODE = {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes
    ----------
    root
        Folder with the notebooks, which is the kernels' current one as well.
    base
        Address of the server, without a slash at the end.
    token
        What the server wants to see in addresses, "" for nothing.
    """

    root: Path
    base: str
    token: str = ""

    def url(self, path: str) -> str:
        """Address of a page, with the token."""
        joint = "&" if "?" in path else "?"
        return f"{self.base}/{path}" + (f"{joint}token={self.token}" if self.token else "")


@contextmanager
def jupyterlab(home: Path, *, subshells: bool = True) -> Iterator[Server]:
    """Run JupyterLab.

    Parameters
    ----------
    home
        Empty folder for notebooks, settings and logs.
    subshells
        Whether messages of widgets go to a subshell of the kernel, where they are handled while a
        cell runs (the default of JupyterLab), or to its main shell.
    """
    arguments = ["--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"]
    comms = "perCommTarget" if subshells else "disabled"
    with _jupyter("jupyterlab", home, arguments, comms) as server:
        yield server


@contextmanager
def notebook(home: Path) -> Iterator[Server]:
    """Run Notebook 7 in an empty folder."""
    arguments = ["--JupyterNotebookApp.expose_app_in_browser=True"]
    with _jupyter("notebook", home, arguments, "perCommTarget") as server:
        yield server


@contextmanager
def voila(home: Path, document: str) -> Iterator[Server]:
    """Run Voilà on one notebook, whose JSON is given."""
    environment = _jupyter_environment(home, "perCommTarget")
    root = home / "notebooks"
    (root / "page.ipynb").write_text(document)
    port = _free_port()
    command = [
        *(sys.executable, "-m", "voila", str(root / "page.ipynb"), "--no-browser"),
        *("--Voila.ip=127.0.0.1", f"--port={port}"),
    ]
    server = Server(root, f"http://127.0.0.1:{port}")
    with _running(command, server, "voila/static/voila.js", environment, home / "server.log"):
        yield server


@contextmanager
def marimo(home: Path, source: str, *, edit: bool = False) -> Iterator[Server]:
    """Run marimo on one notebook.

    Parameters
    ----------
    home
        Empty folder for the notebook, settings and logs.
    source
        Text of the notebook, a Python file.
    edit
        Open the notebook with its code; otherwise only what it shows.
    """
    root = home / "notebooks"
    root.mkdir(parents=True)
    (root / "page.py").write_text(source)
    port = _free_port()
    arguments = ["--skip-update-check", "--no-sandbox"] if edit else ["--no-check"]
    command = [
        *(sys.executable, "-m", "marimo", "--yes", "edit" if edit else "run", "page.py"),
        *("--headless", "--no-token", "--host=127.0.0.1", f"--port={port}", *arguments),
    ]
    environment = os.environ | _CODE | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
    server = Server(root, f"http://127.0.0.1:{port}")
    with _running(command, server, "health", environment, home / "server.log"):
        yield server


@contextmanager
def _jupyter(module: str, home: Path, arguments: list[str], comms: str) -> Iterator[Server]:
    environment = _jupyter_environment(home, comms)
    port, token = _free_port(), secrets.token_hex(16)
    server = Server(home / "notebooks", f"http://127.0.0.1:{port}", token)
    command = [
        *(sys.executable, "-m", module, "--no-browser", "--allow-root"),
        *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
        *(f"--ServerApp.root_dir={server.root}", f"--IdentityProvider.token={token}"),
        *arguments,
    ]
    with _running(command, server, "api/status", environment, home / "server.log"):
        yield server


def _jupyter_environment(home: Path, comms: str) -> dict[str, str]:
    """Make the folders of a Jupyter server, which saves widgets with their notebook."""
    spec = home / "data" / "kernels" / KERNEL
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    for folder in (home / "notebooks", spec, settings):
        folder.mkdir(parents=True)
    kernel = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "decomon test",
        "language": "python",
        "env": _CODE,
    }
    (spec / "kernel.json").write_text(json.dumps(kernel))
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    kernels = {"commsOverSubshells": comms}
    (settings / "kernels-settings.jupyterlab-settings").write_text(json.dumps(kernels))
    manager = home / "settings" / "@jupyter-widgets" / "jupyterlab-manager"
    manager.mkdir(parents=True)
    (manager / "plugin.jupyterlab-settings").write_text(json.dumps({"saveState": True}))
    return os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }


@contextmanager
def _running(
    command: list[str], server: Server, probe: str, environment: dict[str, str], log: Path
) -> Iterator[None]:
    """Run a server from when it answers `probe` on."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env=environment, cwd=server.root
        )
    try:
        if not _is_up(process, server.url(probe)):
            text = log.read_text(errors="replace")
            raise RuntimeError(f"{' '.join(command)} did not start:\n{text[-4000:]}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_up(process: "subprocess.Popen[bytes]", url: str) -> bool:
    """Wait until a server answers; False if it does not."""
    pause = threading.Event()
    for _ in range(10 * _START_SECONDS):
        if process.poll() is not None:
            return False
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            pause.wait(0.1)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
