"""What a user hands to a trainer: of the right kind, or refused in one line."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras

from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.observer import Observer
from trainkit.checkpoint import members
from trainkit.config import CheckpointConfig, OptimizerConfig
from trainkit.core.datasets import Splits
from trainkit.core.errors import ABBREVIATIONS, UserError, did_you_mean, one_line
from trainkit.core.logs import is_validation
from trainkit.core.task import Task
from trainkit.optim.factory import GivenOptimizer
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.setup import TrainSetup

__all__ = [
    "as_callbacks",
    "as_checkpoint",
    "as_data",
    "as_optimizer",
    "as_path",
    "as_task",
    "check_callbacks",
    "check_pattern",
    "nearest_setting",
]

OURS = ("keras", "trainkit")
FOLLOWING = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)
LOGGING_RATES = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


def as_callbacks(given: Any) -> list[keras.callbacks.Callback]:
    """The callbacks of a callback, of nested lists of them, or of None, as Keras reads them.

    Raises:
        UserError: for anything else.
    """
    found = [one for one in keras.tree.flatten(given) if one is not None]
    for one in found:
        if not isinstance(one, keras.callbacks.Callback):
            raise UserError(f"callbacks: got {_shown(one)}; expected Keras callbacks.")
    return found


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback], setup: TrainSetup) -> None:
    """Refuse callbacks that save within epochs of `model.fit`, and those that follow a value which the
    training does not log, or of which nobody says what is better: Keras warns of it after an epoch, or fails
    then.

    Args:
        callbacks: Those of the training. A callback of the user's own may log more values, which those of
            Keras see.
        setup: The task, ready to be trained.

    Raises:
        UserError: naming the setting, or the values that are logged.
    """
    observers = [one for one in callbacks if isinstance(one, Observer)]
    by_steps = [_asks_for_steps(one) for one in observers if setup.config.engine == "keras"]
    if any(by_steps):
        raise UserError(
            f"{next(filter(None, by_steps))} needs trainer.engine=trainkit; model.fit saves as epochs end."
        )
    for one in callbacks:
        if isinstance(one, Monitor):
            setup.direction(one.monitor, one.mode)
    if not all(_is_known(one) for one in callbacks):
        return
    for one in callbacks:
        follows = not isinstance(one, keras.callbacks.ModelCheckpoint) or one.save_best_only
        if isinstance(one, FOLLOWING) and follows and one.monitor != "learning_rate":
            setup.direction(one.monitor, getattr(one, "mode", "auto"))
        if isinstance(one, Checkpoints):
            check_pattern(one, callbacks, setup)


def check_pattern(
    saves: Checkpoints | CheckpointConfig, callbacks: Sequence[keras.callbacks.Callback], setup: TrainSetup
) -> None:
    """Refuse a `checkpoint.pattern` with a value that the training does not log, which would be missed only
    when the first such checkpoint is due.

    Args:
        saves: Holds `pattern` and `every_epochs`.
        callbacks: Those of the training; one of the user's own may log more values.
        setup: The task, ready to be trained.

    Raises:
        UserError: naming the value, and those that are logged.
    """
    if saves.every_epochs is None or saves.every_epochs > setup.config.epochs:
        return  # none is due
    if not all(map(_is_known, callbacks)):
        return
    known = ["epoch", "step", *setup.logged()]
    if saves.every_epochs % setup.config.validate_every:
        known = [name for name in known if not is_validation(name)]
    if any(isinstance(one, LOGGING_RATES) for one in callbacks):
        known.append("learning_rate")
    said = f"checkpoint.pattern={saves.pattern!r}"
    try:
        saves.pattern.format(**{**dict.fromkeys(known, 0.5), "epoch": 1, "step": 1})
    except KeyError as error:
        hint = did_you_mean(error.args[0], known)
        raise UserError(f"{said}: {error.args[0]!r} is not logged when it is due; {hint}") from error
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"{said} does not fit: {error}; known: {', '.join(known)}.") from error


def _asks_for_steps(observer: Observer) -> str:
    """What asks for calls that end with certain steps; "" if the observer does not."""
    if isinstance(observer, Checkpoints):
        return "" if observer.every_steps is None else "Checkpoints(every_steps=...)"
    kind = type(observer)
    return "" if kind.next_step is Observer.next_step else f"{kind.__name__}.next_step"


def _is_known(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback is one of Keras or trainkit, without a function of the user's."""
    ours = type(callback).__module__.split(".")[0] in OURS
    return ours and not isinstance(callback, keras.callbacks.LambdaCallback)


def as_optimizer(given: Any) -> GivenOptimizer:
    """The optimizer or its settings; a name or a config stays one, and each training makes its own.

    Raises:
        UserError: for anything else.
    """
    if given is None or isinstance(given, OptimizerConfig):
        return given
    try:
        made = keras.optimizers.get(copy.deepcopy(given) if isinstance(given, dict) else given)
        return given if isinstance(given, (str, dict)) else made
    except (ValueError, TypeError) as error:
        raise UserError(
            f"optimizer: got {_shown(given)}; expected a Keras optimizer, its name, or an OptimizerConfig: "
            f"{one_line(str(error))}"
        ) from error


def nearest_setting(name: str, known: Sequence[str]) -> str:
    """What was meant by a setting that a trainer does not have: another of them, or one of its optimizer."""
    of_optimizer = ABBREVIATIONS.get(name, name)
    if of_optimizer in (f.name for f in fields(OptimizerConfig)):
        return f"did you mean optimizer? Such as keras.optimizers.Adam({of_optimizer}=...)."
    return did_you_mean(name, known)


def as_task(given: Any) -> Task:
    """The task.

    Raises:
        UserError: for anything else.
    """
    if isinstance(given, Task):
        return given
    hint = "a Task"
    if isinstance(given, keras.Model):
        hint = "a Task; a compiled model is trained by trainkit.fit(model, x, y)"
    elif inspect.isclass(given) and issubclass(given, Task):
        hint = f"a Task: call the class, {given.__name__}()"
    raise UserError(f"task: got {_shown(given)}; expected {hint}.")


def as_path(name: str, given: Any) -> Path:
    """The path.

    Args:
        name: Of the argument.
        given: What was given for it.

    Raises:
        UserError: for what is no path.
    """
    if isinstance(given, (str, os.PathLike)):
        return Path(given)
    raise UserError(f"{name}: got {_shown(given)}; expected a path.")


def as_checkpoint(given: Path | str | None, run_dir: Path | None = None) -> Path | None:
    """The checkpoint folder; of a run directory its last one, and if that is damaged its newest whole one.

    Args:
        given: The folder; `last` or `best`: that of `run_dir`, if there is one.
        run_dir: Of the trainer.

    Raises:
        UserError: if there is none, or a run directory has no whole one.
    """
    if given is None:
        return None
    if run_dir is not None and given in ("last", "best"):
        given = run_dir if given == "last" else RunDir(run_dir).best
    given = as_path("checkpoint", given)
    saved = RunDir(given).checkpoints
    if (saved / "last").is_dir():
        return members.whole(saved / "last", saved)
    members.read_meta(given)
    return given


def as_data(given: Any) -> Splits | None:
    """The rows to use in place of a task's own, or None.

    Raises:
        UserError: for anything else.
    """
    if given is None or isinstance(given, Splits):
        return given
    raise UserError(f"data: got {_shown(given)}; expected trainkit.Splits(train, validation, test).")


def _shown(thing: Any) -> str:
    """How an object is named in an error."""
    if isinstance(thing, str):
        return repr(thing)
    return f"the class {thing.__name__}" if inspect.isclass(thing) else type(thing).__name__
