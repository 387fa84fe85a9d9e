"""Keras's own format, `model.keras`: compiled, as far as its loss and metrics are Keras's own."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import keras

from trainkit.core import files
from trainkit.core.errors import UserError, one_line

__all__ = ["save", "save_or_tell"]

CONFIG = "config.json"


def save(model: keras.Model, path: Path | str) -> list[str]:
    """Save a model atomically, so that plain `keras.saving.load_model` loads it where trainkit is not.

    It is compiled if its loss and optimizer are Keras's own; then `evaluate` works and `fit` goes on. Metrics
    that are not Keras's own are left out. A model whose loss is its own is saved without being compiled, and
    so are the models inside of it.

    Args:
        model: The model.
        path: The file, `*.keras`.

    Returns:
        What was left out: names of metrics, or `loss`.

    Raises:
        UserError: if the file cannot be written.
    """
    compiled = _compile_config(model)
    kept, left_out = _of_keras(compiled) if compiled else (None, [])
    others = [*_inner_models(model), *([model] if kept is None else [])]
    with files.replacing_file(path) as beside:
        with ExitStack() as undone:
            for other in filter(lambda one: one.compiled, others):
                undone.enter_context(_not_compiled(other))
            model.save(beside)
        if kept is not None and left_out:
            _replace_compile_config(beside, kept)
    return left_out


def save_or_tell(model: keras.Model, path: Path) -> None:
    """Save a trained model as `save` does, or warn that Keras cannot: the training is done all the same.

    Raises:
        UserError: if the file cannot be written.
    """
    try:
        save(model, path)
    except UserError:
        raise
    except Exception as error:  # of a layer or function of the user's
        reason = f"{type(error).__name__}: {one_line(str(error))[:200]}"
        warnings.warn(
            f"{path.name} is left out, since Keras cannot write this model ({reason}); its layers need "
            "get_config(). All weights are in the checkpoints.",
            stacklevel=2,
        )


def _inner_models(model: keras.Model) -> Iterator[keras.Model]:
    """The models that are layers of a model, at any depth."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield layer
            yield from _inner_models(layer)


def _compile_config(model: keras.Model) -> dict[str, Any] | None:
    if not model.compiled or getattr(model, "optimizer", None) is None:
        return None
    try:
        config = model.get_compile_config()
        json.dumps(config)
    except Exception:  # a loss or metric of the user's without get_config
        return None
    return dict(config) if config else None


def _of_keras(config: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """A compile config without the metrics that are not Keras's own, and their names; None for the config if
    the loss or the optimizer is not."""
    if not (_is_of_keras(config.get("loss")) and _is_of_keras(config.get("optimizer"))):
        return None, ["loss" if not _is_of_keras(config.get("loss")) else "optimizer"]
    kept = dict(config)
    left_out: list[str] = []
    for key in ("metrics", "weighted_metrics"):
        kept[key] = _without_others(config.get(key), left_out)
    return kept, left_out


def _without_others(metrics: Any, left_out: list[str]) -> Any:
    """The metrics that are Keras's own, in the structure that they have."""
    if isinstance(metrics, Mapping) and "class_name" not in metrics:
        return {name: _without_others(inner, left_out) for name, inner in metrics.items()}
    if isinstance(metrics, (list, tuple)):
        kept = [_without_others(metric, left_out) for metric in metrics]
        return [metric for metric in kept if metric is not None] or None
    if metrics is None or _is_of_keras(metrics):
        return metrics
    left_out.append(str((metrics.get("config") or {}).get("name", metrics.get("class_name"))))
    return None


def _is_of_keras(value: Any) -> bool:
    """Whether everything in a config is a class or function of Keras, or plain data."""
    if isinstance(value, Mapping):
        if "class_name" in value and not _is_known(value):
            return False
        return all(_is_of_keras(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_of_keras(item) for item in value)
    return True


def _is_known(config: Mapping[str, Any]) -> bool:
    """Whether plain Keras finds the class or function of a config by itself."""
    module = str(config.get("module") or "")
    if config["class_name"] == "function":
        name = str(config.get("config"))
        return module.startswith("keras.") or hasattr(keras.losses, name) or hasattr(keras.metrics, name)
    is_registered_by_others = ">" in str(config.get("registered_name") or "")
    return not is_registered_by_others and module.split(".")[0] in ("", "keras", "builtins", "numpy")


def _replace_compile_config(path: Path, compile_config: Mapping[str, Any]) -> None:
    """Put another compile config into a saved model."""
    with zipfile.ZipFile(path) as archive:
        entries = {info: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in entries.items():
            if info.filename == CONFIG:
                config = json.loads(content)
                config["compile_config"] = compile_config
                content = json.dumps(config).encode()
            archive.writestr(info, content)


@contextmanager
def _not_compiled(model: keras.Model) -> Iterator[None]:
    """In the block, the model has no optimizer and counts as not compiled."""
    optimizer = model.optimizer
    compiled = model.compiled
    model.optimizer = None
    model.compiled = False
    try:
        yield
    finally:
        model.optimizer = optimizer
        model.compiled = compiled
