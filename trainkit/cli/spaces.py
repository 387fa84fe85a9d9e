"""What mode=tune searches: keys of the settings, checked against the schema, and files of conf/tune/space."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from trainkit.cli import columns
from trainkit.cli.compose import Composed
from trainkit.cli.explain import explain
from trainkit.cli.groups import Groups
from trainkit.cli.hydra_app import CONF, ERRORS
from trainkit.cli.settings import as_yaml, flatten, plain
from trainkit.config import Config
from trainkit.config.fields import group_of
from trainkit.core.errors import UserError, did_you_mean, nearest_key
from trainkit.data.columns import COLUMNS
from trainkit.runs import run_dir
from trainkit.tuning.space import Parameter, Space

__all__ = ["changed", "experiment", "search_path", "space_of"]

FOLDER = Path("tune", "space")
SEARCHABLE = ("task", "trainer", "optimizer", "data", "callbacks")
OPEN = ("optimizer.options.", COLUMNS)
OF_THE_TRAINING = ("task", "trainer", "optimizer", "data", "callbacks", "checkpoint")


def search_path(config: Config) -> Path:
    """The folder of a search: `run_dir`, where a search may be there to be joined, or a fresh one.

    Raises:
        UserError: if `run_dir` holds something else.
    """
    if config.run_dir is not None and Path(config.run_dir, run_dir.SEARCH).is_file():
        return Path(config.run_dir)
    name = f"tune-{datetime.now():{run_dir.TIME}}-{secrets.token_hex(4)}"
    path = Path(config.run_dir) if config.run_dir is not None else Path(config.runs_dir, config.name, name)
    return run_dir.new_path(config.runs_dir, config.name, str(path))


def space_of(config: Config, settings: DictConfig, composed: Composed) -> Space:
    """The space that the settings name, checked: every key exists, and takes every value. The space that
    comes with a task goes without the keys that the command line sets.

    Args:
        config: The settings.
        settings: The same, with references such as `${data.dir}`.
        composed: The command line that they came from.

    Raises:
        UserError: for a space, key or value that is wrong, or settings that mode=tune has other words for.
    """
    for name, instead in (("cv", "tune.cv"), ("seeds", "tune.space.trainer.seed")):
        value = getattr(config.fit, name)
        if value is not None:
            raise UserError(f"fit.{name}={value} is for mode=fit; a search takes {instead}.")
    groups = composed.groups
    given = config.tune.space
    of_the_task = given is None
    if given is None:
        given = groups.choices.get("task")
        if given is None or _file(groups, str(given)) is None:
            raise UserError(
                f"tune.space: task {config.name} has no file in conf/tune/space; say what to search, as in "
                "tune.space.optimizer.learning_rate='{low: 1e-4, high: 1e-2, log: true}'."
            )
    if isinstance(given, str):
        given = _read(groups, given)
    space = Space.of(given)
    for parameter in space.parameters:
        _check_key(parameter.key, plain(settings))
        _check_range(parameter, columns.select(settings, parameter.key))
    both = [key for key in map(columns.key_of, composed.overrides) if key in space.keys]
    if of_the_task:
        space = Space(tuple(one for one in space.parameters if one.key not in both))
        if not space.parameters:
            raise UserError(f"{', '.join(both)}: the command line sets all that task {config.name} searches.")
    elif both:
        raise UserError(
            f"{both[0]}={columns.select(settings, both[0])} and tune.space.{both[0]}: the one fixes what "
            "the other searches; leave one of them out."
        )
    for change in space.samples():
        changed(settings, change)
    return space


def changed(settings: DictConfig, changes: Mapping[str, Any]) -> DictConfig:
    """The settings with other values, by their keys.

    Raises:
        UserError: for a value that a key does not take.
    """
    new = settings.copy()
    for key, value in changes.items():
        try:
            columns.update(new, key, value)
        except ERRORS as error:
            problem = explain(error).removeprefix(f"{key}: ")
            raise UserError(f"tune.space.{key}: {value} is no value of {key}: {problem}") from error
    return new


def experiment(settings: DictConfig, groups: Groups, comment: str) -> str:
    """The text of an experiment file that trains with these settings, in any config folder: a task of ours is
    chosen by its name, and any other is all in the file."""
    values = plain(settings)
    kept = {name: values[name] for name in OF_THE_TRAINING}
    kept["data"] = {key: value for key, value in kept["data"].items() if key != "dir"}  # of this machine
    task = groups.choices.get("task")
    if task is None or not Path(CONF, "task", f"{task}.yaml").is_file():
        task, kept = None, {"name": values["name"], **kept}
    content = {"defaults": [{"override /task": task}], **kept}
    return f"# @package _global_\n# {comment}\n{as_yaml(content)}"


def _check_key(key: str, settings: Mapping[str, Any]) -> None:
    group = key.split(".")[0]
    if group in settings and group not in SEARCHABLE:
        raise UserError(
            f"tune.space.{key}: only settings of a training can be searched, those of "
            f"{', '.join(SEARCHABLE)}."
        )
    if key.startswith(OPEN):  # what is in them, the task checks
        return
    known = flatten({name: settings[name] for name in SEARCHABLE})
    if key not in known:
        raise UserError(f"tune.space.{key}: unknown setting; {nearest_key(key, known)}")
    is_section = group_of(Config, key) is not None
    if is_section or key == "task":
        raise UserError(f"tune.space.{key}: a section takes no value; {nearest_key(f'{key}.', known)}")


def _check_range(parameter: Parameter, usual: Any) -> None:
    """Refuse a range of numbers for a setting that is none.

    Args:
        parameter: What is searched.
        usual: The setting's value where it is not searched.
    """
    if not parameter.choices and isinstance(usual, (str, bool, ListConfig, DictConfig)):
        raise UserError(
            f"tune.space.{parameter.key}: a range of numbers, and the setting is {usual}; expected choices, "
            f"such as {{choices: [{usual}, ...]}}."
        )


def _file(groups: Groups, name: str) -> Path | None:
    files = [folder / FOLDER / f"{name}.yaml" for folder in groups.folders]
    return next((file for file in files if file.is_file()), None)


def _read(groups: Groups, name: str) -> Mapping[str, Any]:
    file = _file(groups, name)
    if file is None:
        names = {path.stem for folder in groups.folders for path in (folder / FOLDER).glob("*.yaml")}
        raise UserError(f"tune.space={name}: no such file in {FOLDER}; {did_you_mean(name, sorted(names))}")
    try:
        content = OmegaConf.to_container(OmegaConf.load(file))
    except ERRORS as error:
        raise UserError(f"{file} cannot be read: {explain(error)}") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{file} holds no space; expected keys with {{low, high}} or {{choices}}.")
    return {str(key): value for key, value in content.items()}
