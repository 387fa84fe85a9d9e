"""A compiled Keras model made ready for the loop, as it is: nothing is built or compiled anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras

from trainkit.backend.unlisted import unlisted_variables
from trainkit.checkpoint.train_state import TrainState
from trainkit.config import TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.task import Task
from trainkit.engine.inputs import EpochShape, row_spec, shown_batch
from trainkit.engine.log_layout import LogLayout
from trainkit.trainer import model_checks
from trainkit.trainer.assembly import make_step
from trainkit.trainer.model_checks import ModelFacts
from trainkit.trainer.own_code import has_own_code
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.short_trainings import masks_pay
from trainkit.trainer.sources import RowSource, streamed_splits

__all__ = ["AboutModel", "CompiledModel", "assemble_compiled"]

WHOLE = 1 << 30  # rows of a micro-batch: each batch is trained in one piece
NOTHING = LogLayout((), (), ())
MOST = 64  # kinds of rows of which the facts are kept
UNKNOWN = ModelFacts(None, NOTHING, NOTHING, 0, frozenset(), frozenset(), own_train_step=False)


@dataclass(frozen=True)
class AboutModel:
    """What a symbolic pass told about a compiled model, for rows of a kind. Keras does not look again either
    at a model that it has traced for such rows, until the next `compile`.

    Args:
        facts: As the pass told them.
        unlisted: Variables that the model does not list.
        has_own_code: Whether a step runs code of the user's.
    """

    facts: ModelFacts
    unlisted: list[Any]
    has_own_code: bool


@dataclass(frozen=True)
class CompiledModel(Task):
    """A task around a compiled model, which lives as long as that and so holds no rows.

    Args:
        compiled: The model, with its optimizer, losses and metrics.
    """

    compiled: keras.Model

    @property
    def name(self) -> str:
        return str(self.compiled.name)

    def data(self) -> Splits:
        return Splits(None)

    def model(self, train: Any) -> keras.Model:
        return self.compiled

    def loss(self) -> Any:
        return self.compiled.loss

    def optimizer(self) -> Any:
        return self.compiled.optimizer


def assemble_compiled(
    model: keras.Model,
    config: TrainerConfig,
    source: RowSource,
    splits: Splits,
    steps: int | None,
    validation_batch: int,
    *,
    untouched: bool = False,
    known: dict[str, AboutModel] | None = None,
) -> TrainSetup:
    """Make a compiled model ready; its variables are as they were.

    Args:
        model: The model; it is built if it was not, but its optimizer is left to the first step.
        config: Settings.
        source: How the training rows reach the graph.
        splits: The rows that are in memory.
        steps: Steps per epoch; None: until the rows end.
        validation_batch: Rows per batch of the validation.
        untouched: Leave model, losses and metrics to the first step too: Keras's own builds them.
        known: What former fits found out about the model as it is compiled; gets what is found out now.

    Raises:
        UserError: for an own `train_step` on replicas.
        Exception: whatever Keras raises for a model and rows that do not fit each other.
    """
    task = CompiledModel(model)
    strategy = model.distribute_strategy
    about = AboutModel(UNKNOWN, [], has_own_code=False)
    if not untouched:
        held = splits.validation
        test_spec = None if held is None else row_spec(held)
        shown = source.batch_spec
        if shown is None:
            shown = shown_batch(source.spec, source.rows, config.batch_size)
        test_shown = None if held is None else shown_batch(test_spec, len(held), validation_batch)
        about = _about(task, source.spec, test_spec, (shown, test_shown), {} if known is None else known)
    replicas = int(strategy.num_replicas_in_sync)
    state = TrainState(model, unlisted_variables(model) if untouched else about.unlisted)
    step = make_step(task, model, config, about.facts, replicas, micro_rows=WHOLE, reduce_first=False)
    return TrainSetup(
        task=task,
        config=config,
        strategy=strategy,
        splits=splits,
        source=source,
        model=model,
        state=state,
        step=replace(step, as_they_came=source.batch_spec is not None),
        facts=about.facts,
        shape=EpochShape.of(source.rows, config.batch_size)
        if source.arrays is not None
        else EpochShape(1, 1),
        steps_per_epoch=steps,
        validation_batch=validation_batch,
        initial=(),
        streamed=streamed_splits(splits, strategy),
        rows_as_keras=about.has_own_code,
        draws_as_keras=not masks_pay(config, steps),
    )


def _about(
    task: CompiledModel, spec: Any, test_spec: Any, batches: tuple[Any, Any], known: dict[str, AboutModel]
) -> AboutModel:
    """What is known of the model, or found out by a symbolic pass, which takes as long as a trace."""
    asked = repr((spec, test_spec, batches))
    if asked in known:
        return known[asked]
    model = task.compiled
    with model.distribute_strategy.scope():
        facts = model_checks.examine(task, model, spec, test_spec, as_keras=True, batches=batches)
    about = AboutModel(facts, unlisted_variables(model), has_own_code(model))
    if all(isinstance(one, keras.KerasTensor) for one in keras.tree.flatten(facts.outputs)):
        if len(known) >= MOST:
            known.clear()
        known[asked] = about  # other outputs would hold a graph
    return about
