"""Counts the faults that the tests make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["add", "counted"]


class _Total:
    faults = 0


def add(faults: int = 1) -> None:
    """Count faults that were made in the test that is running."""
    _Total.faults += faults


@contextmanager
def counted() -> Iterator[list[int]]:
    """A list that has the number of faults made in the block, once it is over."""
    before, found = _Total.faults, list[int]()
    yield found
    found.append(_Total.faults - before)
