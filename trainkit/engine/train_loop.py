"""The loop inside the graph: epochs of steps, with shuffled rows, metrics, validation and the best weights,
as one program.

Every execution mode runs this one program and differs in two things only: whether XLA compiles it, and how
much of it a call runs. `step` calls it for one step, `epoch` for an epoch or several. So the modes train the
same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import Replacement, joining, patched
from trainkit.backend.precision import loss_scale
from trainkit.checkpoint.train_state import TrainState
from trainkit.core.logs import EpochLogs
from trainkit.core.tree import Structure
from trainkit.engine.best_epochs import BestEpochs, Decision
from trainkit.engine.evaluation import evaluation_steps, packed_results, reset_metrics
from trainkit.engine.inputs import gather, hidden_count, of_any_rows
from trainkit.engine.program_spec import ProgramSpec
from trainkit.engine.train_step import TrainStep

__all__ = ["TrainProgram"]


class TrainProgram:
    """The compiled training program of one task.

    Args:
        spec: What it runs.
        step: The steps.
        state: Variables of the training.
        strategy: Where it runs.
        replacements: Gives the changes of Keras that hold while it is traced.
        evaluating: Called before them, gives what changes for the validation; None: nothing.
        batch_spec: Structure of `tf.TypeSpec` to trace for batches that come as they are; None: of their own.

    Attributes:
        traces: How often it was traced.
    """

    def __init__(
        self,
        spec: ProgramSpec,
        step: TrainStep,
        state: TrainState,
        strategy: tf.distribute.Strategy,
        replacements: Callable[[], list[Replacement]],
        evaluating: Callable[[], Callable[[], list[Replacement]]] | None = None,
        batch_spec: Any = None,
    ) -> None:
        self.spec = spec
        self.step = step
        self.state = state
        self.strategy = strategy
        self.replacements = replacements
        self.evaluating = evaluating
        self.batch_spec = batch_spec
        self.traces = 0
        rules = spec.rules if spec.shape.max_epochs > 1 else ()
        self._best = BestEpochs(rules, step.train_logs, step.test_logs, state)
        kind: dict[str, Any] = {"jit_compile": self.in_xla or None, "reduce_retracing": spec.direct}
        program = tf.function(self._program, autograph=False, **kind)
        self._run = compat.TracedFunction(program, rewritten_once=spec.fast and not spec.xla)
        self._content: list[bytes] = []
        self._tensors: list[tf.Tensor] = []
        self._no_logs = np.zeros([step.train_logs.step_width], step.train_logs.dtype)
        self._step_logs: tf.Tensor = tf.constant(self._no_logs)

    def __call__(
        self,
        rows: Structure,
        orders: tf.Tensor,
        *,
        validation: Structure = None,
        base: int = 0,
        epochs: int = 1,
        start: int = 0,
        stop: int | None = None,
        reset: bool | None = None,
        validate: Sequence[bool] = (False,),
        best: Sequence[float] = (),
        wait: Sequence[int] = (),
    ) -> list[EpochLogs]:
        """Run steps `start : stop` of `epochs` epochs.

        Args:
            rows: Tensors of all rows that the call may read.
            orders: Row numbers `[max_epochs, n]` int32 in the order of the steps, of which the first `epochs`
                are used.
            validation: Tensors of the validation rows, for a program that validates.
            base: The step of the epoch whose rows come first in `orders`.
            epochs: Epochs to run, at most `max_epochs`.
            start: First step.
            stop: Step after the last one; default: the steps of an epoch.
            reset: Whether the metrics begin anew before the first step; default: if it is the first of an
                epoch.
            validate: For each epoch, whether to validate after it.
            best: The best value so far, for each rule.
            wait: Epochs without improvement so far, for each rule.

        Returns:
            The logs of each epoch that was run: fewer than asked when a rule stopped the training.
        """
        shape = self.spec.shape
        flags = np.zeros([shape.max_epochs], bool)
        flags[: len(validate)] = validate[: shape.max_epochs]
        end = shape.steps if stop is None else stop
        begins = start == 0 if reset is None else reset
        control = np.array([epochs, start, end, base, int(begins), 0], np.int32)
        kept = self._kept(flags, np.array(best, np.float32), np.array(wait, np.int32))
        given = (validation, orders, tf.constant(control), *kept, self._step_logs)
        if self.batch_spec is not None and not self.traces:
            self._run.trace(self.batch_spec, *given)
        done, values, rates, updates, self._step_logs = self._run(rows, *given)
        count = int(done)  # the one host-device sync of a call; what follows is there already
        values = values.numpy()
        rates = rates.numpy()
        updates = updates.numpy()
        return [self._logs(values[i], rates[i], int(updates[i]), bool(flags[i])) for i in range(count)]

    def _kept(self, *arrays: np.ndarray) -> list[tf.Tensor]:
        """Arrays that seldom change from call to call, as tensors that are made anew only then."""
        content = [array.tobytes() for array in arrays]
        if content != self._content:
            self._content, self._tensors = content, [tf.constant(array) for array in arrays]
        return self._tensors

    @property
    def in_xla(self) -> bool:
        """Whether XLA compiles all of the program, and not each step by itself."""
        return self.spec.xla and not self.spec.by_step

    @property
    def snapshots(self) -> list[list[tf.Variable]]:
        """For each rule, a copy of all variables as they were after the best epoch."""
        return self._best.snapshots

    def trace(self, rows: Structure, orders: tf.Tensor, *, validation: Structure = None) -> None:
        """Compile the program without running a step."""
        rules = self.spec.rules
        best = [float(rule.worst) for rule in rules]
        self(rows, orders, validation=validation, epochs=0, validate=[], best=best, wait=[0] * len(rules))

    def _logs(self, values: np.ndarray, rates: np.ndarray, updates: int, validated: bool) -> EpochLogs:
        train = self.step.train_logs
        told = validated and self.spec.validation is not None
        scaled = loss_scale(self.step.model.optimizer) is not None
        return EpochLogs(
            train=train.unpack(values[: train.width]),
            validation=self.step.test_logs.unpack(values[train.width :]) if told else {},
            learning_rate=None if np.isnan(rates[0]) else float(rates[0]),
            loss_scale=float(rates[1]) if scaled else None,
            applied_updates=updates if scaled else None,
            owners=dict(zip(train.names, train.owners, strict=True)),
            step=train.unpack(self._step_logs.numpy()) if train.batch_from_step else {},
        )

    # The graph.

    def _program(
        self,
        rows: Structure,
        validation: Structure,
        orders: tf.Tensor,
        control: tf.Tensor,
        validate: tf.Tensor,
        best: tf.Tensor,
        wait: tf.Tensor,
        step_logs: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        self.traces += 1
        epochs, start, stop, base, begins, zero = tf.unstack(control)
        hidden = zero if self.spec.hidden_rows else None
        width = self.step.train_logs.width + (self.step.test_logs.width if self.spec.validation else 0)
        dtype = self._dtype()

        def body(epoch: tf.Tensor, decided: Decision, logs: tf.Tensor, *series: tf.Tensor) -> tuple[Any, ...]:
            first = (epoch > 0) | (begins > 0)
            tf.cond(first, lambda: reset_metrics(self.step), tf.no_op)
            logs = self._steps(rows, orders[epoch], logs, start=start, stop=stop, base=base, zero=hidden)
            values = self._values(logs, validation, validate[epoch], zero, changes)
            if self._best.rules:
                decided = self._best.decide(values, validate[epoch], decided)
            news = (values, self.step.rates(), self.step.updates())
            written = [
                tf.tensor_scatter_nd_update(old, [[epoch]], [new])
                for old, new in zip(series, news, strict=True)
            ]
            return (epoch + 1, decided, logs, *written)

        def going(epoch: tf.Tensor, decided: Decision, *_: Any) -> tf.Tensor:
            return (epoch < epochs) & ~decided.stopped

        changes = list if self.evaluating is None else self.evaluating()
        with patched(self.replacements()):
            most = self.spec.shape.max_epochs
            series = (tf.zeros([most, width], dtype), tf.zeros([most, 2]), tf.zeros([most], tf.int64))
            begin = (tf.constant(0), Decision(best, wait, tf.constant(False)), step_logs, *series)
            done, _, logs, *series = tf.while_loop(going, body, begin, parallel_iterations=1)
        return (done, *series, logs)

    def _dtype(self) -> str:
        wide = "float64" in (self.step.train_logs.dtype, self.step.test_logs.dtype)
        return "float64" if wide else "float32"

    def _steps(
        self,
        rows: Structure,
        order: tf.Tensor,
        logs: tf.Tensor,
        *,
        start: tf.Tensor,
        stop: tf.Tensor,
        base: tf.Tensor,
        zero: tf.Tensor | None,
    ) -> tf.Tensor:
        """Steps `start : stop` of an epoch: the full ones in a loop, the ragged last one apart, since its
        shape differs."""
        shape = self.spec.shape
        size = shape.step_rows
        whole = self.strategy.num_replicas_in_sync == 1 and size <= self.step.split.micro_rows
        hides = zero is not None and not self.spec.direct and whole
        hidden = hides and not self.in_xla

        any_rows = of_any_rows(lambda picked: self._one_step(rows, picked, size, tf.constant(0)))

        def run(i: tf.Tensor, count: Any) -> tf.Tensor:
            begin = (i - base) * size
            # Not by a slice: XLA would take its begin for a constant, and compile anew for each call.
            picked = order if self.spec.direct else tf.gather(order, begin + tf.range(count))
            if hides and self.in_xla:
                return any_rows(picked)
            return self._one_step(rows, picked, size if hidden else count, None if self.in_xla else zero)

        def body(i: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return i + 1, run(i, hidden_count(i, size, shape.rows, zero) if hidden else size)

        looped = shape.steps if hidden else shape.full_steps
        if looped:
            end = tf.minimum(stop, looped)
            logs = tf.while_loop(lambda i, _: i < end, body, (start, logs), parallel_iterations=1)[1]
        if shape.rest and not hidden:
            due = (start <= shape.full_steps) & (stop > shape.full_steps)
            last = tf.constant(shape.full_steps)
            before = logs
            logs = tf.cond(due, lambda: run(last, shape.rest), lambda: before)
        return logs

    def _one_step(self, rows: Structure, picked: tf.Tensor, size: int, zero: tf.Tensor | None) -> tf.Tensor:
        direct = self.spec.direct

        def train(rows: Structure, picked: tf.Tensor) -> tf.Tensor:
            run = joining(lambda tensors, which: self.step.train(tensors, which, size, zero, direct))
            logs = self.strategy.run(run, args=(rows, picked))
            self.step.after()
            return self.strategy.experimental_local_results(logs)[0]

        if self.spec.xla and self.spec.by_step:
            # As in model.fit, the batch comes from outside of what XLA compiles: fused, it rounds otherwise.
            direct = True
            batch = rows if self.spec.direct else gather(rows, picked)
            return tf.function(train, autograph=False, jit_compile=True)(batch, tf.range(size))
        return train(rows, picked)

    def _values(
        self,
        step_logs: tf.Tensor,
        validation: Structure,
        validate: tf.Tensor,
        zero: tf.Tensor,
        changes: Callable[[], list[Replacement]],
    ) -> tf.Tensor:
        """Training values, then validation values: zeros if not validated."""
        dtype = self._dtype()
        train = self.step.train_logs
        values = [step_logs if train.from_step else packed_results(self.step.model, train)]
        if self.spec.validation is not None:
            shape = self.spec.validation

            def evaluate() -> tf.Tensor:
                by_step = self.spec.xla and self.spec.by_step
                modes: dict[str, Any] = {"by_step": by_step, "in_xla": self.in_xla}
                modes["zero"] = zero if self.spec.hidden_validation_rows else None
                with patched(changes()):
                    reset_metrics(self.step)
                    found, _ = evaluation_steps(self.step, self.strategy, validation, shape, **modes)
                return tf.cast(found, dtype)

            nothing = tf.zeros([self.step.test_logs.width], dtype)
            values.append(tf.cond(validate, evaluate, lambda: nothing))
        return tf.concat([tf.cast(v, dtype) for v in values], 0)
