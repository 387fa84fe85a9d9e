"""`python -m benchmarks.models`: models of many kinds, as a whole process and per epoch.

Each measurement is a process of its own, from its start to its end: importing, building, compiling, training.
Contenders take turns in rounds; a second run of trainkit finds what the first compiled. Losses of the
first epoch have to be equal where a model draws no random numbers. trainkit decides by the length of a
training, so it trains 1, 4 and 20 epochs; the others train 4, from which their 1 and 20 are reckoned.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from benchmarks import machine, models_page
from benchmarks.zoo import ZOO, drawn

CONTENDERS = {
    "trainkit": "tensorflow",
    "trainkit, second run": "tensorflow",
    "fit": "tensorflow",
    "fit, 25 steps per execution": "tensorflow",
    "fit, XLA": "tensorflow",
    "Keras on JAX": "jax",
    "Keras on JAX, 25 steps per execution": "jax",
    "JAX scan": "",
    "PyTorch": "",
    "Lightning": "",
}
OWN = models_page.OWN
# One environment has them all; each process sees what a user of its contender installs, since Keras and
# TensorFlow import what they find.
FRAMEWORKS = ("tensorflow", "jax", "torch", "lightning")
TOOLS = ("pandas", "polars", "IPython")
NEEDED = {"PyTorch": ("torch",), "Lightning": ("torch", "lightning"), "JAX scan": ("jax",)}
WITHOUT_KERAS = {"JAX scan": "zoo_jax", "PyTorch": "zoo_plain", "Lightning": "zoo_lightning"}
# A contender that takes so many times as long as the fastest in the first round, per epoch and as a whole, is
# not measured again.
WORTH_ROUNDS = 1.5
ALWAYS = (*OWN, "fit")
SHORT, LONG = 4, 20  # epochs; seconds per epoch are those of the longest training of a contender
COUNTS = (1, SHORT, LONG)
TOLERANCE = 0.02  # of losses, relative
LIMIT = 300.0  # seconds of a process


def train(kind: str, contender: str, epochs: int) -> dict[str, Any]:
    """Train in this process; seconds of each epoch, and the losses."""
    needed = NEEDED.get(contender, (CONTENDERS[contender],))
    _Installed.hidden = [*(name for name in FRAMEWORKS if name not in needed), *TOOLS]
    sys.meta_path[sys.meta_path.index(PathFinder)] = _Installed
    if contender in WITHOUT_KERAS:
        module = importlib.import_module(f"benchmarks.contenders.{WITHOUT_KERAS[contender]}")
        result: dict[str, Any] = module.train(kind, epochs)
        return result
    if contender.startswith("trainkit"):
        import trainkit as tk
    import keras
    import numpy as np

    row = ZOO[kind]
    keras.utils.set_random_seed(0)
    x, y = row.rows(np.random.default_rng(0))
    model = row.model()
    _begin_alike(model)
    if "25 steps" in contender:
        model.steps_per_execution = 25
    if "XLA" in contender:
        model.jit_compile = True

    class Clock(keras.callbacks.Callback):
        """The time at the end of each epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.ends: list[float] = []

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.ends.append(time.perf_counter())

    clock = Clock()
    arguments: dict[str, Any] = {"batch_size": row.batch, "epochs": epochs, "shuffle": False, "verbose": 0}
    begin = time.perf_counter()
    if contender.startswith("trainkit"):
        history = tk.fit(model, x, y, callbacks=[clock], **arguments)
    else:
        history = model.fit(x, y, callbacks=[clock], **arguments)
    ends = [begin, *clock.ends]
    seconds = [b - a for a, b in itertools.pairwise(ends)]
    return {"epochs": seconds, "loss": history.history["loss"]}


class _Installed(PathFinder):
    """Finds packages, but for those that are to look as if they were not installed."""

    hidden: Sequence[str] = ()

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return None if fullname in cls.hidden else super().find_spec(fullname, path, target)


def _begin_alike(model: Any) -> None:
    """Weights that do not depend on the random numbers of a backend."""
    import numpy as np

    draw = np.random.default_rng(1)
    model.set_weights(
        [value if value.ndim < 2 else drawn(draw, value.shape) for value in model.get_weights()]
    )


def measured(kind: str, contender: str, epochs: int, home: str, threads: int) -> dict[str, Any]:
    """A process that trains: its seconds as a whole, and what `train` returns; or why there is nothing."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": CONTENDERS[contender] or "tensorflow",
        "XDG_CACHE_HOME": home,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": str(threads),
    }
    command = [sys.executable, "-m", "benchmarks.models", "--train", kind, contender, str(epochs)]
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {LIMIT:.0f} s"}
    whole = time.perf_counter() - begin
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:120]}
    return {"whole": whole, **json.loads(done.stdout.splitlines()[-1])}


def row(kind: str, rounds: int, threads: int) -> list[dict[str, Any]]:
    """All contenders on one model."""
    entrants = [name for name in CONTENDERS if name != "JAX scan" or ZOO[kind].scan]
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for number in range(rounds):
        for count in COUNTS:
            with tempfile.TemporaryDirectory() as home:
                for contender in entrants:
                    if count == SHORT or contender == OWN[0] or (contender == OWN[1] and count < LONG):
                        found = measured(kind, contender, count, home, threads)
                        runs.setdefault((contender, count), []).append(found)
        if number == 0:
            entrants = _worth_rounds(entrants, [runs[name, SHORT][0] for name in entrants])
    reference = runs["fit", SHORT][0].get("loss")
    lines = []
    for contender in [name for name in CONTENDERS if (name, SHORT) in runs]:
        short = runs[contender, SHORT]
        long = runs.get((contender, LONG), short)
        good = [run for run in short if "whole" in run]
        failed = [run["failed"] for run in [*short, *long] if "failed" in run]
        line: dict[str, Any] = {"model": ZOO[kind].title, "contender": contender}
        line["whole"] = {count: _whole(runs, contender, count) for count in COUNTS}
        line["epoch"] = [seconds for run in long if "whole" in run for seconds in run["epochs"][1:]]
        line["note"] = failed[0] if failed else _loss_note(kind, good, reference)
        lines.append(line)
    return lines


def _whole(runs: dict[tuple[str, int], list[dict[str, Any]]], contender: str, count: int) -> list[float]:
    """Seconds of the whole process: measured, or reckoned from the epochs of a shorter training."""
    found = runs.get((contender, count))
    if found is not None:
        return [run["whole"] for run in found if "whole" in run]
    return [
        run["whole"] + (count - SHORT) * statistics.median(run["epochs"][1:])
        for run in runs[contender, SHORT]
        if "whole" in run
    ]


def _worth_rounds(entrants: Sequence[str], runs: Sequence[dict[str, Any]]) -> list[str]:
    """The contenders that are measured again: those that may be the fastest."""
    whole = {name: run["whole"] for name, run in zip(entrants, runs, strict=True) if "whole" in run}
    epoch = {name: min(run["epochs"]) for name, run in zip(entrants, runs, strict=True) if "whole" in run}
    return [
        name
        for name in entrants
        if name in ALWAYS
        or (name in whole and whole[name] < WORTH_ROUNDS * min(whole.values()))
        or (name in epoch and epoch[name] < WORTH_ROUNDS * min(epoch.values()))
    ]


def shown(line: dict[str, Any]) -> dict[str, str]:
    """A line of the table for the terminal."""
    told = {"model": line["model"], "contender": line["contender"]}
    told.update({f"whole, {count}": models_page.spread(found) for count, found in line["whole"].items()})
    return {**told, "per epoch": models_page.spread(line["epoch"]), "note": line["note"]}


def _loss_note(kind: str, runs: Sequence[dict[str, Any]], reference: Sequence[float] | None) -> str:
    if ZOO[kind].random or not runs or reference is None:
        return ""
    first, other = reference[0], runs[0]["loss"][0]  # later epochs grow the rounding of the first
    gap = abs(first - other) / max(abs(first), 1e-3)
    return "" if gap < TOLERANCE else f"other losses: {gap:.1%} apart"


def main() -> int:
    """Measure, and print a table after each model; 1 if trainkit failed or trained something else."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--rows", default=",".join(ZOO), help=f"of {', '.join(ZOO)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/models.json"))
    parser.add_argument("--train", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        kind, contender, epochs = options.train
        print(json.dumps(train(kind, contender, int(epochs))))
        return 0
    kinds = options.rows.split(",")
    unknown = sorted(set(kinds) - set(ZOO))
    if unknown:
        parser.error(f"--rows: {', '.join(unknown)}; known: {', '.join(ZOO)}")
    table: list[dict[str, Any]] = []
    for kind in kinds:
        lines = row(kind, options.rounds, options.threads)
        print(machine.table([shown(line) for line in lines]) + "\n", flush=True)
        table += lines
        content = {**machine.describe(options.threads), "rounds": options.rounds, "rows": table}
        options.output.write_text(json.dumps(content, indent=1) + "\n")
        options.output.with_suffix(".md").write_text(models_page.page(content))
    return int(any(line["note"] for line in table if line["contender"].startswith("trainkit")))


if __name__ == "__main__":
    sys.exit(main())
