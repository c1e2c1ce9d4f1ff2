"""The command ``decomon``: the tutorials in JupyterLab, and certification from a shell.

TensorFlow takes seconds to load, so nothing here imports it before a command needs it.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from decomon_widgets._commands import IncompleteError, UsageError, certify, lab, version, vnnlib

INCOMPLETE_STATUS: Final = 1
USAGE_STATUS: Final = 2
INTERRUPTED_STATUS: Final = 130


class _Parser(argparse.ArgumentParser):
    """A parser whose error is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_STATUS, f"{self.prog}: error: {message} (see: {self.prog} --help)\n")


class _Version(argparse.Action):
    """Prints the version; the installed packages are looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"decomon {version()}")
        parser.exit()


NORMS = ("1", "2", "inf")
"""Names of the norms; each is also the text of a number."""


def epsilon(text: str) -> float:
    """A finite number of at least 0, also written as a fraction such as ``8/255``."""
    numerator, slash, denominator = text.partition("/")
    try:
        value = float(numerator) / float(denominator) if slash else float(text)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(
            f"must be a number of at least 0, such as 0.03 or 8/255. Received: {text}"
        )
    return value


def finite(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a finite number. Received: {text}")
    return value


def positive(text: str) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1. Received: {text}")
    return value


def seconds(text: str) -> float:
    """A positive, finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(
            f"must be a positive number of seconds, such as 60 or 0.5. Received: {text}"
        )
    return value


def port(text: str) -> int:
    """A port number."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 1 to 65535. Received: {text}")
    return value


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="decomon",
        description="Certified robustness for Keras models.",
        epilog="'decomon COMMAND --help' explains one command.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_lab(commands)
    _add_certify(commands)
    return parser


def _add_lab(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "lab",
        help="open the tutorials in JupyterLab",
        description="Copy the tutorials to a working folder and open JupyterLab on tutorial 3. "
        "A tutorial that you changed is never overwritten.",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address instead of opening a browser"
    )
    parser.add_argument("--port", type=port, metavar="N", help="port of the server (default: 8888)")
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path("decomon-tutorials"),
        metavar="FOLDER",
        help="working folder (default: ./decomon-tutorials)",
    )
    parser.set_defaults(run=lab.run)


def _add_certify(commands: argparse._SubParsersAction[_Parser]) -> None:
    parser = commands.add_parser(
        "certify",
        help="prove or refute the robustness of a classifier, sample by sample",
        description="For each sample: does the model keep its class for every input that "
        "differs by at most epsilon? Prints a verdict per sample and a summary. Without a model "
        "and data, an embedded network and embedded images of MNIST are used.",
        epilog="Exit status: 0 when all samples have a verdict, whatever it is; 1 when some could "
        "not be computed (their indices are on standard error; the others are reported); 2 for "
        "unusable arguments; 130 when it was interrupted (what was done is reported). "
        + vnnlib.EPILOG,
    )
    parser.add_argument(
        "--model",
        default="dense",
        metavar="FILE.keras",
        help="Keras classifier, or one of the embedded networks: dense (default), conv",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE.npz",
        help="inputs and labels, under the keys x_test and y_test, or x and y; uint8 inputs are "
        "divided by 255; labels are integers or one-hot (default: 2000 test images of MNIST)",
    )
    parser.add_argument(
        "--epsilon",
        type=epsilon,
        metavar="E",
        help="size of the largest change, such as 0.03 or 8/255; see --norm (required without "
        "--vnnlib)",
    )
    parser.add_argument(
        "--norm",
        choices=NORMS,
        default="inf",
        help="how the size of a change is measured: inf, the largest change of an input value "
        "(default); 2, the Euclidean distance; 1, the sum of the changes of all values",
    )
    parser.add_argument(
        "--method",
        default="crown",
        metavar="M",
        help="method of the bounds, from loose and fast to tight: forward-ibp, forward-affine, "
        "forward-hybrid, crown-forward-ibp, crown-forward-affine, crown-forward-hybrid, crown "
        "(default)",
    )
    parser.add_argument(
        "--finetune", action="store_true", help="optimise the relaxation for each sample (slower)"
    )
    parser.add_argument(
        "--n-sub-boxes",
        type=positive,
        default=1,
        metavar="K",
        help="split each domain into K boxes (slower, tighter; default: 1)",
    )
    parser.add_argument(
        "--complete",
        action="store_true",
        help="attack, bound, and split where bounds are not enough, until every sample is decided "
        "or the time is over; it chooses the method itself",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="S",
        help="with --complete or --vnnlib: seconds, for all samples together (default: 60); what "
        "is still open then is unknown (maybe robust), for the reason timeout",
    )
    vnnlib.add_arguments(parser)
    clip = parser.add_mutually_exclusive_group()
    clip.add_argument(
        "--clip",
        type=finite,
        nargs=2,
        default=(0.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="range that inputs never leave (default: 0 1)",
    )
    clip.add_argument(
        "--no-clip", dest="clip", action="store_const", const=None, help="inputs have no such range"
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="only the first N samples (default: all)"
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="samples computed at once, and handed to a worker at once (default: few while they "
        "are slow, many when they are fast)",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="number of processes that compute, each with its share of the processors (default: 1)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="write results to FILE.csv or FILE.parquet while they are computed; if it exists, "
        "go on with it: samples in it are not computed again",
    )
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="format of standard output (default: table)",
    )
    parser.set_defaults(run=certify.run)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``decomon``.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program's name; default: that of the process.

    Returns
    -------
    int
        Exit status: 0 when the command did its work, whatever the verdicts are; 1 when some
        samples could not be computed; 2 for unusable arguments; 130 when it was interrupted.  All
        but 0 come with one line on standard error.
    """
    parsed = build_parser().parse_args(arguments)
    try:
        return parsed.run(parsed)
    except UsageError as error:
        print(f"decomon {parsed.command}: error: {error}", file=sys.stderr)
        return USAGE_STATUS
    except IncompleteError as error:
        print(f"decomon {parsed.command}: {error}", file=sys.stderr)
        return INCOMPLETE_STATUS
    except KeyboardInterrupt:
        print(f"decomon {parsed.command}: interrupted", file=sys.stderr)
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Nothing more can be written, not even by the
        # interpreter when it closes standard output.
        sys.stdout = None
        return 0


if __name__ == "__main__":
    sys.exit(main())
