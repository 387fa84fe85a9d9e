"""Words of a command line that can be copied: quoted for Hydra, and for the shell."""

from __future__ import annotations

import re
import shlex

__all__ = ["in_shell", "override", "text_value"]

PLAIN = re.compile(r"[\w./+%@-]+", re.ASCII)
OTHER_TYPES = ("null", "true", "false", "nan", "inf")


def override(key: str, value: str) -> str:
    """A word of the command line that sets a key to a text, whatever characters that has."""
    return f"{key}={text_value(value)}"


def text_value(value: str) -> str:
    """A text as the grammar of overrides takes it: in quotes if it is more than a plain path or word."""
    if PLAIN.fullmatch(value) and value.lower() not in OTHER_TYPES:
        return value
    doubled = re.sub(r'(\\+)(?="|\Z)', r"\1\1", value)  # backslashes count before a quote only
    return '"' + doubled.replace('"', '\\"') + '"'


def in_shell(word: str) -> str:
    """A word in quotes of the shell, if it needs them."""
    return shlex.quote(word)
