"""Tells `python -m tests.faults.report` how many faults a test made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.faults import tally


@pytest.fixture(autouse=True)
def count_faults(record_property: Callable[[str, object], None]) -> Iterator[None]:
    with tally.counted() as found:
        yield
    record_property("faults", found[0] or 1)
