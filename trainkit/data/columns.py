"""How the command line names the columns of a table."""

from __future__ import annotations

from dataclasses import fields

from trainkit.config import PreparationConfig
from trainkit.core.words import in_shell

__all__ = ["COLUMNS", "SETTINGS", "setting_of"]

COLUMNS = "data.columns."
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
