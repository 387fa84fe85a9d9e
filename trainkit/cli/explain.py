"""Hydra's part of the command: from the words of a command line to the settings of its jobs, and its errors in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig

from trainkit.core.errors import did_you_mean, nearest_key, one_line

EXPECTED = {  # what OmegaConf says of a value of the wrong type, and what people call the right one
    "converted to Integer": "a whole number",
    "converted to Float": "a number",
    "converted to Boolean|not a valid bool": "true or false",
    "is not Optional": "a value, not null",
    "is not a ListConfig": "a list, such as [0,1]",
    "Cannot convert 'dict' to string": "a word; the key has no parts",
}


# Words.


def explain(error: Exception, flags: Sequence[str] = (), overrides: Sequence[str] = ()) -> str:
    """One line for an error of Hydra or OmegaConf: what came, what was expected, the nearest valid name.

    Args:
        error: What was raised, by the flags and overrides of the command line if they are given.
    """
    text, cause = str(error), str(error.__cause__ or error)
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={option}: unknown; {did_you_mean(option, error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not understood ({one_line(text).partition(' See ')[0]}); expected key=value, quoted where it has special characters."
    ambiguous = re.match(r"Ambiguous value for argument '(.*)'", text)
    if ambiguous:
        return f"{ambiguous[1]}: several values; add -m to run them one after the other, or write a list as key=[a,b]."
    override = re.search(r"(?:Could not override|Error merging override) '?([^'\n=]+)(?:=([^\n]*))?", text)
    key = override[1].rstrip(".").lstrip("+") if override else getattr(error, "full_key", None)
    if not key:
        return one_line(text.partition("Config search path")[0])
    if re.search(r"not in struct|Key '.*' not in|Could not override", f"{cause} {text}"):
        return f"{key}: unknown setting; {nearest_key(key, _known(key, flags, overrides))}"
    came = f"{key}={override[2]}" if override and override[2] is not None else key
    for pattern, expected in EXPECTED.items():
        if re.search(pattern, cause):
            return f"{came}: expected {expected}."
    if "is not a subclass of" in cause:
        return f"{came}: a section takes no value; {nearest_key(f'{key}.', _known(key, flags, overrides))}"
    return f"{came}: {one_line(cause.partition('full_key')[0])}"


def _known(wrong: str, flags: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """All keys, those of the chosen task included, without the override of the key that is wrong."""
    from trainkit.cli.compose import ERRORS, PLAIN_HYDRA, _flat, _hydra, _key, plain, with_types

    keys: list[str] = []

    def collect(settings: DictConfig) -> None:
        keys.extend(_flat(plain(settings)))

    groups = [o for o in overrides if "." not in _key(o) and _key(o) != wrong]
    try:
        _hydra([*(f for f in flags if f != "--multirun"), *PLAIN_HYDRA, *groups], collect)
    except ERRORS:  # the groups are wrong too; the schema knows all other keys
        keys.extend(_flat(plain(with_types({}))))
    return keys
