"""The yardstick, a matrix product, and the machine that it was measured on.

One *product* is the median time of the float32 NumPy product (4096 x 1024) @ (1024 x 1024) in the
same process, so that numbers of different machines can be compared.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

PRODUCT = (4096, 1024, 1024)
"""Sizes of the calibration product."""

PRODUCT_MULTIPLY_ADDS = PRODUCT[0] * PRODUCT[1] * PRODUCT[2]

# Threads of the matrix library and of TensorFlow spin for a while after their work is done.
_SETTLE_SECONDS = 0.1
_MOST_CALLS = 500


def samples_of(
    work: Callable[[], Any], repeat: int, at_least: float, at_most: float
) -> list[float]:
    """Return the seconds that calls take, after calls that are not counted.

    Parameters
    ----------
    repeat : how many calls at least, if ``at_most`` allows
    at_least : seconds to go on calling
    at_most : seconds after which no other call begins
    """
    begin = time.perf_counter()
    while True:
        work()
        if time.perf_counter() - begin >= _SETTLE_SECONDS:
            break
    seconds: list[float] = []
    while True:
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
        total = sum(seconds)
        enough = len(seconds) >= repeat and total >= at_least
        if enough or total >= at_most or len(seconds) >= _MOST_CALLS:
            return seconds


def product_samples(repeat: int = 7) -> list[float]:
    """Return the seconds that each of some calibration products takes."""
    rows, inner, columns = PRODUCT
    rng = np.random.default_rng(0)
    left = rng.standard_normal((rows, inner), dtype=np.float32)
    right = rng.standard_normal((inner, columns), dtype=np.float32)
    return samples_of(lambda: left @ right, repeat, 0.0, 10.0)


def beside_products(
    work: Callable[[], Any], repeat: int, at_least: float = 0.5, at_most: float = 60.0
) -> tuple[float, float]:
    """Return the median seconds of a call and those of the product, right before and after it.

    Machines change their speed, so both are measured side by side.
    """
    before = product_samples()
    seconds = samples_of(work, repeat, at_least, at_most)
    return statistics.median(seconds), statistics.median([*before, *product_samples()])


def described() -> dict[str, Any]:
    """Name the machine and what runs on it."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": _system(),
        "python": platform.python_version(),
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
        "numpy": version("numpy"),
        "product seconds": statistics.median(product_samples(15)),
    }


def _system() -> str:
    release = platform.release().split("-")[0]
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return f"{platform.system()} {release}"
    return f"{name}, {platform.system()} {release}"


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
