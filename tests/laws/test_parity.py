"""trainkit trains what `model.fit` trains, bit for bit; and a loop that does not is caught."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import keras
import numpy as np
import pytest

from tests.support.planted_faults import (
    fault_batch_norm_in_inference_mode,
    fault_last_batch_dropped,
    fault_learning_rate_off_by_a_millionth,
    fault_loss_not_weighted_by_rows,
    fault_metrics_not_reset,
    fault_one_dropout_seed_too_many,
    fault_rows_in_another_order,
)
from tests.support.toys import AddLoss, Auc, ClassWeighted, Custom, Toy, TwoByTwo, Weighted, WeightedFocal
from trainkit.config import (
    ClipConfig,
    EmaConfig,
    OptimizerConfig,
    ParityConfig,
    ScheduleConfig,
    TrainerConfig,
)
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.optim.factory import NAMES
from trainkit.tasks.boston import Boston
from trainkit.tasks.mnist import MNIST
from trainkit.tasks.mnist_cnn import MnistCnn
from trainkit.trainer.trainer import Trainer
from trainkit.verification import matrix, parity, replicas
from trainkit.verification.report import Report
from trainkit.verification.same_data import check_same_data


def compare(
    task: Task,
    *,
    epochs: int = 2,
    optimizer: OptimizerConfig | None = None,
    callbacks: Any = list,
    data: Splits | None = None,
    **settings: Any,
) -> Report:
    config = TrainerConfig(**{"batch_size": 16, **settings})
    return parity.compare(task, config, ParityConfig(epochs=epochs), optimizer, data, callbacks)


def assert_equal_bits(report: Report) -> None:
    assert report.tolerance == 0.0, report.reason
    assert report.worst == 0.0, "\n".join(report.lines())
    assert report.first_step in (None, 0)
    assert report.passed


TASKS = [
    Toy(dropout=0.3),
    Toy(batch_norm=True, l2=1e-3),
    Weighted(),
    WeightedFocal(),
    ClassWeighted(),
    TwoByTwo(),
    Auc(),
    AddLoss(),
    Custom(),
]


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda t: type(t).__name__)
def test_every_kind_of_task_has_equal_bits(task: Task) -> None:
    """By steps, and by epochs for the first; `test_modes` shows for the others that both are the same."""
    for execution in ("step", "epoch") if task in (TASKS[0], TASKS[4]) else ("step",):
        assert_equal_bits(compare(task, execution=execution))


# Four whole batches: what a ragged one does is the law of each kind of task.
WHOLE = Toy(dropout=0.3, n=64)


@pytest.mark.in_parts(3)
@pytest.mark.slow_but_first
@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_optimizer_has_equal_bits(name: str) -> None:
    assert_equal_bits(compare(WHOLE, epochs=1, optimizer=OptimizerConfig(name=name)))


OPTIONS = {
    "clip norm": OptimizerConfig(clip=ClipConfig(norm=0.05)),
    "clip global norm": OptimizerConfig(clip=ClipConfig(global_norm=0.05)),
    "clip value": OptimizerConfig(clip=ClipConfig(value=0.01)),
    "EMA, overwriting": OptimizerConfig(ema=EmaConfig(enabled=True, momentum=0.9, overwrite_every=3)),
    "schedule": OptimizerConfig(schedule=ScheduleConfig(name="cosine", warmup_steps=3)),
    "weight decay": OptimizerConfig(name="adamw", weight_decay=0.01),
}


@pytest.mark.slow_but_first
@pytest.mark.parametrize("optimizer", OPTIONS.values(), ids=OPTIONS.keys())
def test_every_option_of_an_optimizer_has_equal_bits(optimizer: OptimizerConfig) -> None:
    assert_equal_bits(compare(WHOLE, epochs=1, optimizer=optimizer))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_has_equal_bits(precision: str) -> None:
    assert_equal_bits(compare(Toy(dropout=0.3), precision=precision))


@pytest.mark.slow
@pytest.mark.parametrize("task", [Toy(dropout=0.3), Toy(batch_norm=True)], ids=["dropout", "batch_norm"])
def test_the_same_step_under_xla_has_equal_bits(task: Task) -> None:
    assert_equal_bits(compare(task, execution="step_xla"))


@pytest.mark.slow
def test_accumulation_stays_within_its_bound() -> None:
    report = compare(Toy(l2=1e-3), batch_size=8, accumulate=2)
    assert 0 < report.tolerance <= 1e-5
    assert report.passed, "\n".join(report.lines())


@pytest.mark.slow
def test_a_keras_learning_rate_callback_acts_alike() -> None:
    def rates() -> list[keras.callbacks.Callback]:
        return [
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
            keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=0, factor=0.1, min_delta=1.0),
        ]

    assert_equal_bits(compare(Toy(dropout=0.3), epochs=3, callbacks=rates))


@pytest.fixture(scope="module")
def digits() -> Splits:
    splits = MNIST(source="embedded").data()
    take = slice(0, 300)
    return Splits(
        splits.train.take(take),
        splits.validation.take(slice(0, 100)),
        splits.test.take(slice(0, 50)),
        splits.source,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [MNIST(source="embedded"), MnistCnn(source="embedded", filters=(4, 8, 8), units=(16,))],
    ids=["mnist", "mnist_cnn"],
)
def test_the_digits_tasks_have_equal_bits(task: Task, digits: Splits) -> None:
    assert_equal_bits(compare(task, epochs=1, data=digits, batch_size=128))


@pytest.mark.slow
def test_boston_has_equal_bits() -> None:
    assert_equal_bits(compare(Boston(source="embedded"), epochs=2, batch_size=32))


@pytest.mark.slow
def test_real_rows_have_equal_bits(real_data: Path) -> None:
    assert_equal_bits(
        parity.compare(MNIST(dir=str(real_data)), TrainerConfig(batch_size=128), ParityConfig(steps=20))
    )
    assert_equal_bits(
        parity.compare(Boston(dir=str(real_data)), TrainerConfig(batch_size=32), ParityConfig(epochs=3))
    )


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_two_replicas_train_what_model_fit_trains_on_them(precision: str) -> None:
    """On batches that divide evenly: Keras weighs a ragged one by replica, trainkit by row."""
    report = compare(Toy(n=64), execution="step", strategy="mirrored", replicas=2, precision=precision)
    assert report.passed, "\n".join(report.lines())
    assert report.worst <= 1e-6


# The negative control: loops that are wrong in the ways that loops are. Each must be reported, at the right
# place.


# The fault, the task that shows it, the first step after which something differs (None: only epochs do),
# and a part of what must be named.
FAULTS = [
    (fault_loss_not_weighted_by_rows, Toy(), 1, "metrics/"),
    (fault_metrics_not_reset, Toy(), 6, "metrics/"),
    (fault_batch_norm_in_inference_mode, Toy(batch_norm=True), 1, "moving_mean"),
    (fault_last_batch_dropped, Toy(), 5, "model/"),
    (fault_one_dropout_seed_too_many, Toy(dropout=0.3), 1, "seed_generator_state"),
    (fault_learning_rate_off_by_a_millionth, Toy(), 1, "learning_rate"),
    (fault_rows_in_another_order, Toy(), 1, "model/"),
]


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("fault", "task", "step", "named"), FAULTS, ids=[f.__name__.removeprefix("fault_") for f, *_ in FAULTS]
)
def test_a_wrong_loop_is_caught_and_pointed_at(
    fault: Any, task: Task, step: int, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    report = compare(task)
    assert not report.passed
    assert report.first_step == step, report.lines()
    assert any(named in name for name in report.first_names), report.first_names
    text = "\n".join(report.lines())
    assert "FAILED" in text
    assert f"after step {step}" in text


@dataclass(frozen=True)
class Drawn(Toy):
    """Other rows each time."""

    def data(self) -> Splits:
        rng = np.random.default_rng()
        return Splits(Arrays(rng.normal(size=(16, 6)).astype("float32"), rng.integers(0, 3, 16)))


def test_other_rows_are_refused_and_no_difference_of_two_loops() -> None:
    """In the matrix of all combinations, too, which names what cannot be compared and goes on."""
    config, other = TrainerConfig(batch_size=16), "gave other training rows the second time"
    with pytest.raises(UserError, match=other):
        matrix.compare_all(Drawn(), config, ParityConfig(steps=1), ())
    with pytest.raises(UserError, match=other):
        replicas.train(Drawn(), config, None, like=cast(Trainer, SimpleNamespace(splits=Drawn().data())))


def test_rows_are_compared_by_their_values() -> None:
    def rows(last: str) -> Splits:
        texts = np.array(["".join(["a", "b"]), last], object)
        return Splits(Arrays({"x": np.array([np.nan, 1.0]), "text": texts}))

    check_same_data(rows("c"), rows("c"))
    with pytest.raises(UserError, match="fixed seed"):
        check_same_data(rows("c"), rows("d"))


# The command.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tolerance", "fault", "code"),
    [("auto", False, 0), ("exact", False, 0), ("exact", True, 1), ("0.5", True, 0)],
)
def test_the_command_exits_by_its_verdict(
    tolerance: str,
    fault: bool,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from trainkit.cli import main

    monkeypatch.chdir(tmp_path)
    if fault:
        fault_learning_rate_off_by_a_millionth(monkeypatch)
    words = [
        "mode=parity",
        "task=boston",
        "data.source=embedded",
        "run_dir=out",
        f"parity.tolerance={tolerance}",
    ]
    assert main.main(words) == code
    written = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert written["passed"] is (code == 0)
    assert (written["max_difference"] == 0.0) is not fault
    assert (written["first_difference"]["step"] == 0) is not fault
    assert (tmp_path / "out" / "plots" / "parity.png").stat().st_size > 5000
    assert "largest difference" in capsys.readouterr().out
