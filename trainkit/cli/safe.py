"""`TRAINKIT_SAFE=1`: a config can make objects of known packages only.

A config names classes by `_target_`, and Python runs the code of a module that it imports. So a config of
somebody else is code of somebody else, unless what it may name is limited.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import hydra

from trainkit.core.errors import UserError
from trainkit.core.task import Task

__all__ = ["check_targets", "is_safe"]

ALWAYS = ("trainkit", "keras")
ALLOWED = "TRAINKIT_SAFE_TARGETS"  # more packages or modules, separated by commas


def is_safe() -> bool:
    """Whether the user asked for it."""
    return os.environ.get("TRAINKIT_SAFE", "") not in ("", "0")


def check_targets(spec: Any, key: str) -> None:
    """Refuse a config that names anything but classes of trainkit, of Keras, and of the modules of
    `TRAINKIT_SAFE_TARGETS`.

    Raises:
        UserError: naming the first.
    """
    allowed = (*ALWAYS, *filter(None, os.environ.get(ALLOWED, "").replace(" ", "").split(",")))
    for target in _targets(spec):
        if not isinstance(target, str) or not _within(target, allowed) or not _is_class(target, allowed):
            raise UserError(
                f"{key}._target_={target}: TRAINKIT_SAFE=1 allows classes of {', '.join(allowed)} only, such "
                f"as tasks, callbacks and layers; add its module to {ALLOWED} if you trust it."
            )


def _within(name: str, allowed: Sequence[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in allowed)


def _is_class(target: str, allowed: Sequence[str]) -> bool:
    """Whether a name leads to a class that is defined there: `trainkit.runs.manifest.subprocess.Popen` begins
    well, too. Of ours and Keras's, to one of a kind that a config needs: others may start processes."""
    try:
        found = hydra.utils.get_object(target)
    except Exception:  # whatever an import may raise; making the object says what is wrong
        return True
    if not inspect.isclass(found) or not _within(found.__module__, allowed):
        return False
    return not _within(found.__module__, ALWAYS) or _is_of_a_kind(found)


def _is_of_a_kind(found: type) -> bool:
    import keras

    kinds = (
        Task,
        keras.callbacks.Callback,
        keras.constraints.Constraint,
        keras.initializers.Initializer,
        keras.layers.Layer,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.optimizers.Optimizer,
        keras.optimizers.schedules.LearningRateSchedule,
        keras.regularizers.Regularizer,
    )
    # This one runs a graph from a file, which may write files.
    return issubclass(found, kinds) and not issubclass(found, keras.layers.TFSMLayer)


def _targets(spec: Any) -> Iterator[Any]:
    if isinstance(spec, Mapping):
        if "_target_" in spec:
            yield spec["_target_"]
        for value in spec.values():
            yield from _targets(value)
    elif isinstance(spec, Sequence) and not isinstance(spec, str):
        for value in spec:
            yield from _targets(value)
