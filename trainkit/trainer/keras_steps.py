"""Steps by Keras's own train function, for `trainkit.fit(..., exact=True)`.

TensorFlow rewrites a graph before it runs, and not in the same way inside of a loop as outside of one, so the
same step is rounded otherwise in the last bit within our program. Where equal bits are asked for, the loop is
ours and each step is Keras's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend.precision import learning_rate
from trainkit.checkpoint.train_state import TrainState
from trainkit.core.logs import EpochLogs
from trainkit.engine.inputs import EpochShape
from trainkit.engine.log_layout import flat_logs, owners_of
from trainkit.trainer.batch_feed import ExecutionFeed
from trainkit.trainer.keras_batches import KerasBatches
from trainkit.trainer.windows import Window

__all__ = ["KerasFeed"]


class KerasFeed(ExecutionFeed):
    """Gives Keras's train function the iterator that it reads its batches from.

    Args:
        batches: The rows.
        state: The training.
    """

    def __init__(self, batches: KerasBatches, state: TrainState) -> None:
        super().__init__(batches)
        self.state = state
        state.model.make_train_function()  # once, as in model.fit
        self._logs: Mapping[str, Any] = {}

    def window(self, epoch: int, start: int) -> Window | None:
        if not self.has_step(epoch, start):
            return None
        steps = self._numbers[1] + 1 - self._numbers[0]
        none = tf.zeros([1, 1], tf.int32)
        return Window((), none, start, start + steps, EpochShape(1, steps), start, direct=True)

    def train(self) -> EpochLogs | None:
        """Run the train function once; None: the rows have ended."""
        model = self.state.model
        self._due = False
        found = False
        with self.batches.iterator.catch_stop_iteration():
            self._logs = model.train_function(self.batches.current)
            found = True
        self.state.relist()  # the first step may have built the model and its optimizer
        return self.results(self._logs) if found else None

    def results(self, logs: Mapping[str, Any] | None = None) -> EpochLogs:
        """What a step logged; None: what the metrics say by now, if they are what steps log."""
        model = self.state.model
        if logs is None:
            metrics = model.get_metrics_result()
            same = isinstance(self._logs, Mapping) and set(metrics) == set(self._logs)
            logs = metrics if same else self._logs
        rate = learning_rate(model.optimizer)
        train = {name: _number(value) for name, value in flat_logs(logs).items()}
        number = None if rate is None else _number(rate)
        return EpochLogs(train=train, learning_rate=number, owners=owners_of(logs))


def _number(value: Any) -> Any:
    """A logged value as Keras hands it to callbacks: a float where it is one number."""
    try:
        value = keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value
        value = keras.ops.convert_to_numpy(value) if isinstance(value, keras.Variable) else value
        return float(value)
    except (TypeError, ValueError):
        return value
