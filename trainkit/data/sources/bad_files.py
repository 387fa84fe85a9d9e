"""Files that cannot be read: counted, named, and refused unless they may be left out."""

from __future__ import annotations

from collections.abc import Sequence

from trainkit.core.errors import UserError, one_line

__all__ = ["refuse_bad"]

LISTED = 3  # bad files that a message names


def refuse_bad(
    bad: Sequence[tuple[str, str]], total: int, what: str, *, skip_bad: bool, advice: str = ""
) -> tuple[str, ...]:
    """Refuse bad files, or say in a note that they are left out.

    Args:
        bad: Name of each bad file, and why it cannot be read.
        total: Number of all files.
        what: Plural word for the files.
        skip_bad: Whether bad files are left out.
        advice: What may help.

    Returns:
        The note, or nothing if no file is bad.

    Raises:
        UserError: if files are bad and `skip_bad` is False, or all are.
    """
    if not bad:
        return ()
    named = ", ".join(f"{name} ({one_line(reason)})" for name, reason in bad[:LISTED])
    more = f" and {len(bad) - LISTED} more" if len(bad) > LISTED else ""
    if len(bad) == total:
        raise UserError(f"None of {total} {what} can be read: {named}{more}. {advice}".rstrip())
    if not skip_bad:
        raise UserError(
            f"{len(bad)} of {total} {what} cannot be read: {named}{more}. {advice}{' ' if advice else ''}"
            "Mend or delete them, or leave them out by data.skip_bad=true."
        )
    return (f"{len(bad)} of {total} {what} cannot be read and are left out: {named}{more}",)
