"""The objects that `_target_` and its arguments describe: tasks and callbacks."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import hydra
from hydra.errors import HydraException

from trainkit.cli import safe
from trainkit.config.fields import arguments_of
from trainkit.config.kinds import as_annotated
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.task import Task

logging.getLogger("hydra.utils").addHandler(logging.NullHandler())  # it prints what it also raises

__all__ = ["checked_spec", "dataclass_of", "importing_from_here", "make_callbacks", "make_task"]


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
    """The task that `task._target_` and its arguments describe, each of these in the form that the annotation
    of its field asks for: a tuple, a path, the member of an enum.

    Raises:
        UserError: if there is no such class, it takes other arguments, or it is no task.
    """
    task = _made(spec, "task", _make_as_annotated)
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

    made = [_made(spec, "callbacks.extra", _make) for spec in specs]
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


def dataclass_of(target: str) -> type[Any] | None:
    """The class of a task, if it is a dataclass that takes its fields; None for others, and for what cannot
    be imported, of which making the object says more."""
    try:
        found = hydra.utils.get_object(target)
    except Exception:  # whatever an import may raise
        return None
    if not inspect.isclass(found) or not dataclasses.is_dataclass(found):
        return None
    code = getattr(found.__init__, "__code__", None)
    is_generated = code is not None and code.co_filename == "<string>"  # what dataclasses write has no file
    return found if is_generated else None


def _made(spec: Any, key: str, make: Callable[[Any], Any]) -> Any:
    checked_spec(spec, key)
    try:
        return make(spec)
    except Exception as error:  # a constructor may raise anything
        reason = _reason(error)
        if reason.startswith(f"{key}."):  # it names the argument
            raise UserError(reason) from error
        known = _known_arguments(spec["_target_"], reason)
        raise UserError(f"{key}._target_={spec['_target_']}: {reason}{known}") from error


def _known_arguments(target: str, reason: str) -> str:
    """What an error about an unknown argument goes on with: `; did you mean rows? Known: rows, width.`"""
    unknown = re.search(r"got an unexpected keyword argument '(\w+)'", reason)
    if unknown is None:
        return ""
    parameters = inspect.signature(hydra.utils.get_object(target)).parameters.values()
    named = [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    if unknown[1] in named or len(named) < len(parameters):
        return ""  # it is of something that the constructor calls
    if not named:
        return "; it takes none."
    return f"; {did_you_mean(unknown[1], named)}".replace("see --help.", "see its signature.")


def _make(spec: Mapping[str, Any]) -> Any:
    return hydra.utils.instantiate(spec, _convert_="all")


def _make_as_annotated(spec: Mapping[str, Any]) -> Any:
    task = dataclass_of(spec["_target_"])
    if task is None:
        return _make(spec)
    known = arguments_of(task)
    described = _make({**spec, "_partial_": True})  # Hydra itself hands over nothing but lists and texts
    arguments = {
        name: as_annotated(value, known[name].kind) if name in known else value
        for name, value in described.keywords.items()
    }
    return task(*described.args, **arguments)


def _has_no(module: ModuleType, name: str) -> str:
    """`blobs has no Blob; did you mean Blobs?`

    Of a package, such as `keras.callbacks`, what it takes from its own modules counts as its own.
    """
    is_package = hasattr(module, "__path__")
    home = module.__name__.partition(".")[0] if is_package else module.__name__

    def is_own(value: Any) -> bool:
        place = getattr(value, "__module__", None) or ""
        return callable(value) and (place == home or (is_package and place.startswith(f"{home}.")))

    made = [key for key, value in vars(module).items() if not key.startswith("_") and is_own(value)]
    hint = did_you_mean(name, made) if made else "it has no classes and no functions."
    hint = hint.replace("see --help.", f"see dir({module.__name__}).")  # too many to list
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
