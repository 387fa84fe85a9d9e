"""Hydra's part of the command: from the words of a command line to the settings of its jobs, and its errors in one line."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from trainkit.cli.explain import explain
from trainkit.config import Config
from trainkit.core import checkout, files
from trainkit.core.errors import UserError, did_you_mean, one_line
from trainkit.runs import run_dir

CONF = checkout.root() / "conf"


# trainkit makes its run directories itself; Hydra makes none, changes no directory and configures no logging.
PLAIN_HYDRA = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
)


OPEN = "optimizer.options."  # a section that takes any key


WHOLE = ("experiment", "debug")  # groups that set values anywhere


ERRORS = (
    HydraException,
    OmegaConfBaseException,
    YAMLError,
    ValueError,
)  # what a wrong command line or config file raises


ConfigStore.instance().store(name="schema", node=Config)


@dataclass(frozen=True)
class Composed:
    """What Hydra made of one job's arguments: the settings with their interpolations, and how they came about."""

    settings: DictConfig
    overrides: list[str]
    hydra: str

    @property
    def named(self) -> list[str]:
        """The keys and groups that the command line names."""
        return [_key(override) for override in self.overrides]


def arguments(words: list[str]) -> Any:
    """The parsed arguments: Hydra's flags, and `overrides`, in any order. `shows` says whether they only ask to be shown something."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        parsed, unknown = parser.parse_known_intermixed_args(words)
    except Exception as error:  # argparse raises ArgumentError, and TypeError for what it cannot mix
        raise UserError(f"{' '.join(words)}: {error}; see --help.") from error
    if unknown:
        setting = unknown[0].lstrip("-")
        known = [option for option in parser._option_string_actions if option.startswith("--")]
        hint = (
            f"settings are written without dashes: {setting}"
            if "=" in setting
            else did_you_mean(unknown[0], known, list_known=False)
        )
        raise UserError(f"{unknown[0]}: unknown flag; {hint}")
    parsed.shows = parsed.help or parsed.hydra_help or parsed.cfg or parsed.info or parsed.shell_completion
    return parsed


def show(words: list[str], overrides: list[str]) -> int:
    """Let Hydra show what the flags ask for: help, settings, completions."""
    flags = [word for word in words if word not in overrides]
    try:
        return _hydra([*flags, *overrides], lambda settings: None)
    except ERRORS as error:
        raise UserError(explain(error, [], overrides)) from error


def compose(parsed: Any) -> list[Composed]:
    """The settings of every job, of one or of a multirun; nothing is run and nothing is left on the disk."""
    overrides = list(parsed.overrides)
    for plugin in ("hydra/launcher", "hydra/sweeper"):
        if any(_key(o) == plugin and o != f"{plugin}=basic" for o in overrides):
            raise UserError(
                f"{plugin}: trainkit runs the jobs of a multirun itself, one after the other; expected {plugin}=basic."
            )
    flags = ["--multirun"] if parsed.multirun else []
    flags += ["--config-name", parsed.config_name] if parsed.config_name else []
    flags += ["--config-dir", _unresolved(parsed.config_dir)] if parsed.config_dir else []
    jobs: list[Composed] = []
    errors: list[Exception] = []

    def collect(settings: DictConfig) -> None:
        try:
            jobs.append(_composed(settings))
        except ERRORS as error:  # Hydra would print it, and its overrides, in several lines
            errors.append(error)

    with tempfile.TemporaryDirectory() as scratch:
        opened = [f"++{o}" if o.startswith(OPEN) else o for o in overrides]
        try:
            _hydra([*flags, *PLAIN_HYDRA, *opened, f"hydra.sweep.dir={scratch}"], collect)
            if errors:
                raise errors[0]
        except ERRORS as error:
            raise UserError(explain(error, flags, overrides)) from error
    return jobs


def _hydra(words: Sequence[str], function: Callable[[DictConfig], Any]) -> int:
    """Hydra's own command with these arguments; its errors come as exceptions."""
    argv, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = [argv[0], *words], "1"
    try:
        hydra.main(version_base="1.3", config_path=str(CONF.resolve()), config_name="main")(function)()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = argv
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full
    return 0


def _composed(settings: DictConfig) -> Composed:
    """Settings with types and a name; values that come from the environment are put in, other interpolations stay."""
    context = HydraConfig.get()
    # As plain values: merging one typed config into another would let unknown keys pass that came with a `+`.
    typed = with_types(plain(settings))
    if OmegaConf.is_missing(typed, "name"):
        target = OmegaConf.select(typed, "task._target_", default="task")
        typed.name = str(context.runtime.choices.get("task") or target.rpartition(".")[2]).replace("/", "_")
    if typed.data.dir is not None:
        typed.data.dir = os.path.abspath(os.path.expanduser(typed.data.dir))
    return Composed(typed, list(context.overrides.task), OmegaConf.to_yaml({"hydra": context}))


def _unresolved(config_dir: str) -> str:
    """For `--config-dir <run>`: where its settings are with their interpolations, so that `data.dir=` still reaches the task."""
    run = Path(config_dir)
    return (
        str(run / ".hydra")
        if (run / ".hydra" / run_dir.CONFIG).is_file() and (run / run_dir.CONFIG).is_file() and _saved(run)[1]
        else config_dir
    )


def _saved(run: Path) -> tuple[DictConfig, bool]:
    """A run's settings, and whether they are the unresolved ones; `config.yaml` wins where somebody has edited it."""
    original = run / ".hydra" / run_dir.CONFIG
    try:
        resolved = with_types(OmegaConf.load(run / run_dir.CONFIG))
        if original.is_file():
            unresolved = with_types(OmegaConf.load(original))
            if plain(unresolved, resolve=True) == plain(resolved, resolve=True):
                return unresolved, True
    except (OSError, *ERRORS) as error:
        raise UserError(
            f"{run / run_dir.CONFIG} cannot be read: {one_line(str(error))}; expected the settings that a run writes."
        ) from error
    return resolved, False


def with_types(settings: Any) -> DictConfig:
    """Settings as the schema has them: every key known, every value of its type."""
    return cast(DictConfig, OmegaConf.merge(OmegaConf.structured(Config), settings))


def plain(settings: DictConfig, *, resolve: bool = False) -> dict[str, Any]:
    """Settings as plain dicts and lists."""
    return cast(dict[str, Any], OmegaConf.to_container(settings, resolve=resolve))


def continued(composed: Composed, run: Path) -> tuple[DictConfig, dict[str, tuple[Any, Any]]]:
    """The settings of a run, with what the command line names on top; and the changes that matter to the training."""
    saved, _ = _saved(run)
    mine, named = composed.settings, composed.named
    if "task" in named and mine.name != saved.name:
        raise UserError(
            f"task={mine.name}: {files.shown(run)} is a run of task {saved.name}; leave task= out, or name another run with resume=."
        )
    if any(key in WHOLE for key in named):
        merged = mine
    else:
        merged = saved.copy()
        keys = {*named, "mode", "resume", "run_dir", "runs_dir", "progress", "predict"} - {"task"}
        keys |= {"data.dir"} if os.environ.get("TRAINKIT_DATA") else set()
        for key in keys:
            OmegaConf.update(merged, key, OmegaConf.select(mine, key), merge=False, force_add=True)
    before, after = _flat(plain(saved)), _flat(plain(merged))
    telling = ("task.", "trainer.", "optimizer.", "data.")
    changed = [
        k
        for k in after
        if k.startswith(telling)
        and k not in ("trainer.epochs", "trainer.steps")
        and before.get(k) != after[k]
    ]
    return merged, {
        key: (before.get(key), after[key]) for key in changed if not isinstance(after[key], Mapping)
    }


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys and their values, the sections themselves included."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
    return flat


def _key(override: str) -> str:
    return re.split(r"[=@]", override.lstrip("+~"), maxsplit=1)[0]
