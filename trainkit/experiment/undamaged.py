"""A checkpoint that was found, or in place of a damaged one the newest whole one of its run."""

from __future__ import annotations

from dataclasses import replace

from trainkit.checkpoint import members
from trainkit.runs.locate import Found

__all__ = ["undamaged"]


def undamaged(found: Found, *, must_be_it: bool = False) -> Found:
    """The checkpoint that was found; in place of a damaged one, the newest whole one of its run.

    Args:
        found: What `resume=` names.
        must_be_it: Whether no other checkpoint will do.

    Raises:
        UserError: if it is damaged, and no other will do or there is none.
    """
    folder = found.run.path / found.checkpoint.parent.name if found.run else None
    return replace(found, checkpoint=members.whole(found.checkpoint, folder, must_be_it=must_be_it))
