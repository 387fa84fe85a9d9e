"""The faults of structure that are known and not yet mended: a list that may only become shorter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.repository import ROOT

__all__ = ["check", "listed"]

LIST = Path(__file__).parents[1] / "contracts" / "known_offenders.txt"


def listed(rule: str) -> set[str]:
    """What the list has under a rule, the first word of its lines."""
    lines = (line.split(maxsplit=1) for line in LIST.read_text().splitlines() if line and line[0] != "#")
    return {offender for name, offender in lines if name == rule}


def check(rule: str, found: Mapping[str, str]) -> None:
    """Fail on an offender that is not listed, and on a listed one that no longer offends.

    Args:
        rule: First word of the lines of the list.
        found: Each offender, as the rest of such a line, with what to tell about it.
    """
    expected = listed(rule)
    fresh = [f"  {offender}: {found[offender]}" for offender in sorted(found.keys() - expected)]
    assert not fresh, f"{len(fresh)} new against the rule `{rule}`:\n" + "\n".join(fresh)
    mended = [f"  {rule} {offender}" for offender in sorted(expected - found.keys())]
    place = LIST.relative_to(ROOT)
    assert not mended, f"Mended. Take these lines out of {place}:\n" + "\n".join(mended)
