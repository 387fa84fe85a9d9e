"""Where the training rows come from, as the loops see it: arrays that are read in any order, or a dataset in
its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.backend.compat import pipelines
from trainkit.backend.memory import free_bytes
from trainkit.config import TrainerConfig
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.figures import size
from trainkit.core.memory import available_host_bytes
from trainkit.data import checks
from trainkit.data.order import order
from trainkit.engine.inputs import row_spec
from trainkit.trainer.generated_rows import batches_of

__all__ = ["RowSource", "arrays_source", "row_source", "streamed_splits"]

Augmented = Callable[[int, np.ndarray], tuple[Any, ...]]

RESIDENT_SHARE = 0.5  # of the free memory that resident training rows may take
HELD_SHARE = 0.25  # that the rows of another split may take


@dataclass(frozen=True)
class RowSource:
    """The training rows.

    Args:
        arrays: The rows, if they are arrays, in memory or in files: read in an order that is a pure function
            of (seed, epoch).
        dataset: Else, a `tf.data.Dataset` of single rows, read in its own order.
        rows: Rows per epoch; 0: not known.
        spec: Structure `(x[, y[, weight]])` of `tf.TensorSpec` of one row.
        kind: `resident`: the whole split stays on the device; `stream`: one chunk after the other.
        reason: Why, for people.
        order: Gives the order `[rows]` of an epoch, a pure function of its number.
        augmented: Gives rows of an epoch by their numbers in place of `arrays.take`, see `Task.augmented`.
        batch_spec: Structure of `tf.TypeSpec` of the batches, for rows that come in batches.
        shuffled: Whether the dataset is shuffled anew in each epoch: `seeded`, `unseeded`, or "" if not.
        python: Whether Python code makes the rows of the dataset, such as a generator or a PyDataset.
        later: The dataset as every epoch but the first opens it; None: as the first does.
    """

    arrays: Arrays | None
    dataset: tf.data.Dataset | None
    rows: int
    spec: Any
    kind: str
    reason: str
    order: Callable[[int], np.ndarray]
    augmented: Augmented | None = None
    batch_spec: Any = None
    shuffled: str = ""
    python: bool = False
    later: tf.data.Dataset | None = None

    @property
    def is_seen(self) -> bool:
        """Whether the rows lie in memory, or in files, as they train."""
        return self.arrays is not None and self.augmented is None

    @property
    def seekable(self) -> bool:
        """Whether any row can be read at any time."""
        return self.arrays is not None

    def picked(self, epoch: int, rows: np.ndarray) -> tuple[Any, ...]:
        """Rows of an epoch by their numbers, as `(x[, y[, weight]])`."""
        if self.arrays is None:
            raise ValueError("Only rows in memory have numbers.")
        return self.augmented(epoch, rows) if self.augmented else self.arrays.take(rows).batch()

    def batches(self, epoch: int, step_rows: int, start: int = 0) -> Iterator[Any]:
        """Batches of an epoch as NumPy structures, from batch `start` on."""
        if self.arrays is not None:
            rows = self.order(epoch)
            for begin in range(start * step_rows, self.rows, step_rows):
                picked = rows[begin : begin + step_rows]
                yield self.picked(epoch, picked)
            return
        if self.dataset is not None:
            yield from batches_of(self.opened(epoch), step_rows, start, python=self.python)

    def opened(self, epoch: int) -> tf.data.Dataset:
        """The dataset as an epoch opens it."""
        return self.later if epoch and self.later is not None else self.dataset

    def resume(self, epoch: int, step: int, rows: int) -> None:
        """Go on in an epoch where another process left off, at the order that the dataset then has.

        A dataset that is shuffled anew is opened once for each epoch that is done, and read where it draws
        orders while it is read, as far as the `rows` of an epoch.

        Raises:
            UserError: in the middle of an epoch whose order nobody knows any more.
        """
        if epoch and self.python:
            warnings.warn(
                "The training rows are made by Python code, whose state is not in the checkpoint: if it "
                "draws random numbers, or goes on from epoch to epoch as a generator does, the epochs to "
                "come differ from those of a training that was not stopped.",
                stacklevel=2,
            )
        if self.dataset is None or not self.shuffled or not (epoch or step):
            return
        if self.shuffled == "seeded":
            at_once = pipelines.draws_when_opened(self.dataset)
            for done in range(epoch):
                if at_once:
                    iter(self.opened(done))
                else:
                    self.opened(done).take(rows).reduce(np.int64(0), lambda count, *row: count)
        elif step:
            raise UserError(
                "The dataset of training rows is shuffled anew each time, without a seed, so that "
                f"the rest of epoch {epoch + 1} is not known: resume from the end of an epoch, or train with "
                ".shuffle(n, seed=1)."
            )
        else:
            warnings.warn(
                "The dataset of training rows is shuffled without a seed: the epochs to come have another "
                "order than those of a training that was not stopped.",
                stacklevel=2,
            )


def row_source(
    train: Arrays | tf.data.Dataset,
    class_weight: Any,
    config: TrainerConfig,
    strategy: tf.distribute.Strategy,
    augmented: Callable[[Arrays, int], Augmented | None] = lambda rows, seed: None,
    others: Sequence[Arrays] = (),
    reopened: bool = False,
) -> RowSource:
    """Look at the training rows: how many, of what kind, and whether they fit the device.

    Args:
        train: The rows.
        class_weight: Weight of each class, or None.
        config: Settings.
        strategy: Where the training runs.
        augmented: Gives the change of rows, see `Task.augmented`.
        others: The rows of the other splits that stay on the device beside them.
        reopened: Whether `fit` opens the dataset once more at the end of each epoch, and so skips every
            second order of its shuffle.

    Raises:
        UserError: for a dataset that cannot be counted, or is not of rows, or cannot be used as asked.
    """
    if isinstance(train, Arrays):
        weighted = checks.weighted(train, class_weight)
        kind, reason = _arrays_kind(weighted, config, strategy, others)
        by_seed = partial(_shuffled, config.seed, len(train))
        change = augmented(weighted, config.seed)
        if change is not None:
            if config.feed == "resident":
                raise UserError("trainer.feed=resident: augmented rows are made on the host; use feed=auto.")
            kind, reason = "stream", "augmented on the host while the device computes"
        return RowSource(weighted, None, len(train), row_spec(weighted), kind, reason, by_seed, change)
    if class_weight:
        train = _weighted_rows(train, class_weight)
    if config.feed == "resident":
        raise UserError(
            "trainer.feed=resident needs the rows as arrays; this task's data() gives a tf.data.Dataset."
        )
    rows = int(train.cardinality())
    if rows < 0:
        raise UserError(
            "A tf.data.Dataset needs a known, finite size; add "
            ".apply(tf.data.experimental.assert_cardinality(rows)) or .take(rows)."
        )
    if not isinstance(train.element_spec, tuple):
        raise UserError(
            f"A tf.data.Dataset must yield rows (x, y) or (x, y, weight); got {train.element_spec}."
        )
    shuffled = pipelines.shuffled_anew(train)
    order_of = f", shuffled anew in each epoch, {shuffled}" if shuffled else ""
    return RowSource(
        None,
        train,
        rows,
        train.element_spec,
        "stream",
        f"the task gives a tf.data.Dataset{order_of}",
        partial(_in_place, rows),
        shuffled=shuffled,
        python=pipelines.runs_python(train),
        later=pipelines.opened_twice(train) if reopened and shuffled == "seeded" else None,
    )


def _weighted_rows(rows: tf.data.Dataset, class_weight: Any) -> tf.data.Dataset:
    """Fold class weights into the weights of rows `(x, y)`; a class that is not named weighs 1."""
    spec = rows.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or not isinstance(spec[1], tf.TensorSpec):
        raise UserError(
            f"class_weight() needs rows (x, y) with one label each; the tf.data.Dataset yields {spec}."
        )
    table = tf.constant([class_weight.get(c, 1.0) for c in range(max(class_weight) + 1)], tf.float32)

    def weighted(x: Any, y: Any) -> tuple[Any, Any, Any]:
        flat = tf.reshape(y, [-1])
        label = tf.argmax(flat) if (spec[1].shape.num_elements() or 1) > 1 else flat[0]
        label = tf.cast(label, tf.int32)
        known = tf.logical_and(label >= 0, label < tf.size(table))
        return x, y, tf.where(known, table[tf.clip_by_value(label, 0, tf.size(table) - 1)], 1.0)

    return rows.map(weighted)


def arrays_source(
    arrays: Arrays,
    strategy: tf.distribute.Strategy,
    seed: int | None,
    batch_rows: int | None = None,
    others: Sequence[Arrays] = (),
) -> RowSource:
    """Rows in memory, in an order drawn from `seed` for each epoch; None: in their own order.

    Args:
        arrays: The rows.
        strategy: Where the training runs.
        seed: Of the orders.
        others: The rows that stay on the device beside them.
        batch_rows: Shuffle the rows of each batch of so many only, as Keras does for `shuffle="batch"`.
    """
    kind, reason = _arrays_kind(arrays, TrainerConfig(), strategy, others)
    rows = len(arrays)
    order_of = partial(_in_place, rows)
    if seed is not None:
        order_of = partial(_shuffled, seed, rows)
        if batch_rows is not None:
            order_of = partial(_shuffled_batches, seed, rows, batch_rows)
    return RowSource(arrays, None, rows, row_spec(arrays), kind, reason, order_of)


def streamed_splits(splits: Splits, strategy: tf.distribute.Strategy) -> frozenset[str]:
    """The splits, but for the training rows, that are evaluated one chunk after the other, since they would
    take too much of the free memory."""
    others = {name: part for name, part in splits.in_memory().items() if name != "train"}
    return frozenset(name for name, part in others.items() if not _fits(part, HELD_SHARE, strategy))


def _shuffled(seed: int, rows: int, epoch: int) -> np.ndarray:
    return order(seed, epoch, rows)


def _shuffled_batches(seed: int, rows: int, batch_rows: int, epoch: int) -> np.ndarray:
    """The rows in batches of their own place, shuffled within each."""
    drawn = order(seed, epoch, rows)
    return drawn[np.argsort(drawn // batch_rows, kind="stable")]


def _in_place(rows: int, epoch: int) -> np.ndarray:
    return np.arange(rows, dtype=np.int32)


def _arrays_kind(
    arrays: Arrays, config: TrainerConfig, strategy: tf.distribute.Strategy, others: Sequence[Arrays]
) -> tuple[str, str]:
    """Resident rows if those of all splits take at most half of the free memory, else a stream of chunks."""
    if config.feed != "auto":
        return config.feed, f"as asked, {size(arrays.nbytes)}"
    free, copies = free_bytes(strategy)
    beside = sum(other.nbytes for other in others)
    kind = "resident" if _fits(arrays, RESIDENT_SHARE, strategy, beside) else "stream"
    more = f" beside {size(beside)} of other splits" if kind == "stream" and beside else ""
    many = f" x {copies} replicas" if copies > 1 else ""
    return kind, f"{size(arrays.nbytes)}{more}{many} of {size(free)} free"


def _fits(arrays: Arrays, share: float, strategy: tf.distribute.Strategy, beside: int = 0) -> bool:
    """Whether rows, with the bytes `beside` them, take at most a share of the device's free memory; on their
    way from a file to the device also of the host's."""
    free, copies = free_bytes(strategy)
    if arrays.in_files:
        free = min(free, available_host_bytes() * copies)
    return (arrays.nbytes + beside) * copies <= share * free
