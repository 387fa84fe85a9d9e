"""A checkpoint that was found, or in place of a damaged one the newest whole one of its run."""

from __future__ import annotations

import warnings
from dataclasses import replace

from trainkit.checkpoint import members
from trainkit.core.errors import UserError
from trainkit.core.files import shown
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
    try:
        members.check(found.checkpoint)
        return found
    except members.Damaged as error:
        other = members.newest_good(found.run.path / found.checkpoint.parent.name) if found.run else None
        if must_be_it or other is None:
            hint = f" A whole one is {shown(other)}." if other is not None else ""
            raise UserError(f"{error}{hint}") from error
        warnings.warn(f"{error} The newest whole one is used: {shown(other)}.", stacklevel=2)
        return replace(found, checkpoint=other)
