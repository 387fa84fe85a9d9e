"""Is it the same training? One task through trainkit's loop and through `model.fit`, compared step by step and variable by variable."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from trainkit.config import OptimizerConfig, ParityConfig, TrainerConfig
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.trainer.trainer import Trainer
from trainkit.verification.differences import distance, ulp
from trainkit.verification.report import Report

XLA_BOUND = 1e-4


class Recorder(keras.callbacks.Callback):
    """Notes the running loss and a checksum of every variable after every step. It overrides a batch hook, so both loops call it at each.

    Args:
        trainer: Whose state to watch.
    """

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer = trainer
        self.losses: list[float] = []
        self.sums: list[list[int]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.losses.append(float((logs or {})["loss"]))
        self.sums.append([zlib.crc32(v.tobytes()) for v in self.trainer.state.values()])


class EpochEnds(keras.callbacks.Callback):
    """Notes the values of each epoch. It needs no batch, so whole epochs may run in a call."""


@dataclass
class Run:
    """One of the two trainings, when it is over."""

    trainer: Trainer
    initial: list[np.ndarray]
    final: list[np.ndarray]
    history: dict[str, list[float]]
    losses: list[float]
    sums: list[list[int]]
    outputs: dict[str, list[np.ndarray]]
    seconds: float


def compare(
    task: Task,
    config: TrainerConfig,
    parity: ParityConfig | None = None,
    optimizer: OptimizerConfig | None = None,
    data: Splits | None = None,
    callbacks: Any = list,
) -> Report:
    """Train `task` both ways from the same weights, seeds and batches, and compare everything.

    Args:
        task: Any task, unchanged.
        config: Settings; `execution` `auto` means `step`.
        parity: Length and tolerance.
        optimizer: Settings that override the task's own.
        data: Rows to use instead of `task.data()`.
        callbacks: Makes further callbacks, afresh for each training.

    Raises:
        UserError: for settings that `model.fit` has not.
    """
    parity = parity or ParityConfig()
    config = settings(config, parity)
    ours = _train(task, replace(config, engine="trainkit"), optimizer, data, callbacks)
    keras_config = replace(
        config, engine="keras", batch_size=config.batch_size * config.accumulate, accumulate=1
    )
    theirs = _train(task, keras_config, optimizer, data, callbacks, initial=ours.initial)
    tolerance, reason = bound(parity.tolerance, config)
    return _report(ours, theirs, config, tolerance, reason)


def settings(config: TrainerConfig, parity: ParityConfig) -> TrainerConfig:
    """The settings of a comparison: Keras's masks and shapes, and one loss a step where the steps can be seen."""
    execution = "step" if config.execution == "auto" else config.execution
    xla = execution.endswith("_xla")
    limit = parity.steps if parity.steps is not None else config.limit_train_batches
    epochs = 1 if parity.steps is not None else parity.epochs
    # XLA compiles one step at a time with a stream, as in model.fit; it needs to know all shapes.
    feed = "stream" if execution == "step_xla" else config.feed
    # Keras draws the same dropout masks on all replicas, trainkit does not: there the rest is compared.
    dropout = config.dropout and not _replicated(config)
    return replace(
        config,
        execution=execution,
        epochs=epochs,
        limit_train_batches=limit,
        fast_kernels=False,
        dynamic_rows=not xla,
        feed=feed,
        dropout=dropout,
    )


def _replicated(config: TrainerConfig) -> bool:
    return config.strategy == "mirrored" and (config.replicas or 2) > 1


def bound(asked: str, config: TrainerConfig) -> tuple[float, str]:
    """The tolerance, and why it is that."""
    if asked == "exact":
        return 0.0, "as asked"
    if asked != "auto":
        try:
            return float(asked), "as asked"
        except ValueError:
            raise UserError(f"parity.tolerance={asked!r}: expected auto, exact or a number.") from None
    if config.accumulate > 1:
        return 1e-5, "sums over micro-batches round differently from one large batch"
    if config.execution == "epoch_xla":
        return (
            XLA_BOUND,
            "XLA compiles a whole epoch here, one step in model.fit, and may fuse and round differently",
        )
    if _replicated(config):
        return (
            1e-6,
            "losses are scaled after the sum over replicas here, before it in model.fit; without dropout; in shares of values above 1",
        )
    return 0.0, "the same graph of a step, on the same device: equal bits are possible"


def _train(
    task: Task,
    config: TrainerConfig,
    optimizer: Any,
    data: Splits | None,
    callbacks: Any,
    initial: Sequence[np.ndarray] | None = None,
) -> Run:
    trainer = Trainer(config, optimizer=optimizer)
    built = trainer.prepare(task, data=data)
    if initial is not None:
        trainer.state.assign(initial)
    first = trainer.state.values()
    recorder = Recorder(trainer)
    by_step = config.execution.startswith("step")
    trainer.callbacks = [*callbacks(), recorder if by_step else EpochEnds()]
    begin = time.perf_counter()
    history = trainer.fit(task).history
    seconds = time.perf_counter() - begin
    final = trainer.state.values()
    outputs = {}
    for split in ("validation", "test"):
        part = getattr(built.splits, split)
        if isinstance(part, Arrays):
            outputs[split] = [np.asarray(a) for a in keras.tree.flatten(trainer.predict(split=split))]
    return Run(trainer, first, final, history, recorder.losses, recorder.sums, outputs, seconds)


def _report(ours: Run, theirs: Run, config: TrainerConfig, tolerance: float, reason: str) -> Report:
    names = ours.trainer.state.names
    if _replicated(config):
        ours, theirs = _scaled(ours, ours), _scaled(theirs, ours)
    variables = [
        (n, distance(a, b), ulp(a, b)) for n, a, b in zip(names, ours.final, theirs.final, strict=True)
    ]
    differences = {
        "initial variables": max(distance(a, b) for a, b in zip(ours.initial, theirs.initial, strict=True))
    }
    first_step, first_names = None, []
    if ours.sums or theirs.sums:
        differences["running loss, every step"] = distance(np.array(ours.losses), np.array(theirs.losses))
        first_step = 0
        for step, (a, b) in enumerate(zip(ours.sums, theirs.sums, strict=False), 1):
            if a != b:
                first_step, first_names = step, [n for n, x, y in zip(names, a, b, strict=True) if x != y]
                break
    for name in sorted({*ours.history, *theirs.history}):
        differences[f"{name}, every epoch"] = distance(
            np.array(ours.history.get(name, [])), np.array(theirs.history.get(name, []))
        )
    for split, outputs in ours.outputs.items():
        differences[f"predictions, {split}"] = max(
            distance(a, b) for a, b in zip(outputs, theirs.outputs[split], strict=True)
        )
    built = ours.trainer._built()
    about = {
        "task": built.task.name, "dataset": built.splits.source.name, "execution": config.execution, "precision": config.precision,
        "strategy": built.strategy_name, "replicas": built.strategy.num_replicas_in_sync, "feed": built.feed_kind, "keras": keras.__version__,
    }  # fmt: skip
    seconds = {"trainkit": ours.seconds, "keras": theirs.seconds}
    steps = built.steps * config.epochs
    return Report(
        tolerance,
        reason,
        steps,
        config.epochs,
        differences,
        variables,
        first_step,
        first_names,
        (ours.losses, theirs.losses),
        seconds,
        about,
        built.splits.source,
        built.devices,
    )


def _scaled(run: Run, by: Run) -> Run:
    """A run with all that is compared divided by the values of another, where they are above 1."""

    def share(values: Any, scale: Any) -> Any:
        return np.asarray(values) / np.maximum(1.0, np.abs(np.asarray(scale, np.float64)))

    final = [
        share(a, b).astype(a.dtype) if a.dtype.kind == "f" else a
        for a, b in zip(run.final, by.final, strict=True)
    ]
    history = {
        k: list(share(v, by.history[k])) if len(v) == len(by.history.get(k, [])) else v
        for k, v in run.history.items()
    }
    return replace(run, final=final, history=history)
