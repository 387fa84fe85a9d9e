"""Lines of the form `Label:     text`, wrapped between words where a terminal is narrower."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

__all__ = ["print_wrapped", "terminal_width", "wrapped"]

COPIED = ("Run:", "Evaluate:", "Resume:")  # a line that people copy stays one line


def terminal_width() -> int | None:
    """Columns of the terminal; None: standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_wrapped(text: str) -> None:
    """Print lines; on a terminal, wrapped to its width."""
    width = terminal_width()
    print(text if width is None else wrapped(text, width), flush=True)


def wrapped(text: str, width: int) -> str:
    """The lines of a text with those that are too long continued below their own beginning."""
    return "\n".join(_wrapped_line(line, width) for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    label = re.match(r"\w[\w ]*: +", line)
    if len(line) <= width or label is None or line.startswith(COPIED):
        return line
    indent = " " * len(label[0])
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
