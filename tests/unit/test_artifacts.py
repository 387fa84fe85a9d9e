"""What a run leaves for people: its model, and its last lines."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.core.errors import UserError
from trainkit.experiment.summary import closing_lines
from trainkit.export.keras_format import save
from trainkit.metrics.units import InUnits


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A model that was trained."""
    return fit(Toy(), epochs=1)[0].model


def test_a_saved_model_predicts_and_scores_the_same_in_plain_keras(
    model: keras.Model, tmp_path: Path
) -> None:
    optimizer = model.optimizer
    left_out = save(model, tmp_path / "model.keras")
    x = np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 6)
    y = np.arange(5) % 3
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    scores = [m.evaluate(x, y, verbose=0, return_dict=True) for m in (loaded, model)]
    assert scores[0] == scores[1]
    assert set(scores[0]) == {"loss", "accuracy"}
    assert left_out == []
    assert (model.optimizer, model.compiled) == (optimizer, True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_metrics_that_plain_keras_lacks_are_left_out_of_the_saved_model(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    own = InUnits(keras.losses.mean_absolute_error, 2.0, "mae_kusd")
    model.compile("adam", "mse", metrics=["mae", own])
    x, y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
    model.fit(x, y, verbose=0)
    assert save(model, tmp_path / "model.keras") == ["mae_kusd"]
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    scores = loaded.evaluate(x, y, verbose=0, return_dict=True)
    assert set(scores) == {"loss", "mae"}
    assert scores["mae"] == pytest.approx(model.evaluate(x, y, verbose=0, return_dict=True)["mae"])
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 1


def test_a_model_with_a_loss_of_its_own_is_saved_without_being_compiled(tmp_path: Path) -> None:
    def distance(y: object, prediction: object) -> object:
        return keras.ops.mean(keras.ops.abs(y - prediction))

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", distance)
    assert save(model, tmp_path / "model.keras") == ["loss"]
    assert not keras.saving.load_model(tmp_path / "model.keras").compiled
    assert model.compiled


def test_a_model_that_cannot_be_saved_is_as_before(
    model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = model.optimizer
    path = tmp_path / "model.keras"
    save(model, path)
    former = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UserError, match="No space left"):
        save(model, path)
    assert (model.optimizer, model.compiled) == (optimizer, True)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("model.keras", former)]


def test_the_last_lines_name_each_result() -> None:
    summary = {
        "monitor": "val_loss",
        "best": {"value": 0.25, "epoch": 3, "test": {"loss": 0.5}},
        "test": {"loss": 0.625},
    }
    lines = closing_lines(summary, "runs/toy/1", "Evaluate", "python -m trainkit", "last weights, step 20")
    assert lines.splitlines() == [
        "Run:       runs/toy/1",
        "Best:      val_loss 0.25 in epoch 3",
        "Test last: loss 0.625  (last weights, step 20)",
        "Test best: loss 0.5  (best weights, epoch 3)",
        "Evaluate:  python -m trainkit",
    ]


def test_the_last_lines_say_why_a_training_stopped_early() -> None:
    summary = {"monitor": "val_loss", "best": {"value": 0.25, "epoch": 3}, "test": {}}
    lines = closing_lines(summary, "here", "Evaluate", "command", stopped="early: nothing improved")
    assert lines.splitlines()[1] == "Stopped:   early: nothing improved"


def test_the_last_lines_say_that_rows_came_too_slowly() -> None:
    summary = {"monitor": "val_loss", "best": {}, "test": {}, "bottleneck": {"input_share": 0.4}}
    lines = closing_lines(summary, "here", "Evaluate", "command", feed="augmented on the host")
    assert "Waited:    for rows, 40% of the time of the training (augmented on the host)" in lines
    summary["bottleneck"] = {"input_share": 0.1}
    assert "Waited" not in closing_lines(summary, "here", "Evaluate", "command")


def test_the_last_lines_of_a_run_without_results_say_so() -> None:
    lines = closing_lines({"monitor": "val_loss", "best": {}, "test": {}}, "here", "Resume", "command")
    assert lines == "Run:       here\nBest:      no epoch is complete\nResume:    command"


def test_the_last_lines_say_how_many_steps_were_left_out() -> None:
    summary = {"monitor": "loss", "best": {}, "test": {}, "epochs": 2, "steps": 1022, "skipped_steps": 21}
    lines = closing_lines(summary, "here", "Evaluate", "command")
    assert lines.splitlines()[2] == "Skipped:   21 of 1,022 steps left out, since they were not finite"
