"""The laws of the loop."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import AddLoss, Auc, Custom, Toy, TwoByTwo, Weighted
from tests.support.training import difference, fit, traces, weights
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.callbacks.observer import Observer
from trainkit.config import (
    ClipConfig,
    EmaConfig,
    OptimizerConfig,
    ScheduleConfig,
)
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.trainer import execution, program_runner, sources
from trainkit.trainer.trainer import Trainer

TOYS = [Toy(dropout=0.3), Toy(batch_norm=True, l2=1e-3), Weighted(), TwoByTwo(), Auc(), AddLoss(), Custom()]


@pytest.mark.parametrize("task", TOYS, ids=lambda t: type(t).__name__)
def test_two_identical_runs_are_bitwise_identical(task: Task) -> None:
    (a, history_a), (b, history_b) = fit(task), fit(task)
    assert difference(a, b) == 0.0
    assert history_a == history_b


@pytest.mark.parametrize("task", TOYS, ids=lambda t: type(t).__name__)
def test_epoch_equals_step(task: Task) -> None:
    (a, history_a), (b, history_b) = fit(task, execution="epoch"), fit(task, execution="step")
    assert difference(a, b) == 0.0
    assert history_a == history_b


@pytest.mark.parametrize(
    "task", [Toy(dropout=0.3), Toy(batch_norm=True, l2=1e-3)], ids=["dropout", "batch_norm"]
)
def test_epoch_xla_equals_step_xla(task: Task) -> None:
    a, history_a = fit(task, execution="epoch_xla", fast_kernels=False)
    b, history_b = fit(task, execution="step_xla", fast_kernels=False)
    assert difference(a, b) == 0.0
    assert history_a == history_b
    assert (a.execution, b.execution) == ("epoch_xla", "step_xla")


@pytest.mark.parametrize("execution", ["epoch", "epoch_xla"])
def test_several_epochs_a_call_equal_one(execution: str) -> None:
    a, history_a = fit(Toy(dropout=0.3), epochs=7, execution=execution)
    b, history_b = fit(Toy(dropout=0.3), epochs=7, execution=execution, epochs_per_call=1)
    assert difference(a, b) == 0.0
    assert history_a == history_b


@pytest.mark.parametrize("execution", ["epoch", "step"])
def test_feeds_yield_identical_batches(execution: str) -> None:
    a, history_a = fit(Toy(dropout=0.3), feed="resident", execution=execution)
    b, history_b = fit(Toy(dropout=0.3), feed="stream", execution=execution)
    assert difference(a, b) == 0.0
    assert history_a == history_b


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


def test_epoch_traces_once() -> None:
    trainer, _ = fit(Toy(dropout=0.3), epochs=5)
    assert traces(trainer) == [1]


def test_the_partial_last_batch_is_trained_on_and_every_row_is_seen_once_an_epoch() -> None:
    seen: list[np.ndarray] = []

    class Spy(Toy):
        def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
            if training:
                tf.py_function(lambda x: seen.append(x.numpy()[:, 0]), [batch[0]], [])
            return super().compute(model, batch, training)

    fit(Spy(), epochs=2)
    assert [len(s) for s in seen] == [16, 16, 16, 16, 11] * 2
    first, second = np.concatenate(seen[:5]), np.concatenate(seen[5:])
    assert np.array_equal(np.sort(first), np.sort(Toy().data().train.x[:, 0]))
    assert not np.array_equal(first, second)


def test_every_evaluation_row_counts_exactly_once() -> None:
    trainer, _ = fit(Toy(), batch_size=8)
    got = trainer.evaluate()
    test = trainer.splits.test
    assert isinstance(test, Arrays)
    outputs = trainer.predict()
    assert len(outputs) == len(test)
    assert got["accuracy"] == pytest.approx((outputs.argmax(1) == test.y).mean(), abs=1e-6)
    assert got["loss"] == pytest.approx(-np.log(outputs[np.arange(len(test)), test.y]).mean(), abs=1e-5)


@pytest.mark.parametrize("execution", ["epoch", "step", "epoch_xla"])
def test_accumulation_equals_large_batch(execution: str) -> None:
    # 75 rows in steps of 32: the last step has 11 rows, which 8 does not divide.
    a, _ = fit(Weighted(l2=1e-3), batch_size=8, accumulate=4, execution=execution)
    b, _ = fit(Weighted(l2=1e-3), batch_size=32, execution=execution)
    assert difference(a, b) < 1e-5
    assert (
        max(np.abs(x - y).max() for x, y in zip(a.model.get_weights(), b.model.get_weights(), strict=True))
        < 1e-6
    )
    assert a.state.step == b.state.step == 9


def test_the_average_of_the_weights_does_not_move_on_micro_batches() -> None:
    ema = OptimizerConfig(ema=EmaConfig(enabled=True, momentum=0.9))
    a, _ = fit(Toy(), batch_size=8, accumulate=4, optimizer=ema)
    b, _ = fit(Toy(), batch_size=32, optimizer=ema)
    assert (
        max(np.abs(x - y).max() for x, y in zip(a.model.get_weights(), b.model.get_weights(), strict=True))
        < 1e-6
    )


@pytest.mark.parametrize("stop_epoch", [1, 2])
def test_resume_equals_uninterrupted(tmp_path: Path, stop_epoch: int) -> None:
    task = Toy(dropout=0.3, batch_norm=True)
    whole, _ = fit(task, epochs=4)
    part, _ = fit(task, epochs=stop_epoch, callbacks=[Checkpoints(tmp_path, "val_loss")])
    assert difference(whole, part) > 0
    rest, _ = fit(task, epochs=4, resume=tmp_path / "last")
    assert difference(whole, rest) == 0.0
    assert rest.state.position() == whole.state.position()


def test_resume_in_the_middle_of_an_epoch_equals_uninterrupted(tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if trainer.state.step == 7:
                trainer.request_stop("test")

    task = Toy(dropout=0.3, batch_norm=True)
    whole, _ = fit(task, execution="step")
    trainer = Trainer(
        epochs=3,
        batch_size=16,
        execution="step",
        callbacks=[Stop(), Checkpoints(tmp_path, "val_loss")],
    )
    trainer.fit(task)
    assert trainer.stopped == "test"
    assert trainer.state.position() == {"epoch": 1, "step_in_epoch": 2, "step": 7}
    rest, _ = fit(task, resume=tmp_path / "last")
    assert difference(whole, rest) == 0.0


@pytest.mark.parametrize("xla", [False, True])
def test_a_resumed_run_keeps_to_what_auto_chose(
    xla: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a busy moment could make the rest of a run round otherwise than its beginning."""

    def measured(fast: bool) -> None:
        monkeypatch.setattr(execution, "COMPILE_SECONDS", 0.0)
        monkeypatch.setattr(
            program_runner, "step_seconds", lambda program, *_, **__: 1.0 if program.spec.xla is fast else 2.0
        )

    task = Toy(dropout=0.3, batch_norm=False)
    measured(xla)
    whole, _ = fit(task, epochs=4, execution="measure")
    fit(task, epochs=2, execution="measure", callbacks=[Checkpoints(tmp_path, "val_loss")])
    measured(not xla)
    rest, _ = fit(task, epochs=4, execution="measure", resume=tmp_path / "last")
    assert rest.execution == whole.execution == ("epoch_xla" if xla else "epoch")
    assert difference(whole, rest) == 0.0


def test_save_checkpoint_and_restore_are_exact(tmp_path: Path) -> None:
    a, _ = fit(Toy(dropout=0.3))
    a.save_checkpoint(tmp_path / "by-hand")
    before = weights(a)
    b, _ = fit(Toy(dropout=0.3), epochs=1)
    b.restore(tmp_path / "by-hand")
    assert all(np.array_equal(x, y) for x, y in zip(before, weights(b), strict=True))


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    a, _ = fit(Toy())
    a.save_checkpoint(tmp_path / "c")
    b = Trainer(epochs=1, batch_size=16)
    b.prepare(Toy(batch_norm=True))
    with pytest.raises(UserError, match="of another model or optimizer"):
        b.restore(tmp_path / "c")


@pytest.mark.parametrize("epochs_per_call", [None, 1])
def test_early_stopping_in_the_graph_equals_keras(epochs_per_call: int | None) -> None:
    ours = EarlyStopping("val_loss", patience=3)
    keras_own = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=3, restore_best_weights=True, mode="min"
    )
    overfits = OptimizerConfig(learning_rate=0.2)
    a, history_a = fit(
        Toy(), epochs=60, callbacks=[ours], optimizer=overfits, epochs_per_call=epochs_per_call
    )
    b, history_b = fit(Toy(), epochs=60, callbacks=[keras_own], optimizer=overfits)
    assert 4 <= len(history_a["loss"]) < 60
    assert history_a == history_b
    assert all(
        np.array_equal(x, y) for x, y in zip(a.model.get_weights(), b.model.get_weights(), strict=True)
    )


@pytest.mark.parametrize("engine", ["trainkit", "keras"])
def test_a_resumed_training_stops_early_as_the_whole_one_and_puts_back_the_same_weights(
    engine: str, tmp_path: Path
) -> None:
    def run(
        epochs: int, folder: Path, resume: Path | None = None
    ) -> tuple[Trainer, list[float], Checkpoints]:
        ours = EarlyStopping("val_loss", patience=4, min_delta=0.01)
        keeper = Checkpoints(folder, "val_accuracy")  # another value, so that its best epoch is another one
        overfits = OptimizerConfig(learning_rate=0.2)
        trainer, history = fit(
            Toy(dropout=0.1),
            epochs=epochs,
            callbacks=[keeper, ours],
            optimizer=overfits,
            resume=resume,
            engine=engine,
        )
        return trainer, history.get("loss", []), keeper

    whole, losses, keeper = run(60, tmp_path / "whole")
    stopped, best = len(losses), len(losses) - 4
    assert 1 < best < stopped < 60
    run(best + 2, tmp_path / "part")  # the best epoch lies before the resumption
    starts = {tmp_path / "part" / "last": best + 2, tmp_path / "whole" / "last": stopped}
    assert keeper.best_epoch > best, (
        "so that its checkpoint remembers an early stopping that has waited, and holds its weights"
    )
    starts[tmp_path / "whole" / "best"] = keeper.best_epoch
    for resume, epoch in starts.items():
        resumed, rest, _ = run(60, tmp_path / "part", resume)
        assert rest == losses[epoch:]
        assert all(
            np.array_equal(x, y)
            for x, y in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True)
        )


def test_two_observers_of_one_kind_are_remembered_apart(tmp_path: Path) -> None:
    def observers() -> list[EarlyStopping]:
        return [EarlyStopping(name, patience=50) for name in ("val_loss", "val_accuracy")]

    first, second = observers()
    fit(Toy(), callbacks=[first, second, Checkpoints(tmp_path, "val_loss")])
    again = observers()
    fit(Toy(), callbacks=again, resume=tmp_path / "last")
    assert [m.best_epoch for m in again] == [m.best_epoch for m in (first, second)]
    assert first.best != second.best


def test_a_second_fit_forgets_what_the_observers_of_the_first_remember() -> None:
    ours = EarlyStopping("val_loss", patience=3)
    trainer = Trainer(
        epochs=60,
        batch_size=16,
        execution="epoch",
        callbacks=[ours],
        optimizer=OptimizerConfig(learning_rate=0.2),
    )
    task = Toy()
    first = trainer.fit(task).history
    assert len(first["loss"]) < 60
    assert trainer.fit(task).history == first


def test_the_best_checkpoint_is_that_of_the_best_epoch(tmp_path: Path) -> None:
    overfits = OptimizerConfig(learning_rate=0.2)
    keeper = Checkpoints(tmp_path, "val_loss")
    trainer, history = fit(Toy(), epochs=30, callbacks=[keeper], optimizer=overfits)
    best = int(np.argmin(history["val_loss"]))
    assert keeper.best_epoch == best + 1 < 30
    assert trainer.evaluate(split="validation", checkpoint=tmp_path / "best")["loss"] == pytest.approx(
        history["val_loss"][best], abs=1e-6
    )
    assert trainer.state.epoch == best + 1


def test_epoch_checkpoints_keep_the_newest_and_hold_their_own_epoch(tmp_path: Path) -> None:
    pattern = "e{epoch:02d}-{val_loss:.3f}"
    keeper = Checkpoints(tmp_path, "val_loss", every_epochs=2, keep=2, pattern=pattern)
    trainer, history = fit(Toy(), epochs=7, callbacks=[keeper])
    names = sorted(p.name for p in tmp_path.glob("e*"))
    assert names == [f"e{e:02d}-{history['val_loss'][e - 1]:.3f}" for e in (4, 6)]
    assert trainer.evaluate(split="validation", checkpoint=tmp_path / names[0])["loss"] == pytest.approx(
        history["val_loss"][3], abs=1e-6
    )


def test_a_batch_callback_is_called_at_every_batch_in_keras_order() -> None:
    class Log(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[Any] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.calls.append(("epoch", epoch))

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.calls.append(("begin", batch))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert set(logs) == {"loss", "accuracy"}
            self.calls.append(("end", batch))

        def on_test_begin(self, logs: Any = None) -> None:
            self.calls.append("test")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            assert set(logs) == {"loss", "accuracy", "val_loss", "val_accuracy"}
            self.calls.append(("epoch end", epoch))

    log = Log()
    fit(Toy(), epochs=2, callbacks=[log])
    steps = [call for batch in range(5) for call in (("begin", batch), ("end", batch))]
    assert log.calls == [call for e in range(2) for call in [("epoch", e), *steps, "test", ("epoch end", e)]]


def test_observers_hear_of_every_epoch_in_order_with_its_own_record() -> None:
    class Watch(Observer):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[int, int, float]] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen.append((epoch, self.record.step, logs["val_loss"]))

    watch = Watch()
    _, history = fit(Toy(), epochs=9, callbacks=[watch])
    assert watch.seen == [(e, 5 * (e + 1), history["val_loss"][e]) for e in range(9)]


@pytest.mark.parametrize("compile_seconds", [1e9, 0.0], ids=["by rule", "both ways"])
def test_measuring_leaves_no_trace(compile_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "COMPILE_SECONDS", compile_seconds)
    a, history_a = fit(Toy(dropout=0.3), execution="measure")
    b, history_b = fit(Toy(dropout=0.3), execution=a.execution, fast_kernels=True)
    assert ("measured" in a.execution_reason) is (compile_seconds == 0.0)
    assert difference(a, b) == 0.0
    assert history_a == history_b


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_finished_training_leaves_no_graph_behind(precision: str) -> None:
    fit(Toy(), epochs=1)  # whatever TensorFlow makes once for a process
    before = graphs()
    fit(Toy(dropout=0.3, batch_norm=True), epochs=1, precision=precision)
    assert graphs() - before <= 0


def graphs() -> int:
    gc.collect()
    return sum(isinstance(o, tf.Graph) for o in gc.get_objects())


def test_a_model_that_xla_cannot_compile_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Host(Toy):
        def compute(self, model: keras.Model, batch: Any, training: bool) -> Any:
            loss, outputs = super().compute(model, batch, training)
            tf.debugging.Assert(tf.strings.length(tf.strings.as_string(loss)) > 0, [loss])
            return loss, outputs

    with pytest.warns(UserWarning, match="XLA cannot compile this model"):
        trainer, history = fit(Host(), execution="epoch_xla")
    assert trainer.execution == "epoch"
    assert trainer.execution_reason.startswith("XLA cannot compile this model")
    assert len(history["loss"]) == 3


def test_schedules_follow_their_formula() -> None:
    class Rates(Observer):
        def __init__(self) -> None:
            super().__init__()
            self.rates: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.rates.append(self.record.learning_rate)

    def rates(config: ScheduleConfig) -> list[float]:
        watch = Rates()
        fit(
            Toy(),
            epochs=4,
            callbacks=[watch],
            optimizer=OptimizerConfig(name="sgd", learning_rate=0.1, schedule=config),
        )
        return watch.rates

    cosine = [0.1 * 0.5 * (1 + np.cos(np.pi * s / 20)) for s in (5, 10, 15, 20)]
    assert rates(ScheduleConfig(name="cosine")) == pytest.approx(cosine, abs=1e-7)
    assert rates(ScheduleConfig(name="step", decay_steps=10, decay_rate=0.5)) == pytest.approx(
        [0.1, 0.05, 0.05, 0.025]
    )
    assert rates(ScheduleConfig(warmup_steps=10)) == pytest.approx([0.1 * 6 / 11, 0.1, 0.1, 0.1])


def test_clipping_bounds_the_update() -> None:
    a, _ = fit(
        Toy(),
        epochs=1,
        limit_train_batches=1,
        optimizer=OptimizerConfig(name="sgd", learning_rate=1.0, clip=ClipConfig(global_norm=0.01)),
    )
    keras.utils.set_random_seed(0)
    before = Toy().model(Toy().data().train).get_weights()
    moved = np.sqrt(sum(((x - y) ** 2).sum() for x, y in zip(a.model.get_weights(), before, strict=True)))
    assert moved == pytest.approx(0.01, rel=1e-4)


def test_steps_limits_the_training() -> None:
    trainer, history = fit(Toy(), epochs=9, steps=7)
    assert trainer.state.step == 7
    assert len(history["loss"]) == 2


def test_the_dtype_policy_is_put_back() -> None:
    before = keras.config.dtype_policy().name
    trainer, _ = fit(Toy(), precision="mixed_bfloat16")
    assert keras.config.dtype_policy().name == before
    assert trainer.model.layers[0].compute_dtype == "bfloat16"
    assert {v.dtype for v in trainer.model.weights} == {"float32"}


class Broken(Toy):
    pass


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        (
            {
                "model": lambda self, train: keras.Sequential(
                    [keras.Input((6,)), keras.layers.Dense(2, "softmax")]
                )
            },
            {},
            "labels go from 0 to 2",
        ),
        (
            {"model": lambda self, train: keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])},
            {},
            "does not fit",
        ),
        ({"model": lambda self, train: 3}, {}, "expected a keras.Model"),
        ({}, {"batch_size": 76}, "larger than the data: 75 training rows"),
        (
            {
                "model": lambda self, train: keras.Sequential(
                    [keras.Input((6,)), keras.layers.Dense(3, "softmax")]
                )
            },
            {"precision": "mixed_float16"},
            "float32",
        ),
    ],
)
def test_what_cannot_be_trained_is_said_before_the_first_step(change: Any, settings: Any, words: str) -> None:
    task = type("Broken", (Toy,), change)()
    with pytest.raises(UserError, match=words):
        fit(task, **settings)


def test_nan_in_the_data_is_refused_with_its_row() -> None:
    class Holes(Toy):
        def data(self) -> Splits:
            splits = super().data()
            splits.train.x[5, 2] = np.nan
            return splits

    with pytest.raises(UserError, match="1 rows, the first is row 5"):
        fit(Holes())


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean batch_size"):
        Trainer(batchsize=3)


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


def test_validation_batches_are_told_with_running_values() -> None:
    class Listens(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[Any] = []

        def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.calls.append(("begin", batch))

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.calls.append(("end", batch, dict(logs)))

    told = Listens()
    _, history = fit(Toy(), epochs=1, callbacks=[told])
    assert [call[:2] for call in told.calls] == [("begin", 0), ("end", 0), ("begin", 1), ("end", 1)]
    assert told.calls[-1][2] == {"accuracy": history["val_accuracy"][0], "loss": history["val_loss"][0]}
