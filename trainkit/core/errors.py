"""What a user is told when something that they gave is wrong. Needs nothing but the standard library."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["ABBREVIATIONS", "NotFinite", "UserError", "did_you_mean", "nearest_key", "one_line"]

ABBREVIATIONS = {"lr": "learning_rate"}  # that are too short to be near
MEANT = {"test": "evaluate", "train": "fit"}  # words for modes that are near to others
MAX_LISTED = 20  # names that an error lists; more would bury the message


class UserError(Exception):
    """Something that the user gave is wrong; shown without a traceback.

    The message is one line: what came, what was expected, what to do.
    """


class NotFinite(UserError):
    """A training is not finite; from where it ended, it would not be so again."""


def did_you_mean(name: str, known: Iterable[str], *, list_known: bool = True) -> str:
    """The end of an error about an unknown name: `did you mean adam? Known: adam, sgd.`, or, where none is
    near, `known: adam, sgd.`

    Args:
        name: The name that came.
        known: All valid names.
        list_known: Whether to list the valid names, if there are at most `MAX_LISTED`.
    """
    known = list(known)
    folded = {one.casefold(): one for one in reversed(known)}
    begun = {one for one in folded.values() if name and one.casefold().startswith(str(name).casefold())}
    near = [MEANT[name]] if MEANT.get(name) in known else list(begun) if len(begun) == 1 else []
    near = near or difflib.get_close_matches(str(name), known, 1, cutoff=0.6)
    near = near or [folded[one] for one in difflib.get_close_matches(str(name).casefold(), folded, 1, 0.6)]
    hint = f"did you mean {near[0]}?" if near else ""
    listed = (
        f"{'Known' if hint else 'known'}: {', '.join(known)}."
        if list_known and len(known) <= MAX_LISTED
        else ""
    )
    return f"{hint} {listed}".strip() or "see --help."


def nearest_key(key: str, known: Iterable[str]) -> str:
    """The valid dotted key nearest to a wrong one: `did you mean trainer.epochs?`

    Looks in the key's own section first, then in the others. Without a near match, lists what the section
    has.
    """
    known = list(known)
    section, _, last = key.rpartition(".")
    last = ABBREVIATIONS.get(last, last)
    own = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == section}
    others = {k.rpartition(".")[2]: k for k in reversed(known)}
    for keys in (own, others):
        near = difflib.get_close_matches(last, keys, 1, cutoff=0.6) if last else []
        if near:
            return f"did you mean {keys[near[0]]}?"
    return f"{section or 'the top level'} has {', '.join(own)}." if own else "see --help for all keys."


def one_line(text: str) -> str:
    """`text` with line breaks and runs of blanks replaced by single blanks, and without a terminal's bold."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
