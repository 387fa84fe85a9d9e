"""Twins of a model, with equal weights, for what a format cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from trainkit.core.errors import UserError, one_line

__all__ = ["all_layers", "float32_twin", "is_half_precision"]


def is_half_precision(model: keras.Model) -> bool:
    """Whether a layer computes in float16 or bfloat16."""
    return any(layer.compute_dtype in ("float16", "bfloat16") for layer in all_layers(model))


def float32_twin(model: keras.Model) -> keras.Model:
    """The model with the same weights, computed in float32.

    Raises:
        UserError: if the model cannot be built again from its config.
    """
    return _twin(model, _as_float32)


def all_layers(model: keras.Model) -> list[Any]:
    """A model, its layers, and those of the models inside of it."""
    found = [model]
    for layer in model.layers:
        found += all_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _as_float32(config: Mapping[str, Any]) -> Any:
    """A part of a config that names a policy of half precision becomes float32."""
    name = (config.get("config") or {}).get("name", "") if config.get("class_name") == "DTypePolicy" else ""
    return "float32" if str(name).endswith("float16") else config


def _twin(model: keras.Model, change: Callable[[Mapping[str, Any]], Any]) -> keras.Model:
    """The model built again from its changed config, with its weights."""
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    try:
        built = keras.saving.deserialize_keras_object(_changed(config, change), safe_mode=False)
        if not built.built:
            built.build_from_config(model.get_build_config())
        for mine, other in zip(model.weights, built.weights, strict=True):
            other.assign(mine)
    except Exception as error:  # the config of a user's own class may say anything
        raise UserError(
            f"{type(model).__name__} computes in half precision and cannot be built again in float32: "
            f"{one_line(str(error))[:200]} Export a model that was trained with trainer.precision=float32."
        ) from error
    return built


def _changed(value: Any, change: Callable[[Mapping[str, Any]], Any]) -> Any:
    if isinstance(value, Mapping):
        changed = change(value)
        if not isinstance(changed, Mapping):
            return changed
        return {key: _changed(item, change) for key, item in changed.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_changed(item, change) for item in value)
    return value
