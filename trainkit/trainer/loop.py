"""What the two loops have in common: ours, and the one around `model.fit`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import keras

from trainkit.backend import devices
from trainkit.backend.compat.callbacks import initial_epoch
from trainkit.callbacks.callback_list import CallbackList
from trainkit.core.errors import UserError
from trainkit.core.logs import EpochLogs
from trainkit.core.run_info import EpochRecord, RunInfo
from trainkit.trainer.execution import Choice
from trainkit.trainer.mid_epoch import MidEpoch
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.timing import FitTimes

__all__ = [
    "HostValidation",
    "Loop",
    "StepCost",
    "epoch_record",
    "resumed_step",
    "run_info",
    "seek_backup",
    "seek_same_row",
    "throughput",
]


@dataclass(frozen=True)
class StepCost:
    """The products of one optimizer step: what bounds its speed.

    Args:
        flops: Floating-point operations, a multiplication and an addition counting two; 0: not known.
        matmul_seconds: What the products alone take on this machine; 0: not known.
        reason: Why something is not known.
    """

    flops: float = 0.0
    matmul_seconds: float = 0.0
    reason: str = ""

    def tflops(self, steps_per_second: float) -> float | None:
        """Arithmetic speed in TFLOP/s, if known."""
        return self.flops * steps_per_second / 1e12 if self.flops else None

    def roofline_fraction(self, steps_per_second: float) -> float | None:
        """Share of the speed that the products alone reach, if known."""
        return self.matmul_seconds * steps_per_second if self.matmul_seconds else None


class Loop(Protocol):
    """One fit.

    Attributes:
        times: Where the time goes.
        callbacks: Who watches it.
        mid_epoch: What is saved of it, if it ends within an epoch.
    """

    times: FitTimes
    callbacks: CallbackList
    mid_epoch: MidEpoch

    @property
    def choice(self) -> Choice:
        """Mode of execution, and why."""
        ...

    def run(self, resume: Path | str | None = None) -> keras.callbacks.History:
        """Restore if asked, train until the end or until somebody stops it, and return the history."""
        ...


class HostValidation(Protocol):
    """A validation that the host runs, of rows that are not in memory; it calls the `on_test_*` hooks
    itself."""

    def __call__(self, callbacks: keras.callbacks.CallbackList) -> dict[str, Any]:
        """Validate; the values by the names of the metrics."""


def run_info(setup: TrainSetup, choice: Choice) -> RunInfo:
    """The facts of a training that is about to begin."""
    return RunInfo(
        task=setup.task.name,
        dataset=setup.splits.source,
        epochs=setup.config.epochs,
        initial_epoch=setup.state.epoch,
        steps_per_epoch=setup.steps_per_epoch or 0,
        batch_size=setup.shape.step_rows,
        rows_per_epoch=setup.shape.rows,
        training_rows=setup.source.rows,
        execution=choice.execution,
        execution_reason=choice.reason,
        logged=tuple(setup.logged()),
        row_spec=setup.source.spec[0],
        precision=setup.config.precision,
        strategy=setup.strategy_name,
        replicas=setup.replicas,
        devices=devices.describe(),
        feed=f"{setup.source.kind} ({setup.source.reason})",
        settings=asdict(setup.config),
    )


def seek_same_row(setup: TrainSetup, step_rows: int) -> None:
    """Go on at the same row of the epoch where a resumed training had steps of `step_rows` rows; 0: not
    known.

    Raises:
        UserError: if a step of this training begins nowhere near that row, or its epochs end before.
    """
    position = setup.state.position()
    setup.state.seek({**position, "step_in_epoch": resumed_step(setup, position, step_rows)})


def resumed_step(setup: TrainSetup, position: Mapping[str, int], step_rows: int) -> int:
    """The step of its epoch with which a training goes on at a position of one with steps of `step_rows`
    rows; 0: not known.

    Raises:
        UserError: if a step of this training begins nowhere near that row, or its epochs end before.
    """
    step, epoch, now = position["step_in_epoch"], position["epoch"] + 1, setup.shape.step_rows
    rows = step * step_rows
    if rows and step_rows != now:
        if rows % now:
            raise UserError(
                f"The checkpoint stands at row {rows} of epoch {epoch}, in steps of {step_rows} rows; "
                f"no step of {now} rows begins there. Resume with trainer.batch_size={step_rows}, or from a "
                "checkpoint at the end of an epoch."
            )
        step = rows // now
    most = setup.steps_per_epoch
    if step and most is not None and step >= most:
        raise UserError(
            f"The checkpoint stands after step {step} of epoch {epoch}, but an epoch has {most} steps here. "
            "Resume with as many rows and trainer.limit_train_batches as before, or from a checkpoint at the "
            "end of an epoch."
        )
    return step


def seek_backup(setup: TrainSetup) -> None:
    """Go on with the epoch that `BackupAndRestore` asks for, if there is one."""
    state = setup.state
    epoch = initial_epoch(setup.model)
    if epoch:
        steps = (epoch - state.epoch) * (setup.steps_per_epoch or 0)
        state.seek({"epoch": epoch, "step_in_epoch": 0, "step": max(0, state.step + steps)})


def epoch_record(
    setup: TrainSetup,
    logs: EpochLogs,
    cost: StepCost,
    *,
    epoch: int,
    seconds: float,
    train_seconds: float,
    steps: int,
    rows: int,
) -> EpochRecord:
    """Position, speed and rates of epoch `epoch` (from 1), which ran `steps` steps over `rows` rows in this
    process."""
    rate = steps / max(train_seconds, 1e-9)
    skipped = setup.state.skipped if setup.config.on_nonfinite in ("skip", "restore") else None
    if logs.applied_updates is not None:
        skipped = setup.state.step - logs.applied_updates
    return EpochRecord(
        epoch=epoch,
        step=setup.state.step,
        seconds=seconds,
        train_seconds=train_seconds,
        examples_per_second=rows / max(train_seconds, 1e-9),
        steps_per_second=rate,
        learning_rate=logs.learning_rate,
        tflops=cost.tflops(rate),
        roofline_fraction=cost.roofline_fraction(rate),
        loss_scale=logs.loss_scale,
        skipped_steps=skipped,
    )


def throughput(times: FitTimes, cost: StepCost) -> dict[str, float]:
    """Rows and optimizer steps per second of training, without compilation and validation; arithmetic speed
    if known."""
    rate = times.steps_per_second
    known = {"tflops": cost.tflops(rate), "roofline_fraction": cost.roofline_fraction(rate)}
    speed = {name: value for name, value in known.items() if value is not None and math.isfinite(value)}
    return {"examples_per_second": times.examples_per_second, "steps_per_second": rate, **speed}
