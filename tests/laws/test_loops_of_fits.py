"""A loop that calls `fit` again and again is one long training, and run as such."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainkit as tk
from tests.laws.test_short_trainings import X, Y, dense
from tests.support.training import programs_made
from trainkit.engine.train_loop import TrainProgram
from trainkit.trainer import execution, given_rows


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[TrainProgram]:
    """The training programs that are made in the test, none of them for single batches."""
    monkeypatch.setattr(given_rows, "SHORT_STEPS_OF_ARRAYS", 0)
    monkeypatch.setattr(given_rows, "SHORT_STEPS", 0)
    monkeypatch.setattr(execution, "COMPILE_SECONDS", 0.3)
    return programs_made(monkeypatch)


def pays_after(steps: float, monkeypatch: pytest.MonkeyPatch, programs: int = 1) -> None:
    """Let XLA pay for the model below after so many steps."""
    variables = 4
    monkeypatch.setattr(execution, "OP_SECONDS", programs * 0.3 / variables**0.5 / steps)


@pytest.mark.parametrize("form", ["arrays", "Dataset"])
def test_a_loop_of_fits_comes_to_xla_once_it_would_have_paid(
    form: str, made: list[TrainProgram], monkeypatch: pytest.MonkeyPatch
) -> None:
    pays_after(3.5 * 4, monkeypatch, programs=2 if form == "Dataset" else 1)  # one for batches of other sizes
    trained = []
    for fit in (keras.Model.fit, tk.fit):
        model = dense()
        data = tf.data.Dataset.from_tensor_slices((X[:16], Y[:16])).batch(4)
        rows = (data,) if form == "Dataset" else (X[:16], Y[:16])
        batch = {} if form == "Dataset" else {"batch_size": 4}
        losses = []
        for number in range(6):
            losses += fit(model, *rows, **batch, shuffle=False, verbose=0).history["loss"]
            if fit is tk.fit:
                assert any(program.spec.xla for program in made) is (number >= 3), number
        trained.append(losses)
    np.testing.assert_allclose(trained[1], trained[0], rtol=1e-4)


def test_fits_on_ever_new_numbers_of_rows_do_not_come_to_xla(
    made: list[TrainProgram], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would be compiled anew."""
    pays_after(3.5 * 2, monkeypatch)  # of which four fits of one size have more
    model = dense()
    for rows in range(12, 20):
        tk.fit(model, X[:rows], Y[:rows], batch_size=8, verbose=0)
    assert not any(program.spec.xla for program in made)
