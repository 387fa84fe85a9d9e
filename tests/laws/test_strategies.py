"""Several replicas train what one device trains, on the same global batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.support.replicas import CLOSE, assert_replicas_equal_one, fit_on, gap
from tests.support.toys import AddLoss, Auc, ClassWeighted, Custom, Toy, TwoByTwo, Weighted
from tests.support.training import difference, fit, weights
from trainkit.backend import patches
from trainkit.callbacks.early_stopping import EarlyStopping
from trainkit.config import (
    ClipConfig,
    EmaConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainerConfig,
)
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.trainer.trainer import Trainer

# The recipes use SGD: Adam divides by the root of a squared gradient, and so turns the rounding of a gradient
# that is nearly zero into a step.
SGD = OptimizerConfig(name="momentum", learning_rate=0.05)


TASKS = [Toy(l2=1e-2), Weighted(), ClassWeighted(), TwoByTwo(), Auc(), AddLoss(), Custom()]


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda t: f"{type(t).__name__}{'-l2' if t.l2 else ''}")
def test_replicas_equal_one(task: Task) -> None:
    """On two; on four the test of ragged batches trains."""
    assert_replicas_equal_one(task, 2, optimizer=SGD)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [73, 66, 64])
def test_a_ragged_last_batch_smaller_than_the_replicas_is_trained_on(rows: int) -> None:
    """73 rows by 24 leave one row for 4 replicas, 66 by 16 two, 64 none."""
    task = {73: Weighted, 66: ClassWeighted, 64: Toy}[rows](n=rows)
    assert_replicas_equal_one(task, 4, optimizer=SGD, batch_size=24 if rows == 73 else 16)


OPTIONS = {
    "clip norm": OptimizerConfig(name="sgd", learning_rate=0.1, clip=ClipConfig(norm=0.05)),
    "clip global norm": OptimizerConfig(name="sgd", learning_rate=0.1, clip=ClipConfig(global_norm=0.05)),
    "clip value": OptimizerConfig(name="sgd", learning_rate=0.1, clip=ClipConfig(value=0.01)),
    "EMA, overwriting, and a schedule": OptimizerConfig(
        name="sgd",
        learning_rate=0.1,
        ema=EmaConfig(enabled=True, momentum=0.9, overwrite_every=3),
        schedule=ScheduleConfig(name="cosine", warmup_steps=3),
    ),
    "Adam with weight decay": OptimizerConfig(name="adamw", learning_rate=1e-3, weight_decay=0.01),
}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIONS.values(), ids=OPTIONS.keys())
def test_options_of_the_optimizer_act_on_the_global_gradient(optimizer: OptimizerConfig) -> None:
    assert_replicas_equal_one(
        Toy(), 2, optimizer=optimizer, close=3e-6 if optimizer.name.startswith("adam") else CLOSE
    )


@pytest.mark.slow
def test_clipping_by_replica_is_another_training_as_in_keras() -> None:
    def clip(scope):
        return OptimizerConfig(name="sgd", learning_rate=0.1, clip=ClipConfig(global_norm=0.05, scope=scope))

    a, _ = fit_on(2, Toy(), optimizer=clip("global"), epochs=1)
    b, _ = fit_on(2, Toy(), optimizer=clip("replica"), epochs=1)
    assert difference(a, b) > 1e-3


@pytest.mark.slow
def test_accumulation_equals_one_large_batch() -> None:
    settings: dict[str, Any] = {"optimizer": SGD, "epochs": 3}
    large, a = fit_on(2, Toy(), batch_size=32, **settings)
    for execution in ("step", "epoch"):
        small, b = fit_on(2, Toy(), batch_size=8, accumulate=4, execution=execution, **settings)
        assert difference(large, small) <= CLOSE
        assert gap(a, b) <= 5 * CLOSE


@pytest.mark.slow
def test_feeds_are_alike() -> None:
    resident, _ = fit_on(2, Toy(dropout=0.3), feed="resident", epochs=2)
    for execution in ("step", "epoch"):
        streamed, _ = fit_on(2, Toy(dropout=0.3), feed="stream", execution=execution, epochs=2)
        assert difference(resident, streamed) == 0.0


@pytest.mark.slow
def test_synchronised_batch_normalisation_equals_one_device() -> None:
    """Over even shares, which weigh alike in Keras's synchronised statistics."""
    assert_replicas_equal_one(Toy(batch_norm=True, n=64), 2, optimizer=SGD, sync_batch_norm=True, close=5e-6)


@pytest.mark.slow
def test_batch_normalisation_by_replica_keeps_one_set_of_statistics() -> None:
    one, _ = fit_on(1, Toy(batch_norm=True, n=64), epochs=1)
    two, _ = fit_on(2, Toy(batch_norm=True, n=64), epochs=1)
    assert difference(one, two) > 1e-5  # each replica normalises by its own rows
    for variable in two.model.weights:
        copies = [np.asarray(v) for v in getattr(variable.value, "values", [variable.value])]
        assert all(np.array_equal(copies[0], copy) for copy in copies), variable.path


@pytest.mark.parametrize("replicas", [2, 4])
def test_dropout_masks_differ_between_replicas_and_keep_their_rate(replicas: int) -> None:
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        dropout = layers.Dropout(0.3, seed=1)
        dropout.build((None, 2000))

    @tf.function(autograph=False)
    def masks() -> Any:
        def draw() -> Any:
            return tf.cast(dropout(tf.ones([50, 2000]), training=True) > 0, tf.float32)

        with patches.patched(patches.replica_seeds()):
            return strategy.experimental_local_results(strategy.run(patches.joining(draw)))

    drawn = np.stack([np.asarray(m) for m in masks()])
    n = drawn[0].size
    for i in range(replicas):
        assert abs(drawn[i].mean() - 0.7) < 5 * np.sqrt(0.21 / n)
        for j in range(i):
            assert abs(np.corrcoef(drawn[i].ravel(), drawn[j].ravel())[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.slow
def test_dropout_masks_are_independent_in_a_training() -> None:
    """Two replicas that hold equal rows train as one of them alone does only if their masks are equal."""

    @dataclass(frozen=True)
    class Doubled(Toy):
        def data(self) -> Splits:
            splits = Toy.data(self)
            return Splits(splits.train.take(np.zeros(16, int)), splits.validation)  # one row, 16 times

    one, _ = fit(Doubled(dropout=0.5), batch_size=8, limit_train_batches=1, epochs=1, strategy="one_device")
    two, _ = fit_on(2, Doubled(dropout=0.5), limit_train_batches=1, epochs=1)
    assert difference(one, two) > 1e-6


@pytest.mark.slow
def test_early_stopping_and_restored_weights_are_those_of_one_device() -> None:
    def stopped(replicas: int) -> tuple[Trainer, dict[str, list[float]]]:
        stopping = EarlyStopping("val_loss", patience=2)
        return fit_on(
            replicas,
            Toy(),
            epochs=60,
            callbacks=[stopping],
            optimizer=OptimizerConfig(name="sgd", learning_rate=1.5),
        )

    (one, a), (two, b) = stopped(1), stopped(2)
    assert len(a["loss"]) == len(b["loss"]) < 60
    assert all(
        np.abs(v.numpy() - w.numpy()).max() <= 1e-4
        for v, w in zip(one.model.weights, two.model.weights, strict=True)
    )


class Keep(keras.callbacks.Callback):
    """Saves the training after some steps, and notes what each replica has summed up by then."""

    def __init__(self, folder: Path, steps: tuple[int, ...]) -> None:
        super().__init__()
        self.folder = folder
        self.steps = steps
        self.parts: dict[int, dict[str, np.ndarray]] = {}
        self.trainer: Trainer | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        assert self.trainer is not None
        step = self.trainer.state.step
        if step in self.steps:
            self.trainer.save_checkpoint(self.folder / str(step))
            self.parts[step] = self.trainer.state.parts.read()


def saved_within_epochs(task: Task, folder: Path) -> tuple[Trainer, dict[str, list[float]], Keep]:
    """Three epochs of five steps on two replicas, saved in the first and in the second."""
    keep = Keep(folder, (4, 7))
    keep.trainer = Trainer(
        epochs=3, batch_size=16, execution="step", strategy="mirrored", replicas=2, callbacks=[keep]
    )
    return keep.trainer, keep.trainer.fit(task).history, keep


@pytest.mark.slow
def test_resume_equals_uninterrupted_on_replicas(tmp_path: Path) -> None:
    """In the middle of an epoch, with dropout and momentum, and what each replica had summed up."""
    task = Toy(dropout=0.3)
    trainer, history, keep = saved_within_epochs(task, tmp_path)
    whole = weights(trainer)
    trainer.callbacks = []
    for stop, parts in keep.parts.items():
        values = trainer.fit(task, resume=tmp_path / str(stop)).history
        assert all(np.array_equal(one, other) for one, other in zip(whole, weights(trainer), strict=True))
        assert values == {name: epochs[stop // 5 :] for name, epochs in history.items()}
        trainer.restore(tmp_path / str(stop))
        again = trainer.state.parts.read()
        assert again.keys() == parts.keys() != set()
        assert all(np.array_equal(again[name], parts[name]) and parts[name].shape[0] == 2 for name in parts)
        sums = [parts[name].sum(0) for name in parts]
        totals = dict(zip(trainer.state.names, trainer.state.values(), strict=True))
        assert all(np.allclose(total, totals[name]) for name, total in zip(parts, sums, strict=True))


@pytest.mark.slow
def test_another_number_of_replicas_goes_on_where_a_training_stood(tmp_path: Path) -> None:
    """In the middle of an epoch, with what the replicas had summed up."""
    whole, history, _ = saved_within_epochs(Toy(), tmp_path)
    for replicas in (1, 4):
        rest, values = fit_on(replicas, Toy(), execution="step", epochs=3, resume=tmp_path / "7")
        assert rest.state.position() == whole.state.position()
        assert gap(values, {name: epochs[1:] for name, epochs in history.items()}) < 5 * CLOSE
        assert all(
            np.abs(v.numpy() - w.numpy()).max() < CLOSE
            for v, w in zip(whole.model.weights, rest.model.weights, strict=True)
        )


@pytest.mark.slow
def test_evaluation_counts_every_row_once_on_replicas() -> None:
    (one, _), (four, _) = fit_on(1, Toy(), optimizer=SGD), fit_on(4, Toy(), optimizer=SGD)
    for split in ("train", "validation", "test"):
        a, b = one.evaluate(split=split), four.evaluate(split=split)
        assert max(abs(a[name] - b[name]) for name in a) < 1e-5
    assert np.abs(one.predict() - four.predict()).max() < 1e-5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strategy": "mirrored", "replicas": 2, "execution": "epoch_xla"}, "Use trainer.execution=epoch"),
        ({"strategy": "mirrored", "replicas": 2, "execution": "step_xla"}, "Use trainer.execution=epoch"),
        ({"strategy": "one_device", "replicas": 2}, "use trainer.strategy=mirrored"),
        ({"strategy": "multi_worker"}, "launch workers=2"),
        ({"strategy": "mirrored", "replicas": 64}, "start a new process"),
        ({"devices": [3]}, "numbered from 0"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_combinations_that_cannot_work_are_refused_with_what_to_use(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        Trainer(TrainerConfig(epochs=1, batch_size=64, **settings)).prepare(
            Toy()
        )  # so before a run directory is made
    assert words in str(caught.value)


def test_a_tf_config_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{cluster")
    with pytest.raises(UserError, match="TF_CONFIG is not the JSON"):
        fit(Toy())
    for job in ("ps", "evaluator"):
        monkeypatch.setenv(
            "TF_CONFIG",
            f'{{"cluster": {{"worker": ["a:1", "b:1"], "{job}": ["c:1"]}},'
            ' "task": {"type": "worker", "index": 0}}',
        )
        with pytest.raises(UserError, match=job):
            fit(Toy())
