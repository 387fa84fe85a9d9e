"""TensorFlow's start without its log lines, which hide what a command has to say."""

from __future__ import annotations

import gc
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from trainkit.backend import compile_cache
from trainkit.core.errors import UserError

__all__ = ["import_tensorflow"]

# Lines of TensorFlow's C++ libraries: `I0000 00:00:1795451699.998250    6102 port.cc:153] ...`, and the
# warning that precedes them.
LOG_LINE = re.compile(
    r"^(WARNING: All log messages before absl::InitializeLog|[IWE]\d{4} \d\d:\d\d:[\d.]+ +\d+ [\w./-]+:\d+\])"
)

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def import_tensorflow(*, keep_programs: bool = True, freeze: bool = False) -> None:
    """Import TensorFlow and look for its devices; its log lines are dropped unless
    TF_CPP_MIN_LOG_LEVEL is 0.

    Args:
        keep_programs: Keep what XLA compiles for the next process.
        freeze: Take all that there is by then to stay as long as the process, which is the command's.

    Raises:
        UserError: if Keras is told to use another backend, or a damaged program cannot be removed.
    """
    if os.environ.setdefault("KERAS_BACKEND", "tensorflow") != "tensorflow":
        raise UserError(
            f"KERAS_BACKEND={os.environ['KERAS_BACKEND']}: trainkit trains with TensorFlow; unset it or set "
            "it to tensorflow."
        )
    if "tensorflow" in sys.modules:
        return
    checking = compile_cache.using() if keep_programs else nullcontext()
    with checking, _without_collections(freeze=freeze), _filtered(enabled=os.environ.get(LEVEL) != "0"):
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextmanager
def _without_collections(*, freeze: bool) -> Iterator[None]:
    """In the block Python does not look for garbage. The import makes a million objects, nearly all of which
    stay; to look at them again and again takes as long as the rest of it, and a second or two at the end of
    the process, unless they are frozen."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        if enabled:
            gc.enable()


@contextmanager
def _filtered(*, enabled: bool) -> Iterator[None]:
    """Hold back what is written to the file of stderr in the block, by C++ too; afterwards write what is no
    log line of TensorFlow."""
    if not enabled:
        yield
        return
    # Nothing from here on but what ends the process: XLA calls each kept program an error, since it names
    # features of its own beside the processor's. At its start TensorFlow does not heed the level.
    os.environ.setdefault(LEVEL, "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            text = held.read().decode(errors="replace")
            sys.stderr.write(
                "".join(line for line in text.splitlines(keepends=True) if not LOG_LINE.match(line))
            )
