"""A step that is not finite is found, named, left out or undone; and nothing else of the training changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from tests.support.training import difference, fit, fit_again
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.data.order import order
from trainkit.trainer import step_guard

MODES = ["epoch", "epoch_xla", "step"]
POISON = 1e30  # a value that no other row has


@dataclass(frozen=True)
class Poisoned(Toy):
    """The loss of one training row is NaN, once in each epoch."""

    row: int = 40

    def data(self) -> Splits:
        splits = super().data()
        x = splits.train.x.copy()
        x[self.row] = POISON
        return replace(splits, train=replace(splits.train, x=x))

    def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
        x, y = batch
        bad = tf.reduce_any(x >= POISON)
        outputs = model(tf.where(x >= POISON, 0.0, x), training=training)
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, outputs))
        return loss * tf.where(bad, math.nan, 1.0), outputs


@dataclass(frozen=True)
class Without(Poisoned):
    """The same, but the rows of the bad batch are not poisoned: they weigh nothing in the loss."""

    def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
        x, y = batch
        outputs = model(tf.where(x >= POISON, 0.0, x), training=training)
        return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, outputs)), outputs


def bad_step(task: Poisoned, seed: int = 0, epoch: int = 0, size: int = 16) -> int:
    """The step of the epoch that reads the poisoned row."""
    return int(np.flatnonzero(order(seed, epoch, task.n) == task.row)[0]) // size


@pytest.mark.slow_but_first
@pytest.mark.parametrize("execution", MODES)
def test_stop_names_step_rows_and_gradient(execution: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_guard, "COST_FACTOR", 0.0)  # a copy before each call, however short it is
    task = Poisoned(dropout=0.2, batch_norm=True)
    step = bad_step(task)
    with pytest.raises(UserError) as raised:
        fit(task, execution=execution, epochs=4)
    text = str(raised.value)
    assert f"step {step + 1} (step {step + 1} of epoch 1)" in text
    assert " 41" in text  # rows count from 1 in messages
    assert "of the training rows" in text
    assert "the gradient of" in text or (execution == "step" and "variable" in text)


@pytest.mark.slow
@pytest.mark.parametrize("execution", MODES)
def test_skip_equals_a_training_without_the_step(execution: str) -> None:
    """Weights, slots, seeds, averages and metrics are as if the batch were not there."""
    task = Poisoned(dropout=0.2, batch_norm=True)
    skipping, history = fit(task, execution=execution, on_nonfinite="skip")
    assert skipping.state.skipped == 3
    assert skipping.state.step == 15
    assert int(skipping.model.optimizer.iterations.numpy()) == 12
    assert all(math.isfinite(loss) for loss in history["loss"])
    by_hand, _ = fit(
        Without(dropout=0.2, batch_norm=True),
        execution="step_xla" if execution == "epoch_xla" else "step",
        on_nonfinite="skip",
        callbacks=[LeaveOut(task)],
    )
    assert difference(skipping, by_hand) < 1e-6


class LeaveOut(keras.callbacks.Callback):
    """Undoes the step of each epoch that reads the poisoned row."""

    def __init__(self, task: Poisoned) -> None:
        super().__init__()
        self.task = task
        self.epoch = 0

    def _variables(self) -> list[Any]:
        model = self.model
        return [*model.variables, *model.optimizer.variables, *model.metrics_variables]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == 0:
            self.model.reset_metrics()
        self.before = [v.numpy() for v in self._variables()]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == bad_step(self.task, epoch=self.epoch):
            for variable, value in zip(self._variables(), self.before, strict=True):
                variable.assign(value)


@pytest.mark.slow
def test_skip_resumes_bit_for_bit(tmp_path: Path) -> None:
    task = Poisoned(dropout=0.2)
    saver = Checkpoints(tmp_path, "val_loss", every_epochs=2, pattern="{epoch}")
    whole, _ = fit(task, epochs=4, on_nonfinite="skip", callbacks=[saver])
    rest, _ = fit(task, epochs=4, on_nonfinite="skip", resume=tmp_path / "2")
    assert difference(whole, rest) == 0.0
    assert rest.state.skipped == whole.state.skipped == 4


@pytest.mark.slow
def test_restore_passes_the_step_over_and_gives_up_after_some_times() -> None:
    task = Poisoned()
    with pytest.warns(UserWarning, match="the step is passed over"):
        trainer, history = fit(task, epochs=2, on_nonfinite="restore", max_restores=2)
    assert trainer.state.skipped == 2
    assert all(math.isfinite(loss) for loss in history["loss"])
    with pytest.warns(UserWarning, match="passed over"), pytest.raises(UserError, match="not finite"):
        fit(task, epochs=3, on_nonfinite="restore", max_restores=2)


@pytest.mark.slow
def test_restore_cuts_the_rate_until_the_training_is_finite() -> None:
    @dataclass(frozen=True)
    class Diverges(Toy):
        def model(self, train: Any) -> keras.Model:
            return keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])

        def optimizer(self) -> keras.optimizers.Optimizer:
            return keras.optimizers.SGD(1e3)

        def loss(self) -> Any:
            return keras.losses.MeanSquaredError()

        def metrics(self) -> list[Any]:
            return []

    with pytest.raises(UserError, match="not finite"):
        fit(Diverges(), epochs=5)
    with pytest.warns(UserWarning, match="learning rate is multiplied by 1e-06"):
        trainer, _ = fit(Diverges(), epochs=5, on_nonfinite="restore", restore_rate=1e-6, max_restores=3)
    assert float(trainer.model.optimizer.learning_rate.numpy()) < 1e4
    assert trainer.state.is_finite()


@pytest.mark.parametrize("execution", ["epoch", "step"])
def test_a_model_that_is_not_finite_is_never_the_best_nor_completed(execution: str, tmp_path: Path) -> None:
    """Its accuracy is finite, and so it could be."""
    keeper = Checkpoints(tmp_path, "val_accuracy")
    trainer, _ = fit(Poisoned(), execution=execution, on_nonfinite="ignore", callbacks=[keeper])
    assert keeper.best_epoch == 0
    assert not (tmp_path / "best").exists()
    assert trainer.report().status == "failed"


@pytest.mark.slow
def test_looking_does_not_change_a_training() -> None:
    watched, _ = fit(Toy(dropout=0.3, batch_norm=True))
    ignored, _ = fit(Toy(dropout=0.3, batch_norm=True), on_nonfinite="ignore")
    assert difference(watched, ignored) == 0.0


@pytest.mark.parametrize("by_batch", [False, True])
def test_an_epoch_without_a_trained_step_logs_nan_and_is_never_the_best(
    by_batch: bool, tmp_path: Path
) -> None:
    """Its metrics have counted nothing, which is not a loss of 0."""
    task = Poisoned(n=16, row=5)  # one step per epoch
    keeper = Checkpoints(tmp_path, "loss")
    seen: list[float] = []
    hook = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: seen.append(logs["loss"]))
    callbacks = [keeper, hook] if by_batch else [keeper]
    trainer, history = fit(task, epochs=2, on_nonfinite="skip", callbacks=callbacks)
    assert np.isnan([*history["loss"], *history["accuracy"]]).all()
    assert np.isfinite(seen).all()
    assert np.isfinite(history["val_loss"]).all()
    assert keeper.best_epoch == 0
    assert trainer.report().status == "failed"
    assert trainer.model.optimizer.iterations.numpy() == 0
    fit_again(trainer, task, resume=tmp_path / "last")  # nothing is left to train
    assert trainer.report().status == "failed"


@pytest.mark.parametrize("policy", ["skip", "restore"])
def test_a_first_step_that_is_left_out_ends_no_training_that_looks_for_nan(policy: str) -> None:
    task = Poisoned()
    task = replace(task, row=int(order(0, 0, task.n)[0]))
    stops = keras.callbacks.TerminateOnNaN()
    trainer, history = fit(task, on_nonfinite=policy, callbacks=[stops])
    assert len(history["loss"]) == trainer.config.epochs
    assert np.isfinite(history["loss"]).all()
    assert trainer.report().status == "completed"


def test_a_validation_loss_that_is_not_finite_is_never_the_best_but_fails_no_training(tmp_path: Path) -> None:
    class Bad(Toy):
        def data(self) -> Splits:
            splits = super().data()
            assert isinstance(splits.validation, Arrays)
            return replace(splits, validation=replace(splits.validation, x=splits.validation.x * 1e38))

    keeper = Checkpoints(tmp_path, "val_loss")
    trainer, history = fit(Bad(), epochs=1, allow_nonfinite=True, callbacks=[keeper])
    assert not np.isfinite(history["val_loss"]).any()
    assert keeper.best_epoch == 0
    assert trainer.report().status == "completed"
