"""`python -m benchmarks.feeds`: rows in chunks, from memory and from a file, and augmented rows.

Each way trains the same model on the same rows; the ways take turns. Told are rows per second, the time that
the training waited for rows included, and the ratio to the first way: medians, and the range of all rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import trainkit as tk
from benchmarks import machine
from trainkit.core.task import Task
from trainkit.data.sources.row_cache import RowFile
from trainkit.tasks.image_classification import ImageClassification
from trainkit.tasks.mnist import MNIST


@dataclass(frozen=True)
class InFile(MNIST):
    """MNIST, its images in a file.

    Args:
        path: Of the training images.
        cold: Whether the system is told to forget what it has read of the file.
    """

    path: str = ""
    cold: bool = False

    def data(self) -> tk.Splits:
        splits = super().data()
        assert isinstance(splits.train, tk.Arrays)
        x = np.load(self.path, mmap_mode="r")
        found: tk.Splits = replace(splits, train=tk.Arrays(x, splits.train.y).select(np.arange(len(x))))
        return found

    def forget(self) -> None:
        """Let the system read the file from the disk again."""
        descriptor = os.open(self.path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


class Way:
    """One way to train: the task, and the settings of its trainer."""

    def __init__(self, task: Task, **settings: Any) -> None:
        self.task = task
        self.trainer = tk.Trainer(**settings)
        self.rates: list[float] = []

    def train(self) -> float:
        """Rows per second of one training."""
        if isinstance(self.task, InFile) and self.task.cold:
            self.trainer = tk.Trainer(self.trainer.config)  # lets the mapped file go
            self.task.forget()
        self.trainer.fit(self.task)
        return self.trainer.throughput["examples_per_second"]


def compare(ways: dict[str, Way], rounds: int) -> list[dict[str, Any]]:
    """A row of a table for each way."""
    for turn in range(rounds + 1):
        for way in ways.values():
            rate = way.train()
            if turn:  # the first turn compiles
                way.rates.append(rate)
    first = next(iter(ways.values())).rates
    rows = []
    for name, way in ways.items():
        ratios = [rate / other for rate, other in zip(way.rates, first, strict=True)]
        waited = way.trainer.bottleneck.get("input_share", 0.0)
        rows.append(
            {
                "way": name,
                "rows/s": f"{statistics.median(way.rates):,.0f}",
                "ratio": f"{statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})",
                "waited for rows": f"{waited:.0%}",
            }
        )
    return rows


def feeds(folder: Path, epochs: int) -> dict[str, Way]:
    """The dense network of the MNIST recipe on rows from everywhere."""
    train = MNIST().data().train
    assert isinstance(train, tk.Arrays)
    path = folder / "x.npy"
    with RowFile(path, train.x.shape[1:], train.x.dtype) as file:
        file.append(train.x)
    settings = {"epochs": epochs, "batch_size": 128}
    in_file = InFile(path=str(path))
    return {
        "resident": Way(MNIST(), **settings, feed="resident"),
        "chunks from memory": Way(MNIST(), **settings, feed="stream"),
        "chunks from a file": Way(in_file, **settings, feed="stream"),
        "chunks from the disk": Way(replace(in_file, cold=True), **settings, feed="stream"),
    }


def augmentations(steps: int) -> dict[str, Way]:
    """The small convolutional network on images as they are, and as they are augmented."""
    settings = {"epochs": 1, "batch_size": 64, "limit_train_batches": steps}
    ways = {}
    for name in ("none", "light", "standard", "strong"):
        task = ImageClassification(settings={"source": "mnist", "augment": name})
        ways[f"augment={name}"] = Way(task, **settings, feed="stream" if name == "none" else "auto")
    return ways


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each way, in turns; default: 5")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a training; default: 3")
    parser.add_argument("--steps", type=int, default=100, help="steps of an augmented one; default: 100")
    parser.add_argument("--folder", type=Path, help="on the disk to be read from; default: a temporary one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        print(machine.table(compare(feeds(Path(folder), asked.epochs), asked.rounds)) + "\n", flush=True)
    print(machine.table(compare(augmentations(asked.steps), asked.rounds)))


if __name__ == "__main__":
    main()
