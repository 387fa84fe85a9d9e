"""Takes the words of a command line apart: flags, and overrides such as `key=value`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainkit.core.errors import UserError, did_you_mean

__all__ = ["FLAGS", "Arguments", "Flag", "parse"]


@dataclass(frozen=True)
class Flag:
    """A flag of the command: its names, the value it takes if any, and what it does."""

    names: tuple[str, ...]
    meaning: str
    value: str = ""
    choices: tuple[str, ...] = ()
    optional_value: bool = False
    shows: bool = False

    @property
    def usage(self) -> str:
        """`-c, --cfg job|hydra|all`"""
        value = "|".join(self.choices) or self.value
        value = f"[{value}]" if self.optional_value else value
        return f"{', '.join(self.names)} {value}".rstrip()

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Let a parser know the flag."""
        if not (self.value or self.choices):
            parser.add_argument(*self.names, action="store_true")
        elif self.optional_value:
            parser.add_argument(*self.names, nargs="?", const=self.choices[0], choices=self.choices)
        else:
            parser.add_argument(*self.names, choices=self.choices or None, action="append")


INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
FLAGS = (
    Flag(("-h", "--help"), "show this help", shows=True),
    Flag(("--version",), "show the version", shows=True),
    Flag(("-c", "--cfg"), "show the settings", choices=("job", "hydra", "all"), shows=True),
    Flag(("--resolve",), "with --cfg: references such as ${data.dir} replaced by their values"),
    Flag(("-p", "--package"), "with --cfg: this section only", value="SECTION"),
    Flag(("-i", "--info"), "show where settings come from", choices=INFO, optional_value=True, shows=True),
    Flag(("-m", "--multirun"), "one run per combination of values such as trainer.seed=0,1,2"),
    Flag(("-cd", "--config-dir"), "folder with more options of the groups", value="DIR"),
    Flag(("-cn", "--config-name"), "main config file, without .yaml", value="NAME"),
    Flag(("-sc", "--shell-completion"), "with install=bash, zsh or fish: complete keys by TAB", shows=True),
    Flag(("--hydra-help",), "show all flags of Hydra, which reads the settings", shows=True),
)


@dataclass(frozen=True)
class Arguments:
    """A command line.

    Args:
        words: All of it.
        overrides: The words that set something: `trainer.epochs=3`.
        multirun: Whether it asks for several runs.
        config_name: Main config; None: ours.
        config_dir: Folder with more config files.
        shows: The flags that only show something: `("help",)`.
    """

    words: tuple[str, ...]
    overrides: tuple[str, ...]
    multirun: bool = False
    config_name: str | None = None
    config_dir: str | None = None
    shows: tuple[str, ...] = ()

    @property
    def flags(self) -> list[str]:
        """The words that are not overrides."""
        return [word for word in self.words if word not in self.overrides]


def parse(words: Sequence[str]) -> Arguments:
    """Take a command line apart; flags and overrides come in any order.

    Raises:
        UserError: for a flag that does not exist, or a wrong value of one.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("overrides", nargs="*")
    for flag in FLAGS:
        flag.add_to(parser)
    try:
        parsed, unknown = parser.parse_known_intermixed_args(list(words))
    except (argparse.ArgumentError, TypeError) as error:  # TypeError: for words that cannot be mixed
        raise UserError(f"{' '.join(words)}: {error}; see --help.") from error
    if unknown:
        raise UserError(f"{unknown[0]}: unknown flag; {_hint(unknown[0])}")
    overrides = _with_runs(parsed.overrides)
    return Arguments(
        words=tuple(words),
        overrides=overrides,
        multirun=parsed.multirun,
        config_name=_only(parsed, "config_name"),
        config_dir=_only(parsed, "config_dir"),
        shows=tuple(_name(flag) for flag in FLAGS if flag.shows and _given(parsed, flag)),
    )


def _with_runs(words: Sequence[str]) -> tuple[str, ...]:
    """`mode=compare a b` as `mode=compare compare.runs=['a','b']`."""
    if "mode=compare" not in words:
        return tuple(words)
    folders = [word for word in words if "=" not in word]
    if not folders:
        return tuple(words)
    quoted = ["'" + folder.replace("\\", "\\\\").replace("'", "\\'") + "'" for folder in folders]
    return (*(word for word in words if "=" in word), f"compare.runs=[{','.join(quoted)}]")


def _name(flag: Flag) -> str:
    return flag.names[-1].lstrip("-").replace("-", "_")


def _given(parsed: Any, flag: Flag) -> bool:
    return bool(getattr(parsed, _name(flag)))


def _only(parsed: Any, name: str) -> str | None:
    """The value of a flag. Hydra would take the last of several, and the others would count for nothing."""
    values: list[str] = getattr(parsed, name) or []
    if len(values) > 1:
        raise UserError(f"--{name.replace('_', '-')}: given twice, {' and '.join(values)}; expected one.")
    return values[0] if values else None


def _hint(word: str) -> str:
    if "=" in word:
        return f"settings are written without dashes: {word.lstrip('-')}"
    return did_you_mean(word, [flag.names[-1] for flag in FLAGS], list_known=False)
