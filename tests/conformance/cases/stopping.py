"""`model.stop_training`, and what a hook raises, from each hook."""

from __future__ import annotations

from functools import partial
from typing import Any

import tensorflow as tf
from keras.callbacks import LambdaCallback

from tests.conformance.cases.hooks import BATCHES, ENDS, INDEXED
from tests.conformance.parts import VALIDATION, X, Y, dense, fit
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("stopping")


def stops_in(hook: str, record: str | None, side: Side) -> None:
    """Where it is set decides what else is called: the rest of an epoch is left out, its end is not."""

    def stop(*_: Any, logs: Any = None) -> None:
        model.stop_training = True

    model = dense(metrics=["mae"])
    callback = LambdaCallback(**{hook: stop})
    fit(side, model, callbacks=[callback], epochs=3, validation_data=VALIDATION, record=record)
    if hook in ("on_train_begin", "on_epoch_begin"):
        assert int(model.optimizer.iterations) == 1, "Keras trains one batch before it looks"


for hook in INDEXED + BATCHES + ENDS:
    case.add(f"in_{hook}", partial(stops_in, hook, "batches"))
case.add("in_on_epoch_end_unobserved", partial(stops_in, "on_epoch_end", None))
case.add("in_on_epoch_begin_unobserved", partial(stops_in, "on_epoch_begin", None))


@case
def in_the_middle_of_an_epoch(side: Side) -> None:
    """Validation still runs, and the epoch is logged."""

    def stop(batch: int, logs: Any) -> None:
        if batch == 1 and len(model.history.epoch if hasattr(model, "history") else []) == 1:
            model.stop_training = True

    model = dense()
    callback = LambdaCallback(on_train_batch_end=stop)
    history = fit(side, model, callbacks=[callback], epochs=4, validation_data=VALIDATION, record="batches")
    assert history.epoch == [0, 1]


@case
def within_an_epoch_leaves_the_metrics_of_its_validation(side: Side) -> None:
    def stop(batch: int, logs: Any) -> None:
        model.stop_training = True

    model = dense(metrics=["mae"])
    callback = LambdaCallback(on_train_batch_end=stop)
    fit(side, model, callbacks=[callback], validation_data=VALIDATION)
    side.note("metrics", {name: float(value) for name, value in model.get_metrics_result().items()})


def ends_the_epoch_in(hook: str, side: Side) -> None:
    """What a batch hook raises as the end of an iterator, Keras takes for the end of the rows."""

    def end(batch: int, logs: Any) -> None:
        if batch == 1:
            raise StopIteration

    callback = LambdaCallback(**{hook: end})
    history = fit(side, dense(), callbacks=[callback], epochs=3, validation_data=VALIDATION, record="batches")
    assert history.epoch == [0, 1, 2]


for hook in ("on_train_batch_begin", "on_train_batch_end"):
    case.add(f"of_an_epoch_by_stop_iteration_in_{hook}", partial(ends_the_epoch_in, hook))


@case
def and_then_training_on(side: Side) -> None:
    """A new training takes the wish back."""

    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = epoch == 1

    model = dense()
    fit(side, model, callbacks=[LambdaCallback(on_epoch_end=stop)], epochs=4)
    fit(side, model, epochs=2)


@case
def taken_back_in_the_same_epoch(side: Side) -> None:
    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = True

    def go_on(epoch: int, logs: Any) -> None:
        model.stop_training = False

    model = dense()
    both = [LambdaCallback(on_epoch_end=stop), LambdaCallback(on_epoch_end=go_on)]
    fit(side, model, callbacks=both, epochs=3)


@case
def set_before_the_training(side: Side) -> None:
    model = dense()
    model.stop_training = True
    fit(side, model)


@case
def of_an_evaluation(side: Side) -> None:
    """`stop_evaluating` ends a validation early."""

    def stop(batch: int, logs: Any) -> None:
        model.stop_evaluating = True

    model = dense()
    fit(
        side,
        model,
        callbacks=[LambdaCallback(on_test_batch_end=stop)],
        validation_data=VALIDATION,
        record="batches",
    )


@case
def with_an_endless_dataset(side: Side) -> None:
    """Without `steps_per_epoch` an epoch has no end but this."""

    def stop(batch: int, logs: Any) -> None:
        model.stop_training = batch == 4

    model = dense()
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).repeat()
    callbacks = [LambdaCallback(on_train_batch_end=stop)]
    fit(side, model, data, None, batch_size=None, callbacks=callbacks, record="batches")


class Oops(Exception):
    """What a user's hook raises."""


def raises_in(hook: str, side: Side) -> None:
    """It reaches the caller as it is; the model stays as the training left it, and trains on."""

    def fail(*_: Any, logs: Any = None) -> None:
        raise Oops(f"in {hook}")

    model = dense(metrics=["mae"])
    try:
        fit(
            side,
            model,
            callbacks=[LambdaCallback(**{hook: fail})],
            validation_data=VALIDATION,
            record="batches",
        )
    except Oops as oops:
        side.note("raised", str(oops))
    else:
        raise AssertionError(f"{hook} raised, and nobody was told")
    side.note_model(model)
    fit(side, model, epochs=1)


for hook in ("on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_test_batch_end", "on_epoch_end"):
    case.add(f"by_raising_in_{hook}", partial(raises_in, hook))
case.add("by_raising_in_on_train_end", partial(raises_in, "on_train_end"))


@case
def by_the_keyboard(side: Side) -> None:
    """An interrupt is not an `Exception`, and goes through as well."""

    def interrupt(batch: int, logs: Any) -> None:
        if batch == 1:
            raise KeyboardInterrupt

    model = dense()
    try:
        fit(side, model, callbacks=[LambdaCallback(on_train_batch_end=interrupt)])
    except KeyboardInterrupt:
        side.note("interrupted", True)
    side.note_model(model)
    assert int(model.optimizer.iterations) == 2


@case
def by_data_that_fail(side: Side) -> None:
    """A generator that raises ends the training, with what it raised in the message."""

    def rows() -> Any:
        yield X[:4], Y[:4]
        yield X[4:8], Y[4:8]
        raise Oops("no more rows")

    model = dense()
    side.refuses(lambda: fit(side, model, rows(), None, batch_size=None, epochs=1))
    assert "no more rows" in str(side.refusals[0])
