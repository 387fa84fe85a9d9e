"""What the contenders train: rows, network, optimizer and sizes, said in no framework's words. Imports no framework."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainkit.core.datasets import Arrays
from trainkit.data.sources.keras_datasets import BOSTON, MNIST, load
from trainkit.data.splits import holdout


@dataclass(frozen=True)
class Network:
    """Convolutions (3x3, no bias, batch normalisation, ReLU, 2x2 max pooling), then dense ReLU layers with dropout, then the output.

    Args:
        outputs: Classes (softmax, cross-entropy, accuracy), or 1 value (mean squared and absolute error).
    """

    outputs: int
    hidden: tuple[int, ...]
    convolutions: tuple[int, ...] = ()
    dropout: float = 0.0

    @property
    def classes(self) -> bool:
        return self.outputs > 1


@dataclass(frozen=True)
class Rows:
    """float32 rows: `x [N, ...]`, `y [N, outputs]` (one-hot for classes), and validation rows or None."""

    x: np.ndarray
    y: np.ndarray
    validation: tuple[np.ndarray, np.ndarray] | None
    source: str


@dataclass(frozen=True)
class Workload:
    """One row of the contest.

    Args:
        epochs: Of a measured run.
        compare: Epoch whose training losses are compared: late enough to show wrong work, early enough not to show chance.
        tolerance: Relative, between the training losses of two contenders that do the same work, medians over the rounds.
        long_epochs: For contenders that are done with `epochs` before it can be measured well.
        screen_epochs: Of the first run, which only finds the variants worth several rounds.
    """

    name: str
    title: str
    network: Network
    optimizer: str
    batch: int
    epochs: int
    compare: int
    tolerance: float
    validate: bool = False
    long_epochs: int = 0
    screen_epochs: int = 1
    learning_rate: float = 1e-3

    @cached_property
    def rows(self) -> Rows:
        return ROWS[self.name.removesuffix("_val")](self)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input row."""
        return self.rows.x.shape[1:]

    @property
    def steps(self) -> int:
        """Steps an epoch, the partial last batch included."""
        return -(-len(self.rows.x) // self.batch)

    def kernels(self, seed: int) -> list[np.ndarray]:
        """Initial weights, the same for all contenders: Glorot uniform `[in, out]` and `[3, 3, in, out]`; all else starts as in Keras."""
        generator, shapes, width = np.random.default_rng(seed), list[tuple[int, ...]](), self.shape[-1]
        for filters in self.network.convolutions:
            shapes.append((3, 3, width, filters))
            width = filters
        if self.network.convolutions:
            width *= (self.shape[0] >> len(self.network.convolutions)) ** 2
        for units in (*self.network.hidden, self.network.outputs):
            shapes.append((width, units))
            width = units
        limits = [math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1]))) for shape in shapes]
        return [
            generator.uniform(-limit, limit, shape).astype(np.float32)
            for limit, shape in zip(limits, shapes, strict=True)
        ]


def _boston(workload: Workload) -> Rows:
    rows, source = load(BOSTON)
    train, _ = holdout(
        Arrays(rows["x"].astype(np.float32), rows["y"].astype(np.float32)[:, None]), 0.2, seed=0
    )
    train, validation = holdout(train, 0.2, 0)
    (mean, scale), (y_mean, y_scale) = ((a.mean(0), a.std(0)) for a in (train.x, train.y))
    x, y = (train.x - mean) / scale, (train.y - y_mean) / y_scale
    held = (
        ((validation.x - mean) / scale, (validation.y - y_mean) / y_scale)
        if validation and workload.validate
        else None
    )
    return Rows(x, y, held, source.name)


def _mnist(workload: Workload) -> Rows:
    rows, source = load(MNIST)
    images = rows["x_train"].reshape(-1, *((28, 28, 1) if workload.network.convolutions else (784,)))
    train, _ = holdout(
        Arrays(images, np.eye(10, dtype=np.float32)[rows["y_train"]]), 0.2, 0, stratify=rows["y_train"]
    )
    count = 6400 if workload.network.convolutions else len(train)
    return Rows(train.x[:count].astype(np.float32) / 255, train.y[:count], None, source.name)


def _wide(workload: Workload) -> Rows:
    """Gaussian rows, labelled by a random linear teacher so that there is something to learn."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((20480, 784), np.float32)
    teacher = generator.standard_normal((x.shape[1], workload.network.outputs), np.float32)
    return Rows(
        x, np.eye(workload.network.outputs, dtype=np.float32)[(x @ teacher).argmax(1)], None, "synthetic"
    )


ROWS = {"boston": _boston, "mnist": _mnist, "mnist_cnn": _mnist, "wide": _wide}
_PRICES = Network(1, (64, 64))
WORKLOADS = {
    w.name: w
    for w in (
        Workload(
            "boston", "Boston recipe", _PRICES, "adam", 32, 100, 10, 0.10, long_epochs=2000, screen_epochs=100
        ),
        Workload(
            "boston_val",
            "Boston recipe, validation each epoch",
            _PRICES,
            "adam",
            32,
            100,
            10,
            0.10,
            True,
            long_epochs=2000,
            screen_epochs=100,
        ),
        Workload(
            "mnist", "MNIST MLP recipe", Network(10, (512, 512), dropout=0.2), "rmsprop", 128, 2, 2, 0.10
        ),
        Workload(
            "mnist_cnn",
            "MNIST CNN, 6,400 images",
            Network(10, (128,), (32, 64), 0.4),
            "adam",
            128,
            3,
            3,
            0.20,
        ),
        Workload(
            "wide",
            "wide MLP, hidden 2,048, batch 1,024",
            Network(10, (2048, 2048)),
            "adam",
            1024,
            2,
            2,
            0.05,
            learning_rate=1e-4,
        ),
    )
}
