"""Every mode of execution and every feed trains the same, and leaves nothing behind."""

from __future__ import annotations

import gc
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import AddLoss, Auc, Custom, Toy, TwoByTwo, Weighted
from tests.support.training import difference, fit, traces, weights
from trainkit.core.datasets import Splits
from trainkit.core.task import Task
from trainkit.trainer import execution, sources
from trainkit.trainer.pacing import Pacing
from trainkit.trainer.program_runner import ProgramRunner
from trainkit.trainer.trainer import Trainer

TOYS = [Toy(dropout=0.3), Toy(batch_norm=True, l2=1e-3), Weighted(), TwoByTwo(), Auc(), AddLoss(), Custom()]


@cache
def in_epochs(task: Task) -> tuple[list[np.ndarray], dict[str, list[float]]]:
    """The variables and the history of a training by epochs."""
    trainer, history = fit(task)
    return weights(trainer), history


def assert_as_in_epochs(task: Task, execution: str) -> None:
    trainer, history = fit(task, execution=execution)
    expected, logged = in_epochs(task)
    assert all(np.array_equal(a, b) for a, b in zip(weights(trainer), expected, strict=True))
    assert history == logged


@pytest.mark.slow
@pytest.mark.parametrize("task", TOYS, ids=lambda t: type(t).__name__)
def test_two_identical_runs_are_bitwise_identical(task: Task) -> None:
    assert_as_in_epochs(task, "epoch")


@pytest.mark.slow_but_first
@pytest.mark.parametrize("task", TOYS, ids=lambda t: type(t).__name__)
def test_epoch_equals_step(task: Task) -> None:
    assert_as_in_epochs(task, "step")


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", [Toy(dropout=0.3), Toy(batch_norm=True, l2=1e-3)], ids=["dropout", "batch_norm"]
)
def test_epoch_xla_equals_step_xla(task: Task) -> None:
    a, history_a = fit(task, execution="epoch_xla", fast_kernels=False)
    b, history_b = fit(task, execution="step_xla", fast_kernels=False)
    assert difference(a, b) == 0.0
    assert history_a == history_b
    assert (a.execution, b.execution) == ("epoch_xla", "step_xla")


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["epoch", "epoch_xla"])
def test_several_epochs_a_call_equal_one(execution: str) -> None:
    task = Toy(dropout=0.3, n=64 if execution == "epoch_xla" else 75)  # XLA compiles a ragged batch for long
    a, history_a = fit(task, epochs=7, execution=execution)
    b, history_b = fit(task, epochs=7, execution=execution, epochs_per_call=1)
    assert difference(a, b) == 0.0
    assert history_a == history_b


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["epoch", "step"])
def test_feeds_yield_identical_batches(execution: str) -> None:
    trainer, history = fit(TOYS[0], feed="stream", execution=execution)
    assert trainer.setup.source.kind == "stream"
    resident, logged = in_epochs(TOYS[0])
    assert all(np.array_equal(a, b) for a, b in zip(weights(trainer), resident, strict=True))
    assert history == logged


@pytest.mark.slow
def test_a_dataset_of_rows_trains_like_its_arrays_in_that_order(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = Toy().data()
    dataset = tf.data.Dataset.from_tensor_slices((splits.train.x, splits.train.y))

    class FromDataset(Toy):
        def data(self) -> Splits:
            return replace(splits, train=dataset)

    a, _ = fit(FromDataset())
    for module in (sources,):
        monkeypatch.setattr(module, "order", lambda seed, epoch, n: np.arange(n, dtype=np.int32))
    b, _ = fit(Toy())
    assert difference(a, b) == 0.0


@pytest.mark.slow
def test_epoch_traces_once() -> None:
    trainer, _ = fit(Toy(dropout=0.3), epochs=5)
    assert traces(trainer) == [1]


@pytest.mark.slow
@pytest.mark.parametrize("compile_seconds", [1e9, 0.0], ids=["by rule", "both ways"])
def test_measuring_leaves_no_trace(compile_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "COMPILE_SECONDS", compile_seconds)
    a, history_a = fit(Toy(dropout=0.3), execution="measure")
    b, history_b = fit(Toy(dropout=0.3), execution=a.execution, fast_kernels=True)
    assert ("measured" in a.execution_reason) is (compile_seconds == 0.0)
    assert difference(a, b) == 0.0
    assert history_a == history_b


@pytest.mark.slow
def test_a_finished_training_leaves_no_graph_behind() -> None:
    fit(Toy(), epochs=1)  # whatever TensorFlow makes once for a process
    before = graphs()
    for precision in ("float32", "mixed_bfloat16", "mixed_float16"):
        fit(Toy(dropout=0.3, batch_norm=True), epochs=1, precision=precision)
        assert graphs() - before <= 0, precision


def graphs() -> int:
    gc.collect()
    return sum(isinstance(o, tf.Graph) for o in gc.get_objects())


@pytest.mark.slow
def test_a_model_that_xla_cannot_compile_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Host(Toy):
        def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
            loss, outputs = super().compute(model, batch, training)
            nothing = tf.ensure_shape(tf.numpy_function(np.zeros_like, [loss], tf.float32), [])
            return loss + tf.stop_gradient(nothing), outputs

    with pytest.warns(UserWarning, match="XLA cannot compile this model"):
        trainer, history = fit(Host(), execution="epoch_xla")
    assert trainer.execution == "epoch"
    assert trainer.execution_reason.startswith("XLA cannot compile this model")
    assert len(history["loss"]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["resident", "stream"])
def test_a_second_fit_equals_the_first_and_compiles_nothing(feed: str, tmp_path: Path) -> None:
    task = Toy(dropout=0.3)
    trainer = Trainer(epochs=3, batch_size=16, execution="epoch", feed=feed)
    first = trainer.fit(task).history
    kept = weights(trainer)
    trainer.save_checkpoint(tmp_path / "here")
    second = trainer.fit(task).history
    assert first == second
    assert all(np.array_equal(a, b) for a, b in zip(kept, weights(trainer), strict=True))
    assert traces(trainer) == [1]
    trainer.config.batch_size = 25
    assert len(trainer.fit(task).history["loss"]) == 3
    assert trainer.setup.shape.steps == 3


@pytest.mark.slow
def test_a_measured_mode_is_chosen_again_without_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command on the same machine trains in the same mode, whatever the clock says then."""
    seconds = {True: 1.0, False: 2.0}
    timed: list[bool] = []

    def measure(self: Any, xla: bool, give_up: float) -> float:
        timed.append(xla)
        return seconds[xla]

    monkeypatch.setattr(ProgramRunner, "_measure", measure)
    monkeypatch.setattr(execution, "COMPILE_SECONDS", 0.0)  # so that few steps are worth it
    first = Trainer(epochs=3, batch_size=4, execution="measure")
    first.fit(Toy(n=64))
    assert first.execution == "epoch_xla"
    assert timed
    timed.clear()
    seconds[False] = 0.5
    again = Trainer(epochs=3, batch_size=4, execution="measure")
    again.fit(Toy(n=64))
    assert again.execution == "epoch_xla"
    assert not timed
    other = Trainer(epochs=3, batch_size=8, execution="measure")
    other.fit(Toy(n=64))
    assert other.execution == "epoch"
    assert timed


@pytest.mark.slow_but_first
@pytest.mark.parametrize("execution", ["epoch", "epoch_xla"])
def test_an_epoch_in_pieces_equals_a_whole_one(execution: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long epoch is cut, so that bars move within it."""
    found = []
    for fits in (True, False):
        monkeypatch.setattr(Pacing, "fits", lambda self, steps, fits=fits: fits)
        trainer, history = fit(Toy(dropout=0.3), epochs=3, execution=execution)
        found.append((weights(trainer), history))
        assert trainer._loop is not None
        assert trainer._loop.times.validated_inside == (3 if fits else 0)  # each is timed once
    for whole, pieces in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_array_equal(whole, pieces)
    assert found[0][1] == found[1][1]
