"""`trainkit.fit` beside `model.fit`: the same compiled model and arguments, one line changed.

    python -m benchmarks.drop_in --rounds 5

Seconds per epoch of the second `fit` of a model, when both have compiled; medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

import trainkit as tk
from trainkit.data.sources.keras_datasets import BOSTON, MNIST, load


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        name: For people.
        model: Makes the compiled model.
        x: Rows.
        y: Labels.
        batch_size: Rows per step.
        epochs: Epochs per fit.
    """

    name: str
    model: Callable[[], keras.Model]
    x: np.ndarray
    y: np.ndarray
    batch_size: int
    epochs: int


def mnist_mlp() -> keras.Model:
    """The MNIST recipe's model."""
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Rescaling(1 / 255)])
    for _ in range(2):
        model.add(keras.layers.Dense(512, "relu"))
        model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(10, "softmax"))
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def boston_mlp() -> keras.Model:
    """The Boston recipe's model."""
    layers = [keras.Input((13,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(64, "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def rows() -> list[Row]:
    """What is compared."""
    digits, _ = load(MNIST)
    houses, _ = load(BOSTON)
    x = houses["x"].astype(np.float32)
    x = (x - x.mean(0)) / x.std(0)
    return [
        Row("MNIST MLP, batch 128", mnist_mlp, digits["x_train"], digits["y_train"], 128, 2),
        Row("Boston, batch 32", boston_mlp, x, houses["y"].astype(np.float32), 32, 100),
    ]


def seconds_per_epoch(row: Row, fit: Callable[..., Any], model: keras.Model) -> float:
    """Seconds per epoch of one fit, validation included."""
    begin = time.perf_counter()
    fit(
        model,
        row.x,
        row.y,
        batch_size=row.batch_size,
        epochs=row.epochs,
        validation_split=0.2,
        verbose=0,
    )
    return (time.perf_counter() - begin) / row.epochs


def main() -> None:
    """Print a table of medians and spreads."""
    parser = argparse.ArgumentParser(description="trainkit.fit beside model.fit")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds, the first of all apart")
    rounds = parser.parse_args().rounds
    ways: dict[str, Callable[..., Any]] = {"model.fit": keras.Model.fit, "trainkit.fit": tk.fit}
    print(
        "| model | model.fit, ms per epoch | trainkit.fit, ms per epoch | times as fast |\n|---|---|---|---|"
    )
    for row in rows():
        models = {name: row.model() for name in ways}
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(rounds + 1):
            for name, fit in ways.items():
                seconds = seconds_per_epoch(row, fit, models[name])
                if turn:  # the first turn compiles
                    taken[name].append(1000 * seconds)
        shown = {
            name: f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"
            for name, values in taken.items()
        }
        ratio = statistics.median(
            a / b for a, b in zip(taken["model.fit"], taken["trainkit.fit"], strict=True)
        )
        print(f"| {row.name} | {shown['model.fit']} | {shown['trainkit.fit']} | {ratio:.3g} |", flush=True)


if __name__ == "__main__":
    main()
