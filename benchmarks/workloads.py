"""What the contenders train: rows, network, optimizer and sizes, without any framework."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from trainkit.core.datasets import Arrays
from trainkit.data.sources.keras_datasets import BOSTON, MNIST, load
from trainkit.data.splits import holdout


@dataclass(frozen=True)
class Network:
    """Convolutions, then dense ReLU layers with dropout, then the output.

    A convolution is 3x3 without bias, with batch normalization, ReLU and 2x2 max pooling.

    Args:
        outputs: Classes (softmax, cross-entropy, accuracy), or 1 value (mean squared and absolute error).
        hidden: Units of each dense layer.
        convolutions: Filters of each convolution.
        dropout: Share of the units that each dense layer drops.
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


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One row of the contest.

    Args:
        name: On the command line.
        title: For people.
        network: Its layers.
        optimizer: `adam` or `rmsprop`, with Keras's constants.
        batch: Rows per step.
        epochs: Of a measured run.
        compare: Epoch whose training losses are compared: late enough to show wrong work, early enough not
            to show chance.
        tolerance: Relative, between the training losses of two contenders that do the same work; of the
            medians over the rounds.
        validate: Whether to validate after each epoch.
        long_epochs: For contenders that are done with `epochs` before it can be measured well.
        screen_epochs: Of the first run, which only finds the variants worth several rounds.
        learning_rate: Of the optimizer.
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
        """Steps per epoch, the partial last batch included."""
        return -(-len(self.rows.x) // self.batch)

    def kernels(self, seed: int) -> list[np.ndarray]:
        """Initial kernels, the same for all contenders; all else starts as in Keras.

        They are Glorot uniform: `[3, 3, in, out]` for a convolution, `[in, out]` for a dense layer.
        """
        generator = np.random.default_rng(seed)
        shapes: list[tuple[int, ...]] = []
        width = self.shape[-1]
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
    all_rows = Arrays(rows["x"].astype(np.float32), rows["y"].astype(np.float32)[:, None])
    train, _ = holdout(all_rows, 0.2, seed=0)
    train, validation = holdout(train, 0.2, 0)

    def scaled(part: Arrays) -> tuple[np.ndarray, np.ndarray]:
        x = (part.x - train.x.mean(0)) / train.x.std(0)
        return x, (part.y - train.y.mean(0)) / train.y.std(0)

    held = scaled(validation) if validation and workload.validate else None
    return Rows(*scaled(train), held, source.name)


def _mnist(workload: Workload) -> Rows:
    rows, source = load(MNIST)
    shape = (28, 28, 1) if workload.network.convolutions else (784,)
    one_hot = np.eye(10, dtype=np.float32)[rows["y_train"]]
    images = Arrays(rows["x_train"].reshape(-1, *shape), one_hot)
    train, _ = holdout(images, 0.2, 0, stratify=rows["y_train"])
    count = 6400 if workload.network.convolutions else len(train)
    return Rows(train.x[:count].astype(np.float32) / 255, train.y[:count], None, source.name)


def _wide(workload: Workload) -> Rows:
    """Gaussian rows, labelled by a random linear teacher so that there is something to learn."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((20480, 784), np.float32)
    classes = workload.network.outputs
    teacher = generator.standard_normal((x.shape[1], classes), np.float32)
    return Rows(x, np.eye(classes, dtype=np.float32)[(x @ teacher).argmax(1)], None, "synthetic")


ROWS = {"boston": _boston, "mnist": _mnist, "mnist_cnn": _mnist, "wide": _wide}
_BOSTON = Workload(
    name="boston",
    title="Boston recipe",
    network=Network(outputs=1, hidden=(64, 64)),
    optimizer="adam",
    batch=32,
    epochs=100,
    compare=10,
    tolerance=0.10,
    long_epochs=2000,
    screen_epochs=100,
)
_BOSTON_VALIDATED = replace(
    _BOSTON, name="boston_val", title="Boston recipe, validation each epoch", validate=True
)
_MNIST = Workload(
    name="mnist",
    title="MNIST MLP recipe",
    network=Network(outputs=10, hidden=(512, 512), dropout=0.2),
    optimizer="rmsprop",
    batch=128,
    epochs=2,
    compare=2,
    tolerance=0.10,
)
_MNIST_CNN = Workload(
    name="mnist_cnn",
    title="MNIST CNN, 6,400 images",
    network=Network(outputs=10, hidden=(128,), convolutions=(32, 64), dropout=0.4),
    optimizer="adam",
    batch=128,
    epochs=3,
    compare=3,
    tolerance=0.20,
)
_WIDE = Workload(
    name="wide",
    title="wide MLP, hidden 2,048, batch 1,024",
    network=Network(outputs=10, hidden=(2048, 2048)),
    optimizer="adam",
    batch=1024,
    epochs=2,
    compare=2,
    tolerance=0.05,
    learning_rate=1e-4,
)
WORKLOADS = {w.name: w for w in (_BOSTON, _BOSTON_VALIDATED, _MNIST, _MNIST_CNN, _WIDE)}
