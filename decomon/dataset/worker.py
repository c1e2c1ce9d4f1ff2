"""What runs in a worker of an executor."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.util
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any, Final, TypeAlias, final

from decomon.certify import Certificate
from decomon.dataset.packing import MissingModelError, PackedModel, unpacked
from decomon.dataset.question import Question
from decomon.errors import NonFiniteBoundError

_LONGEST_REASON: Final = 500
_PATIENCE: Final = 1.0  # seconds that a process has to end after its pipe was closed
_LOADED_IN: Final = os.getpid()
_PROGRAM: Final = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from decomon.dataset.worker import serve
serve(int(sys.argv[2]))
"""


@final
@dataclass(frozen=True)
class Problem:
    """Why a chunk could not be computed.

    It travels as text, because not every exception survives being sent to another process.
    """

    reason: str


@final
@dataclass(frozen=True)
class Missing:
    """The process was given the label of a model that it does not have."""


Answer: TypeAlias = Certificate | Problem | Missing


def reason_of(error: BaseException) -> str:
    """Describe an error in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if len(text) > _LONGEST_REASON:
        text = text[: _LONGEST_REASON - 1] + "…"
    if isinstance(error, NonFiniteBoundError):
        text += " (samples are counted from the first one of the chunk)"
    return text


def answer_here(model: Any, asked: Question) -> Answer:
    """Certify a chunk with the model itself."""
    try:
        return asked.answer(model)
    except Exception as error:
        return Problem(reason_of(error))


def answer_packed(packed: PackedModel, asked: Question) -> Answer:
    """Certify a chunk in another process, where the model is built on the first call.

    TensorFlow's threads do not survive a fork, so its first computation in a forked process
    would wait for them forever.  A forked process therefore hands its chunks on to a fresh one.
    """
    try:
        if os.getpid() != _LOADED_IN:
            return _companion(os.getpid()).ask(packed, asked)
        return asked.answer(unpacked(packed))
    except MissingModelError:
        return Missing()
    except Exception as error:
        return Problem(reason_of(error))


class CompanionError(RuntimeError):
    """The fresh process of a forked worker ended before it answered."""


@final
class _Companion:
    """A process that was not forked; it ends with the one that started it.

    It imports nothing of the user's main program, which might not be made for that.  The pipe to
    it closes when this process ends, however that happens, and it waits for nothing but the pipe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipe, other_end = multiprocessing.Pipe()
        number = other_end.fileno()
        command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), str(number)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(number,))
        other_end.close()
        # Unlike atexit, this is heeded by processes that multiprocessing has forked.
        multiprocessing.util.Finalize(self, _end, args=(self._process,), exitpriority=0)

    def ask(self, packed: PackedModel, asked: Question) -> Answer:
        with self._lock:
            try:
                self._pipe.send((packed, asked))
                return self._pipe.recv()
            except (EOFError, OSError) as error:
                raise CompanionError(
                    "the process that computed it ended abruptly, with exit code "
                    f"{self._exit_code()}: was memory short?"
                ) from error
            except BaseException:
                self._exit_code()  # the next answer would be the one to this question
                raise

    def _exit_code(self) -> int:
        """End it, if it has not ended, and let the next call start another one."""
        _companion.cache_clear()
        self._pipe.close()
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            return _end(self._process)


def _end(process: subprocess.Popen[bytes]) -> int:
    process.kill()
    return process.wait()


@lru_cache(maxsize=1)
def _companion(_: int) -> _Companion:
    """Return the companion of this process; a process that is forked later needs its own."""
    return _Companion()


def serve(number: int) -> None:
    """Answer questions that come through a pipe, until its other end is closed.

    Parameters
    ----------
    number : file descriptor of the pipe
    """
    # An interrupt from the keyboard goes to all processes; the one that asked decides what it does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(number) as pipe:
        while True:
            try:
                packed, asked = pipe.recv()
                pipe.send(answer_packed(packed, asked))
            except (EOFError, OSError):
                return
