"""Parity with `model.fit` over execution modes, precisions, optimizers and strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainkit.config import OptimizerConfig, ParityConfig, TrainerConfig
from trainkit.core.errors import UserError, one_line
from trainkit.core.task import Task
from trainkit.verification.parity import compare
from trainkit.verification.same_data import OtherRows

__all__ = ["COLUMNS", "FAILED", "OPTIMIZERS", "compare_all", "table"]

OPTIMIZERS = ("recipe", "sgd", "rmsprop", "adam", "adamw")
COLUMNS = ("task", "execution", "precision", "optimizer", "strategy", "difference", "tolerance", "outcome")
FAILED = "FAILED"
MAX_MESSAGE = 120  # characters of an error that a cell holds


@dataclass(frozen=True, kw_only=True)
class Combination:
    """Settings of one comparison."""

    execution: str = "step"
    precision: str = "float32"
    optimizer: str = "recipe"
    replicas: int = 1

    @property
    def strategy(self) -> str:
        """`one_device` or `mirrored`."""
        return "mirrored" if self.replicas > 1 else "one_device"


def compare_all(
    task: Task,
    config: TrainerConfig,
    parity: ParityConfig,
    optimizers: Sequence[str] = OPTIMIZERS,
) -> list[dict[str, Any]]:
    """Compare a task under each combination; what Keras cannot run is named with its error.

    Args:
        task: Any task.
        config: Settings that all combinations share.
        parity: Length and tolerance of each comparison.
        optimizers: Names of optimizers; `recipe` is the task's own.

    Returns:
        A row for each combination, with `COLUMNS` as keys.

    Raises:
        UserError: for a task that gives other rows the second time, by which no combination can be compared.
    """
    return [_row(task, config, parity, combination) for combination in _combinations(optimizers)]


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The rows as lines of a Markdown table."""
    cells = [[_cell(row[column]) for column in COLUMNS] for row in rows]
    return [_markdown(COLUMNS), f"|{'---|' * len(COLUMNS)}", *map(_markdown, cells)]


def _combinations(optimizers: Sequence[str]) -> list[Combination]:
    executions = ("step", "epoch", "step_xla", "epoch_xla")
    return [
        *(Combination(execution=execution) for execution in executions),
        Combination(precision="mixed_bfloat16"),
        Combination(precision="mixed_float16"),
        Combination(execution="epoch", precision="mixed_bfloat16"),
        *(Combination(optimizer=name) for name in optimizers if name != "recipe"),
        Combination(replicas=2),
        Combination(replicas=2, precision="mixed_float16"),
        Combination(replicas=2, execution="step_xla"),
    ]


def _row(task: Task, config: TrainerConfig, parity: ParityConfig, chosen: Combination) -> dict[str, Any]:
    """Compare one combination; an error is the result of its row."""
    row: dict[str, Any] = {
        "task": task.name,
        "execution": chosen.execution,
        "precision": chosen.precision,
        "optimizer": chosen.optimizer,
        "strategy": f"{chosen.strategy} x {chosen.replicas}",
        "difference": None,
        "tolerance": None,
    }
    config = replace(
        config,
        execution=chosen.execution,
        precision=chosen.precision,
        strategy=chosen.strategy,
        replicas=chosen.replicas if chosen.replicas > 1 else None,
    )
    try:
        report = compare(task, config, parity, OptimizerConfig(name=chosen.optimizer))
    except OtherRows:
        raise
    except UserError as error:
        return {**row, "outcome": f"refused: {error}"}
    except Exception as error:  # whatever Keras raises is the result of this row
        message = one_line(str(error))[:MAX_MESSAGE]
        return {**row, "outcome": f"Keras: {type(error).__name__}: {message}"}
    passed = "passed" if report.passed else FAILED
    outcome = "equal bits" if report.worst == 0.0 else passed
    return {**row, "difference": report.worst, "tolerance": report.tolerance, "outcome": outcome}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _markdown(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
