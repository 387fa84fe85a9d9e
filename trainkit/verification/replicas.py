"""One device against several replicas or workers: the same training on the same global batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.backend import devices
from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.trainer.trainer import Trainer
from trainkit.verification.differences import distance

STEPS = 20  # of a comparison, unless others are asked for


BOUND = 1e-6


@dataclass
class Outcome:
    """How far a training on one device and one on several parts came apart.

    Attributes:
        parts: `2 replicas`, `2 workers`.
        variables: Each variable of model and optimizer with the largest absolute difference.
        metrics: Each metric of the epochs with its largest difference, in shares of the value where that is above 1.
        tolerance: What passes, of the model's variables and of the metrics.
    """

    parts: str
    steps: int
    variables: list[tuple[str, float]]
    metrics: dict[str, float]
    tolerance: float
    reason: str

    @property
    def worst(self) -> float:
        return max(
            [gap for name, gap in self.variables if name.startswith("model/")] + list(self.metrics.values())
        )

    @property
    def passed(self) -> bool:
        return self.worst <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """Everything, for `parity.json`."""
        return {
            "parts": self.parts, "passed": self.passed, "max_difference": self.worst, "tolerance": self.tolerance, "tolerance_reason": self.reason,
            "steps": self.steps, "metrics": self.metrics, "variables": [{"name": n, "max_difference": d} for n, d in self.variables],
        }  # fmt: skip

    def lines(self) -> list[str]:
        """What people read."""
        rows: list[tuple[str, float, str]] = []
        for group in ("model", "optimizer"):
            mine = [v for v in self.variables if v[0].startswith(f"{group}/")]
            name, value = max(mine, key=lambda v: math.inf if math.isnan(v[1]) else v[1])
            rows.append((f"{group} variables ({len(mine)})", value, name if value else ""))
        rows += [(f"{name}, every epoch", gap, "") for name, gap in self.metrics.items()]
        out = [f"{f'one device and {self.parts}':<34}{'largest difference':>20}"] + [
            f"{a:<34}{b:>20.3g}  {c}".rstrip() for a, b, c in rows
        ]
        out.append(f"Tolerance: {self.tolerance:g} ({self.reason})")
        out.append(
            f"Parity:    {'passed' if self.passed else 'FAILED'}, largest difference {self.worst:g} after {self.steps} steps"
        )
        return out


def settings(config: TrainerConfig, steps: int | None, rows: int) -> TrainerConfig:
    """The settings of both trainings: one graph without XLA, no dropout, whose masks differ by design, and one set of batch statistics."""
    steps = steps or STEPS
    epochs = (
        math.ceil(
            steps
            * config.batch_size
            * config.accumulate
            / max(rows - config.batch_size * config.accumulate, 1)
        )
        + 1
    )
    return replace(
        config,
        strategy="one_device",
        replicas=None,
        execution="epoch",
        engine="trainkit",
        steps=steps,
        epochs=epochs,
        dropout=False,
        sync_batch_norm=True,
    )


def bound(asked: str) -> tuple[float, str]:
    """The tolerance, and why it is that."""
    if asked == "auto":
        return BOUND, "float32 sums over the parts of a batch round differently from one sum over all of it"
    return (0.0 if asked == "exact" else float(asked)), "as asked"


def one_device(
    task: Task, config: TrainerConfig, optimizer: OptimizerConfig | None, data: Splits | None = None
) -> tuple[Trainer, dict[str, list[float]]]:
    """The training that the others are compared with; `config` from `settings`."""
    trainer = Trainer(config, optimizer=optimizer)
    return trainer, trainer.fit(task, data=data).history


def replicas(
    task: Task,
    config: TrainerConfig,
    count: int,
    optimizer: OptimizerConfig | None,
    data: Splits | None,
    asked: str,
) -> Outcome:
    """Compare with `count` replicas on this machine.

    Raises:
        UserError: if there are not so many devices.
    """
    devices.logical_cpus(count)
    one, history = one_device(task, config, optimizer, data)
    many, theirs = one_device(task, replace(config, strategy="mirrored", replicas=count), optimizer, data)
    metrics = {name: _relative(values, theirs[name]) for name, values in history.items()}
    return _outcome(f"{count} replicas", one, many.state.values(), metrics, asked)


def workers(
    one: Trainer,
    history: dict[str, list[float]],
    checkpoint: Path,
    rows: Sequence[dict[str, float]],
    count: int,
    asked: str,
) -> Outcome:
    """Compare with what `count` workers left: their last checkpoint, and the rows of their epochs by the names of the history."""
    kept = one.state.values()
    one.restore(checkpoint)
    theirs = one.state.values()
    one.state.assign(kept)
    metrics = {
        name: _relative(values, [row[name] for row in rows if name in row])
        for name, values in history.items()
    }
    return _outcome(f"{count} workers", one, theirs, metrics, asked)


def _outcome(
    parts: str, one: Trainer, theirs: Sequence[np.ndarray], metrics: dict[str, float], asked: str
) -> Outcome:
    tolerance, reason = bound(asked)
    known = [i for i, name in enumerate(one.state.names) if not name.startswith("metrics/")]
    values = one.state.values()
    variables = [(one.state.names[i], distance(values[i], theirs[i])) for i in known]
    if one.state.step != one.config.steps:
        raise UserError(
            f"The comparison was to run {one.config.steps} steps, but the training ended after {one.state.step}."
        )
    return Outcome(parts, one.state.step, variables, metrics, tolerance, reason)


def _relative(a: Sequence[float], b: Sequence[float]) -> float:
    scale = np.maximum(1.0, np.abs(np.array(a)))
    return math.inf if len(a) != len(b) else distance(np.array(a) / scale, np.array(b) / scale)
