"""Loss and metrics over all rows of a split, inside the graph; each row counts once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import Replacement, joining, patched
from trainkit.core.tree import Structure
from trainkit.engine.inputs import gather, hidden_count, of_any_rows
from trainkit.engine.log_layout import LogLayout
from trainkit.engine.train_step import TrainStep

__all__ = ["EvaluationProgram", "EvaluationShape", "evaluation_steps", "packed_results", "reset_metrics"]


@dataclass(frozen=True)
class EvaluationShape:
    """Sizes of an evaluation, fixed when it is traced.

    Args:
        rows: Rows of the split.
        batch_rows: Rows per batch.
    """

    rows: int
    batch_rows: int

    @property
    def steps(self) -> int:
        """Batches, the ragged last one included."""
        return -(-self.rows // self.batch_rows)


def reset_metrics(step: TrainStep) -> tf.Operation:
    """Let all metrics of a model begin anew, unless the host does."""
    if not step.host_resets:
        step.model.reset_metrics()
    return tf.no_op()


def packed_results(model: keras.Model, layout: LogLayout) -> tf.Tensor:
    """The current results of a model's metrics, as one vector."""
    return layout.pack(model.get_metrics_result())


def evaluation_steps(
    step: TrainStep,
    strategy: tf.distribute.Strategy,
    tensors: Structure,
    shape: EvaluationShape,
    *,
    by_step: bool = False,
    in_xla: bool = False,
    zero: tf.Tensor | None = None,
    base: Any = 0,
    start: Any = 0,
    stop: Any = None,
    logs: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Add batches `start : stop` of a split to the metrics, in the order of its rows.

    Args:
        step: The evaluation step.
        strategy: Where it runs.
        tensors: Rows of the split, from batch `base` on.
        shape: Sizes.
        by_step: Let XLA compile each step, where it does not compile all of this.
        in_xla: Whether XLA compiles all of this.
        zero: See `TrainStep.train`.
        base: The batch whose rows come first in `tensors`.
        start: First batch.
        stop: Batch after the last one; default: all.
        logs: What the last step logged, if that is logged.

    Returns:
        The values of the evaluation so far, packed by `step.test_logs`, and what the last step logged.
    """
    layout = step.test_logs
    size = min(shape.batch_rows, shape.rows)
    full, rest = divmod(shape.rows, size)
    end = shape.steps if stop is None else stop
    hides = zero is not None and strategy.num_replicas_in_sync == 1
    hidden = hides and not in_xla
    if logs is None:
        logs = tf.zeros([layout.step_width], layout.dtype)

    def evaluated(tensors: Structure, picked: tf.Tensor, count: Any, zero: tf.Tensor | None) -> tf.Tensor:
        one = joining(lambda t, which: step.evaluate(t, which, count, zero))
        return strategy.experimental_local_results(strategy.run(one, args=(tensors, picked)))[0]

    any_rows = of_any_rows(lambda picked: evaluated(tensors, picked, size, tf.constant(0)))

    def run(begin: tf.Tensor, count: Any) -> tf.Tensor:
        def evaluate(tensors: Structure, picked: tf.Tensor) -> tf.Tensor:
            return evaluated(tensors, picked, size if hidden else count, None if in_xla else zero)

        picked = tf.range(count) + begin
        if hides and in_xla:
            return any_rows(picked)
        if by_step:  # as in model.evaluate, the batch comes from outside of what XLA compiles
            batch = gather(tensors, picked)
            return tf.function(evaluate, autograph=False, jit_compile=True)(batch, tf.range(count))
        return evaluate(tensors, picked)

    def body(i: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return i + 1, run((i - base) * size, hidden_count(i, size, shape.rows, zero) if hidden else size)

    begin = (tf.convert_to_tensor(start), logs)
    last = tf.minimum(shape.steps if hidden else full, end)
    logs = tf.while_loop(lambda i, _: i < last, body, begin, parallel_iterations=1)[1]
    if rest and not hidden:
        before = logs
        due = tf.convert_to_tensor(end) > full
        logs = tf.cond(due, lambda: run((full - tf.convert_to_tensor(base)) * size, rest), lambda: before)
    return logs if layout.from_step else packed_results(step.model, layout), logs


class EvaluationProgram:
    """Evaluates a split, all of it or batch by batch, in the mode of execution of the training.

    Args:
        step: The evaluation step.
        strategy: Where it runs.
        shape: Sizes.
        replacements: Gives the changes of Keras that hold while it is traced.
        xla: Whether XLA compiles it.
        by_step: With `xla`: compile each step by itself.
        hidden_rows: Trace the steps for an unknown number of rows, as `model.evaluate` does.
    """

    def __init__(
        self,
        step: TrainStep,
        strategy: tf.distribute.Strategy,
        shape: EvaluationShape,
        replacements: Callable[[], list[Replacement]],
        *,
        xla: bool = False,
        by_step: bool = False,
        hidden_rows: bool = False,
    ) -> None:
        self.step = step
        self.strategy = strategy
        self.shape = shape
        self.replacements = replacements
        self.by_step = xla and by_step
        self.hidden_rows = hidden_rows
        self.in_xla = xla and not by_step
        self._run = compat.TracedFunction(
            tf.function(self._program, autograph=False, jit_compile=self.in_xla or None)
        )
        self._logs = tf.constant(np.zeros([step.test_logs.step_width], step.test_logs.dtype))

    def __call__(
        self, tensors: Structure, *, base: int = 0, start: int = 0, stop: int | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values over batches up to `stop`, and what the last of these logs; the metrics begin anew with
        batch 0.

        Args:
            tensors: Rows of the split, from batch `base` on.
            base: The batch whose rows come first.
            start: First batch to add.
            stop: Batch after the last one; default: all.
        """
        end = self.shape.steps if stop is None else stop
        control = tf.constant([base, start, end, 0], tf.int32)
        packed, self._logs = self._run(tensors, control, self._logs)
        layout = self.step.test_logs
        values = layout.unpack(packed.numpy())
        return values, layout.unpack(self._logs.numpy()) if layout.batch_from_step else values

    def _program(
        self, tensors: Structure, control: tf.Tensor, logs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        base, start, stop, zero = tf.unstack(control)
        with patched(self.replacements()):
            tf.cond(tf.equal(start, 0), lambda: reset_metrics(self.step), tf.no_op)
            return evaluation_steps(
                self.step,
                self.strategy,
                tensors,
                self.shape,
                by_step=self.by_step,
                in_xla=self.in_xla,
                zero=zero if self.hidden_rows else None,
                base=base,
                start=start,
                stop=stop,
                logs=logs,
            )
