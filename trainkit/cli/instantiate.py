"""The objects that `_target_` and its arguments describe: tasks and callbacks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import hydra
from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

from trainkit.cli import safe
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.task import Task

__all__ = ["checked_spec", "importing_from_here", "make_callbacks", "make_task"]


@contextmanager
def importing_from_here() -> Iterator[None]:
    """In the block, classes in the working directory can be imported; afterwards `sys.path` is as it was."""
    before = list(sys.path)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path[:] = before


def make_task(spec: Any) -> Task:
    """The task that `task._target_` and its arguments describe.

    Raises:
        UserError: if there is no such class, it takes other arguments, or it is no task.
    """
    task = _make(spec, "task")
    if not isinstance(task, Task):
        raise UserError(
            f"task._target_={spec['_target_']}: made {type(task).__name__}; "
            "expected a class derived from trainkit.Task."
        )
    return task


def make_callbacks(specs: Sequence[Any]) -> list[Any]:
    """The Keras callbacks of `callbacks.extra`.

    Raises:
        UserError: as for tasks.
    """
    import keras

    made = [_make(spec, "callbacks.extra") for spec in specs]
    for callback, spec in zip(made, specs, strict=True):
        if not isinstance(callback, keras.callbacks.Callback):
            raise UserError(
                f"callbacks.extra: {spec} made {type(callback).__name__}; "
                "expected {_target_: a Keras callback, and its arguments}."
            )
    return made


def checked_spec(spec: Any, key: str) -> Mapping[str, Any]:
    """`_target_` and its arguments, if a config may name that.

    Raises:
        UserError: for what describes no object, or is not safe where `TRAINKIT_SAFE` is set.
    """
    if not isinstance(spec, Mapping) or not isinstance(spec.get("_target_"), str):
        raise UserError(
            f"{key}={spec}: expected {{_target_: <module>.<Class>, and its arguments}}, "
            "as in conf/task/mnist.yaml."
        )
    if safe.is_safe():
        safe.check_targets(spec, key)
    return spec


def _make(spec: Any, key: str) -> Any:
    checked_spec(spec, key)
    try:
        return hydra.utils.instantiate(spec, _convert_="all")
    except (InstantiationException, OmegaConfBaseException) as error:
        reason = _reason(error)
        if reason.startswith(f"{key}."):  # it names the argument
            raise UserError(reason) from error
        raise UserError(f"{key}._target_={spec['_target_']}: {reason}") from error


def _has_no(module: ModuleType, name: str) -> str:
    """`blobs has no Blob; did you mean Blobs?`"""
    own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    classes = [key for key in own if isinstance(vars(module)[key], type) and not key.startswith("_")]
    hint = did_you_mean(name, classes) if classes else "it has no classes."
    return f"{module.__name__} has no {name}; {hint}"


def _reason(error: BaseException) -> str:
    """What lies under the errors that Hydra wraps around the one of a constructor."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, (UserError, HydraException)):
        return str(error)
    searched = ""
    if isinstance(error, ModuleNotFoundError):
        parent, _, last = (error.name or "").rpartition(".")
        if parent in sys.modules:  # the module is there, and has no such name
            return _has_no(sys.modules[parent], last)
        searched = f" (looked in {', '.join(sys.path[:1])} and the config directory)"
    return f"{type(error).__name__}: {error}{searched}"
