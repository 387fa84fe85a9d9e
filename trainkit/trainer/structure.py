"""What a compiled program depends on, as a text that can be compared: the structure of a model, its
optimizer, losses and metrics, without the numbers that programs read from variables."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np

from trainkit.backend import compat
from trainkit.backend.compat.names import is_automatic
from trainkit.backend.compat.optimizer_variables import decay_exclusions
from trainkit.backend.patches import inner_optimizers
from trainkit.backend.traced_values import OPTIMIZER_VALUES, value_attributes
from trainkit.config import TrainerConfig
from trainkit.core.task import Task
from trainkit.engine.objective import own_objective
from trainkit.trainer.held_values import held_values

__all__ = ["NotComparable", "model_structure", "optimizer_structure", "task_identity", "trainer_structure"]

# Settings that decide how long a program runs, and on which rows, but not what it computes.
NO_PART_OF_A_PROGRAM = ("seed", "epochs", "steps", "validate_every", "epochs_per_call")
PLAIN = (bool, int, float, str, type(None))
KNOWN = ("keras", "trainkit", "tensorflow", "builtins")
# What holds functions that it was given.
OBJECTS = (
    keras.Layer,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
)


class NotComparable(Exception):
    """Something has no description that tells it from others, so its programs are not shared."""


def task_identity(task: Task) -> Any:
    """A value that is equal for tasks that are surely alike: class and fields, else the object itself."""
    if dataclasses.is_dataclass(task):
        fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(task)}
        if all(_is_plain(value) for value in fields.values()):
            return type(task).__module__, type(task).__qualname__, repr(fields)
    return id(task)


def model_structure(task: Task, model: keras.Model) -> str:
    """The structure of a compiled model with its losses and metrics, as text.

    Raises:
        NotComparable: for a model with layers, losses or metrics that are not Keras's or ours.
    """
    if (
        not isinstance(model, (keras.Sequential, keras.Model))
        or type(model).__module__.split(".")[0] != "keras"
    ):
        raise NotComparable
    layers = compat.flat_layers(model)
    if own_objective(task) or not model.built or not all(_is_known(layer) for layer in layers):
        raise NotComparable
    try:
        parts = [
            model.get_config(),
            [_settings_of(layer) for layer in layers],
            keras.tree.map_structure(_described, task.loss()),
            keras.tree.map_structure(_described, compat.given_metrics(model)),
            task.loss_weights(),
            task.class_weight() is not None,
        ]
        names = {one.name: f"layer {i}" for i, one in enumerate((model, *layers)) if is_automatic(one)}
        return _text([_without_values(part, names) for part in parts])
    except (TypeError, ValueError, NotImplementedError) as error:  # of a config that cannot be made
        raise NotComparable from error


def _settings_of(layer: keras.Layer) -> Any:
    """What the config of a layer leaves out."""
    variables = [
        (list(v.shape), v.trainable, _described(v.constraint), _described(v.regularizer))
        for v in layer.variables
    ]
    beside = [f"{given}{name}" for name in value_attributes(layer) for given in ("", "input_")]
    held = held_values(layer, beside)
    return [layer.trainable, layer.supports_masking, layer.autocast, variables, held]


def optimizer_structure(optimizer: Any, values: Collection[str]) -> str:
    """The structure of an optimizer: its settings without the learning rate and without `values`, of which
    only counts whether they are zero.

    Raises:
        NotComparable: for an optimizer of several parts, or of a class that is not Keras's.
    """
    inner = inner_optimizers(optimizer)
    if len(inner) != 1 or any(map(_has_foreign_code, (optimizer, *inner))):
        raise NotComparable
    config = dict(inner[0].get_config())
    if compat.own_schedule(inner[0]) is None:
        config.pop("learning_rate", None)
    config.pop("name", None)
    if optimizer is not inner[0]:
        config["around"] = {**optimizer.get_config(), "name": None, "inner_optimizer": None}
    pattern, variables = decay_exclusions(inner[0])
    if variables:
        raise NotComparable
    config["undecayed"] = pattern
    for name in OPTIMIZER_VALUES:
        if name in values and isinstance(config.get(name), float):
            config[name] = f"value, {config[name] != 0}"
    return _text([type(optimizer).__name__, type(inner[0]).__name__, config])


def trainer_structure(config: TrainerConfig) -> str:
    """The settings that a program depends on."""
    settings = dataclasses.asdict(config)
    return _text({key: value for key, value in settings.items() if key not in NO_PART_OF_A_PROGRAM})


def _is_known(layer: Any) -> bool:
    return not isinstance(layer, keras.layers.Lambda) and not _has_foreign_code(layer)


def _has_foreign_code(thing: Any, within: tuple[int, ...] = ()) -> bool:
    """Whether an object is, or holds, code that is neither Keras's nor ours: a config names a function that
    it was given, and two of one name may differ."""
    kind = thing if isinstance(thing, (type, types.FunctionType, types.MethodType)) else type(thing)
    if str(kind.__module__).split(".")[0] not in KNOWN:
        return True
    if not isinstance(thing, OBJECTS) or id(thing) in within:
        return False
    parts = [part for part in vars(thing).values() if callable(part)]
    return any(_has_foreign_code(part, (*within, id(thing))) for part in parts)


def _described(thing: Any) -> Any:
    """A loss or metric as its class and settings."""
    if isinstance(thing, PLAIN):
        return thing
    if _has_foreign_code(thing):
        raise NotComparable
    if isinstance(thing, types.FunctionType):
        return f"{thing.__module__}.{thing.__qualname__}"
    if not hasattr(thing, "get_config"):
        raise NotComparable
    config = dict(thing.get_config())
    if isinstance(thing, keras.metrics.Metric) and is_automatic(thing):
        config["name"] = "metric"
    for name in value_attributes(thing):
        config[name] = f"value, {bool(config.get(name))}"
    return [type(thing).__name__, config]


def _without_values(part: Any, names: Mapping[str, str]) -> Any:
    """A config in which layers that nobody named have names that only say their place, and values only say
    whether they are zero."""
    if isinstance(part, str):
        return names.get(part, part)
    if isinstance(part, (list, tuple)):
        return [_without_values(item, names) for item in part]
    if not isinstance(part, Mapping):
        return part
    settings = {key: _without_values(value, names) for key, value in part.items()}
    inner = settings.get("config")
    if isinstance(inner, dict):
        settings["config"] = _marked(str(settings.get("class_name", "")), inner)
    return settings


def _marked(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    if kind == "Normalization" and config.get("mean") is not None:
        return {**config, "mean": list(np.shape(config["mean"])), "variance": "value"}
    if "Dropout" in kind and kind not in ("GaussianDropout", "AlphaDropout") and "rate" in config:
        return {**config, "rate": f"value, {bool(config['rate'])}"}
    if kind in ("L1", "L2") and kind.lower() in config:
        return {**config, kind.lower(): f"value, {bool(config[kind.lower()])}"}
    return config


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, PLAIN):
        return True
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and _is_plain(vars(value))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=_as_text)


def _as_text(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "get_config"):
        return [type(value).__name__, value.get_config()]
    raise NotComparable
