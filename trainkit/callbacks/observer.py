"""What a run is at one moment, in one object, and what its observers are."""

from __future__ import annotations

import keras


class Observer(keras.callbacks.Callback):
    """A callback that only reads `logs`.

    The trainer may run many epochs in one compiled program and tell an observer of them afterwards, in order (the model then
    already has later weights), and calls its `on_train_batch_end` a few times a second at the most. `params["record"]` holds the
    epoch's step, learning rate and times. An observer that must see the model after certain epochs says so by `due`.
    """

    def due(self, epoch: int) -> bool:
        """Whether a call of several epochs must end with `epoch` (1-based), because this observer wants the model of that moment."""
        return False
