"""A task made ready for training: its parts, and the sizes of its training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat, patches, recurrent
from trainkit.backend.compat.callbacks import forget_initial_epoch
from trainkit.backend.generators import GeneratorStates
from trainkit.backend.patches import Replacement
from trainkit.backend.traced_values import TracedValues
from trainkit.checkpoint.train_state import TrainState
from trainkit.config import TrainerConfig
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.logs import base_name, validation_name
from trainkit.core.task import Task
from trainkit.distributed import cluster
from trainkit.distributed.agreement import ChiefsNumber
from trainkit.distributed.strategy import strategy_name
from trainkit.engine.inputs import EpochShape, batch_spec, keras_batch, row_spec, shown_batch
from trainkit.engine.loss_parts import loss_part_metrics, loss_part_reduction
from trainkit.engine.train_step import TrainStep, task_steps
from trainkit.trainer import model_checks
from trainkit.trainer.short_trainings import recurrent_kernels_pay
from trainkit.trainer.sources import RowSource

__all__ = ["TrainSetup"]


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
        streamed: Splits, but for the training rows, that are evaluated one chunk after the other.
        traced: Values that programs of this set-up read from variables; None: all are constants.
        rows_as_keras: Whether code of the user's is shown the number of rows where, and only where,
            `model.fit` shows it.
        generators: The global generators of random numbers before any training; None: they are not seeded.
        steps_before: Steps of former fits on rows of such sizes, since the model was compiled.
        draws_as_keras: Whether dropout draws the masks of `model.fit` in programs without XLA, and not those
            that it draws under XLA.
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
    streamed: frozenset[str] = frozenset()
    traced: TracedValues | None = None
    rows_as_keras: bool = False
    generators: GeneratorStates | None = None
    steps_before: int = 0
    draws_as_keras: bool = False

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

    def chiefs_clock(self) -> Callable[[float], float]:
        """Makes a number that is chosen by the clock, and differs from worker to worker, that of the chief;
        all workers must call it equally often."""
        return ChiefsNumber(self.strategy, self.is_chief) if self.in_lockstep else float

    @property
    def sizes(self) -> Any:
        """What a program traced for these rows depends on, besides the model and its compilation."""
        validation = self.splits.validation
        rows = None if validation is None else (len(validation), self.validation_batch)
        return self.shape, repr(self.source.batch_spec), rows

    def steps_expected(self, steps_per_epoch: int) -> int:
        """Steps for which a program is used, as far as anybody knows: those left, and as many as former fits
        have trained: a loop that calls `fit` again and again is compiled once that would have paid. All that
        are left, where `trainer.steps` stops before: a later run goes on with them as it began."""
        return (self.config.epochs - self.state.epoch) * steps_per_epoch + self.steps_before

    @property
    def validates_in_graph(self) -> bool:
        """Whether the validation rows stay on the device, so that the compiled program can read them."""
        return self.splits.validation is not None and "validation" not in self.streamed

    @property
    def validation_steps(self) -> int:
        """Batches of the validation rows."""
        rows = len(self.splits.validation) if self.splits.validation is not None else 0
        return -(-rows // self.validation_batch)

    def signature(self) -> Any:
        """What compiled programs of this set-up depend on, besides the model, its compilation, and the sizes
        and structure of the rows, by which they are kept."""
        config = replace(self.config, epochs=1, batch_size=1)
        divisors = self.facts.dynamic_divisors if self.replicas > 1 else 0
        return (repr(config), self.step.train_logs, self.step.test_logs, divisors)

    @property
    def can_begin_again(self) -> bool:
        """Whether another fit may begin with this setup once it is rewound: not after `model.fit`, which
        traced the model, or after a shuffle gave its first orders away."""
        return self.config.engine != "keras" and not self.source.shuffled

    def rewind(self) -> None:
        """Put model and position back to before any training."""
        self.state.assign(self.initial)
        self.state.seek({"epoch": 0, "step_in_epoch": 0, "step": 0})
        self.state.skipped = 0
        self.state.idle = False
        self.model.stop_training = False
        forget_initial_epoch(self.model)

    def build_optimizer(self) -> None:
        """Make the optimizer's variables, if a step needs them and none has made them."""
        optimizer = self.model.optimizer
        # An own `train_step` was looked at: that has built the optimizer, if the step uses it at all.
        if optimizer is None or optimizer.built or self.facts.own_train_step:
            return
        # In the strategy's scope, and named, as by a first step.
        with self.strategy.scope(), keras.name_scope(optimizer.name, caller=optimizer):
            optimizer.build(self.model.trainable_variables)
        self.state.relist()

    @cached_property
    def batches(self) -> Any:
        """Structure of `tf.TypeSpec` of the training batches, where each is trained as it comes; None: nobody
        knows."""
        if self.source.kind != "resident":
            return self.source.batch_spec
        return batch_spec(self.source.spec, None if self.shape.rest else self.shape.step_rows)

    @cached_property
    def keras_batches(self) -> Any:
        """Structure of `tf.TypeSpec` of the training batches, as `model.fit` shows them to a trace."""
        if self.source.batch_spec is not None:
            return self.source.batch_spec
        return keras_batch(batch_spec(self.source.spec, None if self.shape.rest else self.shape.step_rows))

    def keras_evaluation_batches(self, split: str) -> Any:
        """The same of the batches that a split is evaluated in."""
        rows = self.arrays(split)
        size = self.validation_batch if split == "validation" else self.config.batch_size
        return shown_batch(row_spec(rows), len(rows), size)

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

    @cached_property
    def recurrent_kernels(self) -> bool:
        """Whether programs use our kernels of recurrent layers, where they use any."""
        if not any(recurrent.takes(layer) for layer in compat.flat_layers(self.model)):
            return True
        return recurrent_kernels_pay(self.config, self.steps_per_epoch, self.source.spec)

    def logged(self) -> list[str]:
        """Keras's names of the values that an epoch logs, for people: the loss first, then the metrics."""
        train = sorted(self.step.train_logs.names, key=_loss_first)
        if self.splits.validation is None:
            return train
        return [*train, *map(validation_name, sorted(self.step.test_logs.names, key=_loss_first))]

    def direction(self, monitor: str, mode: str = "auto") -> str:
        """`min` or `max`: whether a logged value is better when lower or higher.

        Args:
            monitor: Its name, as Keras names it.
            mode: `min` or `max`, if somebody has said so; `auto`: the metric says.

        Raises:
            UserError: if the training logs no such value, or nobody says which of its values are better.
        """
        known = self.logged()
        if monitor not in known:
            raise UserError(
                f"Cannot monitor {monitor!r}: this training does not log it; {did_you_mean(monitor, known)}"
            )
        found = model_checks.direction(self.model, base_name(monitor)) if mode == "auto" else mode
        if found is None:
            raise UserError(
                f"Cannot monitor {monitor!r}: its metric does not say whether higher is better. Set "
                "checkpoint.mode=max or min (for early stopping callbacks.early_stopping.mode), or give the "
                "metric _direction='up' or 'down', as Keras's metrics have it."
            )
        return found

    def replacements(self, *, xla: bool, fast: bool, rows: int | None) -> list[Replacement]:
        """The changes of Keras that hold while a program of this setup is traced.

        Args:
            xla: Whether XLA compiles the program.
            fast: Whether to use the kernels of `backend.kernels`.
            rows: As for `loss_part_metrics`.
        """
        single = self.replicas == 1
        found = [*task_steps(self.task, self.model), *loss_part_reduction()]
        found += loss_part_metrics(self.model, rows)
        if not single:
            found += [*patches.replica_seeds(), *patches.unscaled_losses()]
        if self.model.optimizer is not None:
            reduced = self.step.split.reduce_first
            found += patches.optimizer_reduction(self.model.optimizer, reduced=reduced, single=single)
        return [
            *found,
            *self.value_replacements(),
            *(self._kernels(xla) if fast else []),
        ]

    def _kernels(self, xla: bool) -> list[Replacement]:
        from trainkit.backend.kernels import fast_kernels

        return fast_kernels(xla, recurrent=self.recurrent_kernels, masks=not self.draws_as_keras)

    def value_replacements(self) -> list[Replacement]:
        """What makes a program read values from variables, and what settings change of layers; every program
        of the model needs both."""
        traced = self.traced.replacements() if self.traced is not None else []
        return [*traced, *self.model_replacements()]

    def model_replacements(self) -> list[Replacement]:
        """The changes of layers that settings ask for; `model.fit` gets them too."""
        found = [] if self.config.dropout else patches.without_dropout(self.model)
        return [*found, *(patches.synchronized_statistics(self.model) if self.config.sync_batch_norm else [])]


def _loss_first(name: str) -> tuple[bool, str]:
    return name != "loss", name
