"""Columns of a table as keys of settings: any name may stand after `data.columns.`, and Hydra takes few."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trainkit.cli import hydra_app
from trainkit.core.words import OTHER_TYPES
from trainkit.data.columns import COLUMNS, SETTINGS

__all__ = ["as_written", "for_hydra", "has_hidden", "key_of", "place", "restored", "select", "update"]

SETTING = "|".join(SETTINGS)
RANGE = "(?:\\.(?:low|high|log|step|choices))?"  # of mode=tune
WORD = re.compile(rf"([+]*(?:tune\.space\.)?{re.escape(COLUMNS)})(.+)", re.DOTALL)
# The name is what stands before the last setting, else before the last =, or before a section in braces.
SETTING_OF = re.compile(rf"(.+)(\.(?:{SETTING}){RANGE}=.*)", re.DOTALL)
KIND_OF = re.compile(r"(.+?)(=(?:\{.*|[^=]*))", re.DOTALL)
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MARK = "trainkit_column_as_hex_"
HIDDEN = re.compile(rf"{MARK}((?:[0-9a-f]{{2}})+)")
ERRORS = "surrogateescape"  # arguments need not be UTF-8


def for_hydra(word: str) -> str:
    """An override as Hydra can read it: the name of a column that is more than a plain word is hidden."""
    found = WORD.fullmatch(word)
    parts = found and (SETTING_OF.fullmatch(found[2]) or KIND_OF.fullmatch(found[2]))
    if not found or not parts or (PLAIN.fullmatch(parts[1]) and not OTHER_TYPES.fullmatch(parts[1])):
        return word
    return f"{found[1]}{MARK}{parts[1].encode(errors=ERRORS).hex()}{parts[2]}"


def as_written(text: str) -> str:
    """A text with the names of columns that `for_hydra` has hidden."""
    return HIDDEN.sub(lambda found: bytes.fromhex(found[1]).decode(errors=ERRORS), text)


def has_hidden(text: str) -> bool:
    """Whether a text has names that `for_hydra` has hidden."""
    return HIDDEN.search(text) is not None


def restored(values: Any) -> Any:
    """Nested plain values with the names that `for_hydra` has hidden, in keys and texts."""
    if isinstance(values, dict):
        return {restored(key): restored(value) for key, value in values.items()}
    if isinstance(values, list):
        return [restored(value) for value in values]
    return as_written(values) if isinstance(values, str) else values


def key_of(word: str) -> str:
    """The key, or group, that an override names."""
    return as_written(hydra_app.key_of(for_hydra(word)))


def place(settings: DictConfig, key: str) -> tuple[Any, str]:
    """The section that a key lies in, and its name there."""
    if key.startswith(COLUMNS):
        name, last = _column(key)
        columns = settings.data.columns
        return (columns.get(name), last) if last else (columns, name)
    section, _, last = key.rpartition(".")
    return (OmegaConf.select(settings, section) if section else settings), last


def select(settings: DictConfig, key: str) -> Any:
    """The value of a dotted key, None if there is none."""
    section, last = place(settings, key)
    return section.get(last) if isinstance(section, DictConfig) else None


def update(settings: DictConfig, key: str, value: Any) -> None:
    """Set a dotted key, which may be new in a section that takes any."""
    if not key.startswith(COLUMNS):
        OmegaConf.update(settings, key, value, merge=False, force_add=True)
        return
    name, last = _column(key)
    columns = settings.data.columns
    if not last:
        columns[name] = value
    elif isinstance(columns.get(name), DictConfig):
        columns[name][last] = value
    else:
        columns[name] = {last: value}


def _column(key: str) -> tuple[str, str]:
    """The column of a key, and the setting of it, "" for its kind alone."""
    rest = key.removeprefix(COLUMNS)
    name, _, last = rest.rpartition(".")
    return (name, last) if name and last in SETTINGS else (rest, "")
