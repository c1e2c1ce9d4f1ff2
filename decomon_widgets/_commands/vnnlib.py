"""``decomon certify --vnnlib``: whether a network has a property in the VNN-LIB format."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from decomon_widgets import datasets
from decomon_widgets._commands import UsageError, version
from decomon_widgets.quiet import load_tensorflow

if TYPE_CHECKING:
    from decomon.vnnlib import VnnlibResult

DEFAULT_TIMEOUT: Final = 60.0
EPILOG: Final = (
    "With --vnnlib, standard output begins with one line: holds (no input of the property is "
    "unsafe: unsat), violated (sat; the counterexample follows, as ((X_0 ...) ... (Y_0 ...))), or "
    "unknown: and the reason. All of them end with status 0."
)
# What is about samples and has no meaning for a property: the option, and its default.
_OF_SAMPLES: Final = {
    "data": None,
    "epsilon": None,
    "norm": "inf",
    "method": "crown",
    "finetune": False,
    "n_sub_boxes": 1,
    "clip": (0.0, 1.0),
    "limit": None,
    "batch_size": None,
    "workers": 1,
    "results": None,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to those of ``decomon certify``."""
    parser.add_argument(
        "--vnnlib",
        type=Path,
        metavar="SPEC.vnnlib",
        help="decide this property, instead of the robustness of samples: which inputs, in boxes, "
        "have unsafe outputs, by linear conditions; .vnnlib.gz will do",
    )
    parser.add_argument(
        "--onnx",
        type=Path,
        metavar="NET.onnx",
        help="with --vnnlib: a feed-forward ONNX network instead of --model; .onnx.gz will do "
        '(needs: pip install "decomon[onnx]")',
    )


def wanted(arguments: argparse.Namespace) -> bool:
    """Whether the command is about a property."""
    if arguments.vnnlib is None and arguments.onnx is not None:
        raise UsageError("--onnx: only --vnnlib takes ONNX networks; give a property as well")
    return arguments.vnnlib is not None


def run(arguments: argparse.Namespace) -> int:
    """Decide the property and print the answer on standard output."""
    network = _check(arguments)
    timeout = DEFAULT_TIMEOUT if arguments.timeout is None else arguments.timeout
    load_tensorflow()
    from decomon.errors import NonFiniteBoundError
    from decomon.vnnlib import verify_vnnlib

    with (
        contextlib.redirect_stdout(sys.stderr),
        warnings.catch_warnings(),
        Console(stderr=True).status("reading") as status,
    ):
        warnings.simplefilter("ignore")

        def progress(_solved: int, open_domains: int, _gap: float) -> None:
            status.update(f"{open_domains} parts of the inputs are open")

        try:
            result = verify_vnnlib(network, arguments.vnnlib, timeout, None, progress)
        except (ValueError, ImportError, NonFiniteBoundError) as error:
            raise UsageError(str(error)) from error
    if arguments.format == "json":
        print(_json(result, network, arguments.vnnlib, timeout))
    else:
        print(_text(result))
    sys.stdout.flush()
    if result.reason.startswith("interrupted"):
        raise KeyboardInterrupt
    return 0


def _check(arguments: argparse.Namespace) -> Path:
    """Check the options; return the file of the network."""
    for name, default in _OF_SAMPLES.items():
        received = getattr(arguments, name)
        received = tuple(received) if isinstance(received, list) else received
        if received != default:
            option = "--no-clip" if received is None else f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option}: is about samples, and --vnnlib is about a property, which says itself "
                "which inputs are meant; leave it out"
            )
    if arguments.format == "csv":
        raise UsageError("--format: csv is a table of samples; --vnnlib has table and json")
    if not arguments.vnnlib.is_file():
        raise UsageError(f"--vnnlib: no such file: {arguments.vnnlib}")
    if arguments.onnx is None:
        if arguments.model in datasets.MODEL_NAMES:
            return datasets.model_path(arguments.model)
        path = Path(arguments.model)
        if not path.is_file():
            raise UsageError(f"--model: no such file: {path}")
        if path.suffix != ".keras":
            raise UsageError(f"--model: {path} is not a .keras file; for ONNX, use --onnx")
        return path
    if arguments.model != "dense":
        raise UsageError("--model, --onnx: give one network")
    if not arguments.onnx.is_file():
        raise UsageError(f"--onnx: no such file: {arguments.onnx}")
    if not arguments.onnx.name.endswith((".onnx", ".onnx.gz")):
        raise UsageError(f"--onnx: {arguments.onnx} is not an .onnx or .onnx.gz file")
    return arguments.onnx


def _text(result: VnnlibResult) -> str:
    first = f"{result.status}: {result.reason}" if result.reason else str(result.status)
    if result.counterexample is None or result.outputs is None:
        return first
    named = [
        *(f"(X_{i} {value!r})" for i, value in enumerate(result.counterexample.ravel().tolist())),
        *(f"(Y_{i} {value!r})" for i, value in enumerate(result.outputs.tolist())),
    ]
    lines = "\n ".join(named)
    return f"{first}\n({lines})"


def _json(result: VnnlibResult, network: Path, prop: Path, timeout: float) -> str:
    found, outputs = result.counterexample, result.outputs
    content = {
        "decomon": version(),
        "network": str(network),
        "vnnlib": str(prop),
        "timeout": timeout,
        "status": str(result.status),
        "reason": result.reason,
        "counterexample": None if found is None else found.ravel().tolist(),
        "outputs": None if outputs is None else outputs.tolist(),
        "n_domains": result.n_domains,
        "seconds": round(result.elapsed, 3),
    }
    return json.dumps(content, indent=2, allow_nan=False)
