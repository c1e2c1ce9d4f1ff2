"""``decomon lab``: the tutorials in a folder of the user's own, opened in JupyterLab."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import Final

from decomon_widgets._commands import UsageError

FIRST_NOTEBOOK: Final = "tutorial3_adversarial_attack.ipynb"
# Checksums of the tutorials as they were copied: what differs from these is the user's own work.
RECORD_NAME: Final = ".decomon-tutorials.json"


class Copied(StrEnum):
    """What became of one tutorial."""

    NEW = "new"
    CURRENT = "up to date"
    REFRESHED = "refreshed"
    KEPT = "kept"


def tutorials_folder() -> Path:
    """Where the original tutorials are: in the installed package, or in the checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "tutorials", package.parent / "tutorials"):
        if (folder / FIRST_NOTEBOOK).is_file():
            return folder
    raise UsageError(f"the tutorials are missing from this installation of decomon ({package})")


def copy_tutorials(source: Path, target: Path) -> dict[str, Copied]:
    """Copy the tutorials, but never over a file that was changed.

    Parameters
    ----------
    source : Path
        Folder of the originals.
    target : Path
        Working folder, made where it is missing.

    Returns
    -------
    dict[str, Copied]
        What became of each file, by its path inside the folder.
    """
    target.mkdir(parents=True, exist_ok=True)
    record = _read_record(target / RECORD_NAME)
    outcome: dict[str, Copied] = {}
    for original in sorted(source.rglob("*")):
        relative = original.relative_to(source)
        if not original.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        name = relative.as_posix()
        outcome[name] = _copy(original, target / relative, record.get(name))
        if outcome[name] is not Copied.KEPT:
            record[name] = _checksum(original)
    (target / RECORD_NAME).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    return outcome


def run(arguments: argparse.Namespace) -> int:
    """Copy the tutorials and serve them until the user stops JupyterLab."""
    if any(importlib.util.find_spec(name) is None for name in ("jupyterlab", "ipykernel")):
        raise UsageError(
            "JupyterLab is not installed. Install it with: python -m pip install jupyterlab "
            'ipykernel (or, in a checkout: python -m pip install ".[lab]")'
        )
    folder: Path = arguments.dir.expanduser().resolve()
    try:
        outcome = copy_tutorials(tutorials_folder(), folder)
    except OSError as error:
        raise UsageError(f"cannot use the working folder {folder}: {error.strerror}") from error
    for name, copied in outcome.items():
        note = " (you changed it; rename it to get the original again)"
        print(f"{folder / name}: {copied}{note if copied is Copied.KEPT else ''}", file=sys.stderr)
    _serve(folder, port=arguments.port, browser=not arguments.no_browser)
    return 0


def _copy(original: Path, copy: Path, recorded: str | None) -> Copied:
    if copy.is_symlink() or copy.exists():
        found = _checksum(copy) if copy.is_file() else None
        if found == _checksum(original):
            return Copied.CURRENT
        if found is None or found != recorded:
            return Copied.KEPT
        shutil.copyfile(original, copy)
        return Copied.REFRESHED
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(original, copy)
    return Copied.NEW


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_record(path: Path) -> dict[str, str]:
    """The recorded checksums; without a readable record, every difference counts as the user's."""
    try:
        record = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _serve(folder: Path, *, port: int | None, browser: bool) -> None:
    from jupyterlab.labapp import LabApp  # here: it is an extra, and certify does not need it

    os.chdir(folder)
    options = [
        f"--ServerApp.root_dir={folder}",
        # In the address that is printed as well as in the browser that is opened.
        f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}",
    ]
    if port is not None:
        options.append(f"--ServerApp.port={port}")
    if not browser:
        options.append("--no-browser")
    if sys.platform != "win32" and os.geteuid() == 0:
        # Containers run everything as root, where Jupyter refuses to start unless told.
        options.append("--allow-root")
    LabApp.launch_instance(options)
