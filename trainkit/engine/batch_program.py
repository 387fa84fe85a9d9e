"""One step on a batch as it came, as a program without loops: TensorFlow traces, rewrites and calls it as
quickly as Keras's own train function."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import patched
from trainkit.core.logs import EpochLogs
from trainkit.core.tree import Structure
from trainkit.engine.evaluation import packed_results, reset_metrics
from trainkit.engine.train_loop import TrainProgram

__all__ = ["BatchProgram"]


class BatchProgram(TrainProgram):
    """The program of a `direct` spec that XLA does not compile: a call trains one batch, or reads the results
    so far."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._run = compat.TracedFunction(
            tf.function(self._step, autograph=False, reduce_retracing=True), rewritten_once=self.spec.fast
        )
        self._read = compat.TracedFunction(tf.function(self._results, autograph=False))

    def __call__(
        self,
        rows: Structure,
        orders: tf.Tensor,
        *,
        start: int = 0,
        stop: int | None = None,
        reset: bool | None = None,
        **_: Any,
    ) -> list[EpochLogs]:
        """Train the batch `rows`, if `start` is before `stop`; see `TrainProgram`."""
        if start == 0 if reset is None else reset:
            reset_metrics(self.step)
        if stop is None or start < stop:
            if self.batch_spec is not None and not self.traces:  # not of this batch, which may have no rows
                self.trace(rows, orders)
            values, rates, updates, self._step_logs = self._run(rows)
        else:
            values, rates, updates, _ = self._read()
            if self.step.train_logs.from_step:
                values = self._step_logs
        return [self._logs(values.numpy(), rates.numpy(), int(updates), False)]

    def trace(self, rows: Structure, orders: tf.Tensor, *, validation: Structure = None) -> None:
        """Trace the step; the first one that runs has it compiled."""
        self._run.trace(rows if self.batch_spec is None else self.batch_spec)

    def _step(self, rows: Structure) -> tuple[tf.Tensor, ...]:
        self.traces += 1
        with patched(self.replacements()):
            logs = self._one_step(rows, tf.zeros([0], tf.int32), 0, None)
            return self._news(logs)

    def _results(self) -> tuple[tf.Tensor, ...]:
        with patched(self.replacements()):
            return self._news(tf.constant(self._no_logs))

    def _news(self, logs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Values, rates and updates after a step that logged `logs`."""
        layout = self.step.train_logs
        values = logs if layout.from_step else packed_results(self.step.model, layout)
        return values, self.step.rates(), self.step.updates(), logs
