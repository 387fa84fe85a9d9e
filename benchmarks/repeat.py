"""`python -m benchmarks.repeat`: the same command gives the same bits, run after run.

Each of five commands is run several times, each time as a process of its own. All rows of metrics.csv but
the seconds, and all tensors of the last checkpoint, have to be equal.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from trainkit.checkpoint.members import read_arrays, read_meta

COMMANDS = {
    "boston": ["task=boston", "trainer.epochs=100"],
    "mnist, dropout, XLA": ["task=mnist", "trainer.epochs=2"],
    "mnist_cnn, 40 steps": ["task=mnist_cnn", "trainer.epochs=2", "trainer.limit_train_batches=20"],
    "boston, 2 replicas": [
        "task=boston",
        "trainer.epochs=20",
        "trainer.strategy=mirrored",
        "trainer.replicas=2",
    ],
    "mnist, bfloat16, chunks": [
        "task=mnist",
        "trainer.epochs=2",
        "trainer.limit_train_batches=50",
        "trainer.precision=mixed_bfloat16",
        "trainer.feed=stream",
    ],
}


def trained(arguments: Sequence[str], run: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """What a command leaves: its rows without seconds, and the tensors of its last checkpoint."""
    command = [sys.executable, "-m", "trainkit", *arguments, f"run_dir={run}", "progress=none"]
    command += ["callbacks.tensorboard.enabled=false", "callbacks.plots=false"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    last = run / "checkpoints" / "last"
    return rows, dict(read_arrays(last, read_meta(last), "variables.bin"))


def differing(runs: int, arguments: Sequence[str]) -> dict[str, int]:
    """How many runs after the first have other rows, or other tensors, than the first."""
    rows = tensors = 0
    with tempfile.TemporaryDirectory() as folder:
        first_rows, first = trained(arguments, Path(folder, "0"))
        for number in range(1, runs):
            again_rows, again = trained(arguments, Path(folder, str(number)))
            rows += again_rows != first_rows
            same = first.keys() == again.keys()
            tensors += not (same and all(np.array_equal(first[k], again[k]) for k in first))
    sizes = {"runs": runs, "epochs": len(first_rows), "tensors": len(first)}
    return {**sizes, "other rows": rows, "other weights": tensors}


def main() -> int:
    """Run all, print the table; 1 if any run differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="runs of each command, at least 2")
    options = parser.parse_args()
    if options.runs < 2:
        parser.error("--runs has to be at least 2")
    table = [{"command": name, **differing(options.runs, command)} for name, command in COMMANDS.items()]
    print(machine.table(table))
    return int(any(row["other rows"] or row["other weights"] for row in table))


if __name__ == "__main__":
    sys.exit(main())
