"""When `fit` calls which hook, with what."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras.callbacks import Callback, CallbackList, History, LambdaCallback

from tests.conformance.parts import VALIDATION, X, Y, compiled, dense, fit
from tests.conformance.recorder import BatchRecorder, EpochRecorder
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("hooks")

INDEXED = ["on_epoch_begin", "on_epoch_end"]
BATCHES = ["on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin", "on_test_batch_end"]
ENDS = ["on_train_begin", "on_train_end", "on_test_begin", "on_test_end"]


def noting(side: Side, hooks: list[str], who: str) -> LambdaCallback:
    """A callback with `hooks` set on the instance; each notes its call."""

    def noted(hook: str) -> Callable[..., None]:
        if hook in ENDS:
            return lambda logs: side.note(f"{who}.{hook}", logs)
        if hook in BATCHES:
            return lambda batch, logs: side.note(f"{who}.{hook}", (batch, logs))
        return lambda epoch, logs: side.note(f"{who}.{hook}", (epoch, logs))

    return LambdaCallback(**{hook: noted(hook) for hook in hooks})


@case
def of_several_callbacks(side: Side) -> None:
    """Each hook of all callbacks before the next hook of any."""
    two = [BatchRecorder(partial(who_notes, side, who)) for who in ("first", "second")]
    fit(side, dense(metrics=["mae"]), callbacks=two, validation_data=VALIDATION)


def who_notes(side: Side, who: str, hook: str, value: Any) -> None:
    side.note(f"{who}.{hook}", value)


@case
def of_the_instance(side: Side) -> None:
    shown = noting(side, INDEXED + BATCHES + ENDS, "lambda")
    fit(side, dense(metrics=["mae"]), callbacks=[shown], validation_data=VALIDATION)


for hook in INDEXED + BATCHES + ENDS:

    def alone(name: str, side: Side) -> None:
        """Nothing else asks for batches."""
        shown = noting(side, [name], "lambda")
        fit(side, dense(), callbacks=[shown], validation_data=VALIDATION, record=None)

    case.add(f"only_{hook}_of_the_instance", partial(alone, hook))


@case
def set_on_the_instance_by_hand(side: Side) -> None:
    quiet = Callback()
    quiet.on_train_batch_end = lambda batch, logs=None: side.note("by hand", (batch, logs))
    fit(side, dense(), callbacks=[quiet], record=None)


@case
def by_their_old_names(side: Side) -> None:
    """`on_batch_begin` and `on_batch_end` are called for training batches alone."""

    class Old(Callback):
        def on_batch_begin(self, batch: int, logs: Any = None) -> None:
            side.note("on_batch_begin", (batch, logs))

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            side.note("on_batch_end", (batch, logs))

    fit(side, dense(), callbacks=[Old()], validation_data=VALIDATION, record=None)


@case
def of_a_callback_that_sets_none(side: Side) -> None:
    fit(side, dense(), callbacks=[Callback()], validation_data=VALIDATION, record=None)


@case
def set_model_and_set_params(side: Side) -> None:
    """Both come before `on_train_begin`; `params` has steps, epochs and verbosity."""

    class Told(Callback):
        def set_model(self, model: keras.Model) -> None:
            super().set_model(model)
            side.note("set_model", type(model).__name__)

        def set_params(self, params: dict[str, Any]) -> None:
            super().set_params(params)
            side.note("set_params", params)

        def on_train_begin(self, logs: Any = None) -> None:
            side.note("params", self.params)
            side.note("model", self.model is model)

    model = dense()
    fit(side, model, callbacks=[Told()], record=None)
    fit(side, model, callbacks=[Told()], steps_per_epoch=2, epochs=3, record=None)


@case
def with_logs_for_this_batch_on(side: Side) -> None:
    """A batch's logs are the means since the epoch's start."""
    seen: list[float] = []
    shown = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    history = fit(side, dense(optimizer=keras.optimizers.SGD(0.0)), callbacks=[shown], epochs=1)
    side.note("losses", seen)
    assert seen[-1] == history.history["loss"][0]


@case
def of_nested_lists(side: Side) -> None:
    notes = [EpochRecorder(partial(who_notes, side, who)) for who in "abc"]
    model = dense()
    nested = [notes[0], [notes[1], (notes[2],)]]
    history = side.train(model, X, Y, batch_size=4, epochs=2, verbose=0, shuffle=False, callbacks=nested)
    side.note_training(model, history)


@case
def of_one_callback_without_a_list(side: Side) -> None:
    model = dense()
    alone = EpochRecorder(side.note)
    history = side.train(model, X, Y, batch_size=4, epochs=2, verbose=0, shuffle=False, callbacks=alone)
    side.note_training(model, history)


@case
def of_a_callback_list(side: Side) -> None:
    """`fit` takes it as it is: with its own parameters, and with a history only if it has one."""
    model = dense()
    own = CallbackList(
        [BatchRecorder(side.note)], add_history=True, model=model, epochs=7, steps=9, verbose=3
    )
    history = side.train(model, X, Y, batch_size=4, epochs=2, verbose=0, shuffle=False, callbacks=own)
    side.note_training(model, history)


@case
def of_the_users_own_history(side: Side) -> None:
    """`fit` returns it, with all epochs that it has seen."""
    mine = History()
    model = dense(metrics=["mae"])
    assert fit(side, model, callbacks=[mine]) is mine
    assert fit(side, model, callbacks=[mine], epochs=4, initial_epoch=2) is mine
    assert len(mine.history["loss"]) == 4


@case
def of_one_callback_in_two_trainings(side: Side) -> None:
    shown = noting(side, [*INDEXED, "on_train_begin", "on_train_end"], "same")
    model = dense()
    fit(side, model, callbacks=[shown])
    fit(side, model, callbacks=[shown], epochs=1)


@case
def in_steps_of_several(side: Side) -> None:
    """With `steps_per_execution` a hook is called once for several batches, with the last one's index."""
    model = dense(steps_per_execution=2, metrics=["mae"])
    fit(side, model, batch_size=2, validation_data=VALIDATION, record="batches")


@case
def in_steps_that_do_not_divide_the_epoch(side: Side) -> None:
    """The last hook's index goes beyond the batches that there are."""
    ends: list[int] = []
    shown = LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(batch))
    model = dense(steps_per_execution=3)
    fit(side, model, batch_size=2, callbacks=[shown], validation_data=VALIDATION, record="batches")
    assert ends == [2, 5] * 2


@case
def of_a_training_that_is_eager(side: Side) -> None:
    fit(side, compiled(dense(), run_eagerly=True), validation_data=VALIDATION, record="batches")
