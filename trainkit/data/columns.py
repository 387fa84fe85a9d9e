"""How the command line names the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from trainkit.config import PreparationConfig
from trainkit.core.words import in_shell, text_value

__all__ = ["COLUMNS", "SETTINGS", "gaps_of", "setting_of"]

COLUMNS = "data.columns."
MAX_GAPS = 10  # texts that a word names
SETTINGS = ("kind", "missing", "format", "unit", *(field.name for field in fields(PreparationConfig)))


def setting_of(name: str, value: str, setting: str = "") -> str:
    """The word that sets the kind of a column, or another setting of it, ready to be pasted into a shell.

    Args:
        name: Of the column, whatever characters it has.
        value: As the grammar of overrides takes it.
        setting: One of `SETTINGS`; "": its kind.
    """
    if not setting and name.rpartition(".")[2] in SETTINGS:
        setting = "kind"
    return in_shell(f"{COLUMNS}{name}{'.' if setting else ''}{setting}={value}")


def gaps_of(name: str, texts: Sequence[str]) -> str:
    """What to do where cells of a column mean gaps: the word that names all of them, since it takes the place
    of the usual ones, or how many there are, if a line cannot hold them.

    Args:
        name: Of the column.
        texts: Its cells that are gaps, and those that are to be.
    """
    if len(texts) > MAX_GAPS:
        return f"list all {len(texts)} different ones in {COLUMNS}{name}.missing if they mean gaps"
    value = ",".join(map(text_value, texts))
    means = "it means a gap" if len(texts) == 1 else "they mean gaps"
    return f"set {setting_of(name, f'[{value}]', 'missing')} if {means}"
