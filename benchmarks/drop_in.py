"""`trainkit.fit` beside `model.fit`: the same compiled model and arguments, one line changed, on rows in each
of the forms that Keras takes.

    python -m benchmarks.drop_in --rounds 5

Seconds per epoch of the second `fit` of a model, when both have compiled; medians of interleaved rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import trainkit as tk
from trainkit.data.sources.keras_datasets import BOSTON, MNIST, load

Given = Callable[[np.ndarray, np.ndarray, int], dict[str, Any]]  # the arguments of a fit, of rows and labels


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
        given: Makes the arguments of a fit from rows, labels and rows per step.
    """

    name: str
    model: Callable[[], keras.Model]
    x: np.ndarray
    y: np.ndarray
    batch_size: int
    epochs: int
    given: Given


def arrays(x: np.ndarray, y: np.ndarray, size: int) -> dict[str, Any]:
    """Arrays, with a validation."""
    return {"x": x, "y": y, "batch_size": size, "validation_split": 0.2}


def batches(x: np.ndarray, y: np.ndarray, size: int) -> dict[str, Any]:
    """A Dataset of batches."""
    return {"x": tf.data.Dataset.from_tensor_slices((x, y)).batch(size)}


def hooked(given: Given) -> Given:
    """The same, and a callback that is called at each batch."""
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=seen)
    return lambda *rows: {**given(*rows), "callbacks": [callback]}


def seen(batch: int, logs: Any) -> None:
    """What a callback does that does nothing."""


class Sequence(keras.utils.PyDataset):
    """Batches that Python makes."""

    def __init__(self, x: np.ndarray, y: np.ndarray, size: int) -> None:
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(number * self.size, (number + 1) * self.size)
        return self.x[rows], self.y[rows]


def mnist_mlp() -> keras.Model:
    """The MNIST recipe's model."""
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Rescaling(1 / 255)])
    for _ in range(2):
        model.add(keras.layers.Dense(512, "relu"))
        model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(10, "softmax"))
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def boston_mlp(executed: int = 1) -> keras.Model:
    """The Boston recipe's model, which runs so many steps per execution."""
    layers = [keras.Input((13,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(64, "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"], steps_per_execution=executed)
    return model


def rows() -> list[Row]:
    """What is compared."""
    digits, _ = load(MNIST)
    houses, _ = load(BOSTON)
    x = houses["x"].astype(np.float32)
    x = (x - x.mean(0)) / x.std(0)
    y = houses["y"].astype(np.float32)
    many, labels = np.tile(x, (20, 1)), np.tile(y, 20)
    mnist = (mnist_mlp, digits["x_train"], digits["y_train"], 128, 2)
    long = (boston_mlp, many, labels, 32, 4)
    executed = (partial(boston_mlp, 32), np.tile(many, (10, 1)), np.tile(labels, 10), 32, 2)
    return [
        Row("MNIST MLP, batch 128", *mnist, arrays),
        Row("MNIST MLP, a Dataset", *mnist, batches),
        Row("MNIST MLP, a Dataset and a callback at each batch", *mnist, hooked(batches)),
        Row("Boston, batch 32", boston_mlp, x, y, 32, 100, arrays),
        Row("Boston 20 times, and a callback at each batch", *long, hooked(arrays)),
        Row("Boston 20 times, a Dataset", *long, batches),
        Row("Boston 20 times, a Dataset and a callback at each batch", *long, hooked(batches)),
        Row("Boston 200 times, a Dataset, executions of 32 steps", *executed, batches),
        Row("the same, and a callback at each execution", *executed, hooked(batches)),
        Row("Boston 20 times, a PyDataset", *long, lambda *rows: {"x": Sequence(*rows)}),
    ]


def seconds_per_epoch(row: Row, fit: Callable[..., Any], model: keras.Model) -> float:
    """Seconds per epoch of one fit, validation included."""
    given = row.given(row.x, row.y, row.batch_size)
    begin = time.perf_counter()
    fit(model, **given, epochs=row.epochs, verbose=0)
    return (time.perf_counter() - begin) / row.epochs


def main() -> None:
    """Print a table of medians and spreads."""
    parser = argparse.ArgumentParser(description="trainkit.fit beside model.fit")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds, the first of all apart")
    parser.add_argument("--rows", default="", help="only rows whose names have this in them")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    ways: dict[str, Callable[..., Any]] = {"model.fit": keras.Model.fit, "trainkit.fit": tk.fit}
    print(
        "| model | model.fit, ms per epoch | trainkit.fit, ms per epoch | times as fast |\n|---|---|---|---|"
    )
    for row in [one for one in rows() if arguments.rows in one.name]:
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
