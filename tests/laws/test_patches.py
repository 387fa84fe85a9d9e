"""What trainkit changes in Keras holds for its own trace alone, and a user's objects are as they were."""

from __future__ import annotations

import pickle
import threading
from dataclasses import dataclass
from typing import Any

import keras
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.backend import patches
from trainkit.backend.kernels import fast_kernels
from trainkit.backend.patches import Replacement, patched


class Place:
    """Something with a function to replace."""

    @staticmethod
    def name() -> str:
        return "own"


def test_a_replacement_serves_the_thread_that_made_it_and_no_other() -> None:
    seen: list[str] = []
    inside, done = threading.Event(), threading.Event()

    def look() -> None:
        inside.wait(10)
        seen.append(Place.name())
        done.set()

    thread = threading.Thread(target=look)
    thread.start()
    with patched([Replacement(Place, "name", lambda: "replaced")]):
        mine = Place.name()
        inside.set()
        assert done.wait(10)
    thread.join()
    assert (mine, seen, Place.name()) == ("replaced", ["own"], "own")


@pytest.mark.slow
def test_two_threads_that_trace_at_once_leave_keras_as_it_was() -> None:
    before = [(one.owner, one.name, vars(one.owner).get(one.name)) for one in fast_kernels(xla=False)]
    errors: list[BaseException] = []

    def trace() -> None:
        try:
            for _ in range(20):
                layer = keras.layers.BatchNormalization()
                run = tf.function(lambda x, layer=layer: layer(x, training=True), autograph=False)
                with patched(fast_kernels(xla=False)):
                    run.get_concrete_function(tf.TensorSpec([8, 4]))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=trace) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert all(vars(owner).get(name) is value for owner, name, value in before)


def test_replacements_are_undone_in_reverse_order_after_an_error() -> None:
    first, second = Replacement(Place, "name", lambda: "a"), Replacement(Place, "name", lambda: "b")
    before = vars(Place)["name"]

    def fail() -> None:
        with patched([first]), patched([second]):
            assert Place.name() == "b"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert vars(Place)["name"] is before


def test_training_without_dropout_leaves_the_rates_of_the_model() -> None:
    trainer, _ = fit(Toy(dropout=0.3), dropout=False)
    rates = [layer.rate for layer in trainer.model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.3]
    now = zip(trainer.state.names, trainer.setup.initial, trainer.state.values(), strict=True)
    drawn = [(before != after).any() for name, before, after in now if "seed_generator_state" in name]
    assert drawn == [False]  # no mask was drawn


@pytest.mark.slow_but_first
@pytest.mark.parametrize("settings", [{}, {"strategy": "mirrored", "replicas": 2}], ids=["one", "replicas"])
def test_an_optimizer_is_after_a_training_as_the_user_made_it(settings: dict[str, Any]) -> None:
    @dataclass(frozen=True)
    class Own(Toy):
        def optimizer(self) -> keras.optimizers.Optimizer:
            return keras.optimizers.AdamW(0.01, use_ema=True, ema_overwrite_frequency=2)

    trainer, _ = fit(Own(), **settings)
    optimizer = trainer.model.optimizer
    assert "_all_reduce_sum_gradients" not in vars(optimizer)
    assert optimizer.ema_overwrite_frequency == 2
    copy = type(optimizer).from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()
    assert pickle.loads(pickle.dumps(copy)).get_config() == copy.get_config()


def test_the_model_that_was_trained_can_be_pickled_and_cloned() -> None:
    trainer, _ = fit(Toy(dropout=0.3))
    assert patches.without_dropout(trainer.model)
    again = pickle.loads(pickle.dumps(trainer.model))
    x = trainer.splits.test.x
    assert (again.predict(x, verbose=0) == trainer.model.predict(x, verbose=0)).all()
    assert keras.models.clone_model(trainer.model).count_params() == trainer.model.count_params()
