"""trainkit: `Trainer.fit` in each execution mode, and for the recipe with validation also the whole command.

The command runs with its default callbacks.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras

from benchmarks import networks
from benchmarks.session import Run, Session
from benchmarks.workloads import Workload
from trainkit.core.datasets import Arrays, Source, Splits
from trainkit.core.task import Task
from trainkit.trainer.trainer import Trainer

LONG = True
COMMAND = "command, default callbacks"


def variants(workload: Workload) -> tuple[str, ...]:
    # XLA's convolutions inside a loop are 25 times slower on a CPU: nobody need wait for them in every round.
    modes = ("auto", "epoch", "step") if workload.network.convolutions else ("auto", "epoch", "epoch_xla")
    return (*modes, COMMAND) if workload.name == "boston_val" else modes


def prepare(workload: Workload, variant: str) -> Session:
    return Command() if variant == COMMAND else Fit(workload, variant)


@dataclass(frozen=True)
class BenchmarkTask(Task):
    """A workload as a task: the same rows, layers, loss, metric and optimizer as all contenders."""

    workload: Workload
    seed: int

    def data(self) -> Splits:
        rows = self.workload.rows
        return Splits(
            Arrays(rows.x, rows.y),
            Arrays(*rows.validation) if rows.validation else None,
            source=Source(rows.source),
        )

    def model(self, train: Arrays) -> keras.Model:
        model = networks.network(self.workload)
        networks.start(self.workload, model, self.seed)
        return model

    def loss(self) -> keras.losses.Loss:
        return networks.loss(self.workload)

    def metrics(self) -> list[keras.metrics.Metric]:
        return [networks.metric(self.workload)]

    def optimizer(self) -> keras.optimizers.Optimizer:
        return networks.optimizer(self.workload)


class Fit(Session):
    """Every run builds and compiles anew, as a user's does, and counts its own `compile_seconds`."""

    def __init__(self, workload: Workload, execution: str) -> None:
        self.workload = workload
        self.execution = execution

    def run(self, epochs: int, seed: int) -> Run:
        task = BenchmarkTask(self.workload, seed)
        trainer = Trainer(epochs=epochs, batch_size=self.workload.batch, seed=seed, execution=self.execution)
        trainer.prepare(task)
        history = trainer.fit(task)
        seconds = trainer.seconds
        return Run(
            seconds["total"] - seconds["compile"],
            history.history["loss"],
            f"{trainer.execution}: {trainer.execution_reason}",
            seconds["compile"],
        )


class Command(Session):
    """`python -m trainkit task=boston`, which writes its curves, checkpoints and status as it goes."""

    def run(self, epochs: int, seed: int) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "run"
            command = [
                sys.executable,
                "-m",
                "trainkit",
                "task=boston",
                f"trainer.epochs={epochs}",
                f"trainer.seed={seed}",
                f"run_dir={place}",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
            if done.returncode:
                raise RuntimeError(
                    f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}"
                )
            summary = json.loads((place / "summary.json").read_text())
            with (place / "metrics.csv").open() as file:
                losses = [float(row["train/loss"]) for row in csv.DictReader(file)]
        seconds = summary["seconds"]
        return Run(
            seconds["total"] - seconds["compile"],
            losses,
            summary["execution"],
            seconds["compile"],
            own_start=True,
        )
