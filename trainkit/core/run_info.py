"""What observers of a training may know of it: typed, in place of Keras's free dict of `params`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainkit.core.datasets import Source

__all__ = ["EpochRecord", "RunInfo"]


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """The facts of one training, fixed before its first step.

    Args:
        task: Name of the task.
        dataset: Where the rows came from.
        epochs: Epochs in all.
        initial_epoch: Epochs that were complete before this process began.
        steps_per_epoch: Optimizer steps per epoch.
        batch_size: Training rows per optimizer step.
        rows_per_epoch: Training rows per epoch.
        training_rows: Training rows in all, of which an epoch may take fewer; 0: not known.
        execution: Mode of execution, and why it was chosen.
        logged: Keras's names of the values that an epoch logs.
        row_spec: Structure of `tf.TensorSpec` of the inputs of one row.
        precision: Name of the dtype policy.
        strategy: `one_device`, `mirrored` or `multi_worker`.
        replicas: Replicas in sync.
        devices: What computes, for people.
        feed: How the rows reach the graph, for people.
        settings: All trainer settings as a plain dict.
    """

    task: str
    dataset: Source = field(default_factory=Source)
    epochs: int = 1
    initial_epoch: int = 0
    steps_per_epoch: int = 1
    batch_size: int = 32
    rows_per_epoch: int = 0
    training_rows: int = 0
    execution: str = ""
    execution_reason: str = ""
    logged: tuple[str, ...] = ()
    row_spec: Any = None
    precision: str = "float32"
    strategy: str = "one_device"
    replicas: int = 1
    devices: str = ""
    feed: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """Position, speed and rates of one epoch.

    Args:
        epoch: Number of the epoch, from 1.
        step: Optimizer steps in all at its end.
        seconds: Wall time of the epoch, validation included.
        train_seconds: Wall time of its training steps.
        examples_per_second: Training rows per second of `train_seconds`.
        steps_per_second: Optimizer steps per second of `train_seconds`.
        learning_rate: After the last step; None: several, or of a function that only the optimizer calls.
        tflops: Arithmetic speed in TFLOP/s; None: not known.
        roofline_fraction: Share of the speed that the products alone reach on this machine; None: not known.
        loss_scale: Of float16 training; None elsewhere.
        skipped_steps: Steps that float16 training or `trainer.on_nonfinite` left out so far; None elsewhere.
    """

    epoch: int
    step: int
    seconds: float
    train_seconds: float
    examples_per_second: float
    steps_per_second: float
    learning_rate: float | None
    tflops: float | None = None
    roofline_fraction: float | None = None
    loss_scale: float | None = None
    skipped_steps: int | None = None
