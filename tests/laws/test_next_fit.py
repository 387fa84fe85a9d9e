"""What a model and a trainer keep of a training for the next one, and what they do not."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import keras
import numpy as np

import trainkit as tk
from tests.support.toys import Toy
from trainkit.config import OptimizerConfig
from trainkit.core.datasets import Splits
from trainkit.trainer.trainer import Trainer

X = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(10, 2)).astype("float32")


def dense(optimizer: str) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer, "mse")
    return model


def test_a_model_keeps_no_rows_of_its_training() -> None:
    model, x, held = dense("sgd"), X.copy(), X.copy()
    rows = [weakref.ref(x), weakref.ref(held)]
    tk.fit(model, x, Y, validation_data=(held, Y), verbose=0)
    del x, held
    gc.collect()
    assert [known() for known in rows] == [None, None]
    tk.fit(model, X, Y, validation_data=(X, Y), verbose=0)


def test_the_programs_of_a_model_go_with_it() -> None:
    model = dense("sgd")
    tk.fit(model, X, Y, verbose=0)
    known = weakref.ref(model)
    del model
    gc.collect()
    assert known() is None


def test_what_is_set_on_a_trainer_counts_from_the_next_fit_on() -> None:
    def losses(trainer: Trainer, task: Toy) -> list[float]:
        return list(trainer.fit(task).history["loss"])

    task, slow = Toy(), OptimizerConfig(name="sgd", learning_rate=1e-6)
    expected = losses(Trainer(epochs=1, batch_size=16, execution="step", seed=9, optimizer=slow), task)
    trainer = Trainer(epochs=1, batch_size=8, execution="step")
    trainer.prepare(task)
    trainer.config = replace(trainer.config, batch_size=16, seed=9)
    trainer.optimizer = slow
    assert losses(trainer, task) == losses(trainer, task) == expected
    trainer.optimizer = None
    assert losses(trainer, task) != expected


def test_given_rows_stay_those_of_the_task_when_another_was_looked_at() -> None:
    task, other = Toy(), Toy()
    half = task.data().train.take(np.arange(32))
    trainer = Trainer(epochs=1, batch_size=8, execution="step")
    trainer.fit(task, data=Splits(half, half))
    trainer.evaluate(other, split="train")
    trainer.fit(task)
    assert trainer.setup.source.rows == 32
    trainer.prepare(task)
    assert trainer.setup.source.rows > 32
