"""From composed settings to a job: everything is checked that can be checked without TensorFlow."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainkit.cli import spaces, task_arguments
from trainkit.cli.arguments import Arguments
from trainkit.cli.compose import Composed
from trainkit.cli.explain import explain
from trainkit.cli.groups import Groups
from trainkit.cli.instantiate import checked_spec, make_callbacks, make_task
from trainkit.cli.mode_settings import check_mode_reads
from trainkit.cli.resumed import Changes, merged_with_run
from trainkit.cli.settings import as_yaml, plain, with_types
from trainkit.config import Config, DataConfig, validate
from trainkit.core.errors import UserError
from trainkit.core.files import read_json
from trainkit.core.task import Task
from trainkit.data.folds import fold_of
from trainkit.distributed import cluster
from trainkit.experiment.job import Job
from trainkit.experiment.undamaged import undamaged
from trainkit.runs import locate, lock, run_dir
from trainkit.runs.locate import Found
from trainkit.runs.run_dir import RunDir
from trainkit.tuning.space import Space

__all__ = ["Plan", "checked", "plan"]

COMPARISONS = ("parity", "verify_resume")  # modes whose directories are no runs of a task
OPENS_A_CHECKPOINT = ("evaluate", "predict", "export")  # modes that need one, and prefer the best
READ_FOR_EVERY_TASK = ("dir", "seed", "train_rows", "validation")
SUITED_TO_THE_DATA = {"trainer.epochs", "trainer.batch_size"}


@dataclass(frozen=True)
class Plan:
    """A job that lacks only its task, whose class may need TensorFlow.

    Args:
        unresolved: All settings, with references such as `${data.dir}`.
        texts: Texts to keep in the run directory beside the settings, by name.
        free: Settings of the trainer that nobody chose: the task may, by its data.
        groups: The chosen options of the config groups.

    The other fields are those of `Job`.
    """

    config: Config
    found: Found | None
    path: Path | None
    unresolved: DictConfig
    texts: Mapping[str, str]
    argv: Sequence[str]
    config_dir: str | None
    changed: Changes
    free: frozenset[str]
    groups: Groups
    space: Space | None = None

    def job(self) -> Job:
        """Make the task, and with it the job.

        Raises:
            UserError: if the task cannot be made, would not look at an argument, or its data cannot be read.
        """
        arguments = self._arguments({})
        task = make_task(arguments)
        space = self.space
        in_search = [] if space is None else task_arguments.unread_in_search(space, self._arguments)
        keys = [] if space is None else space.keys
        task_arguments.refuse_unread(task, in_search, self.argv, keys)
        return self._job(task, arguments)

    def _arguments(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The task and its arguments, with other values of some settings."""
        task = checked(spaces.changed(self.unresolved, changes)).task if changes else self.config.task
        return task_arguments.typed_arguments(checked_spec(task, "task"))

    def _job(self, task: Task, arguments: Mapping[str, Any]) -> Job:
        if self.found is not None and self.found.run is not None:
            task = task.of_run(self.found.run.path)
        settings = task_arguments.with_arguments(self.unresolved, self.config.task, arguments)
        config = replace(self.config, task=dict(arguments))
        suited = task.trainer_defaults() if self.free else {}
        chosen = {name: value for name, value in suited.items() if name in self.free}
        if chosen:
            settings = with_types({**plain(settings), "trainer": {**plain(settings)["trainer"], **chosen}})
            config = checked(settings)
        resolved = plain(settings, resolve=True)
        made = Job(
            config=config,
            task=task,
            found=self.found,
            path=self.path,
            files={
                run_dir.CONFIG: as_yaml(resolved),
                **({f".hydra/{run_dir.CONFIG}": OmegaConf.to_yaml(settings)} if self.texts else {}),
                **self.texts,
            },
            settings=resolved,
            callbacks=lambda: make_callbacks(config.callbacks.extra),
            argv=self.argv,
            config_dir=self.config_dir,
            changed=task_arguments.typed_changes(self.changed, arguments),
            space=self.space,
            variant=self.variant,
            experiment=self.experiment,
        )
        fold, folds = config.fit.fold, config.fit.cv
        if fold is None or folds is None:
            return made
        task, splits = fold_of(task, fold - 1, folds, made.data())
        return replace(made, task=task, splits=splits)

    def variant(self, changes: Mapping[str, Any], found: Found | None = None) -> Job:
        """The job with other values of some settings, by their keys, and from a checkpoint if one is given.

        Raises:
            UserError: for a key that cannot be changed, or a value that it does not take.
        """
        settings = spaces.changed(self.unresolved, changes)
        free = self.free - {key.rpartition(".")[2] for key in changes}
        # The files of .hydra take a third of the time, and a search makes hundreds of variants.
        texts = {} if self.config.mode == "tune" else self.texts
        config = checked(settings)
        made = replace(self, config=config, found=found, unresolved=settings, free=free, texts=texts)
        arguments = made._arguments({})
        return made._job(make_task(arguments), arguments)

    def experiment(self, changes: Mapping[str, Any], comment: str) -> str:
        """The job with other values of some settings as the text of an experiment file."""
        return spaces.experiment(spaces.changed(self.unresolved, changes), self.groups, comment)


def plan(composed: Composed, arguments: Arguments) -> Plan:
    """Check the settings, find the run that they resume, and choose where a new one goes. Creates nothing.

    Args:
        composed: The settings.
        arguments: The command line that they came from.

    Raises:
        UserError: for the first thing that is wrong.
    """
    settings = composed.settings
    config = checked(settings)
    check_mode_reads(config.mode, composed.overrides)
    names_a_task = arguments.config_name is not None or bool(composed.named & {"task", "name"})
    several = _several(config, names_a_task)
    found = _found(config, names_a_task) if several is None else None
    changed: Changes = {}
    run = found.run if found is not None else several
    if run is not None:
        settings, changed = merged_with_run(settings, composed.named, run.path)
        config = checked(settings)
        if config.mode == "fit" and not cluster.is_follower(config.trainer.strategy):
            lock.refuse_held(run.path)
    config_dir = _origin(run, arguments.config_dir)
    path = several.path if several is not None else _new_path(config, resumes=run is not None)
    # Where a run lies is no part of what it is.
    settings = with_types({**plain(settings), "resume": None, "run_dir": None})
    texts = {
        ".hydra/overrides.yaml": OmegaConf.to_yaml(composed.overrides),
        ".hydra/hydra.yaml": composed.hydra,
    }
    # The settings of a run.
    complete = arguments.config_name is not None or found is not None or several is not None
    free = set() if complete else SUITED_TO_THE_DATA - composed.named
    if not complete:
        _check_reads_data(settings, config)
    return Plan(
        config=config,
        found=found,
        path=path,
        unresolved=settings,
        texts=texts,
        argv=list(arguments.words),
        config_dir=config_dir,
        changed=changed,
        free=frozenset(key.rpartition(".")[2] for key in free),
        groups=composed.groups,
        space=spaces.space_of(config, settings, composed) if config.mode == "tune" else None,
    )


def checked(settings: DictConfig) -> Config:
    """The settings as a typed `Config`.

    Raises:
        UserError: for the first value that is impossible.
    """
    try:
        config = cast(Config, OmegaConf.to_object(settings))
    except OmegaConfBaseException as error:
        raise UserError(explain(error)) from error
    validate(config)
    return config


def _check_reads_data(settings: DictConfig, config: Config) -> None:
    """Refuse settings of `data` that the task does not refer to, and so would not look at.

    Args:
        settings: All settings, with references such as `${data.dir}`.
        config: The same, resolved.
    """
    task = str(plain(settings)["task"])
    if "${data}" in task:
        return
    usual = DataConfig()
    for field in fields(DataConfig):
        name = field.name
        value = getattr(config.data, name)
        if name in READ_FOR_EVERY_TASK or value == getattr(usual, name) or f"${{data.{name}}}" in task:
            continue
        raise UserError(
            f"data.{name}={value}: task {config.name} brings its own data, and does not read this; expected, "
            "for data of yours, task=tabular_classification, tabular_regression, image_classification or "
            "text_classification."
        )


def _several(config: Config, names_a_task: bool) -> RunDir | None:
    """The folder of several runs that the job continues, if it continues one."""
    if config.mode != "fit" or config.resume in (None, "best"):
        return None
    name = config.name if names_a_task else None
    return locate.several(config.resume, runs_dir=config.runs_dir, name=name, run_dir=config.run_dir)


def _found(config: Config, names_a_task: bool) -> Found | None:
    """The checkpoint that the job starts from, if it starts from one."""
    opens = config.mode in OPENS_A_CHECKPOINT
    if config.resume is None and not opens:
        return None
    if config.mode == "tune":
        raise UserError(
            f"resume={config.resume}: a search is continued by its command with run_dir=<its folder>."
        )
    found = locate.locate(
        config.resume or locate.run_around(config.predict.model),
        runs_dir=config.runs_dir,
        name=config.name if names_a_task else None,
        run_dir=config.run_dir,
        prefer=("best", "last") if opens else ("last",),
    )
    named = config.resume not in (None, "last") and Path(config.resume or "").resolve() == found.checkpoint
    return undamaged(found, must_be_it=named or config.resume == "best")


def _new_path(config: Config, *, resumes: bool) -> Path | None:
    """Where the job's new run directory goes; None where it makes none."""
    if cluster.is_follower(config.trainer.strategy):
        return None  # the chief makes it
    if config.find_lr.enabled and config.mode == "fit":
        return run_dir.new_path(config.runs_dir, "find_lr", config.run_dir)
    if config.mode == "fit" and not resumes:
        return run_dir.new_path(config.runs_dir, config.name, config.run_dir)
    if config.mode == "tune":
        return spaces.search_path(config)
    if config.mode in COMPARISONS:
        return run_dir.new_path(config.runs_dir, config.mode, config.run_dir)
    return None


def _origin(resumed: RunDir | None, config_dir: str | None) -> str | None:
    """The config folder that the task came from, also if its run is repeated or resumed.

    From now on, its classes can be imported.
    """
    for run in (resumed, RunDir(Path(config_dir)) if config_dir else None):
        if run is not None and (run.path / run_dir.CONFIG).is_file():
            config_dir = _manifest(run).get("config_dir") or config_dir
            break
    if config_dir is None:
        return None
    folder = Path(config_dir).resolve()
    sys.path += [str(path) for path in (folder, folder.parent) if str(path) not in sys.path]
    return str(folder)


def _manifest(run: RunDir) -> Mapping[str, Any]:
    """The manifest of a run, or of the search that it is or is a trial of; a damaged one tells nothing."""
    above = run.path.absolute().parents[1:3]  # of trials/0001, and of its fold-1
    places = [run.manifest, *(folder / run_dir.SEARCH for folder in (run.path, *above))]
    try:
        return next((found for place in places if (found := read_json(place))), {})
    except UserError as error:
        warnings.warn(str(error), stacklevel=2)
        return {}
