"""Searches for good settings: trials that no killed process can lose, on one machine or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.tuning.candidate import Candidate
    from trainkit.tuning.search import Search, SearchPlan
    from trainkit.tuning.space import Parameter, Space
    from trainkit.tuning.study import Entry
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.tuning.candidate": ("Candidate",),
            "trainkit.tuning.search": ("Search", "SearchPlan"),
            "trainkit.tuning.space": ("Parameter", "Space"),
            "trainkit.tuning.study": ("Entry",),
        },
    )

__all__ = ["Candidate", "Entry", "Parameter", "Search", "SearchPlan", "Space"]
