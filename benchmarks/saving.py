"""What saving costs: the same training with checkpoints and without, one after the other.

    python -m benchmarks.saving --rounds 5

Saves come every few seconds, so that many fit into a short training; what they add, divided by their number,
is the cost of one, and divided by 60 seconds the cost of one per minute. Medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import trainkit as tk
from trainkit.callbacks.checkpoints import Checkpoints

SECONDS_PER_SAVE = 60.0  # for which the cost is told
POLL_SECONDS = 0.01
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Wide(tk.Task):
    """A network whose variables and Adam's slots take `megabytes`."""

    megabytes: int = 500
    rows: int = 2048

    def data(self) -> tk.Splits:
        """Random rows."""
        x = np.random.default_rng(0).normal(size=(self.rows, self.width)).astype(np.float32)
        return tk.Splits(tk.Arrays(x, x[:, 0]))

    def model(self, train: tk.Arrays) -> keras.Model:
        """Two square layers: each weight has two slots."""
        square = [keras.layers.Dense(self.width, "relu") for _ in range(2)]
        return keras.Sequential([keras.Input((self.width,)), *square, keras.layers.Dense(1)])

    def loss(self) -> Any:
        """Squared error."""
        return "mse"

    @property
    def width(self) -> int:
        """Of the layers."""
        return int((self.megabytes * 1e6 / (2 * 3 * 4)) ** 0.5)


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        name: For people.
        task: What is trained.
        every_steps: Steps between two saves.
        settings: Of the trainer.
    """

    name: str
    task: tk.Task
    every_steps: int
    settings: dict[str, Any]


def rows() -> list[Row]:
    """What is compared."""
    return [
        Row("MNIST recipe", tk.tasks.MNIST(), 300, {"epochs": 3, "batch_size": 128}),
        Row("state of 500 MB", Wide(), 16, {"epochs": 2, "batch_size": 64}),
    ]


class CountedCheckpoints(Checkpoints):
    """Counts what it saves."""

    saves = 0

    def _save(self, *arguments: Any, **named: Any) -> None:
        self.saves += 1
        super()._save(*arguments, **named)


@contextmanager
def most_memory(found: list[float]) -> Iterator[None]:
    """Append the most bytes that the process had in the block."""
    ended = threading.Event()
    most = 0

    def watch() -> None:
        nonlocal most
        while not ended.wait(POLL_SECONDS):
            most = max(most, PAGE_BYTES * int(Path("/proc/self/statm").read_text().split()[1]))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        found.append(float(most))


def compare(row: Row, rounds: int) -> str:
    """A row of the table."""
    trainer = tk.Trainer(**row.settings)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    memory: dict[bool, list[float]] = {False: [], True: []}
    saves = 0
    for turn in range(rounds + 1):
        for saving in (False, True):
            with tempfile.TemporaryDirectory(prefix="trainkit-saving-") as folder:
                saver = CountedCheckpoints(folder, "loss", every_steps=row.every_steps, keep=1)
                trainer.callbacks = [saver] if saving else []
                begin = time.perf_counter()
                with most_memory(memory[saving]):
                    trainer.fit(row.task)
                seconds[saving].append(time.perf_counter() - begin)
                saves = saver.saves or saves
        if not turn:  # it compiles
            seconds = {False: [], True: []}
    states = (max(memory[True]) - max(memory[False])) / trainer.state.nbytes
    per_save = statistics.median(b - a for a, b in zip(seconds[False], seconds[True], strict=True)) / saves
    megabytes = trainer.state.nbytes / 1e6
    told = [f"{statistics.median(v):.2f} ({min(v):.2f}-{max(v):.2f})" for v in seconds.values()]
    cost = f"{1000 * per_save:.0f} ms | {per_save / SECONDS_PER_SAVE:.2%}"
    return f"| {row.name} | {megabytes:.0f} MB | {told[0]} | {told[1]} | {saves} | {cost} | {states:.1f} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="what saving costs")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds, the first of all apart")
    rounds = parser.parse_args().rounds
    print(
        "| training | state | seconds without saves | with | saves | per save | at one per minute "
        "| most copies in memory |\n|---|---|---|---|---|---|---|---|"
    )
    for row in rows():
        print(compare(row, rounds), flush=True)


if __name__ == "__main__":
    main()
