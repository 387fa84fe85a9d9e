"""What callbacks change: logs, rates, flags, weights; and what they read on the model."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from keras import layers
from keras.callbacks import LambdaCallback

from tests.conformance.cases.hooks import noting
from tests.conformance.parts import VALIDATION, X, dense, fit
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("changes")


@case
def write_into_the_epochs_logs(side: Side) -> None:
    """One dict goes through all callbacks and into the history."""

    def write(epoch: int, logs: dict[str, Any]) -> None:
        logs["score"] = 10.0 - epoch
        logs["val_text"] = f"epoch {epoch}"
        del logs["mae"]
        logs["loss"] = -1.0

    writes = LambdaCallback(on_epoch_end=write)
    reads = noting(side, ["on_epoch_end"], "later")
    reads_first = noting(side, ["on_epoch_end"], "earlier")
    history = fit(side, dense(metrics=["mae"]), callbacks=[reads_first, writes, reads])
    assert history.history.get("score") == [10.0, 9.0]
    assert "mae" not in history.history


@case
def write_into_a_batchs_logs(side: Side) -> None:
    """Later callbacks of the batch see it; the epoch does not."""

    def write(batch: int, logs: dict[str, Any]) -> None:
        logs["written"] = 1.0

    writes = LambdaCallback(on_train_batch_end=write)
    history = fit(side, dense(), callbacks=[writes], record="batches")
    assert "written" not in history.history


@case
def write_into_the_logs_of_a_test(side: Side) -> None:
    def write(logs: dict[str, Any]) -> None:
        logs["written"] = 1.0

    writes = LambdaCallback(on_test_end=write)
    fit(side, dense(), callbacks=[writes], validation_data=VALIDATION, record="batches")


@case
def change_the_rate_at_the_start(side: Side) -> None:
    def change(logs: Any) -> None:
        model.optimizer.learning_rate = 0.003

    model = dense()
    fit(side, model, callbacks=[LambdaCallback(on_train_begin=change)])


@case
def change_the_rate_of_each_batch(side: Side) -> None:
    def change(batch: int, logs: Any) -> None:
        model.optimizer.learning_rate = 0.1 / (1 + batch)

    model = dense()
    fit(side, model, callbacks=[LambdaCallback(on_train_batch_begin=change)], record="batches")


@case
def freeze_a_layer_at_the_start(side: Side) -> None:
    """The program is traced afterwards."""

    def freeze(logs: Any) -> None:
        model.layers[0].trainable = False

    model = dense(layers.BatchNormalization())
    before = np.array(model.layers[0].kernel)
    fit(side, model, callbacks=[LambdaCallback(on_train_begin=freeze)])
    assert np.array_equal(before, np.array(model.layers[0].kernel))


@case
def freeze_a_layer_in_mid_training(side: Side) -> None:
    """Too late: the program that was traced goes on as it is."""

    def freeze(epoch: int, logs: Any) -> None:
        model.layers[0].trainable = False

    model = dense()
    fit(side, model, callbacks=[LambdaCallback(on_epoch_end=freeze)])


@case
def set_weights(side: Side) -> None:
    def halve(*_: Any, logs: Any = None) -> None:
        model.set_weights([0.5 * w for w in model.get_weights()])

    model = dense(layers.BatchNormalization())
    shown = LambdaCallback(on_train_batch_end=halve, on_epoch_begin=halve)
    fit(side, model, callbacks=[shown], validation_data=VALIDATION, record="batches")


@case
def set_weights_at_an_epochs_end(side: Side) -> None:
    def halve(*_: Any) -> None:
        model.set_weights([0.5 * w for w in model.get_weights()])

    model = dense()
    fit(side, model, callbacks=[LambdaCallback(on_epoch_end=halve)], validation_data=VALIDATION, epochs=3)


@case
def set_weights_around_a_test(side: Side) -> None:
    def scale(by: float, logs: Any) -> None:
        model.set_weights([by * w for w in model.get_weights()])

    model = dense()
    shown = LambdaCallback(on_test_begin=partial(scale, 0.5), on_test_end=partial(scale, 2.0))
    fit(side, model, callbacks=[shown], validation_data=VALIDATION)


@case
def reset_the_optimizer(side: Side) -> None:
    def reset(epoch: int, logs: Any) -> None:
        for variable in model.optimizer.variables[2:]:
            variable.assign(0.0 * variable)
        model.optimizer.iterations.assign(100)

    model = dense()
    fit(side, model, callbacks=[LambdaCallback(on_epoch_begin=reset)], record="batches")


@case
def evaluate_and_predict(side: Side) -> None:
    """At an epoch's end it disturbs nothing."""

    def use(epoch: int, logs: dict[str, Any]) -> None:
        logs["extra"] = model.evaluate(*VALIDATION, verbose=0, return_dict=True)["mae"]
        side.note("predicted", model.predict(X, verbose=0))

    model = dense(layers.Dropout(0.3), metrics=["mae"])
    fit(side, model, callbacks=[LambdaCallback(on_epoch_end=use)], validation_data=VALIDATION)


@case
def evaluate_after_each_batch(side: Side) -> None:
    """Evaluation resets the metrics of the epoch under way, so that its logs count from there."""

    def use(batch: int, logs: Any) -> None:
        side.note("evaluated", model.evaluate(*VALIDATION, verbose=0, return_dict=True))

    model = dense(metrics=["mae"])
    fit(side, model, callbacks=[LambdaCallback(on_train_batch_end=use)], record="batches")


@case
def read_metrics(side: Side) -> None:
    """`get_metrics_result` is up to date in every hook."""

    def read(*_: Any, logs: Any = None) -> None:
        side.note("metrics", {k: float(v) for k, v in model.get_metrics_result().items()})

    model = dense(metrics=["mae"])
    hooks = ["on_train_batch_end", "on_epoch_end", "on_test_batch_end", "on_test_end"]
    fit(side, model, callbacks=[LambdaCallback(**dict.fromkeys(hooks, read))], validation_data=VALIDATION)


@case
def read_metrics_at_an_epochs_end(side: Side) -> None:
    """After a validation they are the validation's."""

    def read(epoch: int, logs: Any) -> None:
        side.note("metrics", {k: float(v) for k, v in model.get_metrics_result().items()})

    model = dense(metrics=["mae"])
    fit(side, model, callbacks=[LambdaCallback(on_epoch_end=read)], record=None)
    fit(side, model, callbacks=[LambdaCallback(on_epoch_end=read)], validation_data=VALIDATION, record=None)
