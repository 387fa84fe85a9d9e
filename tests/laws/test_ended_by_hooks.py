"""A hook that raises StopIteration, or asks to stop, ends an evaluation or a prediction as in Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import trainkit as tk
from tests.support.toys import Toy

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = X[:, :1]


class Ends(keras.callbacks.Callback):
    """Ends what goes on in a hook of a batch."""

    def __init__(self, hook: str, at: int, how: str) -> None:
        super().__init__()
        self.how, self.at = how, at
        setattr(self, hook, self._end)

    def _end(self, batch: int, logs: Any = None) -> None:
        if batch != self.at:
            return
        if self.how == "raises":
            raise StopIteration
        self.model.stop_evaluating = self.model.stop_predicting = True


HOOKS = [("on_test_batch_begin", 0), ("on_test_batch_begin", 1), ("on_test_batch_end", 0)]


@pytest.mark.parametrize(("hook", "at"), HOOKS)
@pytest.mark.parametrize("how", ["raises", "asks"])
def test_a_validation_that_a_hook_ends_has_the_values_so_far(hook: str, at: int, how: str) -> None:
    found = []
    for fit in (keras.Model.fit, tk.fit):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae"])
        data = {"validation_data": (X, Y), "shuffle": False, "epochs": 2}
        found.append(fit(model, X, Y, verbose=0, callbacks=[Ends(hook, at, how)], **data).history)
    assert set(found[0]) == set(found[1])
    for name, values in found[0].items():
        np.testing.assert_allclose(found[1][name], values, rtol=1e-5)


class Asks(keras.callbacks.Callback):
    """Asks for the end before anything began."""

    def on_test_begin(self, logs: Any = None) -> None:
        self.model.stop_evaluating = True


def test_an_evaluation_that_is_to_stop_as_it_begins_ends_after_a_batch() -> None:
    trainer = tk.Trainer(epochs=1, batch_size=8)
    trainer.prepare(Toy())
    trainer.callbacks = [Ends("on_test_batch_end", 0, "asks")]
    wanted = trainer.evaluate(split="train")
    trainer.callbacks = [Asks()]
    assert trainer.evaluate(split="train") == wanted


@pytest.mark.parametrize("how", ["raises", "asks"])
def test_an_evaluation_and_a_prediction_that_a_hook_ends(how: str) -> None:
    trainer = tk.Trainer(epochs=1, batch_size=8)
    trainer.prepare(Toy())
    whole = trainer.evaluate(split="train")
    trainer.callbacks = [Ends("on_test_batch_end", 0, how)]
    some = trainer.evaluate(split="train")
    assert set(some) == set(whole)
    assert some != whole
    trainer.callbacks = [Ends("on_predict_batch_end", 1, how)]
    assert len(trainer.predict(split="train")) == 16
    trainer.callbacks = [Ends("on_predict_batch_begin", 0, "raises")]
    with pytest.raises(tk.UserError, match="a callback ended it before the first batch"):
        trainer.predict(split="train")
