"""Words of a command line that can be copied: paths, and what is quoted for Hydra and for the shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

__all__ = ["command", "in_shell", "override", "shown", "text_value"]

PLAIN = re.compile(r"[\w./+%@-]+", re.ASCII)
OTHER_TYPES = re.compile(r"null|true|false|[+-]?(nan|inf|[\d._]+(e[+-]?\d+)?)", re.IGNORECASE)


def command(*words: str, **settings: str) -> str:
    """A command that can be copied: `python -m trainkit mode=evaluate resume=runs/mnist/latest`.

    Args:
        words: Its first words, as the command takes them.
        settings: Texts that it sets, whatever characters they have.
    """
    set_by = [override(key, value) for key, value in settings.items()]
    return f"python -m trainkit {shlex.join([*words, *set_by])}"


def override(key: str, value: str) -> str:
    """A word of the command line that sets a key to a text, whatever characters that has."""
    return f"{key}={text_value(value)}"


def text_value(value: str) -> str:
    """A text as the grammar of overrides takes it: in quotes if it is more than a plain path or word, or
    may be taken for a number or the like."""
    if PLAIN.fullmatch(value) and not OTHER_TYPES.fullmatch(value):
        return value
    doubled = re.sub(r'(\\+)(?="|\Z)', r"\1\1", value)  # backslashes count before a quote only
    return '"' + doubled.replace('"', '\\"') + '"'


def in_shell(word: str) -> str:
    """A word in quotes of the shell, if it needs them."""
    return shlex.quote(word)


def shown(path: Path | str) -> str:
    """A path as people type it: relative to the working directory if it lies inside."""
    path, here = Path(path).absolute(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else str(path)
