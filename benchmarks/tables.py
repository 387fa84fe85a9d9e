"""`python -m benchmarks.tables`: the default for a table beside scikit-learn's linear model, over five folds.

The tables are those that scikit-learn ships, written to CSV files. Each fold is trained by the command with
nothing but `data.path` and `data.target`; the linear model, logistic or ridge regression on scaled columns,
is fitted to the same training rows, and to training and validation rows together. Told are means over the
folds, and the mean difference to the linear model on all rows with its standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from benchmarks import machine
from trainkit.cli import main as command
from trainkit.core.datasets import Arrays
from trainkit.core.files import read_json
from trainkit.core.task import Task
from trainkit.experiment.baselines import baselines
from trainkit.tasks.tabular import TabularClassification, TabularRegression

TABLES = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
}
LINEAR = ("logistic regression", "ridge regression")
TARGET = "target"


def write(name: str, path: Path) -> bool:
    """Write a table as CSV; returns whether its target is a number."""
    found = TABLES[name]()
    names = [str(column).replace(",", " ") for column in found.feature_names]
    numbers = "target_names" not in found
    target = found.target if numbers else found.target_names[found.target]
    rows = [[*map(repr, row.tolist()), str(y)] for row, y in zip(found.data, target, strict=True)]
    path.write_text("\n".join(",".join(row) for row in [[*names, TARGET], *rows]) + "\n", encoding="utf-8")
    return numbers


def linear(task: Task, train: Arrays, test: Arrays) -> Mapping[str, float]:
    """The metrics of the linear model."""
    found = baselines(task, train, test)
    return next(found[name] for name in LINEAR if name in found)


def fold_scores(path: Path, numbers: bool, fold: int, folds: int) -> dict[str, Mapping[str, float]]:
    """The test metrics of one fold, by model."""
    words = [f"task=tabular_{'regression' if numbers else 'classification'}", f"data.path={path}"]
    words += [f"data.target={TARGET}", f"data.folds={folds}", f"data.fold={fold}"]
    run = path.parent / f"{path.stem}-{fold}"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        done = command.main([*words, f"run_dir={run}"])
    if done != 0:
        raise RuntimeError(said.getvalue()[-1000:])
    settings = {"path": str(path), "target": TARGET, "folds": folds, "fold": fold}
    task = (TabularRegression if numbers else TabularClassification)(settings=settings)
    parts = task.data().in_memory()
    train, validation, test = parts["train"], parts["validation"], parts["test"]
    x = {key: np.concatenate([array, validation.x[key]]) for key, array in train.x.items()}
    all_rows = Arrays(x, np.concatenate([train.y, validation.y]))
    summary = read_json(run / "summary.json")
    return {
        "network": summary["best"]["test"],
        "linear": linear(task, train, test),
        "linear, all rows": linear(task, all_rows, test),
    }


def compare(name: str, folder: Path, folds: int) -> dict[str, Any]:
    """A row of the table that is printed."""
    path = folder / f"{name.replace(' ', '_')}.csv"
    numbers = write(name, path)
    found = [fold_scores(path, numbers, fold, folds) for fold in range(folds)]
    metric = "rmse" if numbers else "accuracy"
    scores = {model: np.array([one[model][metric] for one in found]) for model in found[0]}
    better = (scores["network"] - scores["linear, all rows"]) * (-1 if numbers else 1)
    error = better.std(ddof=1) / np.sqrt(folds)
    means = {model: f"{values.mean():.4g}" for model, values in scores.items()}
    within = -better.mean() <= error * (1 + 1e-9)  # of one row in one fold they are equal but for rounding
    verdict = "better" if better.mean() > 0 else "within one error" if within else "worse"
    return {
        "table": name,
        "metric": metric,
        **means,
        "better by": f"{better.mean():.4g} ± {error:.2g}",
        "": verdict,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tables", default=",".join(TABLES), help="some of them, separated by commas")
    parser.add_argument("--folds", type=int, default=5, help="default: 5")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.tables.split(","):
            print(machine.table([compare(name, Path(folder), asked.folds)]), flush=True)


if __name__ == "__main__":
    main()
