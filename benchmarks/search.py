"""A search over settings beside what people use: equal trials, whole processes, seconds per trial.

    python -m benchmarks.search

Each trial trains the Boston recipe's network for 100 epochs, and validates after each, over learning rate,
three batch sizes and three choices of units. Of trainkit the whole command counts: the start of its
processes, what they compile, the files and the report. Of the others only the search counts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, run_python, table

EPOCHS = 100
RATES = (3e-4, 3e-2)
BATCHES = (16, 32, 64)
UNITS = ((32,), (64, 64), (128, 64))
SPACE = (
    f"tune.space.optimizer.learning_rate={{low: {RATES[0]}, high: {RATES[1]}, log: true}}",
    f"tune.space.trainer.batch_size={{choices: {list(BATCHES)}}}",
    f"tune.space.task.units={{choices: {[list(units) for units in UNITS]}}}",
)
RATE_AND_DROPOUT = (SPACE[0], "tune.space.task.dropout={low: 0.05, high: 0.5}")


def boston() -> tuple[Any, Any, Any, Any]:
    """Training and validation rows, as the recipe splits and standardises them."""
    from trainkit.tasks.boston import Boston

    splits = Boston(dir=os.environ.get("TRAINKIT_DATA")).data()
    return splits.train.x, splits.train.y, splits.validation.x, splits.validation.y


def build(units: tuple[int, ...], rate: float, x: Any) -> Any:
    """The recipe's network, compiled."""
    import keras

    hidden = [keras.layers.Dense(width, "relu") for width in units]
    scale = keras.layers.Normalization(mean=x.mean(0), variance=x.var(0))
    model = keras.Sequential([keras.Input((13,)), scale, *hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    return model


def optuna_fit(trials: int) -> None:
    """Optuna around `model.fit`."""
    import optuna

    x, y, held_x, held_y = boston()
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: Any) -> float:
        rate = trial.suggest_float("rate", *RATES, log=True)
        batch = trial.suggest_categorical("batch", BATCHES)
        units = UNITS[trial.suggest_int("units", 0, len(UNITS) - 1)]
        model = build(units, rate, x)
        history = model.fit(x, y, batch, EPOCHS, validation_data=(held_x, held_y), verbose=0)
        return float(min(history.history["val_loss"]))

    optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).optimize(objective, n_trials=trials)


def randomized_search(trials: int) -> None:
    """scikit-learn's `RandomizedSearchCV` around the least that it needs, with the same one split."""
    import numpy as np
    from scipy.stats import loguniform
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV

    x, y, held_x, held_y = boston()

    class Regressor(RegressorMixin, BaseEstimator):
        def __init__(
            self, units: tuple[int, ...] = (64, 64), rate: float = 1e-3, batch_size: int = 32
        ) -> None:
            self.units = units
            self.rate = rate
            self.batch_size = batch_size

        def fit(self, x: Any, y: Any) -> Any:
            self.model_ = build(self.units, self.rate, x)
            held = (held_x, held_y)
            self.model_.fit(x, y, self.batch_size, EPOCHS, validation_data=held, verbose=0)
            return self

        def predict(self, x: Any) -> Any:
            return self.model_.predict(x, verbose=0)

    split = PredefinedSplit(np.repeat([-1, 0], [len(x), len(held_x)]))
    space = {"rate": loguniform(*RATES), "batch_size": BATCHES, "units": UNITS}
    search = RandomizedSearchCV(Regressor(), space, n_iter=trials, cv=split, refit=False, random_state=0)
    search.fit(np.concatenate([x, held_x]), np.concatenate([y, held_y]))


def keras_tuner(trials: int) -> None:
    """KerasTuner's random search."""
    import keras_tuner

    x, y, held_x, held_y = boston()

    class Network(keras_tuner.HyperModel):
        def build(self, hp: Any) -> Any:
            units = UNITS[hp.Int("units", 0, len(UNITS) - 1)]
            return build(units, hp.Float("rate", *RATES, sampling="log"), x)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            return model.fit(*args, batch_size=hp.Choice("batch", list(BATCHES)), **kwargs)

    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.RandomSearch(
            Network(), "val_loss", max_trials=trials, seed=0, directory=folder, project_name="search"
        )
        tuner.search(x, y, epochs=EPOCHS, validation_data=(held_x, held_y), verbose=0)


OTHERS: Mapping[str, Callable[[int], None]] = {
    "Optuna around model.fit": optuna_fit,
    "RandomizedSearchCV": randomized_search,
    "KerasTuner": keras_tuner,
}


def seconds_of_trainkit(trials: int, jobs: int, space: Sequence[str]) -> float:
    """Seconds of the whole command, which finds no program that XLA has compiled before, but Matplotlib's
    list of fonts, as the others do."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    fonts = os.environ.get("MPLCONFIGDIR") or str(caches / "matplotlib")
    with tempfile.TemporaryDirectory() as folder:
        words = ["mode=tune", "tune=random", "task=boston", f"trainer.epochs={EPOCHS}", *space]
        words += [
            f"tune.trials={trials}",
            f"tune.jobs={jobs}",
            f"run_dir={folder}/search",
        ]
        begin = time.perf_counter()
        run_python("-m", "trainkit", *words, XDG_CACHE_HOME=folder, MPLCONFIGDIR=fonts)
        return time.perf_counter() - begin


def seconds_of(name: str, trials: int) -> float:
    """Seconds of the search alone, in a process of its own: without its start and its imports."""
    printed = run_python("-m", "benchmarks.search", "--only", name, "--others", str(trials))
    return float(printed.splitlines()[-1])


def measure(name: str, trials: int) -> None:
    """Search, and print the seconds; TensorFlow is at work before."""
    x, _, _, _ = boston()
    build((4,), 1e-3, x).predict(x[:1], verbose=0)
    begin = time.perf_counter()
    OTHERS[name](trials)
    print(time.perf_counter() - begin)


def measured(trials: int, others: int, jobs: int) -> list[dict[str, Any]]:
    """A row for each search, trainkit first."""
    rows = []
    for name, count, space in (
        ("trainkit", trials, SPACE),
        ("trainkit, learning rate and dropout", 2 * trials, RATE_AND_DROPOUT),
    ):
        rows.append(_row(name, count, seconds_of_trainkit(count, jobs, space)))
        print(rows[-1], flush=True)
    own = rows[0]["s per trial"]
    for name in OTHERS:
        rows.append(_row(name, others, seconds_of(name, others)))
        print(rows[-1], flush=True)
    return [{**row, "times trainkit's": row["s per trial"] / own} for row in rows]


def _row(name: str, trials: int, seconds: float) -> dict[str, Any]:
    return {"search": name, "trials": trials, "s": seconds, "s per trial": seconds / trials}


def main() -> None:
    """Measure, print a table, and write it with what it was measured on."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--trials", type=int, default=100, help="of trainkit; default: %(default)s")
    parser.add_argument("--others", type=int, default=4, help="of each of the others; default: %(default)s")
    parser.add_argument("--jobs", type=int, default=2, help="processes of trainkit; default: %(default)s")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmarks/results/search.json"),
        help="file for the results; default: %(default)s",
    )
    parser.add_argument("--only", choices=[*OTHERS], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only:
        measure(chosen.only, chosen.others)
        return
    load = os.getloadavg()[0]
    rows = measured(chosen.trials, chosen.others, chosen.jobs)
    print(table(rows))
    content = {**describe(os.cpu_count() or 1), "load before": load, "epochs": EPOCHS, "rows": rows}
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
