"""What a task is: the data, model, loss and metrics that a `Trainer` trains. Imports neither TensorFlow nor Keras."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


class UserError(Exception):
    """Something that the user gave is wrong. Its message says what came, what was expected and what to do; shown without traceback."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'? Known: …`"""
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(known)}."


def one_line(text: str) -> str:
    """The text with its line breaks and runs of blanks as single blanks."""
    return " ".join(text.split())
