"""`python -m benchmarks.contenders.keras_script boston|mnist FOLDER`: a recipe as a script of Keras alone.

It leaves what a run of trainkit leaves: losses of each epoch as CSV, TensorBoard's events, the best and the
last weights, the model, its summary, curves as pictures, the results on the test rows, and a page of all.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import keras
import matplotlib
import numpy as np
from keras import layers

matplotlib.use("Agg")
from matplotlib import pyplot as plt

EPOCHS = {"boston": 100, "mnist": 20}
BATCH = {"boston": 32, "mnist": 128}


def rows(recipe: str) -> tuple[np.ndarray, ...]:
    """Training, validation and test rows: `x, y` of each."""
    file = {"boston": "boston_housing.npz", "mnist": "mnist.npz"}[recipe]
    with np.load(Path(os.environ["TRAINKIT_DATA"]) / file) as data:
        if recipe == "mnist":
            x, y, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
        else:
            order = np.random.default_rng(0).permutation(len(data["x"]))
            x, y = data["x"].astype("float32")[order], data["y"].astype("float32")[order][:, None]
            test = len(x) // 5
            x, y, x_test, y_test = x[test:], y[test:], x[:test], y[:test]
            y, y_test = ((one - y.mean()) / y.std() for one in (y, y_test))
    order = np.random.default_rng(0).permutation(len(x))
    held = len(x) // 5
    x, y = x[order], y[order]
    return x[held:], y[held:], x[:held], y[:held], x_test, y_test


def model(recipe: str, x: np.ndarray) -> keras.Model:
    """The recipe's network, compiled."""
    if recipe == "boston":
        scale = layers.Normalization(mean=x.mean(0), variance=x.var(0))
        hidden = [layers.Dense(64, activation="relu") for _ in range(2)]
        made = keras.Sequential([keras.Input(x.shape[1:]), scale, *hidden, layers.Dense(1)])
        made.compile(keras.optimizers.Adam(1e-3), "mse", metrics=["mse", "mae"])
        return made
    stack: list[Any] = [keras.Input(x.shape[1:]), layers.Flatten(), layers.Rescaling(1 / 255)]
    for _ in range(2):
        stack += [layers.Dense(512, activation="relu"), layers.Dropout(0.2)]
    made = keras.Sequential([*stack, layers.Dense(10, activation="softmax")])
    made.compile(keras.optimizers.RMSprop(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def main(recipe: str, folder: Path) -> None:
    """Train, evaluate, and leave the files."""
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(0)
    x, y, x_val, y_val, x_test, y_test = rows(recipe)
    network = model(recipe, x)
    with (folder / "model.txt").open("w") as file:
        network.summary(print_fn=lambda line: print(line, file=file))
    best = folder / "best.weights.h5"
    history = network.fit(
        x,
        y,
        batch_size=BATCH[recipe],
        epochs=EPOCHS[recipe],
        validation_data=(x_val, y_val),
        verbose=0,
        callbacks=[
            keras.callbacks.CSVLogger(str(folder / "metrics.csv")),
            keras.callbacks.TensorBoard(str(folder / "tensorboard")),
            keras.callbacks.ModelCheckpoint(str(best), save_best_only=True, save_weights_only=True),
        ],
    ).history
    network.save_weights(folder / "last.weights.h5")
    last = network.evaluate(x_test, y_test, verbose=0, return_dict=True)
    predicted = network.predict(x_test, verbose=0)
    network.load_weights(best)
    results = {"last": last, "best": network.evaluate(x_test, y_test, verbose=0, return_dict=True)}
    network.save(folder / "model.keras")
    (folder / "summary.json").write_text(json.dumps(results))
    pictures = []
    for name in [name for name in history if not name.startswith("val_")]:
        pictures.append(folder / f"{name}.png")
        plt.figure()
        plt.plot(history[name], label="training")
        plt.plot(history[f"val_{name}"], label="validation")
        plt.legend()
        plt.savefig(pictures[-1])
        plt.close()
    pictures.append(folder / "actual.png")
    plt.figure()
    if recipe == "boston":
        plt.scatter(y_test, predicted)
    else:
        plt.imshow(np.histogram2d(y_test, predicted.argmax(1), bins=10)[0])
    plt.savefig(pictures[-1])
    plt.close()
    images = "".join(f'<img src="{picture.name}">' for picture in pictures)
    (folder / "report.html").write_text(f"<pre>{json.dumps(results, indent=1)}</pre>{images}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
