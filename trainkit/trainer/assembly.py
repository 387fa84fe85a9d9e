"""From a task to something that can be trained: data checked, model, optimizer and metrics built, and all
made to fit each other."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import partial

import keras
import tensorflow as tf

from trainkit.backend import compat, precision
from trainkit.backend.compat.optimizer_variables import built_for_others
from trainkit.backend.generators import GeneratorStates
from trainkit.backend.patches import inner_optimizers
from trainkit.backend.unlisted import unlisted_variables
from trainkit.checkpoint.train_state import TrainState
from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.data import checks
from trainkit.distributed import cluster
from trainkit.distributed.strategy import make_strategy, strategy_name
from trainkit.engine.inputs import EpochShape
from trainkit.engine.objective import own_objective
from trainkit.engine.split_step import SplitStep
from trainkit.engine.train_step import TrainStep
from trainkit.optim.factory import GivenOptimizer
from trainkit.trainer import given_splits, label_checks, model_checks, objective_checks, task_values
from trainkit.trainer.augmented_rows import augmented_rows, first_batch
from trainkit.trainer.metric_checks import check_metrics
from trainkit.trainer.optimizers import make_optimizer
from trainkit.trainer.own_steps import check_own_test_step, check_own_train_step
from trainkit.trainer.same_rows import check_same_rows
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.shaped_feed import check_steps
from trainkit.trainer.sources import RowSource, row_source, streamed_splits

__all__ = [
    "ONE_AT_A_TIME",
    "Layout",
    "assemble",
    "check_rows",
    "compiled_model",
    "completed",
    "lay_out",
    "make_step",
]

# The seed of weights and dropout is that of the process: threads that make tasks ready take turns.
ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True)
class Layout:
    """The rows of a training, and where it runs.

    Args:
        strategy: Where it runs.
        splits: The rows.
        source: How the training rows reach the graph, class weights folded into their weights.
        shape: Sizes of an epoch.
        streamed: Splits, but for the training rows, that are evaluated one chunk after the other.
    """

    strategy: tf.distribute.Strategy
    splits: Splits
    source: RowSource
    shape: EpochShape
    streamed: frozenset[str] = frozenset()


def assemble(
    task: Task,
    config: TrainerConfig,
    optimizer: GivenOptimizer = None,
    data: Splits | None = None,
) -> TrainSetup:
    """Make a task ready; nothing is trained and nothing is written.

    Raises:
        UserError: for data, settings or a model that cannot be trained.
    """
    with ONE_AT_A_TIME:
        layout = lay_out(task, config, data)
        source, arrays = layout.source, layout.splits.in_memory()
        check_same_rows(layout.strategy, config, optimizer, source.rows, source.spec, arrays)
        model = compiled_model(task, config, optimizer, layout)
        return completed(task, config, optimizer, layout, model)


def lay_out(task: Task, config: TrainerConfig, data: Splits | None = None) -> Layout:
    """Load and check the rows; the first part of `assemble`.

    Raises:
        UserError: for data that cannot be trained on.
    """
    config.check("trainer.")  # again, since settings can be changed between two fits
    precision.check_process(config.precision)
    task_values.check_members(task)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = make_strategy(config, cluster.workers(), by_slurm=cluster.by_slurm())
    _check_execution(config, strategy)
    limit = config.limit_train_batches
    most_rows = limit * config.batch_size * config.accumulate if limit else None
    if data is None:
        keras.utils.set_random_seed(config.seed)  # a dataset that shuffles without a seed takes this one
    given = data or task_values.splits(task)
    splits = given_splits.readable(given, most_rows, config.epochs)
    for name, part in ({} if config.allow_nonfinite else splits.in_memory()).items():
        checks.check_rows(part, "training" if name == "train" else name)
    weights = task_values.class_weight(task)
    streamed = streamed_splits(splits, strategy)
    parts = splits.in_memory().items()
    beside = [part for name, part in parts if name != "train" and name not in streamed]
    change = partial(augmented_rows, task)
    reopened = most_rows is None and given_splits.is_counted(given.train)
    source = row_source(splits.train, weights, config, strategy, change, beside, reopened)
    shape = _epoch_shape(config, source.rows)
    given_splits.warn_of_batches(given.train, source.rows, config.batch_size)
    check_steps(source, shape)
    return Layout(strategy, splits, source, shape, streamed)


def compiled_model(
    task: Task,
    config: TrainerConfig,
    optimizer: GivenOptimizer,
    layout: Layout,
) -> keras.Model:
    """Build and compile the model; the second part of `assemble`.

    Raises:
        UserError: for a model or optimizer that cannot be made.
    """
    with layout.strategy.scope(), precision.policy(config.precision):
        model = task_values.model(task, layout.splits.train, config.seed)
        task_values.compiled(task, model, make_optimizer(task, config, optimizer, layout.shape.steps))
    return model


def completed(
    task: Task,
    config: TrainerConfig,
    optimizer: GivenOptimizer,
    layout: Layout,
    model: keras.Model,
) -> TrainSetup:
    """Check that model and rows fit each other, and make the steps; the last part of `assemble`.

    Raises:
        UserError: if they do not.
    """
    source = layout.source
    built = [one for one in inner_optimizers(model.optimizer) if one.built]  # a train_step may build others
    with layout.strategy.scope(), precision.policy(config.precision):
        facts = model_checks.examine(task, model, source.spec, source.spec)
        replicas = int(layout.strategy.num_replicas_in_sync)
        step_rows = max(1, config.batch_size // replicas)
        objective_checks.check_objective(task, model, source.spec, step_rows)
        check_metrics(task, model, source.spec, facts, step_rows)
        check_rows(task, config, layout, model, facts)
        if built_for_others(built, model.trainable_variables):
            raise UserError(
                f"Task {task.name}: the optimizer {model.optimizer.name} was built for another model's "
                "weights; give each training an optimizer of its own, or a name such as 'adam'."
            )
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
        evaluates=layout.splits.validation is not None or layout.splits.test is not None,
    )
    state = TrainState(model, unlisted_variables(model))
    return TrainSetup(
        task=task,
        config=replace(config),
        strategy=layout.strategy,
        splits=layout.splits,
        source=source,
        model=model,
        state=state,
        step=step,
        facts=facts,
        shape=layout.shape,
        steps_per_epoch=layout.shape.steps,
        validation_batch=config.batch_size,
        streamed=layout.streamed,
        initial=tuple(state.values()),
        generators=GeneratorStates(),
    )


def check_rows(
    task: Task, config: TrainerConfig, layout: Layout, model: keras.Model, facts: model_checks.ModelFacts
) -> None:
    """Check that all rows fit a model.

    Raises:
        UserError: if they do not.
    """
    augmented = first_batch(layout.source, config.batch_size)
    label_checks.check_labels(task, model, layout.splits, facts, augmented)
    task_values.check_other_splits(task, model, layout.splits, layout.source.spec)


def make_step(
    task: Task,
    model: keras.Model,
    config: TrainerConfig,
    facts: model_checks.ModelFacts,
    replicas: int,
    *,
    micro_rows: int,
    reduce_first: bool,
    evaluates: bool = False,
) -> TrainStep:
    """The steps of a model.

    Raises:
        UserError: for a step of the model's own that would have to take a batch in several parts.
    """
    if facts.own_train_step:
        check_own_train_step(task, model, config, replicas)
    if evaluates:
        check_own_test_step(task, model, config, replicas)
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
    own_reset = compat.has_own(model, "reset_metrics") or model_checks.resets_on_host(model)
    train_logs, test_logs = (
        replace(layout, batch_from_step=layout.batch_from_step and not parts)  # no step has all of a batch
        for layout, parts in (
            (facts.train_logs, replicas > 1 or config.accumulate > 1),
            (facts.test_logs, replicas > 1),
        )
    )
    return TrainStep(model, split, train_logs, test_logs, overwrite_every, own_reset)


def _check_execution(config: TrainerConfig, strategy: tf.distribute.Strategy) -> None:
    replicas = int(strategy.num_replicas_in_sync)
    if config.engine == "keras" and strategy_name(strategy) == "multi_worker":
        raise UserError(
            "trainer.engine=keras cannot train on several workers, where Keras's model.fit fails before its "
            "first step. Use trainer.engine=trainkit, or one process."
        )
    if config.execution.endswith("_xla") and replicas > 1 and config.engine == "trainkit":
        raise UserError(
            f"trainer.execution={config.execution} cannot work with {replicas} replicas: an XLA program runs "
            "on one device. Use trainer.execution=epoch or one device."
        )


def _epoch_shape(config: TrainerConfig, rows: int) -> EpochShape:
    step_rows = config.batch_size * config.accumulate
    if not rows:
        raise UserError("There are no training rows: the Dataset is empty.")
    if config.batch_size > rows:
        raise UserError(
            f"trainer.batch_size={config.batch_size} is larger than the data: {rows} training rows. "
            f"Use at most {rows}."
        )
    if step_rows > rows:
        raise UserError(
            f"trainer.accumulate={config.accumulate} x batch_size={config.batch_size} makes steps of "
            f"{step_rows} rows, but there are {rows} training rows."
        )
    return EpochShape.of(rows, step_rows, config.limit_train_batches)
