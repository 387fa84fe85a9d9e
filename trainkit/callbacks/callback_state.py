"""What a checkpoint keeps of callbacks: ours, Keras's own, and a user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from trainkit.backend.patches import set_attributes
from trainkit.callbacks.observer import Observer
from trainkit.checkpoint.train_state import SWAPPED
from trainkit.core.stateful import Stateful

__all__ = ["load_callback_states", "named_callbacks", "state_of", "unknown_states"]

# Attributes in which Keras's callbacks keep what they have seen.
KERAS_ATTRIBUTES: dict[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_weights", "best_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter", "best"),
    keras.callbacks.ModelCheckpoint: ("best", "_batches_seen_since_last_saving"),
    keras.callbacks.SwapEMAWeights: (SWAPPED,),
    keras.callbacks.BackupAndRestore: (
        "_current_epoch",
        "_last_batch_seen",
        "_batches_seen_since_last_saving",
    ),
    keras.callbacks.TensorBoard: ("_global_train_batch",),
}
# Keras's callbacks that keep nothing which a resumed training misses.
STATELESS = (
    keras.callbacks.History,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.CSVLogger,
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.TerminateOnNaN,
)
BASE_ATTRIBUTES = frozenset(vars(keras.callbacks.Callback())) | {"run", "record", "_model", "params", "model"}


def named_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, keras.callbacks.Callback]:
    """The callbacks by the names under which a checkpoint remembers them.

    A class gives its name as `state_name`, which stays when the class is renamed; else it is the name of the
    class. Several of one name are numbered: `early_stopping`, `early_stopping2`.
    """
    named: dict[str, keras.callbacks.Callback] = {}
    counts: dict[str, int] = {}
    for callback in callbacks:
        name = str(getattr(callback, "state_name", type(callback).__name__))
        counts[name] = counts.get(name, 0) + 1
        named[name if counts[name] == 1 else f"{name}{counts[name]}"] = callback
    return named


def state_of(callback: keras.callbacks.Callback) -> dict[str, Any] | None:
    """What is to be kept of a callback; None: nothing, or nobody knows."""
    if isinstance(callback, Stateful):
        return callback.state_dict()
    attributes = _attributes(callback)
    if not attributes:
        return None
    return {name: _plain(getattr(callback, name)) for name in attributes if hasattr(callback, name)}


def load_callback_states(
    named: Mapping[str, keras.callbacks.Callback], states: Mapping[str, Any], *, own: bool
) -> None:
    """Give callbacks back what a checkpoint kept of them.

    Args:
        named: The callbacks by name.
        states: Their states by name.
        own: trainkit's own callbacks, before the training begins; else the others, after their
            `on_train_begin`, in which Keras's callbacks forget everything.
    """
    for name, callback in named.items():
        state = states.get(name)
        if state is None or isinstance(callback, Observer) != own:
            continue
        if isinstance(callback, Stateful):
            callback.load_state_dict(state)
            continue
        set_attributes(callback, {name: state[name] for name in _attributes(callback) if name in state})


def unknown_states(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Names of the callbacks that seem to remember something which no checkpoint can know."""
    unknown = []
    for callback in callbacks:
        known = isinstance(callback, (Observer, Stateful, *STATELESS)) or _attributes(callback)
        if not known and set(vars(callback)) - BASE_ATTRIBUTES:
            unknown.append(type(callback).__name__)
    return unknown


def _attributes(callback: keras.callbacks.Callback) -> tuple[str, ...]:
    found = [names for kind, names in KERAS_ATTRIBUTES.items() if isinstance(callback, kind)]
    return found[0] if found else ()


def _plain(value: Any) -> Any:
    """A copy of a value as a checkpoint takes it."""
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    array = np.array(keras.ops.convert_to_numpy(value))
    return array.item() if array.ndim == 0 else array
