"""A search over settings beside what people use: equal trials, whole processes, seconds per trial.

    python -m benchmarks.search --trials 40 --others 4

Each trial trains the Boston recipe's network for 100 epochs with validation, over learning rate, three batch
sizes and three choices of units. `trainkit` runs `--trials` of them, the others `--others`; the start of a
process and what it compiles are part of its seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.machine import run_python, table

EPOCHS = 100
RATES = (3e-4, 3e-2)
BATCHES = (16, 32, 64)
UNITS = ((32,), (64, 64), (128, 64))
SPACE = (
    f"tune.space.optimizer.learning_rate={{low: {RATES[0]}, high: {RATES[1]}, log: true}}",
    f"tune.space.trainer.batch_size={{choices: {list(BATCHES)}}}",
    f"tune.space.task.units={{choices: {[list(units) for units in UNITS]}}}",
)


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
    """scikit-learn's `RandomizedSearchCV` around Keras's own regressor, with the same one split."""
    import keras
    import numpy as np
    from scipy.stats import loguniform
    from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV

    x, y, held_x, held_y = boston()

    def model_of(X: Any, y: Any, units: tuple[int, ...] = (64, 64), rate: float = 1e-3) -> Any:
        return build(units, rate, x)

    class Regressor(keras.wrappers.SKLearnRegressor):
        def __init__(
            self, units: tuple[int, ...] = (64, 64), rate: float = 1e-3, batch_size: int = 32
        ) -> None:
            self.units, self.rate, self.batch_size = units, rate, batch_size
            settings = {"epochs": EPOCHS, "batch_size": batch_size, "verbose": 0}
            super().__init__(model_of, model_kwargs={"units": units, "rate": rate}, fit_kwargs=settings)

    split = PredefinedSplit(np.repeat([-1, 0], [len(x), len(held_x)]))
    space = {"rate": loguniform(*RATES), "batch_size": BATCHES, "units": UNITS}
    search = RandomizedSearchCV(Regressor(), space, n_iter=trials, cv=split, refit=False, random_state=0)
    search.fit(np.concatenate([x, held_x]), np.concatenate([y, held_y])[:, 0])


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
    "optuna + model.fit": optuna_fit,
    "RandomizedSearchCV": randomized_search,
    "KerasTuner": keras_tuner,
}


def seconds_of_trainkit(trials: int, jobs: int, space: tuple[str, ...]) -> float:
    """Seconds of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["mode=tune", "tune=random", "task=boston", f"trainer.epochs={EPOCHS}", *space]
        begin = time.perf_counter()
        run_python(
            "-m", "trainkit", *words, f"tune.trials={trials}", f"tune.jobs={jobs}", f"run_dir={folder}/s"
        )
        return time.perf_counter() - begin


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=100, help="of trainkit")
    parser.add_argument("--others", type=int, default=4, help="trials of each of the others")
    parser.add_argument("--jobs", type=int, default=2, help="processes of trainkit")
    parser.add_argument("--only", choices=[*OTHERS], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only:
        OTHERS[chosen.only](chosen.others)
        return
    rows = []
    for name, space in (("trainkit", SPACE), ("trainkit, learning rate alone", SPACE[:1])):
        seconds = seconds_of_trainkit(chosen.trials, chosen.jobs, space)
        rows.append(_row(name, chosen.trials, seconds))
    for name in OTHERS:
        begin = time.perf_counter()
        run_python("-m", "benchmarks.search", "--only", name, "--others", str(chosen.others))
        rows.append(_row(name, chosen.others, time.perf_counter() - begin))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(table(rows))


def _row(name: str, trials: int, seconds: float) -> dict[str, Any]:
    return {"search": name, "trials": trials, "seconds": seconds, "seconds per trial": seconds / trials}


if __name__ == "__main__":
    main()
