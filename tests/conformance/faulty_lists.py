"""`model.fit` with one fault each in how it drives its callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras.callbacks import CallbackList, History

from tests.conformance.candidate import Fit
from tests.conformance.faults import Faults

__all__ = ["LIST_FAULTS", "driven"]

# Each fault with the case that has to find it.
LIST_FAULTS: Faults = {}


def driven(kind: type[CallbackList]) -> Fit:
    """`model.fit` whose callbacks are driven by `kind`, with the parameters that Keras gives its own list."""

    def fit(model: keras.Model, x: Any = None, y: Any = None, **given: Any) -> History:
        size = given.get("batch_size") or 32
        steps = given.get("steps_per_epoch") or math.ceil(len(x) / size)
        params = {"verbose": given.get("verbose", 1), "epochs": given.get("epochs", 1), "steps": steps}
        given["callbacks"] = kind(given.get("callbacks"), add_history=True, model=model, **params)
        return model.fit(x, y, **given)

    return fit


def by_list(case: str) -> Callable[[type[CallbackList]], type[CallbackList]]:
    """A fault in how callbacks are driven."""

    def add(kind: type[CallbackList]) -> type[CallbackList]:
        LIST_FAULTS[kind.__name__] = (driven(kind), case)
        return kind

    return add


@by_list("sequences.stateful_rnn")
class ForgetsStateBetweenEpochs(CallbackList):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for layer in self.model.layers:
            if getattr(layer, "stateful", False):
                layer.reset_state()
        super().on_epoch_begin(epoch, logs)


@by_list("hooks.only_on_epoch_end_of_the_instance")
class CallsAHookTwice(CallbackList):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, dict(logs or {}))
        super().on_epoch_end(epoch, logs)


@by_list("hooks.of_the_instance")
class CallsNoBatchOfATest(CallbackList):
    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Nothing is called."""


@by_list("architectures.sequential")
class CountsBatchesFromOne(CallbackList):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch + 1, logs)


@by_list("architectures.sequential")
class CallsBatchesAtAnEpochsEnd(CallbackList):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.late: list[tuple[int, Any]] = []
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.late.append((batch, None))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.late[-1] = (batch, dict(logs))

    def on_test_begin(self, logs: Any = None) -> None:
        for batch, seen in self.late:
            super().on_train_batch_begin(batch)
            super().on_train_batch_end(batch, seen)
        super().on_test_begin(logs)


@by_list("changes.write_into_the_epochs_logs")
class CopiesTheLogs(CallbackList):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, {k: float(v) for k, v in (logs or {}).items()})


@by_list("stopping.in_on_train_batch_end")
class HearsAStopAtTheEpochsEnd(CallbackList):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_train_batch_end(batch, logs)
        self.wished = self.model.stop_training
        self.model.stop_training = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.model.stop_training = self.wished
        super().on_epoch_end(epoch, logs)


@by_list("hooks.set_model_and_set_params")
class KnowsNoSteps(CallbackList):
    def set_params(self, params: Any) -> None:
        super().set_params(params | {"steps": None} if params else params)


@by_list("writers.a_backup_each_epoch")
class TrainsRestoredEpochsAgain(CallbackList):
    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        self.model._initial_epoch = None


@by_list("changes.change_the_rate_of_each_batch")
class KeepsTheFirstRate(CallbackList):
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        super().on_train_batch_begin(batch, logs)
        self.model.optimizer.learning_rate = rate
