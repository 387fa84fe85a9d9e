"""A training seeds the global generators of random numbers, and gives them back as they were."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy, rows
from trainkit.core.errors import UserError
from trainkit.estimators import TrainkitClassifier
from trainkit.trainer.assembly import ONE_AT_A_TIME
from trainkit.trainer.trainer import Trainer

X, Y = rows(40)


def drawn() -> list[float]:
    """The next number of each global generator."""
    of_tensorflow = [float(tf.random.uniform(())), float(keras.random.uniform(()))]
    return [random.random(), np.random.uniform(), *of_tensorflow]


class Calls(keras.callbacks.Callback):
    """Calls something when a training begins, and keeps what it returns."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__()
        self.function = function
        self.results: list[Any] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.results.append(self.function())


def new(*callbacks: keras.callbacks.Callback, **settings: Any) -> Trainer:
    return Trainer(epochs=1, batch_size=16, execution="step", callbacks=callbacks, **settings)


def two_in_threads() -> None:
    """The first to begin ends last."""
    within, over = threading.Event(), threading.Event()
    first = new(Calls(lambda: (within.set(), over.wait(60))))
    thread = threading.Thread(target=first.fit, args=(Toy(),))
    thread.start()
    within.wait(60)
    new().fit(Toy())
    over.set()
    thread.join()


TRAININGS = {
    "prepare": lambda: new().prepare(Toy()),
    "predict": lambda: new().predict(task=Toy()),
    "model.fit": lambda: new(engine="keras").fit(Toy()),
    "a fit in a callback": lambda: new(Calls(lambda: new().fit(Toy()))).fit(Toy()),
    "an estimator": lambda: TrainkitClassifier(units=(4,), epochs=1, random_state=0).fit(X, Y),
    "two in threads": two_in_threads,
}


@pytest.mark.parametrize("training", TRAININGS)
def test_a_training_leaves_the_global_generators_as_they_were(training: str) -> None:
    keras.utils.set_random_seed(5)
    before, expected = drawn(), drawn()
    keras.utils.set_random_seed(5)
    assert drawn() == before
    TRAININGS[training]()
    assert drawn() == expected


def test_a_training_draws_from_its_own_seed_however_it_is_begun() -> None:
    """With or without `prepare`, and again by the same trainer, whatever was drawn in between."""
    seen = Calls(lambda: [random.random(), np.random.uniform()])
    task = Toy()
    again = new(seen)
    prepared = new(seen)
    prepared.prepare(task)
    for trainer in (again, again, prepared):
        drawn()
        trainer.fit(task)
    assert seen.results[0] == seen.results[1] == seen.results[2]


def test_estimators_build_models_one_at_a_time() -> None:
    """Models that are built at the same time would take each other's numbers."""
    alone = []

    def model(features: int, outputs: int) -> keras.Model:
        with ThreadPoolExecutor(1) as other:
            alone.append(not other.submit(ONE_AT_A_TIME.acquire, blocking=False).result())
        dense = keras.layers.Dense(outputs, activation="softmax")
        made = keras.Sequential([keras.Input((features,)), dense])
        made.compile("sgd", "sparse_categorical_crossentropy")
        return made

    settings = {"epochs": 1, "early_stopping": True, "random_state": 0}
    TrainkitClassifier(model, **settings).fit(X, Y)
    assert all(alone), alone


def test_a_graph_begins_no_training() -> None:
    with tf.Graph().as_default(), pytest.raises(UserError, match="plain Python"):
        new().fit(Toy())
