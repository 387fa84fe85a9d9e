"""A checkpoint that is saved, restored or evaluated by hand is the whole state, and harms nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.support.toys import Toy
from tests.support.training import difference, fit, fit_again, weights
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.weight_average import WeightAverage
from trainkit.core.errors import UserError
from trainkit.trainer.trainer import Trainer


@pytest.mark.slow
def test_save_checkpoint_and_restore_are_exact(tmp_path: Path) -> None:
    a, _ = fit(Toy(dropout=0.3))
    a.save_checkpoint(tmp_path / "by-hand")
    before = weights(a)
    b, _ = fit(Toy(dropout=0.3), epochs=1)
    b.restore(tmp_path / "by-hand")
    assert all(np.array_equal(x, y) for x, y in zip(before, weights(b), strict=True))


def test_a_checkpoint_is_evaluated_in_place_of_the_state_and_leaves_it(tmp_path: Path) -> None:
    early, _ = fit(Toy(dropout=0.3), epochs=1)
    early.save_checkpoint(tmp_path / "c")
    trainer, _ = fit(Toy(dropout=0.3))
    mine = trainer.evaluate()
    before = weights(trainer)
    assert trainer.evaluate(checkpoint=tmp_path / "c") == early.evaluate() != mine
    np.testing.assert_array_equal(trainer.predict(checkpoint=tmp_path / "c"), early.predict())
    assert trainer.evaluate() == mine
    assert trainer.state.epoch == 3
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(trainer), strict=True))
    fresh = Trainer(epochs=3, batch_size=16, execution="epoch")
    task = Toy(dropout=0.3)
    fresh.evaluate(task, checkpoint=tmp_path / "c")
    fresh.fit(task)
    for a, b in zip(fresh.model.get_weights(), trainer.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("optimizer", ["adam", {"use_ema": True, "ema_momentum": 0.5}])
def test_a_training_goes_on_from_what_was_saved_by_hand(tmp_path: Path, optimizer: Any) -> None:
    """With the memory of its callbacks, and from the weights themselves where averages took their place."""

    def made() -> Any:
        given = keras.optimizers.Adam(0.01, **optimizer) if isinstance(optimizer, dict) else None
        return {
            "optimizer": given,
            "callbacks": [keras.callbacks.EarlyStopping("loss", patience=2, mode="max")],
        }

    whole, _ = fit(Toy(), epochs=6, **made())
    part, _ = fit(Toy(), epochs=2, **made())
    part.save_checkpoint(tmp_path / "first")
    part.evaluate(checkpoint=tmp_path / "first")  # which changes nothing
    part.save_checkpoint(tmp_path / "c")
    rest, _ = fit(Toy(), epochs=6, resume=tmp_path / "c", **made())
    assert whole.state.epoch == rest.state.epoch == 3
    assert difference(whole, rest) == 0.0


class StopsAfter(keras.callbacks.LambdaCallback):
    """Asks the trainer to stop after so many epochs."""

    def __init__(self, trainer: Trainer, epochs: int) -> None:
        super().__init__(on_epoch_end=lambda e, _: trainer.request_stop("test") if e + 1 == epochs else None)


ENDS_WITH_OTHERS = {
    "the best ones": lambda: keras.callbacks.EarlyStopping(
        "loss", patience=9, mode="max", restore_best_weights=True
    ),
    "the best ones, by ours": lambda: EarlyStopping("loss", patience=9, mode="max"),
    "an average": lambda: WeightAverage(start=1),
    "none": lambda: keras.callbacks.LambdaCallback(
        on_train_end=lambda _: trained.model.set_weights([0 * w for w in trained.model.get_weights()])
    ),
}
trained = Trainer(epochs=4, batch_size=16, execution="step")
task = Toy()


@pytest.mark.parametrize("weights_at_end", ENDS_WITH_OTHERS)
def test_a_training_goes_on_from_its_own_weights_whatever_a_callback_ends_it_with(
    tmp_path: Path, weights_at_end: str
) -> None:
    made = ENDS_WITH_OTHERS[weights_at_end]
    whole = fit_again(trained, task, callbacks=[made()])["loss"]
    fit_again(trained, task, callbacks=[made(), StopsAfter(trained, 2)])
    trained.save_checkpoint(tmp_path / "c")
    rest = fit_again(trained, task, callbacks=[made()], resume=tmp_path / "c")["loss"]
    assert rest == whole[2:]


def test_weights_that_the_user_has_set_are_saved(tmp_path: Path) -> None:
    fit_again(trained, task, callbacks=[ENDS_WITH_OTHERS["the best ones"]()])
    trained.model.set_weights([w + 1 for w in trained.model.get_weights()])
    set_now = weights(trained)
    trained.save_checkpoint(tmp_path / "c")
    fit_again(trained, task)
    trained.restore(tmp_path / "c")
    assert all(np.array_equal(a, b) for a, b in zip(set_now, weights(trained), strict=True))


def test_what_was_saved_by_hand_knows_its_rows(tmp_path: Path) -> None:
    part, _ = fit(Toy(), steps=3)
    part.save_checkpoint(tmp_path / "c")
    with pytest.raises(UserError, match="stands at row 48"):
        fit(Toy(), batch_size=20, resume=tmp_path / "c")


@pytest.mark.parametrize("inside", ["thesis.txt", "checkpoints", "callbacks.py", "state.csv"])
def test_a_checkpoint_takes_no_folder_that_holds_something_else(tmp_path: Path, inside: str) -> None:
    trainer, _ = fit(Toy(), epochs=1)
    (tmp_path / "mine").mkdir()
    if inside == "checkpoints":
        (tmp_path / "mine" / inside).mkdir()
    else:
        (tmp_path / "mine" / inside).write_text("mine")
    for folder in (tmp_path / "mine", Path(), Path("..")):
        with pytest.raises(UserError, match="expected a new folder"):
            trainer.save_checkpoint(folder)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [inside]
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        trainer.save_checkpoint(tmp_path / "empty")


def test_a_damaged_last_checkpoint_is_replaced_by_the_newest_whole_one(tmp_path: Path) -> None:
    first = Trainer(epochs=2, batch_size=16, execution="epoch", run_dir=tmp_path)
    first.fit(Toy())
    (tmp_path / "checkpoints" / "last" / "variables.bin").write_bytes(b"cut")
    rest = Trainer(epochs=3, batch_size=16, execution="epoch", run_dir=tmp_path)
    with pytest.warns(UserWarning, match="newest whole one is used"):
        rest.fit(Toy(), resume=tmp_path)
    assert rest.state.epoch == 3


def test_averages_that_keras_leaves_are_said_to_be_saved_in_place_of_the_weights(tmp_path: Path) -> None:
    swaps = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    trainer, _ = fit(Toy(), optimizer=keras.optimizers.Adam(0.01, use_ema=True), callbacks=[swaps])
    with pytest.warns(UserWarning, match="goes on from them"):
        trainer.save_checkpoint(tmp_path / "c")
