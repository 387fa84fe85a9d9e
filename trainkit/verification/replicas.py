"""One device against several replicas or workers: the same training on the same global batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from trainkit.backend import devices
from trainkit.backend.compat.names import same_names
from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.trainer.trainer import Trainer
from trainkit.verification.differences import distance, relative_distance
from trainkit.verification.parts import check_parts
from trainkit.verification.report import VariableDifference, difference_lines, verdict_lines
from trainkit.verification.same_data import check_same_data
from trainkit.verification.tolerance import replicas_tolerance

__all__ = ["SpreadReport", "comparable", "compare_replicas", "compare_workers", "train"]

DEFAULT_STEPS = 20

History: TypeAlias = Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class SpreadReport:
    """How far a training on one device and one spread over several are apart.

    Args:
        parts: What it was spread over: `2 replicas`, `2 workers`.
        steps: Optimizer steps that were compared.
        variables: The difference of each variable of model and optimizer at the end.
        metrics: Largest difference of each metric over the epochs, relative to values above 1.
        tolerance: Largest difference of the model's variables and of the metrics that passes.
        reason: Why the tolerance is what it is.
    """

    parts: str
    steps: int
    variables: list[VariableDifference]
    metrics: dict[str, float]
    tolerance: float
    reason: str

    @property
    def worst(self) -> float:
        """The largest difference of the model's variables and of the metrics."""
        of_model = [v.distance for v in self.variables if v.name.startswith("model/")]
        return max([*of_model, *self.metrics.values()])

    @property
    def passed(self) -> bool:
        """Whether all of these differences are within the tolerance."""
        return self.worst <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """Everything, for `parity.json`."""
        return {
            "parts": self.parts,
            "passed": self.passed,
            "max_difference": self.worst,
            "tolerance": self.tolerance,
            "tolerance_reason": self.reason,
            "steps": self.steps,
            "metrics": self.metrics,
            "variables": [{"name": v.name, "max_difference": v.distance} for v in self.variables],
        }

    def lines(self) -> list[str]:
        """The report as text for people."""
        of_metrics = {f"{name}, every epoch": value for name, value in self.metrics.items()}
        after = f" after {self.steps} steps"
        return [
            *difference_lines(f"one device and {self.parts}", self.variables, of_metrics),
            *verdict_lines(self.tolerance, self.reason, self.passed, self.worst, after),
        ]


def comparable(config: TrainerConfig, steps: int | None, rows: int) -> TrainerConfig:
    """The settings of both trainings, for one device.

    One graph without XLA, no dropout, since its masks differ by design, and batch statistics over all
    replicas.

    Args:
        config: Settings that were asked for.
        steps: Optimizer steps; None: 20.
        rows: Training rows.
    """
    steps = steps or DEFAULT_STEPS
    step_rows = config.batch_size * config.accumulate
    return replace(
        config,
        strategy="one_device",
        replicas=None,
        execution="epoch",
        engine="trainkit",
        steps=steps,
        epochs=math.ceil(steps * step_rows / max(rows - step_rows, 1)) + 1,  # enough for all steps
        dropout=False,
        sync_batch_norm=True,
    )


def train(
    task: Task,
    config: TrainerConfig,
    optimizer: OptimizerConfig | None,
    data: Splits | None = None,
    like: Trainer | None = None,
) -> tuple[Trainer, History]:
    """One training and its history.

    Args:
        task: What to train.
        config: Settings, from `comparable`.
        optimizer: Settings that change the task's own optimizer.
        data: Rows to use in place of `task.data()`.
        like: One that has trained on the rows that are expected.

    Raises:
        UserError: for a model that draws random numbers, and for other rows.
    """
    trainer = Trainer(config, optimizer=optimizer)
    setup = trainer.prepare(task, data=data)
    if like is not None:
        check_same_data(like.splits, setup.splits)
    check_parts(setup, "One device and several", "Compare a model that draws none.")
    return trainer, trainer.fit(task).history


def compare_replicas(
    task: Task,
    config: TrainerConfig,
    count: int,
    optimizer: OptimizerConfig | None = None,
    data: Splits | None = None,
    tolerance: str = "auto",
) -> SpreadReport:
    """Compare one device with `count` replicas on this machine.

    Args:
        task: What to train.
        config: Settings, from `comparable`.
        count: Replicas, at least 2.
        optimizer: Settings that change the task's own optimizer.
        data: Rows to use in place of `task.data()`.
        tolerance: `auto`, `exact` or a number.

    Raises:
        UserError: if there are not so many devices.
    """
    devices.logical_cpus(count)
    spread = replace(config, strategy="mirrored", replicas=count)
    with same_names():
        one, history = train(task, config, optimizer, data)
        many, history_of_many = train(task, spread, optimizer, data, like=one)
    return _report(f"{count} replicas", one, history, many.state.values(), history_of_many, tolerance)


def compare_workers(
    one: Trainer,
    history: History,
    checkpoint: Path,
    epochs: Sequence[Mapping[str, float]],
    count: int,
    tolerance: str = "auto",
) -> SpreadReport:
    """Compare a training on one device with what several workers left.

    Args:
        one: The trainer of one device, after its training.
        history: Of its training.
        checkpoint: The workers' last checkpoint.
        epochs: What the workers logged in each epoch, by Keras's names.
        count: Workers.
        tolerance: `auto`, `exact` or a number.

    Raises:
        UserError: if the checkpoint does not belong to the same model and optimizer.
    """
    values = one.state.values()
    one.restore(checkpoint)
    values_of_workers = one.state.values()
    one.state.assign(values)
    logged = {name: [epoch[name] for epoch in epochs if name in epoch] for name in history}
    return _report(f"{count} workers", one, history, values_of_workers, logged, tolerance)


def _report(
    parts: str,
    one: Trainer,
    history: History,
    values_of_many: Sequence[npt.NDArray[Any]],
    history_of_many: History,
    asked: str,
) -> SpreadReport:
    if one.state.step != one.config.steps:
        raise UserError(
            f"The comparison was to run {one.config.steps} steps, but the training ended after "
            f"{one.state.step}."
        )
    tolerance, reason = replicas_tolerance(asked)
    pairs = zip(one.state.names, one.state.values(), values_of_many, strict=True)
    # Metrics hold sums that each replica keeps for itself; their results are compared below.
    variables = [
        VariableDifference(name, distance(np.asarray(a), np.asarray(b)))
        for name, a, b in pairs
        if not name.startswith("metrics/")
    ]
    metrics = {name: relative_distance(values, history_of_many[name]) for name, values in history.items()}
    return SpreadReport(
        parts=parts,
        steps=one.state.step,
        variables=variables,
        metrics=metrics,
        tolerance=tolerance,
        reason=reason,
    )
