"""Overrides that Hydra would take, or answer with a traceback, and that trainkit refuses in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from trainkit.cli.columns import for_hydra, key_of
from trainkit.cli.hydra_app import CONF
from trainkit.cli.launchers import is_of_a_launcher
from trainkit.config import Config
from trainkit.config.fields import find, group_of
from trainkit.core.errors import UserError

__all__ = ["OPEN_SECTIONS", "check_overrides"]

OPEN_SECTIONS = ("optimizer.options.", "data.columns.", "tune.space.")  # take any key
HYDRA_KEYS = ("hydra.searchpath", "hydra/sweeper")


def check_overrides(overrides: Sequence[str], config_dir: str | None) -> None:
    """Refuse overrides that mean nothing to trainkit.

    Args:
        overrides: The overrides of a command line.
        config_dir: The folder of `--config-dir`, which may have groups of its own.

    Raises:
        UserError: for the first of them.
    """
    groups = _groups(CONF) | (_groups(Path(config_dir)) if config_dir else set())
    for word in overrides:
        key = key_of(word)
        if not key:
            raise UserError(f"{word}: not understood; expected key=value.")
        _check_hydra(word, key)
        if word.startswith("~") and (find(Config, key) or group_of(Config, key)):
            raise UserError(f"{word}: a setting cannot be removed; expected {key}=<value>.")
        whole = _setting_around(key)
        if whole is not None:
            raise UserError(f"{word}: {key} is no setting; expected {whole}=<value>.")
        if key in groups and not _names_options(word):
            raise UserError(f"{word}: expected the name of an option; see --help for those of {key}.")


def _check_hydra(word: str, key: str) -> None:
    """Refuse settings of Hydra itself, but for the folders that it searches."""
    if key == "hydra/sweeper" and word != f"{key}=basic":
        raise UserError(f"{key}: trainkit searches by mode=tune; of Hydra's sweepers, expected {key}=basic.")
    if is_of_a_launcher(word):
        return
    if re.match(r"hydra\b", key) and key not in HYDRA_KEYS:
        raise UserError(
            f"{word}: trainkit runs its jobs and makes their directories itself; "
            "of Hydra's own settings, expected hydra.searchpath=[<folder>]."
        )


def _groups(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("[!.]*/*.yaml")}


def _setting_around(key: str) -> str | None:
    """The setting that a key reaches into, if it does: `trainer.devices` for `trainer.devices.0`."""
    parts = re.split(r"[.\[]", key)
    for length in range(1, len(parts)):
        above = ".".join(parts[:length])
        if find(Config, above) is not None and not key.startswith(("task.", *OPEN_SECTIONS)):
            return above
    return None


def _names_options(word: str) -> bool:
    """Whether a group gets an option, several of them, or a section; what cannot be read is left to Hydra."""
    try:
        override = OverridesParser.create().parse_override(for_hydra(word))
    except HydraException:
        return True
    if override.is_sweep_override():
        return True
    value = override.value()
    options = value if isinstance(value, list) else [value]
    return isinstance(value, dict) or all(
        isinstance(option, str) and "${" not in option and option for option in options
    )
