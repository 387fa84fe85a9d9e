"""Keras models of many kinds with random rows: what `benchmarks.models` trains on each backend.

Nothing here names TensorFlow, so that Keras on JAX trains the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ZOO", "Kind", "drawn"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One row of the benchmark.

    Args:
        title: For people.
        rows: Makes `(x, y)` from a generator.
        model: Makes the compiled model.
        batch: Rows per step.
        random: Whether the model draws random numbers, so that losses differ between backends.
        classes: Whether it classifies, and counts the rows that are right.
        scan: Whether it is written in JAX alone too.
    """

    title: str
    rows: Callable[[np.random.Generator], tuple[Any, Any]]
    model: Callable[[], Any]
    batch: int
    random: bool = False
    classes: bool = True
    scan: bool = False


def drawn(draw: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Glorot uniform weights, which do not depend on the random numbers of a framework."""
    limit = (6.0 / (np.prod(shape[:-1]) + shape[-1])) ** 0.5
    return draw.uniform(-limit, limit, shape).astype("float32")


def _images(count: int, side: int, channels: int) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    def rows(draw: np.random.Generator) -> tuple[Any, Any]:
        y = draw.integers(0, 10, count)
        noise = draw.normal(size=(count, side, side, channels))
        return (noise + y[:, None, None, None] / 5).astype("float32"), y.astype("int32")

    return rows


def _classes(model: Any, rate: float = 1e-3) -> Any:
    import keras

    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _resnet() -> Any:
    import keras
    from keras import layers

    def block(x: Any, filters: int, stride: int) -> Any:
        y = layers.Conv2D(filters, 3, stride, "same", use_bias=False)(x)
        y = layers.Activation("relu")(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, 1, "same", use_bias=False)(y))
        if stride > 1:
            x = layers.BatchNormalization()(layers.Conv2D(filters, 1, stride, use_bias=False)(x))
        return layers.Activation("relu")(layers.Add()([x, y]))

    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, 1, "same", use_bias=False)(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    for filters in (16, 32, 64):
        for number in range(3):
            x = block(x, filters, 2 if number == 0 and filters > 16 else 1)
    outputs = layers.Dense(10, "softmax")(layers.GlobalAveragePooling2D()(x))
    return _classes(keras.Model(inputs, outputs))


def _words(count: int, length: int, words: int) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    def rows(draw: np.random.Generator) -> tuple[Any, Any]:
        y = draw.integers(0, 2, count)
        x = draw.integers(1, words // 2, (count, length)) + y[:, None] * (words // 4)
        ends = draw.integers(length // 2, length + 1, count)
        x[np.arange(length) >= ends[:, None]] = 0
        return x.astype("int32"), y.astype("int32")

    return rows


def _transformer() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((128,), dtype="int32")
    x = layers.Embedding(5000, 128)(inputs)
    for _ in range(2):
        attended = layers.MultiHeadAttention(4, 32)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        fed = layers.Dense(128)(layers.Dense(512, "gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, fed]))
    outputs = layers.Dense(2, "softmax")(layers.GlobalAveragePooling1D()(x))
    return _classes(keras.Model(inputs, outputs))


def _signals(count: int, steps: int, features: int) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    def rows(draw: np.random.Generator) -> tuple[Any, Any]:
        y = draw.integers(0, 4, count)
        noise = draw.normal(size=(count, steps, features))
        return (noise + y[:, None, None] / 4).astype("float32"), y.astype("int32")

    return rows


def _lstm() -> Any:
    import keras
    from keras import layers

    return _classes(
        keras.Sequential([keras.Input((80, 32)), layers.LSTM(128), layers.Dense(4, activation="softmax")])
    )


def _gru() -> Any:
    import keras
    from keras import layers

    return _classes(
        keras.Sequential(
            [
                keras.Input((60,), dtype="int32"),
                layers.Embedding(5000, 64, mask_zero=True),
                layers.Bidirectional(layers.GRU(48)),
                layers.Dense(2, activation="softmax"),
            ]
        )
    )


def _conv1d() -> Any:
    import keras
    from keras import layers

    stack: list[Any] = [keras.Input((256, 4))]
    for filters in (32, 64, 64):
        stack += [layers.Conv1D(filters, 5, activation="relu"), layers.MaxPooling1D(2)]
    stack += [layers.GlobalAveragePooling1D(), layers.Dense(4, activation="softmax")]
    return _classes(keras.Sequential(stack))


def _table(count: int) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    def rows(draw: np.random.Generator) -> tuple[Any, Any]:
        x = draw.normal(size=(count, 20)).astype("float32")
        return x, (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype("int32")

    return rows


def _dense(depth: int, width: int) -> Callable[[], Any]:
    def model() -> Any:
        import keras
        from keras import layers

        hidden = [layers.Dense(width, activation="relu") for _ in range(depth)]
        return _classes(
            keras.Sequential([keras.Input((20,)), *hidden, layers.Dense(2, activation="softmax")])
        )

    return model


def _categories(draw: np.random.Generator) -> tuple[Any, Any]:
    x = draw.integers(0, 10_000, (100_000, 10)).astype("int32")
    return x, (x.sum(1) > 50_000).astype("int32")


def _embeddings() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((10,), dtype="int32")
    columns = [layers.Embedding(10_000, 16)(inputs[:, i]) for i in range(10)]
    x = layers.Dense(128, "relu")(layers.Concatenate()(columns))
    return _classes(keras.Model(inputs, layers.Dense(2, "softmax")(x)))


def _masks(draw: np.random.Generator) -> tuple[Any, Any]:
    x = draw.normal(size=(320, 64, 64, 1)).astype("float32")
    return x, (x > 0.5).astype("float32")


def _unet() -> Any:
    import keras
    from keras import layers

    def twice(x: Any, filters: int) -> Any:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        return layers.Conv2D(filters, 3, padding="same", activation="relu")(x)

    inputs = keras.Input((64, 64, 1))
    first = twice(inputs, 16)
    second = twice(layers.MaxPooling2D()(first), 32)
    x = twice(layers.MaxPooling2D()(second), 64)
    x = twice(layers.Concatenate()([layers.Conv2DTranspose(32, 2, 2)(x), second]), 32)
    x = twice(layers.Concatenate()([layers.Conv2DTranspose(16, 2, 2)(x), first]), 16)
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy")
    return model


def _augmented() -> Any:
    import keras
    from keras import layers

    stack: list[Any] = [
        keras.Input((32, 32, 3)),
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomTranslation(0.1, 0.1),
    ]
    for filters in (16, 32):
        stack += [layers.Conv2D(filters, 3, activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Flatten(), layers.Dense(10, activation="softmax")]
    return _classes(keras.Sequential(stack))


def _autoencoder() -> Any:
    import keras
    from keras import layers

    hidden = [layers.Dense(n, activation="relu") for n in (256, 64, 16, 64, 256)]
    model = keras.Sequential([keras.Input((784,)), *hidden, layers.Dense(784, activation="sigmoid")])
    model.compile("adam", "mse")
    return model


def _pixels(draw: np.random.Generator) -> tuple[Any, Any]:
    x = draw.random((20_000, 784), np.float32)
    return x, x


ZOO = {
    "resnet": Kind(title="ResNet-20", rows=_images(1280, 32, 3), model=_resnet, batch=128),
    "transformer": Kind(
        title="transformer, 2 blocks", rows=_words(1024, 128, 5000), model=_transformer, batch=32
    ),
    "lstm": Kind(title="LSTM 128, 80 steps", rows=_signals(1024, 80, 32), model=_lstm, batch=32, scan=True),
    "table": Kind(
        title="MLP on 400,000 x 20", rows=_table(400_000), model=_dense(2, 256), batch=1024, scan=True
    ),
    "embeddings": Kind(
        title="10 embeddings of 10,000", rows=_categories, model=_embeddings, batch=512, scan=True
    ),
    "unet": Kind(title="U-Net 64 x 64", rows=_masks, model=_unet, batch=16, classes=False),
    "augmented": Kind(
        title="CNN with flip, rotation, shift",
        rows=_images(3200, 32, 3),
        model=_augmented,
        batch=64,
        random=True,
    ),
    "gru": Kind(title="masked bidirectional GRU", rows=_words(1024, 60, 5000), model=_gru, batch=32),
    "conv1d": Kind(title="1-D convolutions", rows=_signals(2048, 256, 4), model=_conv1d, batch=64),
    "deep": Kind(title="MLP of 50 layers", rows=_table(20_000), model=_dense(50, 64), batch=256, scan=True),
    "autoencoder": Kind(
        title="dense autoencoder", rows=_pixels, model=_autoencoder, batch=256, classes=False, scan=True
    ),
}
