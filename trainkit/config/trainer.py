"""Settings of the `trainer` group: how to train, whatever the task."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypedDict

from trainkit.config.fields import setting
from trainkit.core.errors import UserError

__all__ = [
    "ENGINES",
    "EXECUTIONS",
    "FEEDS",
    "ON_NONFINITE",
    "PRECISIONS",
    "STRATEGIES",
    "TrainerConfig",
    "TrainerSettings",
]

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")
EXECUTIONS = ("auto", "measure", "epoch_xla", "epoch", "step_xla", "step")
FEEDS = ("auto", "resident", "stream")
ON_NONFINITE = ("stop", "skip", "restore", "ignore")
ENGINES = ("trainkit", "keras")
MAX_SEED = 2**32  # NumPy and TensorFlow take 32 bits


@dataclass
class TrainerConfig:
    """How to train, whatever the task."""

    epochs: int = setting(1, "passes over the training rows", at_least=1)
    steps: int | None = setting(None, "optimizer steps after which training ends; null: no limit", at_least=1)
    batch_size: int = setting(32, "rows per batch, over all replicas and workers", at_least=1)
    accumulate: int = setting(1, "batches whose gradients are summed into one optimizer step", at_least=1)
    seed: int = setting(0, "seed of weights, row order and dropout", at_least=0, below=MAX_SEED)
    deterministic: bool = setting(False, "deterministic kernels, also on GPUs")
    precision: str = setting("float32", "number format of the layers", choices=PRECISIONS)
    strategy: str = setting("auto", "how training is distributed over devices", choices=STRATEGIES)
    replicas: int | None = setting(None, "devices to use; logical CPUs where there are no GPUs", at_least=1)
    devices: list[int] | None = setting(
        None, "indices of the GPUs to use; null: all", at_least=0, example="[0,1]"
    )
    tf32: bool = setting(True, "TensorFloat-32 matrix products on GPUs that have them")
    sync_batch_norm: bool = setting(False, "BatchNormalization statistics over all replicas")
    execution: str = setting("auto", "what is compiled into one program", choices=EXECUTIONS)
    engine: str = setting("trainkit", "which loop trains; keras: model.fit", choices=ENGINES)
    feed: str = setting("auto", "rows resident on the device, or streamed in chunks", choices=FEEDS)
    allow_nonfinite: bool = setting(False, "train on rows with NaN or infinite values")
    fast_kernels: bool | None = setting(
        None, "faster dropout, batch normalization and Adam than Keras's; null: with XLA and execution=auto"
    )
    dropout: bool = setting(True, "false: train without dropout")
    dynamic_rows: bool = setting(False, "trace for any number of rows as model.fit does: slower, same bits")
    epochs_per_call: int | None = setting(
        None, "epochs per graph call at most; null: about half a second's worth", at_least=1
    )
    limit_train_batches: int | None = setting(None, "steps per epoch at most; null: all", at_least=1)
    validate_every: int = setting(1, "epochs between validations", at_least=1)
    on_nonfinite: str = setting(
        "stop", "what a step does whose loss or weights are not finite", choices=ON_NONFINITE
    )
    max_restores: int = setting(3, "on_nonfinite=restore: times that an epoch is trained again", at_least=1)
    restore_rate: float = setting(
        1.0, "on_nonfinite=restore: factor of the learning rate; 1: pass the step over", above=0, at_most=1
    )
    max_skipped_steps: int = setting(
        50, "mixed_float16: consecutive non-finite steps that fail the training", at_least=1
    )
    heartbeat_seconds: float = setting(30.0, "multi_worker: silence after which a worker is lost", above=0)

    def check(self, prefix: str) -> None:
        """Refuse replicas that outnumber rows and cores, and what `model.fit` does not have, if it trains.

        Args:
            prefix: Dotted key of this section with a final dot, for the message.
        """
        if self.engine == "keras" and self.steps is not None:
            raise UserError(
                f"{prefix}engine=keras trains whole epochs; use {prefix}epochs and "
                f"{prefix}limit_train_batches instead of {prefix}steps."
            )
        if self.engine == "keras" and self.on_nonfinite in ("skip", "restore"):
            raise UserError(
                f"{prefix}on_nonfinite={self.on_nonfinite} undoes steps, which model.fit cannot; use "
                f"{prefix}engine=trainkit, or {prefix}on_nonfinite=stop."
            )
        if (self.replicas or 1) > max(self.batch_size, os.cpu_count() or 1):
            raise UserError(
                f"{prefix}replicas={self.replicas}: a batch has {self.batch_size} rows, and this machine "
                f"{os.cpu_count()} cores; expected fewer replicas, or more rows by {prefix}batch_size."
            )


class TrainerSettings(TypedDict, total=False):
    """The fields of `TrainerConfig` as keywords, so that an editor completes them; a test compares the
    two."""

    epochs: int
    steps: int | None
    batch_size: int
    accumulate: int
    seed: int
    deterministic: bool
    precision: str
    strategy: str
    replicas: int | None
    devices: list[int] | None
    tf32: bool
    sync_batch_norm: bool
    execution: str
    engine: str
    feed: str
    allow_nonfinite: bool
    fast_kernels: bool | None
    dropout: bool
    dynamic_rows: bool
    epochs_per_call: int | None
    limit_train_batches: int | None
    validate_every: int
    on_nonfinite: str
    max_restores: int
    restore_rate: float
    max_skipped_steps: int
    heartbeat_seconds: float
