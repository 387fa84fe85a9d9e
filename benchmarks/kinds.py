"""`python -m benchmarks.kinds`: models of many kinds, trained by `trainkit.fit` and by `model.fit`, compared.

The same model, seeds and rows, 3 epochs without shuffling. `exact=True` has to give equal bits; by default
kernels and XLA round otherwise, and dropout draws its own masks. Writes the last section of
benchmarks/results/parity.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

import trainkit as tk
from benchmarks import machine

ROWS = 43
EPOCHS = 3
TITLE = "## Models of many kinds"
Made = tuple[Any, dict[str, Any]]


def _numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, *shape)).astype("float32")


def _words(length: int, words: int) -> np.ndarray:
    draw = np.random.default_rng(0)
    x = draw.integers(1, words, (ROWS, length))
    x[np.arange(length) >= draw.integers(2, length + 1, ROWS)[:, None]] = 0
    return x.astype("int32")


def _classes(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, count, ROWS).astype("int32")


def _compiled(model: Any, loss: Any, **more: Any) -> Any:
    model.compile("adam", loss, **more)
    return model


def subclassed() -> Made:
    class Residual(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = layers.Dense(6, activation="relu")
            self.last = layers.Dense(3, activation="softmax")

        def call(self, x: Any) -> Any:
            return self.last(ops.concatenate([x, self.first(x)], -1))

    model = _compiled(Residual(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"x": _numbers(4), "y": _classes(3)}


def dict_inputs() -> Made:
    wide, deep = keras.Input((4,), name="wide"), keras.Input((3,), name="a_deep")
    joined = layers.Concatenate()([layers.Dense(5, "tanh")(deep), wide])
    model = keras.Model({"wide": wide, "a_deep": deep}, layers.Dense(1)(joined))
    return _compiled(model, "mse"), {"x": {"wide": _numbers(4), "a_deep": _numbers(3)}, "y": _numbers(1)}


def masked_lstm() -> Made:
    stack = [layers.Embedding(20, 4, mask_zero=True), layers.LSTM(5), layers.Dense(2, activation="softmax")]
    model = keras.Sequential([keras.Input((7,), dtype="int32"), *stack])
    return _compiled(model, "sparse_categorical_crossentropy"), {"x": _words(7, 20), "y": _classes(2)}


def transformer_block() -> Made:
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 8)(inputs)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(8)(layers.Dense(16, "gelu")(x)))
    model = keras.Model(inputs, layers.Dense(2, "softmax")(layers.GlobalAveragePooling1D()(x)))
    return _compiled(model, "sparse_categorical_crossentropy"), {"x": _words(6, 20), "y": _classes(2)}


def ctc() -> Made:
    model = keras.Sequential([keras.Input((8, 3)), layers.LSTM(6, return_sequences=True), layers.Dense(5)])
    y = np.random.default_rng(1).integers(1, 5, (ROWS, 3)).astype("int32")
    return _compiled(model, keras.losses.CTC()), {"x": _numbers(8, 3), "y": y}


def u_net() -> Made:
    inputs = keras.Input((8, 8, 1))
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    down = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(first))
    up = layers.Concatenate()([layers.UpSampling2D()(down), first])
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(up))
    x = _numbers(8, 8, 1)
    return _compiled(model, "binary_crossentropy"), {"x": x, "y": (x > 0).astype("float32")}


def vae() -> Made:
    class Vae(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encode, self.restore = layers.Dense(4), layers.Dense(6)
            self.noise = keras.random.SeedGenerator(7)
            self.total = keras.metrics.Mean(name="loss")

        @property
        def metrics(self) -> list[Any]:
            return [self.total]

        def call(self, x: Any) -> Any:
            mean, spread = ops.split(self.encode(x), 2, axis=-1)
            return self.restore(
                mean + ops.exp(spread / 2) * keras.random.normal(ops.shape(mean), seed=self.noise)
            )

        def train_step(self, data: Any) -> dict[str, Any]:
            x = data[0] if isinstance(data, tuple) else data
            with tf.GradientTape() as tape:
                loss = ops.mean(ops.square(self(x, training=True) - x))
            self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
            self.total.update_state(loss)
            return {"loss": self.total.result()}

    return _compiled(Vae(), None), {"x": _numbers(6)}


def embeddings() -> Made:
    inputs = keras.Input((3,), dtype="int32")
    columns = [layers.Embedding(30, 4)(inputs[:, i]) for i in range(3)]
    model = keras.Model(inputs, layers.Dense(1)(layers.Concatenate()(columns)))
    return _compiled(model, "mse"), {"x": _words(3, 30), "y": _numbers(1)}


def weights_per_step() -> Made:
    model = keras.Sequential([keras.Input((5, 2)), layers.GRU(4, return_sequences=True), layers.Dense(1)])
    weight = np.random.default_rng(2).uniform(size=(ROWS, 5)).astype("float32")
    return _compiled(model, "mse"), {"x": _numbers(5, 2), "y": _numbers(5, 1), "sample_weight": weight}


def class_weights() -> Made:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    given = {"x": _numbers(4), "y": _classes(3), "class_weight": {0: 1.0, 1: 2.5, 2: 0.5}}
    return _compiled(model, "sparse_categorical_crossentropy"), given


def stateful_rnn() -> Made:
    model = keras.Sequential([keras.Input(batch_shape=(1, 5, 2)), layers.SimpleRNN(4, stateful=True)])
    model.add(layers.Dense(1))
    return _compiled(model, "mse"), {"x": _numbers(5, 2), "y": _numbers(1), "batch_size": 1}


KINDS: dict[str, Callable[[], Made]] = {
    "subclassed": subclassed,
    "dict inputs": dict_inputs,
    "masked LSTM": masked_lstm,
    "transformer block, dropout": transformer_block,
    "CTC": ctc,
    "U-Net": u_net,
    "VAE, own train_step": vae,
    "embeddings": embeddings,
    "weights per step": weights_per_step,
    "class weights": class_weights,
    "stateful RNN": stateful_rnn,
}


def trained(kind: str, fit: Callable[..., Any]) -> tuple[list[np.ndarray], dict[str, list[float]]]:
    """All variables after a training, and its history."""
    keras.utils.set_random_seed(3)
    model, given = KINDS[kind]()
    arguments = {"batch_size": 8, "epochs": EPOCHS, "shuffle": False, "verbose": 0, **given}
    history = fit(model, **arguments).history
    return [np.asarray(v) for v in [*model.variables, *model.optimizer.variables]], history


def _by_trainkit(settings: dict[str, Any], model: Any, **given: Any) -> Any:
    return tk.fit(model, **given, **settings)


def _gap(a: Any, b: Any) -> float:
    return float(np.abs(np.subtract(a, b, dtype=np.float64)).max(initial=0.0))


def compared(kind: str) -> dict[str, Any]:
    """The largest differences between `model.fit` and `trainkit.fit`."""
    theirs, told = trained(kind, lambda model, **given: model.fit(**given))
    row: dict[str, Any] = {"model": kind}
    for name, settings in {"exact": {"exact": True}, "default": {}}.items():
        ours, logged = trained(kind, partial(_by_trainkit, settings))
        row[f"{name}: variables"] = f"{max(_gap(a, b) for a, b in zip(ours, theirs, strict=True)):.2g}"
        row[f"{name}: history"] = f"{max(_gap(logged[key], told[key]) for key in told):.2g}"
    return row


def main() -> int:
    """Print and write the table; 1 if an exact training is not equal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kinds", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/parity.md"))
    options = parser.parse_args()
    rows = [compared(kind) for kind in KINDS]
    print(machine.table(rows))
    header = list(rows[0])
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(str(row[name]) for name in header)} |" for row in rows]
    about = machine.describe(0)["versions"]
    before = options.output.read_text().partition(TITLE)[0].rstrip() if options.output.exists() else ""
    text = (
        f"The largest differences between `trainkit.fit` and `model.fit(shuffle=False)` after {EPOCHS} "
        f"epochs of {ROWS} rows, in\nany variable of model and optimizer and in any logged value; `exact` "
        f"demands 0. By default, kernels and XLA\nround otherwise, and dropout draws masks of its own. Made "
        f"by\n\n"
        f"    python -m benchmarks.kinds\n\n"
        f"TensorFlow {about['tensorflow']}, Keras {about['keras']}, CPU.\n"
    )
    options.output.write_text(f"{before}\n\n{TITLE}\n\n{text}\n" + "\n".join(lines) + "\n")
    return int(any(float(row["exact: variables"]) or float(row["exact: history"]) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
