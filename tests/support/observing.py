"""Observers of a training that does not take place: told of its begin and of each epoch's end."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from trainkit.core.datasets import Source
from trainkit.core.run_info import EpochRecord, RunInfo

__all__ = ["Clock", "begin", "end_epoch", "table"]

LOGGED = ("loss", "accuracy", "val_loss", "val_accuracy")


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def begin(observer: Any, **facts: Any) -> Any:
    """The observer, told that a training of ten epochs begins, unless `facts` of `RunInfo` say otherwise."""
    usual = {
        "task": "toy",
        "dataset": Source("Toys"),
        "epochs": 10,
        "steps_per_epoch": 5,
        "batch_size": 16,
        "execution": "epoch",
        "execution_reason": "as asked",
        "logged": LOGGED,
        "devices": "2 CPU cores",
        "feed": "resident (small)",
    }
    observer.run = RunInfo(**{**usual, **facts})
    observer.on_train_begin()
    return observer


def end_epoch(observer: Any, number: int, logs: dict[str, float] | None = None, **record: Any) -> None:
    """Tell the observer that an epoch, counted from 1, has ended."""
    usual = {
        "epoch": number,
        "step": 5 * number,
        "seconds": 0.25,
        "train_seconds": 0.25,
        "examples_per_second": 52_300.4,
        "steps_per_second": 3_000.0,
        "learning_rate": 0.01,
    }
    observer.record = EpochRecord(**{**usual, **record})
    observer.on_epoch_end(number - 1, logs or {"loss": 1 / number, "accuracy": 0.5})


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, by column."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
