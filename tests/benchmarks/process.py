"""Fresh processes, and how much memory they need at most.

The peak is that of the resident set of this process since it was last reset (``VmHWM`` of
``/proc/self/status``).  ``ru_maxrss`` would not do: a child starts with that of its parent, which
hides everything that the child itself needs.  On systems without ``/proc``, the peak is unknown.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def resident_bytes() -> int | None:
    """Return the size of the resident set, or None where it is not known."""
    return _read("VmRSS")


def peak_bytes() -> int | None:
    """Return the largest size of the resident set so far, or None where it is not known."""
    return _read("VmHWM")


def start_peak() -> int | None:
    """Begin to measure the peak anew; return the size of the resident set now.

    What was freed before is given back first, as far as the C library can: otherwise it would be
    used again without being seen.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
        if trim is not None:
            trim(0)
    if _STATUS.exists():
        _RESET.write_text("5")
    return resident_bytes()


def _read(key: str) -> int | None:
    if not _STATUS.exists():
        return None
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None


class FailedError(RuntimeError):
    """A process that ended without an answer."""


def ask(module: str, question: dict[str, Any], timeout: float = 1800.0) -> dict[str, Any]:
    """Run a module in a fresh process; return the JSON that is the last line of its output.

    Parameters
    ----------
    question : the only argument of the module, as JSON

    Raises
    ------
    FailedError
        If it fails or takes longer than ``timeout`` seconds; the message ends with what it wrote.
    """
    command = [sys.executable, "-m", module, json.dumps(question)]
    surroundings = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    surroundings["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"no answer after {timeout:g} s") from error
    if done.returncode:
        raise FailedError(f"exit status {done.returncode}: {done.stderr.strip()[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])
