"""From a task to something that can be trained: data checked, model, optimizer and metrics built, and all
made to fit each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat, patches, precision
from trainkit.backend.patches import Replacement
from trainkit.checkpoint.train_state import TrainState
from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.logs import base_name, validation_name
from trainkit.core.task import Task
from trainkit.data import checks
from trainkit.distributed import cluster
from trainkit.distributed.strategy import make_strategy, strategy_name
from trainkit.engine.inputs import EpochShape
from trainkit.engine.loss_parts import loss_part_reduction
from trainkit.engine.split_step import SplitStep
from trainkit.engine.train_step import TrainStep, own_objective, task_steps
from trainkit.optim import factory
from trainkit.trainer import model_checks
from trainkit.trainer.sources import RowSource, row_source

__all__ = ["TrainSetup", "assemble"]


@dataclass(frozen=True)
class TrainSetup:
    """A task made ready, before anything is trained: its parts, and the sizes of its training.

    Args:
        task: What is trained.
        config: Settings.
        strategy: Where it runs.
        splits: The rows.
        source: How the training rows reach the graph, class weights folded into their weights.
        model: Compiled model with built optimizer and metrics.
        state: Its variables and position.
        step: The steps.
        facts: What a symbolic forward pass told about the model.
        shape: Sizes of an epoch.
        steps_per_epoch: Steps per epoch; None: until the rows end.
        validation_batch: Rows per batch of the validation.
        initial: All variables before any training.
    """

    task: Task
    config: TrainerConfig
    strategy: tf.distribute.Strategy
    splits: Splits
    source: RowSource
    model: keras.Model
    state: TrainState
    step: TrainStep
    facts: model_checks.ModelFacts
    shape: EpochShape
    steps_per_epoch: int | None
    validation_batch: int
    initial: tuple[np.ndarray, ...]

    @property
    def replicas(self) -> int:
        """Replicas in sync."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def strategy_name(self) -> str:
        """`one_device`, `mirrored` or `multi_worker`."""
        return strategy_name(self.strategy)

    @property
    def in_lockstep(self) -> bool:
        """Whether several workers must all make the same calls, instead of choosing them by the clock."""
        return self.strategy_name == "multi_worker"

    @property
    def workers(self) -> int:
        """Processes that train together."""
        return cluster.workers() if self.in_lockstep else 1

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief, which alone writes the run directory."""
        return not self.in_lockstep or cluster.is_chief()

    @property
    def validates_in_graph(self) -> bool:
        """Whether the validation rows are in memory, so that the compiled program can read them."""
        return self.splits.validation is not None

    @property
    def validation_steps(self) -> int:
        """Batches of the validation rows in memory."""
        rows = len(self.splits.validation) if self.splits.validation is not None else 0
        return -(-rows // self.validation_batch)

    def signature(self) -> Any:
        """What compiled programs of this set-up depend on, besides the model and its compilation."""
        return (repr(self.config), repr(self.source.spec), self.validation_batch, self.step.train_logs)

    def arrays(self, split: str) -> Arrays:
        """The rows of a split.

        Raises:
            UserError: if the task has no such split in memory.
        """
        have = self.splits.in_memory()
        if split not in have:
            raise UserError(
                f"Task {self.task.name} has no split {split!r} in memory; it has {', '.join(have) or 'none'}."
            )
        return have[split]

    def logged(self) -> list[str]:
        """Keras's names of the values that an epoch logs, for people: the loss first, then the metrics."""
        train = sorted(self.step.train_logs.names, key=_loss_first)
        if self.splits.validation is None:
            return train
        return [*train, *map(validation_name, sorted(self.step.test_logs.names, key=_loss_first))]

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
        return model_checks.direction(self.model, base_name(monitor))

    def replacements(self, *, xla: bool, fast: bool) -> list[Replacement]:
        """The changes of Keras that hold while a program of this setup is traced.

        Args:
            xla: Whether XLA compiles the program.
            fast: Whether to use the kernels of `backend.kernels`.
        """
        from trainkit.backend.kernels import fast_kernels

        single = self.replicas == 1
        found = [*task_steps(self.task, self.model), *loss_part_reduction()]
        if not single:
            found += [*patches.replica_seeds(), *patches.unscaled_losses()]
        if self.model.optimizer is not None:
            reduced = self.step.split.reduce_first
            found += patches.optimizer_reduction(self.model.optimizer, reduced=reduced, single=single)
        return [*found, *self.model_replacements(), *(fast_kernels(xla) if fast else [])]

    def model_replacements(self) -> list[Replacement]:
        """The changes of layers that settings ask for; `model.fit` gets them too."""
        found = [] if self.config.dropout else patches.without_dropout(self.model)
        return [*found, *(patches.synchronized_statistics(self.model) if self.config.sync_batch_norm else [])]


def assemble(
    task: Task,
    config: TrainerConfig,
    optimizer: OptimizerConfig | keras.optimizers.Optimizer | None = None,
    data: Splits | None = None,
) -> TrainSetup:
    """Make a task ready; nothing is trained and nothing is written.

    Raises:
        UserError: for data, settings or a model that cannot be trained.
    """
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = make_strategy(config, cluster.workers(), by_slurm=cluster.by_slurm())
    replicas = int(strategy.num_replicas_in_sync)
    _check_execution(config, replicas)
    splits = data or task.data()
    for name, part in splits.in_memory().items():
        checks.check_rows(part, "training" if name == "train" else name)
    source = row_source(splits.train, task.class_weight(), config, strategy)
    shape = _epoch_shape(config, source.rows)
    steps = config.epochs * shape.steps
    total = min(steps, config.steps or steps)
    with strategy.scope(), precision.policy(config.precision):
        keras.utils.set_random_seed(config.seed)
        model = task.model(splits.train)
        if not isinstance(model, keras.Model):
            raise UserError(
                f"Task {task.name}: model() returned {type(model).__name__}; expected a keras.Model."
            )
        model.compile(
            optimizer=_optimizer(task, optimizer, total),
            loss=task.loss(),
            metrics=task.metrics() or None,
            loss_weights=task.loss_weights(),
            jit_compile=False,
        )
        facts = model_checks.examine(task, model, source.spec)
        model_checks.check_labels(task, model, splits, facts)
        model.optimizer.build(model.trainable_variables)
        if config.precision != "float32":
            precision.check_float32(model, facts.outputs)
    clip = optimizer.clip if isinstance(optimizer, OptimizerConfig) else OptimizerConfig().clip
    step = make_step(
        task,
        model,
        config,
        facts,
        replicas,
        micro_rows=config.batch_size,
        reduce_first=clip.scope == "global",
    )
    state = TrainState(model, compat.unlisted_variables(model))
    return TrainSetup(
        task=task,
        config=replace(config),
        strategy=strategy,
        splits=splits,
        source=source,
        model=model,
        state=state,
        step=step,
        facts=facts,
        shape=shape,
        steps_per_epoch=shape.steps,
        validation_batch=config.batch_size,
        initial=tuple(state.values()),
    )


def make_step(
    task: Task,
    model: keras.Model,
    config: TrainerConfig,
    facts: model_checks.ModelFacts,
    replicas: int,
    *,
    micro_rows: int,
    reduce_first: bool,
) -> TrainStep:
    """The steps of a model.

    Raises:
        UserError: for a `train_step` of the model's own that would have to train a batch in several parts.
    """
    if facts.own_train_step and (config.accumulate > 1 or replicas > 1) and config.engine == "trainkit":
        what = f"trainer.accumulate={config.accumulate}" if config.accumulate > 1 else f"{replicas} replicas"
        raise UserError(
            f"Task {task.name}: {type(model).__name__} has its own train_step, which trains a batch as a "
            "whole; "
            f"{what} would split it. Use one device and trainer.accumulate=1, or trainer.engine=keras."
        )
    split = SplitStep(
        task=task,
        model=model,
        micro_rows=micro_rows,
        own_objective=own_objective(task),
        reduce_first=reduce_first,
        dynamic_divisors=facts.dynamic_divisors,
    )
    overwrite_every = None
    if replicas > 1 and config.engine == "trainkit":
        overwrite_every = precision.inner_optimizer(model.optimizer).ema_overwrite_frequency
    return TrainStep(model, split, facts.train_logs, facts.test_logs, overwrite_every)


def _check_execution(config: TrainerConfig, replicas: int) -> None:
    if config.execution.endswith("_xla") and replicas > 1 and config.engine == "trainkit":
        raise UserError(
            f"trainer.execution={config.execution} cannot work with {replicas} replicas: an XLA program runs "
            "on one "
            "device. Use trainer.execution=epoch or one device."
        )


def _epoch_shape(config: TrainerConfig, rows: int) -> EpochShape:
    step_rows = config.batch_size * config.accumulate
    if config.batch_size > rows:
        raise UserError(
            f"trainer.batch_size={config.batch_size} is larger than the data: {rows} training rows. "
            f"Use at most {rows}."
        )
    if step_rows > rows:
        raise UserError(
            f"trainer.accumulate={config.accumulate} x batch_size={config.batch_size} makes steps of "
            f"{step_rows} rows, "
            f"but there are {rows} training rows."
        )
    return EpochShape.of(rows, step_rows, config.limit_train_batches)


def _optimizer(
    task: Task, optimizer: OptimizerConfig | keras.optimizers.Optimizer | None, total_steps: int
) -> keras.optimizers.Optimizer:
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    recipe = task.optimizer()
    return recipe if optimizer is None else factory.build(optimizer, recipe, total_steps)


def _loss_first(name: str) -> tuple[bool, str]:
    return name != "loss", name
