"""What callbacks write, as values that can be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

__all__ = ["contents"]

TIMED = ("steps_per_second", "keras")  # tags whose values are the clock's, or names of the machine


def contents(folder: Path) -> dict[str, Any]:
    """The files under `folder`, by relative name: text, arrays of weights, or events.

    Event files carry the time and the machine in their names, so that they are named by their folder alone.
    """
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if ".tfevents." in name:
            name = str(path.parent.relative_to(folder)) + "/events"
            found.setdefault(name, []).extend(_events(path))
        else:
            found[name] = _content(path)
    return found


def _content(path: Path) -> Any:
    if path.name.endswith((".h5", ".h5.bkp")):
        return _arrays(path)
    if path.suffix == ".keras":
        return _model(path)
    return path.read_text()


def _arrays(path: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}

    def collect(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            arrays[name] = np.array(node)

    with h5py.File(path) as file:
        file.visititems(collect)
    return arrays


def _model(path: Path) -> dict[str, Any]:
    model = keras.saving.load_model(path)
    weights = {v.path: np.array(v) for v in model.variables}
    slots = [np.array(v) for v in model.optimizer.variables] if model.optimizer else []
    return {"weights": weights, "optimizer": slots}


def _events(path: Path) -> list[Any]:
    events: list[Any] = []
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            timed = any(word in value.tag for word in TIMED)
            array = None if timed else tf.make_ndarray(value.tensor)
            events.append((value.tag, event.step, array))
    return events
