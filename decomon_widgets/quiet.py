"""Loading TensorFlow without its messages about drivers and processors.

They are written by native code before any log level counts, so they would fill the output of a
notebook's first cell, or the standard error of a command, and hide what matters there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator


def load_tensorflow() -> None:
    """Import TensorFlow and Keras and keep their messages back.

    Does nothing if TensorFlow is loaded already. Later warnings of its native code are silenced
    too, unless the environment variable ``TF_CPP_MIN_LOG_LEVEL`` was set; Python's warnings and
    errors are not. If the import fails, the messages are passed on.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _standard_error_held_back():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextlib.contextmanager
def _standard_error_held_back() -> Iterator[None]:
    """Redirect the file descriptor itself: native code knows nothing of `sys.stderr`."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(original, held_back.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
