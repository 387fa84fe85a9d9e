"""Is it the same training? A task through trainkit's loop and `model.fit`, compared step by step."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from trainkit.backend import devices
from trainkit.backend.compat.names import same_names
from trainkit.config import OptimizerConfig, ParityConfig, TrainerConfig
from trainkit.config.validation import validate_section
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.task import Task
from trainkit.trainer.program_cache import ProgramCache, made_ready
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.trainer import Trainer
from trainkit.verification.differences import distance, relative, ulp
from trainkit.verification.parts import check_parts
from trainkit.verification.report import Report, VariableDifference
from trainkit.verification.same_data import check_same_data
from trainkit.verification.tolerance import on_replicas, parity_tolerance

__all__ = ["comparable", "compare"]

Array: TypeAlias = npt.NDArray[Any]
MakeCallbacks: TypeAlias = Callable[[], list[keras.callbacks.Callback]]


class Recorder(keras.callbacks.Callback):
    """Records the running loss and a checksum of every variable after each step.

    It overrides a batch hook, so both loops call it at each step.

    Args:
        trainer: The trainer whose variables are recorded.
    """

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer = trainer
        self.losses: list[float] = []
        self.checksums: list[list[int]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Record a step."""
        found = logs or {}
        self.losses.append(float(found[_loss_of(found)]) if found else np.nan)
        self.checksums.append([zlib.crc32(v.tobytes()) for v in self.trainer.state.values()])


def _loss_of(names: Iterable[str]) -> str:
    """The name of the loss; an own step that logs none has its first value compared."""
    return "loss" if "loss" in names else min(name for name in names if not name.startswith("val_"))


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is compared of one of the two trainings.

    Args:
        names: Of all variables.
        initial: Their values before the first step.
        final: Their values after the last one.
        history: Of the epochs, as Keras has it.
        losses: The running loss after each step; empty if the steps cannot be seen.
        checksums: Of each variable after each step; empty if the steps cannot be seen.
        outputs: Predictions for the validation and the test rows.
        seconds: That it took.
        steps: Optimizer steps per epoch.
        about: Task, data set, mode, precision, strategy, versions.
        splits: The rows.
        devices: What computed.
    """

    names: list[str]
    initial: list[Array]
    final: list[Array]
    history: dict[str, list[float]]
    losses: list[float]
    checksums: list[list[int]]
    outputs: dict[str, list[Array]]
    seconds: float
    steps: int
    about: dict[str, Any]
    splits: Splits
    devices: str


def compare(
    task: Task,
    config: TrainerConfig,
    parity: ParityConfig | None = None,
    optimizer: OptimizerConfig | None = None,
    data: Splits | None = None,
    callbacks: MakeCallbacks = list,
) -> Report:
    """Train a task both ways from the same weights, seeds and batches, and compare everything.

    Args:
        task: Any task, unchanged.
        config: Settings; `execution=auto` means `step`.
        parity: Length and tolerance of the comparison.
        optimizer: Settings that change the task's own optimizer.
        data: Rows to use in place of `task.data()`.
        callbacks: Makes further callbacks, afresh for each training.

    Raises:
        UserError: for settings that `model.fit` does not have, and for a model that draws random numbers, or
            keeps statistics, part by part of a batch; for a task that gives other rows the second time.
    """
    parity = parity or ParityConfig()
    config = comparable(config, parity)
    large_batch = config.batch_size * config.accumulate
    of_keras = replace(config, engine="keras", batch_size=large_batch, accumulate=1)
    validate_section(of_keras, "trainer")
    with same_names():
        ours = _train(task, replace(config, engine="trainkit"), optimizer, data, callbacks)
        theirs = _train(task, of_keras, optimizer, data, callbacks, like=ours)
    return _report(ours, theirs, config, *parity_tolerance(parity.tolerance, config))


def comparable(config: TrainerConfig, parity: ParityConfig) -> TrainerConfig:
    """The settings of both trainings: Keras's kernels and shapes, and a length that is short enough."""
    execution = "step" if config.execution in ("auto", "measure") else config.execution
    by_steps = parity.steps is not None
    return replace(
        config,
        execution=execution,
        epochs=1 if by_steps else parity.epochs,
        limit_train_batches=parity.steps if by_steps else config.limit_train_batches,
        fast_kernels=False,
        on_nonfinite="ignore",
        dynamic_rows=not execution.endswith("_xla"),
        # XLA compiles one step at a time with a stream, as in model.fit; it needs to know all shapes.
        feed="stream" if execution == "step_xla" else config.feed,
        # Masks are drawn for each part of a batch, by Keras for all of it, or the same on all replicas: the
        # rest can be compared.
        dropout=config.dropout and not on_replicas(config) and config.accumulate == 1,
    )


def _train(
    task: Task,
    config: TrainerConfig,
    optimizer: OptimizerConfig | None,
    data: Splits | None,
    callbacks: MakeCallbacks,
    like: Training | None = None,
) -> Training:
    """Train with one of the two loops; on the rows and from the first values of another training, if any."""
    trainer = Trainer(config, optimizer=optimizer)
    built = trainer.prepare(task, data=data, by=partial(_made_ready, config.batch_size * config.accumulate))
    if like is not None:
        check_same_data(like.splits, built.splits)
    if config.accumulate > 1:
        parts = f"trainer.accumulate={config.accumulate} and one large batch of model.fit"
        check_parts(built, parts, "Compare with trainer.accumulate=1.", kept=True)
    elif built.replicas > 1:  # of statistics Keras keeps those of the first replica, trainkit the mean of all
        kept = not config.sync_batch_norm
        one_device = "Compare on one device, or statistics over all rows with trainer.sync_batch_norm=true."
        check_parts(built, f"{built.replicas} replicas of both loops", one_device, kept=kept)
    if like is not None:
        trainer.state.assign(like.initial)
    first = trainer.state.values()
    recorder = Recorder(trainer)
    steps_are_seen = config.execution.startswith("step")
    trainer.callbacks = [*callbacks(), *([recorder] if steps_are_seen else [])]
    begin = time.perf_counter()
    history = trainer.fit(task).history
    seconds = time.perf_counter() - begin
    final = trainer.state.values()
    about = {
        "task": built.task.name,
        "dataset": built.splits.source.name,
        "execution": config.execution,
        "precision": config.precision,
        "strategy": built.strategy_name,
        "replicas": built.strategy.num_replicas_in_sync,
        "feed": built.source.kind,
        "keras": keras.__version__,
    }
    return Training(
        names=list(trainer.state.names),
        initial=first,
        final=final,
        history=history,
        losses=recorder.losses,
        checksums=recorder.checksums,
        outputs=_outputs(trainer),
        seconds=seconds,
        steps=built.shape.steps,
        about=about,
        splits=built.splits,
        devices=devices.describe(),
    )


def _made_ready(validation_batch: int, *given: Any) -> tuple[TrainSetup, ProgramCache]:
    """The validation goes in the batches of `model.fit`, of which Keras takes means, also where a step trains
    several batches."""
    setup = replace(made_ready(*given)[0], validation_batch=validation_batch)
    return setup, ProgramCache(setup)


def _outputs(trainer: Trainer) -> dict[str, list[Array]]:
    """Predictions for the rows that were not trained on, as far as there are any in memory."""
    found = {}
    for split in ("validation", "test"):
        if isinstance(getattr(trainer.splits, split), Arrays):
            found[split] = [np.asarray(a) for a in keras.tree.flatten(trainer.predict(split=split))]
    return found


def _report(ours: Training, theirs: Training, config: TrainerConfig, tolerance: float, reason: str) -> Report:
    """Compare two trainings that are over."""
    losses_per = "step" if ours.losses else "epoch"
    loss = _loss_of(ours.history)
    losses = (ours.losses or ours.history[loss], theirs.losses or theirs.history[loss])
    if on_replicas(config):
        theirs = _relative_to(ours, theirs)
        ours = _relative_to(ours, ours)
    first_step, first_names = _first_difference(ours, theirs)
    return Report(
        tolerance=tolerance,
        reason=reason,
        steps=ours.steps * config.epochs,
        epochs=config.epochs,
        differences=_value_differences(ours, theirs),
        variables=[
            VariableDifference(name, distance(a, b), ulp(a, b))
            for name, a, b in zip(ours.names, ours.final, theirs.final, strict=True)
        ],
        first_step=first_step,
        first_names=first_names,
        losses=losses,
        losses_per=losses_per,
        seconds={"trainkit": ours.seconds, "keras": theirs.seconds},
        about=ours.about,
        source=ours.splits.source,
        devices=ours.devices,
    )


def _value_differences(ours: Training, theirs: Training) -> dict[str, float]:
    """The largest difference of everything but the final variables."""
    pairs = zip(ours.initial, theirs.initial, strict=True)
    found = {"initial variables": max(distance(a, b) for a, b in pairs)}
    if ours.checksums or theirs.checksums:
        found["running loss, every step"] = distance(np.array(ours.losses), np.array(theirs.losses))
    for name in sorted({*ours.history, *theirs.history}):
        values = [np.array(training.history.get(name, [])) for training in (ours, theirs)]
        found[f"{name}, every epoch"] = distance(*values)
    for split, outputs in ours.outputs.items():
        outputs_of_both = zip(outputs, theirs.outputs[split], strict=True)
        found[f"predictions, {split}"] = max(distance(a, b) for a, b in outputs_of_both)
    return found


def _first_difference(ours: Training, theirs: Training) -> tuple[int | None, list[str]]:
    """The first step, from 1, after which variables differ, and which; 0: none do; None: not seen."""
    if not ours.checksums and not theirs.checksums:
        return None, []
    for step, (a, b) in enumerate(zip(ours.checksums, theirs.checksums, strict=False), 1):
        if a != b:
            return step, [name for name, x, y in zip(ours.names, a, b, strict=True) if x != y]
    return 0, []


def _relative_to(reference: Training, training: Training) -> Training:
    """A training with final variables and history divided by those of another where they are above 1."""
    final = [
        relative(a, b).astype(a.dtype) if a.dtype.kind == "f" else a
        for a, b in zip(training.final, reference.final, strict=True)
    ]
    history = {
        name: list(relative(values, reference.history[name]))
        if len(values) == len(reference.history.get(name, []))
        else values
        for name, values in training.history.items()
    }
    return replace(training, final=final, history=history)
