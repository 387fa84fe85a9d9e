"""`python -m benchmarks.scaling`: what a step of trainkit costs as rows, width, batch and epochs grow.

Also measured: memory over long trainings, and what the time of a start is spent on. Each table is measured in
a process of its own. Costs are medians of interleaved rounds, without building and compiling.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine, scaling_out

STEPS = 3000  # of a measurement
ROW_STEPS = 30_000  # where the number of rows grows, whose effect is small
FEATURES = 64
# Where they are not what grows:
ROWS = 2_000
WIDTH = 128
BATCH = 64
LONG = 1000  # epochs of the memory measurement, compared with a hundredth of them
FITS = 50  # trainings of the memory measurement
START = """
import time
begin = time.perf_counter()
import tensorflow, keras
framework = time.perf_counter()
from benchmarks.contenders.trainkit_trainer import BenchmarkTask
from benchmarks.workloads import WORKLOADS
from trainkit.trainer.trainer import Trainer
ours = time.perf_counter()
task = BenchmarkTask(WORKLOADS["boston_val"], 0)
trainer = Trainer(epochs=1, limit_train_batches=1, batch_size=32, execution="{execution}")
trainer.prepare(task)
built = time.perf_counter()
trainer.fit(task)
seconds = trainer.seconds
import json
print(json.dumps({{
    "import TensorFlow and Keras": framework - begin,
    "import trainkit": ours - framework,
    "data, model, checks": built - ours,
    "compile": seconds["compile"],
    "first step and validation": seconds["total"] - seconds["compile"],
}}))
"""

Table = list[dict[str, Any]]


def trained(
    rows: int = ROWS,
    width: int = WIDTH,
    batch: int = BATCH,
    epochs: int | None = None,
    steps: int = STEPS,
    seed: int = 0,
    **settings: Any,
) -> Any:
    """A trainer that has trained a dense network of two hidden layers on random rows."""
    import keras
    import numpy as np

    from trainkit.core.datasets import Arrays, Splits
    from trainkit.core.task import Task
    from trainkit.trainer.trainer import Trainer

    generator = np.random.default_rng(seed)
    arrays = Arrays(
        generator.standard_normal((rows, FEATURES), np.float32),
        generator.standard_normal((rows, 1), np.float32),
    )

    class Random(Task):
        """Two hidden layers on noise."""

        def data(self) -> Splits:
            return Splits(arrays)

        def model(self, train: Arrays) -> keras.Model:
            hidden = [keras.layers.Dense(width, activation="relu") for _ in range(2)]
            last = keras.layers.Dense(1, dtype="float32")
            return keras.Sequential([keras.Input((FEATURES,)), *hidden, last])

        def loss(self) -> keras.losses.Loss:
            return keras.losses.MeanSquaredError()

    task = Random()
    trainer = Trainer(
        epochs=epochs or max(1, round(steps * batch / rows)), batch_size=batch, seed=seed, **settings
    )
    trainer.prepare(task)
    trainer.fit(task)
    return trainer


def _grow(
    name: str, values: Sequence[int], rounds: int, floating: Callable[[int], float], steps: int = STEPS
) -> Table:
    """Microseconds per step as one size grows, in rounds that go through all of its values."""
    costs: dict[int, list[float]] = {value: [] for value in values}
    modes = {}
    for seed in range(rounds):
        for value in values:
            trainer = trained(**{name: value}, steps=steps, seed=seed)
            seconds = trainer.seconds["total"] - trainer.seconds["compile"]
            costs[value].append(1e6 * seconds / trainer.state.step)
            modes[value] = trainer.execution
    table = []
    for value in values:
        median = statistics.median(costs[value])
        spread = f"{min(costs[value]):,.0f} to {max(costs[value]):,.0f}"
        table.append(
            {
                name: value,
                "us/step": median,
                "lowest to highest": spread,
                "GFLOP/s": floating(value) / median / 1e3,
                "execution": modes[value],
            }
        )
    return table


def _floating(width: int = WIDTH, batch: int = BATCH) -> float:
    """Floating-point operations of a step's products: forward, and backward but for the first input."""
    forward = 2.0 * batch * (FEATURES * width + width * width + width)
    return 3 * forward - 2.0 * batch * FEATURES * width


def rows(rounds: int) -> Table:
    """Cost of a step by the number of training rows."""
    return _grow("rows", [ROWS, 10 * ROWS, 100 * ROWS], rounds, lambda _: _floating(), ROW_STEPS)


def width(rounds: int) -> Table:
    """Cost of a step by the units of the hidden layers."""
    return _grow("width", [32, 128, 512, 1024], rounds, lambda width: _floating(width=width))


def batch(rounds: int) -> Table:
    """Cost of a step by its rows."""
    return _grow("batch", [16, 64, 256, 1024], rounds, lambda batch: _floating(batch=batch))


def epochs(rounds: int) -> Table:
    """Cost of a step by the number of epochs.

    Longer trainings may be worth compiling, and take more epochs in one call.
    """
    return _grow("epochs", [1, 10, 100, 1000], rounds, lambda _: _floating())


def memory(rounds: int) -> Table:
    """Resident memory while one training goes on, and over repeated trainings in one process."""
    from trainkit.callbacks.observer import Observer

    seen: dict[int, float] = {}

    class Watch(Observer):
        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            seen[epoch + 1] = machine.resident_mb()

    few = LONG // 100
    trained(epochs=LONG, epochs_per_call=few, callbacks=[Watch()])
    table = [
        {"of": "one training", "at": f"epoch {few}", "MB": seen[few], "growth %": 0.0},
        {
            "of": "one training",
            "at": f"epoch {LONG}",
            "MB": seen[LONG],
            "growth %": 100 * (seen[LONG] / seen[few] - 1),
        },
    ]
    table += _repeated("new trainers", lambda seed: trained(epochs=1, seed=seed))
    trainer = trained(epochs=1)
    return table + _repeated("fits of one trainer", lambda _: trainer.fit(trainer.setup.task))


def _repeated(name: str, train: Callable[[int], Any]) -> Table:
    after = []
    for seed in range(FITS):
        train(seed)
        after.append(machine.resident_mb())
    early = FITS // 5
    return [
        {
            "of": name,
            "at": f"{n} done",
            "MB": after[n - 1],
            "growth %": 100 * (after[n - 1] / after[early - 1] - 1),
        }
        for n in (early, FITS)
    ]


def start(rounds: int) -> Table:
    """Seconds until the first step, by what they are spent on; and of a whole command."""
    table = []
    for execution in ("epoch", "epoch_xla"):
        runs = [
            json.loads(machine.run_python("-c", START.format(execution=execution)).splitlines()[-1])
            for _ in range(rounds)
        ]
        table += [
            {"execution": execution, "part": part, "s": statistics.median(run[part] for run in runs)}
            for part in runs[0]
        ]
    return table + whole(rounds)


def whole(rounds: int) -> Table:
    """Seconds of a whole command, of a process that only imports TensorFlow, and of compiling."""
    from trainkit.trainer.timing import timed

    runs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            importing = timed(partial(machine.run_python, "-c", "import tensorflow, keras"))
            command = ("task=boston", f"trainer.epochs={LONG}", "progress=none", f"run_dir={folder}/run")
            seconds = timed(partial(machine.run_python, "-m", "trainkit", *command))
            compiling = json.loads((Path(folder) / "run" / "summary.json").read_text())["seconds"]["compile"]
        runs.append((seconds / (importing + compiling), importing, compiling, seconds))
    ratio, importing, compiling, seconds = sorted(runs)[len(runs) // 2]
    name = f"python -m trainkit task=boston trainer.epochs={LONG}"
    parts = {
        "python -c 'import tensorflow, keras'": importing,
        "compile, of the next": compiling,
        f"{name}, {ratio:.2f} times these two": seconds,
    }
    return [{"execution": "auto", "part": part, "s": value} for part, value in parts.items()]


TABLES: dict[str, Callable[[int], Table]] = {
    "rows": rows,
    "width": width,
    "batch": batch,
    "epochs": epochs,
    "memory": memory,
    "start": start,
    "depth": scaling_out.depth,
    "replicas": scaling_out.replicas,
    "workers": scaling_out.workers,
    "precision": scaling_out.precision,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--tables", default=",".join(TABLES), help="of %(default)s; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmarks/results"),
        help="folder for scaling.json; default: %(default)s",
    )
    parser.add_argument(
        "--measure", choices=TABLES, help="measure one table in this process and print it as JSON"
    )
    asked = parser.parse_args(argv)
    if asked.measure:
        print(json.dumps(TABLES[asked.measure](asked.rounds)))
        return 0
    unknown = [name for name in asked.tables.split(",") if name not in TABLES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(TABLES)}")
    asked.output.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {**machine.describe(os.cpu_count() or 1), "rounds": asked.rounds}
    for name in asked.tables.split(","):
        content[name] = json.loads(
            machine.run_python(
                "-m", "benchmarks.scaling", "--measure", name, "--rounds", str(asked.rounds)
            ).splitlines()[-1]
        )
        print(f"{name}\n{machine.table(content[name])}\n", flush=True)
        (asked.output / "scaling.json").write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
