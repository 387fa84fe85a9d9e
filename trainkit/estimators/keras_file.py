"""A Keras model as the bytes of a `.keras` file, and what such a file does not hold, for pickles."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras

__all__ = ["from_bytes", "to_bytes", "unsaved_variables"]


def to_bytes(model: keras.Model) -> bytes:
    """The content of the file that `model.save` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()


def from_bytes(content: bytes) -> keras.Model:
    """The model of such a content. Keras loads it in its safe mode: no code in the file is run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        return keras.saving.load_model(path, compile=False)


def unsaved_variables(model: keras.Model) -> list[keras.Variable]:
    """The variables that a `.keras` file does not hold: the states of random numbers."""
    saved = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in saved]
