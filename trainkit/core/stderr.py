"""Where stderr leads while its file is held back, as in the import of TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["leading_to", "write"]

_numbers = [2]  # of open files; the last one leads to the real stderr


@contextmanager
def leading_to(number: int) -> Iterator[None]:
    """In the block, file 2 is another one; an open file of this number leads to the real stderr."""
    _numbers.append(number)
    try:
        yield
    finally:
        _numbers.pop()


def write(text: bytes) -> None:
    """Write to the real stderr at once; safe in a handler of signals."""
    with suppress(OSError):  # nobody reads it
        os.write(_numbers[-1], text)
