"""Tables of `benchmarks.scaling` for deeper models, for more devices, and for another precision."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks import machine

Table = list[dict[str, Any]]
DEPTHS = (10, 50, 200)  # hidden layers
WAYS: dict[str, dict[str, Any]] = {
    "one device, XLA": {"execution": "epoch_xla"},
    "one device": {"execution": "epoch", "fast_kernels": True},
    "2 replicas": {"strategy": "mirrored", "replicas": 2, "execution": "epoch", "fast_kernels": True},
}


def depth(rounds: int) -> Table:
    """Seconds that a dense network of many layers takes to compile, and per step, as `auto` runs it."""
    return [_deep(layers, steps, rounds) for layers in DEPTHS for steps in (30, 10_000)]


def _deep(layers: int, steps: int, rounds: int) -> dict[str, Any]:
    """Of a training of so many steps; only its first epoch of ten steps is run."""
    import keras
    import numpy as np

    import trainkit as tk

    x = np.random.default_rng(0).normal(size=(640, 20)).astype("float32")
    compiling = []
    each = []
    for _ in range(rounds):
        hidden = [keras.layers.Dense(64, activation="relu") for _ in range(layers)]
        model = keras.Sequential([keras.Input((20,)), *hidden, keras.layers.Dense(1)])
        model.compile("adam", "mse")
        ends = [time.perf_counter()]

        class Clock(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None, ends: list[float] = ends) -> None:
                ends.append(time.perf_counter())
                self.model.stop_training = len(ends) > 3

        tk.fit(model, x, x[:, :1], batch_size=64, epochs=steps // 10, verbose=0, callbacks=[Clock()])
        each.append((ends[-1] - ends[1]) / (len(ends) - 2) / 10)
        compiling.append(ends[1] - ends[0] - 10 * each[-1])
    seconds = {
        "s until the first step": statistics.median(compiling),
        "ms/step": 1e3 * statistics.median(each),
    }
    return {"layers": layers, "steps of the training": steps, **seconds}


def replicas(rounds: int) -> Table:
    """Steps of 1,024 rows on one device, and on two replicas that share the same cores."""
    from trainkit.backend.devices import logical_cpus

    logical_cpus(2)
    from benchmarks.scaling import trained

    runs: dict[str, list[float]] = {}
    for seed in range(rounds):
        for name, settings in WAYS.items():
            trainer = trained(rows=20_480, width=1024, batch=1024, epochs=6, seed=seed, **settings)
            seconds = trainer.seconds["total"] - trainer.seconds["compile"]
            runs.setdefault(name, []).append(1e3 * seconds / trainer.state.step)
    return _compared(runs)


def precision(rounds: int) -> Table:
    """Steps of a wide network in float32 and in bfloat16, as `auto` runs them."""
    from benchmarks.scaling import trained

    runs: dict[str, list[float]] = {}
    for seed in range(rounds):
        for name in ("float32", "mixed_bfloat16"):
            trainer = trained(rows=20_480, width=2048, batch=1024, epochs=6, seed=seed, precision=name)
            seconds = trainer.seconds["total"] - trainer.seconds["compile"]
            runs.setdefault(name, []).append(1e3 * seconds / trainer.state.step)
    return _compared(runs)


def workers(rounds: int) -> Table:
    """`task=mnist` by one process and by two workers on the same cores: milliseconds per step of 128 rows."""
    import tempfile

    runs: dict[str, list[float]] = {}
    settings = ("task=mnist", "trainer.epochs=3", "trainer.execution=epoch", "progress=none")
    for _ in range(rounds):
        for name, begin in (("one process", ()), ("2 workers", ("launch", "workers=2"))):
            with tempfile.TemporaryDirectory() as folder:
                machine.run_python("-m", "trainkit", *begin, *settings, f"run_dir={folder}/run")
                told = json.loads((Path(folder) / "run" / "summary.json").read_text())
            seconds = told["seconds"]["total"] - told["seconds"]["compile"]
            runs.setdefault(name, []).append(1e3 * seconds / told["steps"])
    return _compared(runs)


def _compared(runs: dict[str, list[float]]) -> Table:
    """Each row beside the one before the last: what more devices cost."""
    single = list(runs)[-2]
    table = []
    for name, times in runs.items():
        ratios = [a / b for a, b in zip(times, runs[single], strict=True)]
        spread = f"{min(times):.3g} to {max(times):.3g}"
        median = statistics.median(times)
        table.append(
            {
                "": name,
                "ms/step": median,
                "lowest to highest": spread,
                f"of {single}": statistics.median(ratios),
            }
        )
    return table
