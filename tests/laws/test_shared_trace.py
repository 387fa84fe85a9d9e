"""A ragged last step shares the trace of the full ones without XLA."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import trainkit as tk
from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.trainer import given_rows, short_trainings

X = np.random.default_rng(0).normal(size=(22, 3)).astype("float32")
Y = X.sum(1)


@pytest.fixture(autouse=True)
def whole_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these short trainings run as long ones do."""
    monkeypatch.setattr(given_rows, "SHORT_STEPS_OF_ARRAYS", 0)


class Counted(keras.layers.Dense):
    """A dense layer that notes how many rows each trace knows of, and passes for one of Keras's: those of the
    user's own are shown what Keras shows."""

    __module__ = "keras"
    traced: list[Any]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        self.traced.append(inputs.shape[0])
        return super().call(inputs)


def trained(rows: int, *more: Any, **settings: Any) -> tuple[list[Any], keras.Model, dict[str, Any]]:
    keras.utils.set_random_seed(0)
    layer = Counted(4, "tanh")
    layer.traced = []
    model = keras.Sequential([layer, *more, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.build((None, 3))
    layer.traced.clear()
    history = tk.fit(model, X[:rows], Y[:rows], batch_size=8, epochs=2, verbose=0, **settings)
    steps = [known for known in layer.traced if known != 1]
    return steps, model, history.history


def test_one_trace_serves_all_steps_and_trains_as_two() -> None:
    steps, model, history = trained(22)
    assert None in steps
    assert not {6, 8} & set(steps)
    keras.utils.set_random_seed(0)
    other, theirs = trained(22, execution="epoch")[1:]
    np.testing.assert_allclose(history["loss"], theirs["loss"], rtol=1e-5)
    for mine, usual in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, usual, rtol=1e-4, atol=1e-6)


def test_full_steps_know_their_rows_where_none_is_ragged() -> None:
    assert set(trained(16)[0]) >= {8}


def test_where_masks_are_compiled_each_step_knows_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask is that of a training by XLA only if the number of rows is known."""
    monkeypatch.setattr(short_trainings, "MASK_STEPS", 0)
    assert {6, 8} <= set(trained(22, keras.layers.Dropout(0.5))[0])


def test_recurrent_kernels_know_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_trainings, "KERNEL_SECONDS", 0.0)
    rows = np.random.default_rng(0).normal(size=(22, 5, 3)).astype("float32")
    known: list[Any] = []

    class Noted(keras.layers.LSTM):
        __module__ = "keras"

        def call(
            self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
        ) -> Any:
            known.append(sequences.shape[0])
            return super().call(sequences, initial_state, mask, training)

    model = keras.Sequential([keras.Input((5, 3)), Noted(4), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    known.clear()
    tk.fit(model, rows, Y, batch_size=8, epochs=1, verbose=0)
    assert {6, 8} <= set(known)


def test_micro_batches_are_traced_for_any_number_of_rows_where_that_is_asked_for() -> None:
    class Noted(Toy):
        def model(self, train: Any) -> keras.Model:
            layer = Counted(4, "tanh")
            layer.traced = []
            return keras.Sequential([keras.Input((6,)), layer, keras.layers.Dense(3, "softmax")])

    trainer, _ = fit(Noted(), dynamic_rows=True, accumulate=2, batch_size=8, epochs=1)
    known = list(trainer.model.layers[0].traced)
    assert None in known
    assert 8 not in known
