"""`python -m benchmarks.larger`: rows of several times the memory that the process may have.

A file of random images of MNIST's size trains the dense network of the MNIST recipe for an epoch, or for
`--steps` of it. As many steps of the same model on resident rows are timed before and after it. The process
is limited to `--limit` GB of data (RLIMIT_DATA: all that it allocates; not what it maps of files, which the
system takes back).
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import trainkit as tk
from benchmarks import machine
from trainkit.data.sources.row_cache import RowFile
from trainkit.tasks.mnist import MNIST

SHAPE = (28, 28)
BLOCK = 10_000  # rows that are written at a time
RESIDENT = 60_000  # rows
BATCH = 128


@dataclass(frozen=True)
class Random(MNIST):
    """The model of the MNIST recipe on random images.

    Args:
        path: Of the images.
        rows: How many of them train; None: all.
    """

    path: str = ""
    rows: int | None = None

    def data(self) -> tk.Splits:
        x = np.load(self.path, mmap_mode="r")
        if self.rows is not None:
            x = np.array(x[: self.rows])
        return tk.Splits(tk.Arrays(x, (np.arange(len(x)) % 10).astype(np.int32)))

    def loss(self) -> keras.losses.Loss:
        return keras.losses.SparseCategoricalCrossentropy()

    def metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.SparseCategoricalAccuracy("accuracy")]


def write(path: Path, rows: int) -> None:
    """A file of random images."""
    rng = np.random.default_rng(0)
    with RowFile(path, SHAPE, np.uint8) as file:
        for begin in range(0, rows, BLOCK):
            file.append(rng.integers(0, 256, (min(BLOCK, rows - begin), *SHAPE), np.uint8))


class Peaks:
    """The most memory that this process has had, in MB, by the names of `/proc/self/status`."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in ("VmRSS", "RssAnon", "RssFile", "VmData"):
                    self.found[name] = max(self.found.get(name, 0), int(value.split()[0]) // 1024)
            time.sleep(0.2)


def train(name: str, task: Random, **settings: Any) -> dict[str, Any]:
    """Train, and tell how quickly; the first steps compile and do not count."""
    trainer = tk.Trainer(batch_size=BATCH, **settings)
    begin = time.perf_counter()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    trainer.fit(task)
    seconds = time.perf_counter() - begin
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults
    assert trainer.setup is not None
    return {
        "rows": name,
        "feed": trainer.setup.source.kind,
        "steps": f"{trainer.state.step:,}",
        "rows/s": f"{trainer.throughput['examples_per_second']:,.0f}",
        "waited for rows": f"{trainer.bottleneck.get('input_share', 0.0):.0%}",
        "read from the disk": f"{faults:,} times",
        "whole call": f"{seconds:.0f} s",
    }


def main() -> None:
    """Print the table and the peaks of memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=8.0, help="of rows; default: 8")
    parser.add_argument("--limit", type=float, default=2.0, help="GB of data of the process; default: 2")
    parser.add_argument("--steps", type=int, help="of 128 rows; default: an epoch of the rows in the file")
    parser.add_argument("--folder", type=Path, help="where the file goes; default: a temporary one")
    asked = parser.parse_args()
    rows = int(asked.gigabytes * 2**30 / np.prod(SHAPE))
    steps = asked.steps or rows // BATCH
    epochs = max(1, round(steps * BATCH / RESIDENT))
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = Path(folder) / "x.npy"
        write(path, rows)
        limit = int(asked.limit * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        peaks = Peaks()
        resident = Random(path=str(path), rows=RESIDENT)
        table = [train("resident", resident, epochs=epochs)]
        large = Random(path=str(path))
        name = f"{asked.gigabytes:g} GB in a file"
        table.append(train(name, large, epochs=1, limit_train_batches=asked.steps))
        table.append(train("resident", resident, epochs=epochs))
    print(machine.table(table))
    print(", ".join(f"{name} {value:,} MB" for name, value in sorted(peaks.found.items())))


if __name__ == "__main__":
    main()
