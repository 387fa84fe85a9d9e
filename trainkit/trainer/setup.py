"""From a task to something that can be trained: data checked, model, optimizer and metrics built, and all made to fit each other."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import patches, precision
from trainkit.backend.memory import _free_memory
from trainkit.checkpoint.train_state import State
from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.task import Task
from trainkit.core.tree import leaves, map_leaves
from trainkit.data import checks
from trainkit.distributed import cluster, strategy
from trainkit.engine.inputs import Stream
from trainkit.engine.train_step import Step, trace_only
from trainkit.optim import factory

DROPOUT = (keras.layers.Dropout, keras.layers.GaussianDropout, keras.layers.AlphaDropout)


RESIDENT_SHARE = 0.5  # of the free memory that resident rows may take


@dataclass
class Built:
    """A task made ready: its parts, and the sizes of its training."""

    task: Task
    strategy: tf.distribute.Strategy
    splits: Splits
    train: Arrays | tf.data.Dataset  # with class weights folded into the row weights
    model: keras.Model
    state: State
    step: Step
    rows: int  # training rows an epoch
    step_rows: int  # rows an optimizer step
    steps: int  # optimizer steps an epoch
    spec: Any  # of one row: the structure (x, y[, weight]) of TensorSpecs
    feed_kind: str  # resident | stream
    feed_reason: str
    config: TrainerConfig
    initial: list[np.ndarray]  # all variables before any training
    compiled: dict[Any, Any] = field(default_factory=dict)  # programs, feeds and functions, to be used again
    evaluators: dict[str, Callable[[], dict[str, float]]] = field(default_factory=dict)
    trained: bool = False
    flops: float = 0.0  # of the products of a step, and the seconds that they take alone; 0: not known
    product_seconds: float = 0.0

    @property
    def rows_per_step(self) -> float:
        """Training rows an optimizer step, the ragged last one included."""
        return self.rows_per_epoch / self.steps

    @property
    def rows_per_epoch(self) -> int:
        return min(self.rows, self.steps * self.step_rows)

    @property
    def strategy_name(self) -> str:
        if isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return "multi_worker"
        return "mirrored" if isinstance(self.strategy, tf.distribute.MirroredStrategy) else "one_device"

    @property
    def lockstep(self) -> int | None:
        """Steps a call must run on several workers, which must all make the same calls; None: free to choose by the clock."""
        return self.steps if self.strategy_name == "multi_worker" else None

    def afresh(self) -> None:
        """Put everything back to where it was before any training; what is compiled stays."""
        self.state.assign(self.initial)
        self.state.seek({"epoch": 0, "step_in_epoch": 0, "step": 0})
        self.model.stop_training = False

    def speed(self, steps_per_second: float) -> dict[str, float]:
        """Arithmetic speed in TFLOP/s and its share of what the products alone reach here, as far as known."""
        speed = {"tflops": self.flops * steps_per_second / 1e12} if self.flops else {}
        return speed | (
            {"ceiling_share": self.product_seconds * steps_per_second} if self.product_seconds else {}
        )

    @property
    def workers(self) -> int:
        return 1 if self.lockstep is None else cluster.workers()

    @property
    def chief(self) -> bool:
        """Whether this process writes the run directory: not so the other workers of several."""
        return self.lockstep is None or cluster.is_chief()

    @property
    def devices(self) -> str:
        """What computes, for people: `2 CPU cores`, `1 x NVIDIA H200`."""
        gpus = tf.config.get_visible_devices("GPU")
        if gpus:
            return f"{len(gpus)} x {tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'GPU')}"
        return f"{os.cpu_count()} CPU cores"

    def arrays(self, split: str) -> Arrays:
        """The rows of a split.

        Raises:
            UserError: if the task has none of that name.
        """
        have = {"train": self.splits.train, "validation": self.splits.validation, "test": self.splits.test}
        arrays = have.get(split)
        if not isinstance(arrays, Arrays):
            raise UserError(
                f"Task {self.task.name} has no split {split!r} in memory; it has {', '.join(n for n, a in have.items() if isinstance(a, Arrays))}."
            )
        return arrays

    def logged(self) -> list[str]:
        """Names of the values that an epoch logs."""
        names = list(self.model.get_metrics_result())
        return names + ([f"val_{n}" for n in names] if self.splits.validation is not None else [])

    def direction(self, monitor: str) -> str:
        """`min` or `max`: whether a logged value is better when lower or higher.

        Raises:
            UserError: if the training logs no such value.
        """
        known = self.logged()
        if monitor not in known:
            raise UserError(
                f"Cannot monitor {monitor!r}: this training does not log it; {did_you_mean(monitor, known)}"
            )
        name = monitor.removeprefix("val_")
        for metric in _flat_metrics(self.model):
            if metric.name == name and getattr(metric, "_direction", None):
                return "max" if metric._direction == "up" else "min"
        return (
            "max"
            if any(part in name for part in ("accuracy", "auc", "precision", "recall", "f1", "r2"))
            else "min"
        )

    def predict(self, x: Any, size: int) -> Any:
        """Outputs for rows `x`, batch by batch; the last batch is filled up so that one trace serves all."""
        rows = len(next(iter(leaves(x))))
        function = self.compiled.setdefault(
            "predict", tf.function(lambda batch: self.model(batch, training=False), autograph=False)
        )
        parts = []
        for begin in range(0, rows, size):
            count = min(size, rows - begin)
            index = (
                np.arange(begin, begin + size)
                if count == size or rows < size
                else np.arange(rows - size, rows)
            )
            index = index[index < rows]
            out = function(map_leaves(partial(_rows_of, index), x))
            parts.append(tf.nest.map_structure(lambda t, count=count: t.numpy()[-count:], out))
        return tf.nest.map_structure(lambda *p: np.concatenate(p), *parts)


def build(
    task: Task,
    config: TrainerConfig,
    optimizer: OptimizerConfig | keras.optimizers.Optimizer | None,
    data: Splits | None = None,
) -> Built:
    """Make a task ready; nothing is trained and nothing written.

    Raises:
        UserError: for data, settings or a model that cannot be trained.
    """
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    distribution = strategy.make(config, cluster.workers(), by_slurm=cluster.by_slurm())
    replicas = distribution.num_replicas_in_sync
    if config.execution.endswith("_xla") and replicas > 1 and config.engine == "trainkit":
        raise UserError(
            f"trainer.execution={config.execution} cannot work with {replicas} replicas: an XLA program runs on one device. "
            "Use trainer.execution=epoch or one device."
        )
    splits = data or task.data()
    for name, part in (("training", splits.train), ("validation", splits.validation), ("test", splits.test)):
        if isinstance(part, Arrays):
            checks.check_rows(part, name)
    train = splits.train
    if isinstance(train, Arrays):
        train = checks.weighted(train, task.class_weight())
    step_rows = config.batch_size * config.accumulate
    rows = len(train) if isinstance(train, Arrays) else Stream(train, step_rows).rows
    if config.batch_size > rows:
        raise UserError(
            f"trainer.batch_size={config.batch_size} is larger than the data: {rows} training rows. Use at most {rows}."
        )
    if step_rows > rows:
        raise UserError(
            f"trainer.accumulate={config.accumulate} x batch_size={config.batch_size} makes steps of {step_rows} rows, but there are {rows} training rows."
        )
    steps = min(math.ceil(rows / step_rows), config.limit_train_batches or rows)
    total = min(config.epochs * steps, config.steps or config.epochs * steps)
    with distribution.scope(), precision.policy(config.precision):
        keras.utils.set_random_seed(config.seed)
        model = _model(task, splits.train)
        if not config.dropout:
            for layer in model._flatten_layers():
                if isinstance(layer, DROPOUT):
                    layer.rate = 0.0
        chosen = (
            optimizer
            if isinstance(optimizer, keras.optimizers.Optimizer)
            else _optimizer(task, optimizer, total)
        )
        model.compile(
            optimizer=chosen,
            loss=task.loss(),
            metrics=task.metrics() or None,
            loss_weights=task.loss_weights(),
            jit_compile=False,
        )
        _fit_together(task, model, splits, train)
        model.optimizer.build(model.trainable_variables)
        precision.check(model)
    if config.sync_batch_norm:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
    clip = optimizer.clip if isinstance(optimizer, OptimizerConfig) else OptimizerConfig().clip
    reduce_first = clip.scope == "global"
    average_every = None
    if config.engine == "trainkit":
        average_every = patches.take_over(model.optimizer, replicas, reduction=reduce_first)
    kind, reason = _feed(config, train, distribution)
    step = Step(task, model, config.batch_size, reduce_first, config.dynamic_rows, average_every)
    state, spec = State(model), Stream(train, 1).spec
    return Built(
        task, distribution, splits, train, model, state, step, rows, step_rows, steps, spec, kind, reason, replace(config), state.values()
    )  # fmt: skip


def _model(task: Task, train: Any) -> keras.Model:
    model = task.model(train)
    if not isinstance(model, keras.Model):
        raise UserError(f"Task {task.name}: model() returned {type(model).__name__}; expected a keras.Model.")
    if not model.built and isinstance(train, Arrays):
        model(map_leaves(lambda a: tf.constant(a[:1]), train.x), training=False)
    return model


def _optimizer(task: Task, config: OptimizerConfig | None, total_steps: int) -> keras.optimizers.Optimizer:
    recipe = task.optimizer()
    return recipe if config is None else factory.build(config, recipe, total_steps)


def _fit_together(task: Task, model: keras.Model, splits: Splits, train: Any) -> None:
    """Trace a training step on symbolic rows: builds loss and metrics, and finds shapes that do not fit before anything runs."""
    spec = Stream(train, 1).spec
    batch = map_leaves(lambda s: keras.KerasTensor((None, *s.shape), s.dtype.name), spec)

    def forward(batch: Any) -> Any:
        x, y, weight = (*batch, None)[:3]
        loss, outputs = task.compute(model, batch, training=True)
        model.compute_metrics(x, y, outputs, sample_weight=weight)
        return loss, outputs

    try:
        loss, _ = trace_only(forward, batch)
    except UserError:
        raise
    except Exception as error:  # whatever the user's model, loss or metric raises, it is theirs to mend
        labels = [tuple(s.shape) for s in leaves(spec[1])]
        outputs = [tuple(o.shape) for o in keras.tree.flatten(model.outputs or [])]
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"Task {task.name}: the model's output {outputs} does not fit its labels {labels} (a row each) in loss or metrics: {first}"
        ) from error
    if tuple(loss.shape) != ():
        raise UserError(
            f"Task {task.name}: the loss has shape {tuple(loss.shape)}; expected one number. A Keras loss needs reduction='sum_over_batch_size'."
        )
    checks.check_labels(task, model, splits, spec)


def _feed(config: TrainerConfig, train: Any, distribution: tf.distribute.Strategy) -> tuple[str, str]:
    """Resident rows where they take at most half of the free memory, else a stream."""
    if not isinstance(train, Arrays):
        if config.feed == "resident":
            raise UserError(
                "trainer.feed=resident needs the rows as arrays; this task's data() gives a tf.data.Dataset."
            )
        return "stream", "the task gives a tf.data.Dataset"
    need = sum(a.nbytes for a in leaves(train.batch()))
    if config.feed != "auto":
        return config.feed, f"as asked, {_mib(need)}"
    free, copies = _free_memory(distribution)
    kind = "resident" if need * copies <= RESIDENT_SHARE * free else "stream"
    return kind, f"{_mib(need)}{f' x {copies} replicas' if copies > 1 else ''} of {_mib(free)} free"


def _mib(size: float) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _flat_metrics(model: keras.Model) -> Iterable[Any]:
    for metric in model.metrics:
        yield metric
        yield from getattr(metric, "metrics", [])


def _rows_of(index: np.ndarray, array: np.ndarray) -> tf.Tensor:
    return tf.constant(array[index])
