"""The small observers of a run: its opening lines, its status and the learning rate of a resumption."""

from __future__ import annotations

from pathlib import Path

import keras

from tests.support.observing import Clock, begin, end_epoch, table
from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.callbacks.learning_rate import SetLearningRate
from trainkit.callbacks.metrics_csv import MetricsCSV
from trainkit.callbacks.opening import Opening
from trainkit.callbacks.run_status import RunStatus


def test_opening_tells_task_data_batch_devices_and_execution() -> None:
    told: list[str] = []
    begin(Opening("Model: toy\n", {"train": 1075, "test": 19}, told.append))
    assert told == [
        "Model: toy\n"
        "Task:      toy\n"
        "Data:      Toys: 1,075 train, 19 test; resident (small)\n"
        "Batch:     16 rows, 5 steps per epoch\n"
        "Devices:   2 CPU cores, one_device, float32\n"
        "Execution: epoch: as asked"
    ]


def test_status_is_written_every_few_seconds() -> None:
    written: list[float] = []
    clock = Clock()
    status = begin(RunStatus(lambda: written.append(clock.now), every=5.0, clock=clock))
    for number in range(1, 8):
        clock.now += 2.0
        end_epoch(status, number)
    assert written == [6.0, 12.0]


def test_status_is_written_also_within_a_long_epoch() -> None:
    written: list[float] = []
    clock = Clock()
    status = begin(RunStatus(lambda: written.append(clock.now), every=5.0, clock=clock))
    for batch in range(8):
        clock.now += 2.0
        status.on_train_batch_end(batch, {"loss": 1.0})
    assert written == [6.0, 12.0]


def test_learning_rate_overrides_that_of_the_checkpoint(tmp_path: Path) -> None:
    trainer, _ = fit(Toy(), epochs=1)
    path = trainer.save_checkpoint(tmp_path / "checkpoint")
    observers = [SetLearningRate(0.5), MetricsCSV(tmp_path / "metrics.csv")]
    resumed, _ = fit(Toy(), epochs=2, resume=path, callbacks=observers)
    assert float(keras.ops.convert_to_numpy(resumed.model.optimizer.learning_rate)) == 0.5
    assert [row["learning_rate"] for row in table(tmp_path / "metrics.csv")] == ["0.5"]
