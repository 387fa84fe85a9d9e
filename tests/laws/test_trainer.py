"""The laws of the loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy, Weighted
from tests.support.training import fit
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
from trainkit.trainer.trainer import Trainer


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


@pytest.mark.slow
def test_accumulation_equals_large_batch() -> None:
    # 75 rows in steps of 32: the last step has 11 rows, which 8 does not divide.
    b, _ = fit(Weighted(l2=1e-3), batch_size=32)
    for execution in ("epoch", "step", "epoch_xla"):
        a, _ = fit(Weighted(l2=1e-3), batch_size=8, accumulate=4, execution=execution)
        for x, y in zip(a.state.values(), b.state.values(), strict=True):  # among them sums over all rows
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)
        pairs = zip(a.model.get_weights(), b.model.get_weights(), strict=True)
        assert max(np.abs(x - y).max() for x, y in pairs) < 1e-6
        assert a.state.step == b.state.step == 9


@pytest.mark.slow
def test_the_average_of_the_weights_does_not_move_on_micro_batches() -> None:
    ema = OptimizerConfig(ema=EmaConfig(enabled=True, momentum=0.9))
    a, _ = fit(Toy(), batch_size=8, accumulate=4, optimizer=ema)
    b, _ = fit(Toy(), batch_size=32, optimizer=ema)
    assert (
        max(np.abs(x - y).max() for x, y in zip(a.model.get_weights(), b.model.get_weights(), strict=True))
        < 1e-6
    )


@pytest.mark.slow
def test_early_stopping_in_the_graph_equals_keras() -> None:
    keras_own = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=3, restore_best_weights=True, mode="min"
    )
    overfits = OptimizerConfig(learning_rate=0.2)
    b, history_b = fit(Toy(), epochs=60, callbacks=[keras_own], optimizer=overfits)
    for epochs_per_call in (None, 1):
        ours = EarlyStopping("val_loss", patience=3)
        a, history_a = fit(
            Toy(), epochs=60, callbacks=[ours], optimizer=overfits, epochs_per_call=epochs_per_call
        )
        assert 4 <= len(history_a["loss"]) < 60
        assert history_a == history_b
        pairs = zip(a.model.get_weights(), b.model.get_weights(), strict=True)
        assert all(np.array_equal(x, y) for x, y in pairs)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
            r"cannot be called on x \(6,\) \(per row\): .*value 5",
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

    with pytest.raises(UserError, match="1 rows, the first is row 6 of the training rows"):
        fit(Holes())


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean batch_size"):
        Trainer(batchsize=3)
    with pytest.raises(UserError, match=r"did you mean optimizer\? Such as .*Adam\(learning_rate=\.\.\.\)"):
        Trainer(lr=0.1)


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


@dataclass(frozen=True)
class Gaps(Toy):
    """Rows with gaps in one column, which the model fills."""

    def data(self) -> Splits:
        splits = super().data()
        x = np.array(splits.train.x)
        x[[3, 7], 4] = np.nan
        return replace(splits, train=Arrays(x, splits.train.y))

    def model(self, train: Arrays) -> keras.Model:
        filled = keras.layers.Lambda(lambda x: tf.where(tf.math.is_nan(x), tf.zeros_like(x), x))
        return keras.Sequential([keras.Input((6,)), filled, super().model(train)])


def test_gaps_in_the_inputs_are_refused_by_column_or_trained_on_as_asked() -> None:
    with pytest.raises(
        UserError, match=r"in x, column 4: 2 rows, the first is row 4 of the training rows\..*allow_nonfinite"
    ):
        Trainer(epochs=1).fit(Gaps())
    history = Trainer(epochs=1, allow_nonfinite=True).fit(Gaps()).history
    assert np.isfinite(history["loss"]).all()
