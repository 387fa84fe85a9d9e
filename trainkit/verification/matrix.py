"""Is it the same training? One task through trainkit's loop and through `model.fit`, compared step by step and variable by variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trainkit.config import OptimizerConfig, ParityConfig, TrainerConfig
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.verification.parity import compare


def matrix(
    task: Task,
    config: TrainerConfig,
    parity: ParityConfig,
    optimizers: Sequence[str] = ("recipe", "sgd", "rmsprop", "adam", "adamw"),
) -> list[dict[str, Any]]:
    """Compare execution modes, precisions, optimizers and strategies, one after the other; what Keras cannot run is named with its error.

    Returns:
        A row for each combination: execution, precision, optimizer, strategy, difference, tolerance, outcome.
    """
    base = [
        ("step", "float32", "recipe", 1),
        ("epoch", "float32", "recipe", 1),
        ("step_xla", "float32", "recipe", 1),
        ("epoch_xla", "float32", "recipe", 1),
    ]
    base += [
        ("step", "mixed_bfloat16", "recipe", 1),
        ("step", "mixed_float16", "recipe", 1),
        ("epoch", "mixed_bfloat16", "recipe", 1),
    ]
    base += [("step", "float32", name, 1) for name in optimizers if name != "recipe"]
    base += [
        ("step", "float32", "recipe", 2),
        ("step", "mixed_float16", "recipe", 2),
        ("step_xla", "float32", "recipe", 2),
    ]
    rows = []
    for execution, precision, optimizer, replicas in base:
        strategy = "mirrored" if replicas > 1 else "one_device"
        row: dict[str, Any] = {
            "task": task.name,
            "execution": execution,
            "precision": precision,
            "optimizer": optimizer,
            "strategy": f"{strategy} x {replicas}",
        }
        mine = replace(
            config,
            execution=execution,
            precision=precision,
            strategy=strategy,
            replicas=replicas if replicas > 1 else None,
        )
        try:
            report = compare(task, mine, parity, OptimizerConfig(name=optimizer))
            outcome = "equal bits" if report.worst == 0.0 else "passed" if report.passed else "FAILED"
            row.update(difference=report.worst, tolerance=report.tolerance, outcome=outcome)
        except UserError as error:
            row.update(difference=None, tolerance=None, outcome=f"refused: {error}")
        except Exception as error:  # whatever Keras raises is the result of this row
            row.update(
                difference=None,
                tolerance=None,
                outcome=f"Keras: {type(error).__name__}: {str(error).strip().splitlines()[0][:120]}",
            )
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The matrix as lines of a Markdown table."""
    head = ["task", "execution", "precision", "optimizer", "strategy", "difference", "tolerance", "outcome"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [
        "| "
        + " | ".join(
            "" if row[h] is None else f"{row[h]:.3g}" if isinstance(row[h], float) else str(row[h])
            for h in head
        )
        + " |"
        for row in rows
    ]
