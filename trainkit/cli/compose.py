"""From the words of a command line to the settings of its jobs."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from trainkit.cli.arguments import Arguments
from trainkit.cli.columns import as_written, for_hydra, has_hidden, restored
from trainkit.cli.explain import explain
from trainkit.cli.groups import Groups
from trainkit.cli.hydra_app import ERRORS, PLAIN_HYDRA, key_of, run_hydra
from trainkit.cli.launchers import is_of_a_launcher
from trainkit.cli.overrides import OPEN_SECTIONS, check_overrides
from trainkit.cli.resumed import folder_of_config
from trainkit.cli.settings import plain, with_types
from trainkit.core.errors import UserError

__all__ = ["Composed", "compose", "show"]

# One key of an open section, or several at once; arguments of a task may be sections, which its class knows.
SECTIONS = "|".join(re.escape(section[:-1]) for section in OPEN_SECTIONS)
OPEN = re.compile(rf"(?:{SECTIONS})(?:\.|=\{{)|task\.\w+(?:\.|=\{{)")
GLOBAL_GROUPS = ("experiment", "debug")  # their options set keys anywhere


@dataclass(frozen=True)
class Composed:
    """The settings of one job, and how they came about.

    Args:
        settings: All settings, with references such as `${data.dir}`.
        overrides: The overrides of this job: those of the command line, or one combination of a multirun.
        named: The keys and groups that the command line sets, by itself or by `experiment=` or `debug=`.
        groups: The config groups with the options that were chosen.
        hydra: Hydra's own settings, as YAML.
    """

    settings: DictConfig
    overrides: list[str]
    named: frozenset[str]
    groups: Groups
    hydra: str


def show(arguments: Arguments) -> int:
    """Let Hydra show what the flags ask for: settings, their origin, completions.

    Raises:
        UserError: for words that are wrong.
        BrokenPipeError: if the reader of the output is gone.
    """
    try:
        words = [*arguments.flags, *_for_hydra(arguments.overrides)]
        if not any(map(has_hidden, words)):
            return run_hydra(words, lambda settings: None)
        shown = io.StringIO()
        with redirect_stdout(shown):
            code = run_hydra(words, lambda settings: None)
        print(as_written(shown.getvalue()), end="")
        return code
    except BrokenPipeError:  # the reader has seen enough: nothing is wrong with the words
        raise
    except ERRORS as error:
        raise UserError(explain(error, (), arguments.overrides)) from error


def compose(arguments: Arguments) -> list[Composed]:
    """The settings of every job, of one or of a multirun; nothing is run and nothing is left on the disk.

    Raises:
        UserError: for an unknown key, a wrong type, or a config file that cannot be read.
    """
    folder = arguments.config_dir
    if folder is not None and not Path(folder).is_dir():
        raise UserError(
            f"--config-dir {folder}: no such folder; expected one with options, such as task/mine.yaml."
        )
    check_overrides(arguments.overrides, folder)
    flags = ["--multirun"] if arguments.multirun else []
    flags += ["--config-name", arguments.config_name] if arguments.config_name else []
    flags += ["--config-dir", folder_of_config(arguments.config_dir)] if arguments.config_dir else []
    jobs: list[Composed] = []
    errors: list[Exception] = []

    def collect(settings: DictConfig) -> None:
        try:
            jobs.append(_composed(settings))
        except (UserError, *ERRORS) as error:  # Hydra would print it in several lines
            errors.append(error)

    own = [word for word in arguments.overrides if not is_of_a_launcher(word)]
    overrides = _for_hydra(own)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run_hydra([*flags, *PLAIN_HYDRA, *overrides, f"hydra.sweep.dir={scratch}"], collect)
            if errors:
                raise errors[0]
        except ERRORS as error:
            raise UserError(explain(error, flags, arguments.overrides)) from error
    return jobs


def _for_hydra(overrides: Sequence[str]) -> list[str]:
    """Overrides as Hydra takes them: those of sections that take any key are added to them."""
    words = [for_hydra(word) for word in overrides]
    bare = [word.lstrip("+") for word in words]
    return [f"++{own}" if OPEN.match(own) else word for word, own in zip(words, bare, strict=True)]


def _as_given(override: str) -> str:
    """An override as the command line has it: the inverse of `_for_hydra`."""
    word = as_written(override)
    return word[2:] if word.startswith("++") and OPEN.match(word[2:]) else word


def _check_values(settings: DictConfig) -> None:
    """Refuse `???`, which the schema's default would replace; references are followed."""
    missing = OmegaConf.missing_keys(settings) - {"name"}
    if missing:
        raise UserError(f"{as_written(min(missing))}=???: this setting needs a value.")


def _make_absolute(settings: DictConfig) -> None:
    """Write where data are so that the settings hold in any working directory."""
    for name in ("dir", "path", "split_file"):
        value = settings.data[name]
        if isinstance(value, str) and value:
            settings.data[name] = _absolute(value)
        elif OmegaConf.is_list(value):
            settings.data[name] = [_absolute(one) if isinstance(one, str) else one for one in value]


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _composed(settings: DictConfig) -> Composed:
    """Settings with types and a name, in the job that Hydra is running."""
    context = HydraConfig.get()
    groups = Groups.of_this_job()
    _check_values(settings)
    # As plain values: merging one typed config into another would let unknown keys pass that came with a `+`.
    typed = with_types(restored(plain(settings)))
    if OmegaConf.is_missing(typed, "name"):
        target = OmegaConf.select(typed, "task._target_", default="task")
        task = groups.choices.get("task") or str(target).rpartition(".")[2]
        typed.name = task.replace("/", "_")
    _make_absolute(typed)
    overrides = [_as_given(override) for override in context.overrides.task]
    named = {as_written(key_of(override)) for override in context.overrides.task}
    for group in GLOBAL_GROUPS:
        named |= groups.keys_set_by(group) if group in named else set()
    hydra = OmegaConf.to_yaml({"hydra": context})
    if has_hidden(hydra):
        hydra = OmegaConf.to_yaml(restored(plain(OmegaConf.create({"hydra": context}))))
    return Composed(typed, overrides, frozenset(named), groups, hydra)
