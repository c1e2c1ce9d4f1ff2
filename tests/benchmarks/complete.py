"""Complete verification of the reference networks: how many answers, and how long they take.

``python -m tests.benchmarks.complete`` verifies one image after the other, each with a time limit
of its own, and the instances in the VNN-LIB format.  After each one, the results are written;
what the file already has, with the same time limit, is not measured again.  All of it takes an
hour or two; for numbers that mean something, nothing else should run on the machine.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import decomon
from tests.benchmarks import machine, networks

FILE = Path(__file__).with_name("complete.json")
VNNLIB = "vnnlib"
CASES = (
    ("mlp_tuto3", 0.01),
    ("mlp_tuto3", 0.02),
    ("mlp_tuto3", 0.03),
    ("conv_small", 0.03),
    ("conv_small", 0.05),
    ("mlp_2x256", 0.03),
)
"""Network and radius of the boxes around its images."""

_ACAS = "ACASXU_run2a_{}_batch_2000"
_MNIST = "mnist-net_256x2"
INSTANCES = (
    *((_ACAS.format("1_1"), f"prop_{number}", "holds") for number in (1, 2, 3, 4)),
    (_ACAS.format("2_2"), "prop_1", "holds"),
    (_ACAS.format("2_2"), "prop_2", "violated"),
    (_ACAS.format("2_2"), "prop_3", "holds"),
    (_ACAS.format("2_2"), "prop_4", "holds"),
    (_MNIST, "prop_0_0.03", "holds"),
    (_MNIST, "prop_1_0.03", "holds"),
    (_MNIST, "prop_0_0.05", "violated"),
    (_MNIST, "prop_3_0.05", "violated"),
)
"""Network, property and the answer that several tools agree on."""


@final
@dataclass(frozen=True)
class Task:
    """One thing to verify: ``key`` are the fields that tell it from others."""

    key: dict[str, Any]
    work: Callable[[], dict[str, Any]]


def images(name: str, epsilon: float, count: int, timeout: float) -> list[Task]:
    """Return a task for each of the first images of a network."""
    model, x, y = networks.load(name)
    x_min, x_max = networks.corners(x, epsilon)

    def verify(image: int) -> dict[str, Any]:
        part = slice(image, image + 1)
        found = decomon.verify_box(model, x_min[part], x_max[part], y[part], timeout=timeout)
        return {
            "status": str(found.status[0]),
            "reason": found.reason[0],
            "seconds": found.seconds,
            "domains": int(found.n_domains[0]),
            "lower": float(found.lower[0]),
            "upper": float(found.upper[0]),
        }

    key = {"network": name, "epsilon": epsilon, "timeout": timeout}
    return [
        Task({**key, "image": image}, lambda image=image: verify(image))
        for image in range(min(count, len(x)))
    ]


def instances(count: int, timeout: float) -> list[Task]:
    """Return a task for each of the first instances in the VNN-LIB format."""
    from tests.decomon.reference import FOLDER

    def verify(network: str, name: str) -> dict[str, Any]:
        folder = FOLDER / VNNLIB
        found = decomon.verify_vnnlib(
            folder / f"{network}.onnx", folder / f"{name}.vnnlib", timeout=timeout
        )
        return {
            "status": str(found.status),
            "reason": found.reason,
            "seconds": found.elapsed,
            "domains": found.n_domains,
        }

    return [
        Task(
            {"network": network, "property": name, "answer": answer, "timeout": timeout},
            lambda network=network, name=name: verify(network, name),
        )
        for network, name, answer in INSTANCES[:count]
    ]


def measured(task: Task) -> dict[str, Any]:
    """Return the row of a task; one that fails has ``error``."""
    try:
        return {**task.key, **task.work()}
    except Exception as error:
        return {**task.key, "error": f"{type(error).__name__}: {error}"}


def remaining(tasks: Sequence[Task], rows: Sequence[dict[str, Any]]) -> list[Task]:
    """Return the tasks that have no row yet, or one with an error."""
    done = [row for row in rows if "error" not in row]
    return [task for task in tasks if not any(task.key.items() <= row.items() for row in done)]


def stored(path: Path) -> dict[str, Any]:
    """Return the results of a file, or none."""
    if path.exists():
        return json.loads(path.read_text())
    return {"machine": machine.described(), "rows": []}


def added(rows: Sequence[dict[str, Any]], row: dict[str, Any], key: dict[str, Any]) -> list[Any]:
    """Return the rows with a new one, which takes the place of the one of the same task."""
    return [old for old in rows if not key.items() <= old.items()] + [row]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is left to measure; 1 if something failed or is wrong."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.complete", description=__doc__)
    parser.add_argument("--output", type=Path, default=FILE, metavar="FILE.json")
    names = list(dict.fromkeys(name for name, _ in CASES))
    parser.add_argument("--only", nargs="+", choices=[*names, VNNLIB], help="default: all")
    parser.add_argument("--images", type=int, default=100, help="how many of each network")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for each image")
    parser.add_argument(
        "--property-timeout", type=float, default=20.0, help="seconds for each VNN-LIB instance"
    )
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    options = parser.parse_args(arguments)
    from tests.decomon.reference import FOLDER

    if not FOLDER.is_dir():
        parser.error(f"no reference networks: {FOLDER} does not exist")
    if options.again:
        options.output.unlink(missing_ok=True)
    results = stored(options.output)
    chosen = options.only or [*names, VNNLIB]
    failed = False
    for name, epsilon in [*CASES, (VNNLIB, 0.0)]:
        if name not in chosen:
            continue
        if name == VNNLIB:
            tasks = instances(options.images, options.property_timeout)
        else:
            tasks = images(name, epsilon, options.images, options.timeout)
        for task in remaining(tasks, results["rows"]):
            row = measured(task)
            results["rows"] = added(results["rows"], row, task.key)
            options.output.write_text(json.dumps(results, indent=1) + "\n")
            print(line(row), flush=True)
            wrong = row.get("status") in ({"holds", "violated"} - {row.get("answer")})
            failed = failed or "error" in row or wrong
    return int(failed)


def line(row: dict[str, Any]) -> str:
    """Return what is printed of a row."""
    what = row.get("property") or f"{row['epsilon']:g} image {row['image']}"
    name = f"{row['network']:27} {what:14}"
    if "error" in row:
        return f"{name}  failed: {row['error'].splitlines()[0]}"
    return (
        f"{name}  {row['status']:10} {row['seconds']:6.1f} s  {row['domains']:8} domains"
        f"  {row['reason']}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
