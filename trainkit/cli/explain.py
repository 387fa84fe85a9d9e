"""One line for an error of Hydra or OmegaConf: what came, what was expected, the nearest valid name."""

from __future__ import annotations

import io
import re
import traceback
from collections.abc import Sequence
from typing import Any

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import (
    InterpolationResolutionError,
    InterpolationValidationError,
    OmegaConfBaseException,
)

from trainkit.cli.columns import as_written, key_of
from trainkit.cli.groups import GLOBAL
from trainkit.cli.hydra_app import ERRORS, PLAIN_HYDRA, run_hydra
from trainkit.cli.settings import flatten, plain, with_types
from trainkit.config import Config
from trainkit.config.fields import find, group_of, key_of_group
from trainkit.core.errors import did_you_mean, nearest_key, one_line
from trainkit.core.words import in_shell, override
from trainkit.data.columns import COLUMNS

__all__ = ["explain"]

UNKNOWN_KEY = r"not in struct|Key '.*' not in|Could not override"
WRONG_OVERRIDE = r"(?:Could not (?:override|append)|Error merging override) '?([^'\n=]+)(?:=([^\n]*))?"
FORM = "lines such as `trainer: {epochs: 3}`"
OF_FILE = r"In '(.+)': \w+ raised while composing config"
VALUE = r"(?s)Value '(.*)' (?:of type|is not)|to string: '(.*?)'\n"  # in an error of OmegaConf


def explain(error: Exception, flags: Sequence[str] = (), overrides: Sequence[str] = ()) -> str:
    """One line for an error of Hydra or OmegaConf.

    Args:
        error: What was raised.
        flags: The flags of the command line that raised it.
        overrides: Its overrides.
    """
    known_form = _of_words(error, overrides)
    if known_form is not None:
        return known_form
    of_file = re.match(OF_FILE, str(error))
    if of_file and isinstance(error.__context__, OmegaConfBaseException):
        return _of_file(as_written(of_file[1]), error.__context__, flags, overrides)
    text = as_written(str(error))
    cause = as_written(str(error.__cause__ or error))
    key, value = (part and as_written(part) for part in _culprit(error))
    if not key:
        said = one_line(text.partition("Config search path")[0])
        behind = error.__cause__ or error.__context__
        return said or (explain(behind) if isinstance(behind, Exception) else type(error).__name__)
    if isinstance(error, InterpolationResolutionError) and not isinstance(
        error, InterpolationValidationError
    ):
        word = next((word for word in overrides if _reference(text) in word), key)
        return f"{word}: {_first_line(text)}; expected a reference such as ${{data.dir}}."
    if re.search(UNKNOWN_KEY, f"{cause} {text}"):
        known = _known(key, flags, overrides)
        section, _, name = key.partition(".")
        if section != "task" or not name:
            return f"{key}: unknown setting; {nearest_key(key, known)}"
        said = nearest_key(key, [one for one in known if one.startswith("task.")])
        if not said.endswith("?"):
            said += f" A field of its class needs a line in its YAML: `{name}: <value>`."
        return f"{key}: unknown setting; {said}"
    if group_of(Config, key) is not None:
        came = key if value is None else f"{key}={value}"
        return f"{came}: a section takes no value; {nearest_key(f'{key}.', _known(key, flags, overrides))}"
    return _wrong_value(key, value, cause)


def _of_words(error: Exception, overrides: Sequence[str]) -> str | None:
    """A line for an error about words, rather than about the value of a key; None for any other."""
    text = as_written(str(error))
    if isinstance(error, UnicodeDecodeError):
        came = f"byte {error.object[error.start]:#04x} is no UTF-8"
        return f"{_open_file(error) or 'a config file'}: {came}; expected YAML. Save the file as UTF-8."
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={option}: unknown; {did_you_mean(option, error.options)}"
    if isinstance(error, OverrideParseException):
        came = as_written(str(error.override))
        word = next((word for word in overrides if came in (word, f"++{word}")), came)
        if key_of(word) == COLUMNS.rstrip("."):
            return f"{one_line(word)}: not understood; a word for each column: {COLUMNS}<name>=<kind>."
        quoted = _in_quotes(word)
        if quoted is not None:
            return f"{one_line(word)}: not understood; a value with such characters needs quotes: {quoted}"
        return (
            f"{one_line(word)}: not understood; "
            "expected key=value, with quotes around a value that has special characters."
        )
    ambiguous = re.match(r"Ambiguous value for argument '(.*)'", text)
    if ambiguous:
        number = re.fullmatch(r"(.*=[+-]?\d+),(\d+)", ambiguous[1])
        or_one = f", or {number[1]}.{number[2]} if it is one number" if number else ""
        return (
            f"{ambiguous[1]}: several values; add -m to run them one after the other, "
            f"or write a list as key=[a,b]{or_one}."
        )
    return None


def _open_file(error: Exception) -> str | None:
    """The file that was being read when an error was raised."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, io.TextIOWrapper):
                return str(value.name)
    return None


def _of_file(path: str, error: Exception, flags: Sequence[str], overrides: Sequence[str]) -> str:
    """A line for a config file whose content the settings do not take.

    Args:
        path: Of the file in its config folder: `experiment/mine`.
        error: Of OmegaConf.
        flags: The flags of the command line.
        overrides: Its overrides.
    """
    file = f"{path.removesuffix('.yaml')}.yaml"
    text = as_written(str(error))
    key = _culprit(error)[0]
    if not key and "Cannot merge" in text:
        return f"{file}: has a list in place of keys, or keys in place of a list; expected {FORM}."
    if not key:
        return f"{file}: {_first_line(text) or type(error).__name__}"
    group, _, option = path.partition("/")
    if option and key == group and re.search(UNKNOWN_KEY, text):
        return (
            f"{file}: its keys would go below {key}, which is no setting; expected `# {GLOBAL}` as the first "
            f"line, with no byte-order mark before it, then {FORM}."
        )
    if "." in key and f"'{key}' not in" in text:
        section, _, name = key.rpartition(".")
        return f"{file}: {key}: a file nests keys; expected `{section}:` and below it `  {name}: <value>`."
    if find(Config, _without_index(key)) is None:
        return f"{file}: {explain(error, flags, overrides)}"
    value = re.search(VALUE, text)
    return f"{file}: {_wrong_value(key, value and (value[1] or value[2]), text)}"


def _in_quotes(word: str) -> str | None:
    """A word whose quotes the shell took, with quotes that it leaves; None where quotes do not help."""
    key = key_of(word)
    value = word.partition(f"{key}=")[2]
    setting = find(Config, key)
    is_text = key.startswith(("task.", COLUMNS)) or (setting is not None and setting.kind in (str, Any))
    if not is_text or not value or value[0] in "[{'\"" or "${" in value:
        return None
    return in_shell(override(key, value))


def _culprit(error: Exception) -> tuple[str | None, str | None]:
    """The key that an error is about, and the value that came for it, as far as they are known."""
    text = str(error)
    override = re.search(WRONG_OVERRIDE, text)
    section = re.search(r"is not a subclass of (\w+)\. value: (.*)", text)
    inner = str(getattr(error.__cause__, "full_key", None))
    if override:
        key = override[1].rstrip(".").lstrip("+")
        if inner.startswith(f"{key}."):  # trainer={epochs: many}
            return inner, None
        return key, override[2]
    key = str(getattr(error, "full_key", None) or "")
    if section and not key:
        return key_of_group(Config, section[1]), None
    return key or None, None


def _reference(text: str) -> str:
    """How a command line writes the reference that was not found: `${nowhere`."""
    name = re.search(r"'(.*?)' not found", text)
    return "${" + name[1] if name else "${"


def _first_line(text: str) -> str:
    """An error of OmegaConf without the lines on its types."""
    return one_line(text.partition("full_key")[0])


def _wrong_value(key: str, value: str | None, cause: str) -> str:
    """A line for a key that exists with a value that it does not take."""
    came = f"{key}={value}" if value is not None else key
    setting = find(Config, _without_index(key))
    if setting is None:
        return f"{came}: {_first_line(cause)}"
    if "not Optional" in cause or "value 'None'" in cause:
        return f"{key}: expected {setting.expected}, not null."
    return f"{came}: expected {setting.expected}."


def _without_index(key: str) -> str:
    """The key of a list for that of one of its values: `trainer.devices[0]` -> `trainer.devices`."""
    return re.sub(r"\[\d+\]$", "", key)


def _known(wrong: str, flags: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """All keys, those of the chosen task included, without the override of the key that is wrong."""
    keys: list[str] = []

    def collect(settings: DictConfig) -> None:
        keys.extend(flatten(plain(settings)))

    groups = [o for o in overrides if "." not in key_of(o) and key_of(o) != wrong]
    try:
        run_hydra([*(f for f in flags if f != "--multirun"), *PLAIN_HYDRA, *groups], collect)
    except ERRORS:  # the groups are wrong too; the schema knows all other keys
        keys.extend(flatten(plain(with_types({}))))
    return keys
