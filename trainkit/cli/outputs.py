"""Standard output and standard error that never end a training: the run counts, not who reads of it."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

__all__ = ["outlive_readers"]


class _Lasting(io.FileIO):
    """A file that takes everything, and drops it once the system no longer does: the reader of a pipe is gone
    (`| head -3`), or a disk is full."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if isinstance(error, BlockingIOError):
                raise
            _to_nowhere(self.fileno())
            if self.fileno() == 1 and error.errno != errno.EPIPE:
                print(
                    f"Warning: standard output: {error.strerror}. The command goes on without it.",
                    file=sys.stderr,
                )
            return len(memoryview(data).cast("B"))


def outlive_readers() -> None:
    """Let the process go on where its output is closed, its reader leaves, the disk is full, or the terminal
    lacks a character, which is printed as `?`. For the whole process, so at its entry only."""
    sys.stderr = _lasting(sys.stderr, 2, "backslashreplace")
    sys.stdout = _lasting(sys.stdout, 1, "replace")


def _lasting(stream: Any, number: int, errors: str) -> Any:
    if stream is None:  # `>&-`
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would be it
            _to_nowhere(number)
        return open(os.devnull, "w", encoding="utf-8")
    stream.flush()
    raw: Any = _Lasting(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=errors,
        # As `python -u` has it: nothing of what a killed process printed is lost.
        line_buffering=stream.line_buffering or getattr(stream, "write_through", False),
        write_through=getattr(stream, "write_through", False),
    )


def _to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
