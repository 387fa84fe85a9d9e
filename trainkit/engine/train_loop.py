"""The loop inside the graph: epochs of steps, with shuffled rows, metrics, validation and the best weights, as one compiled program.

Every execution mode runs this one program and differs in two things only: whether XLA compiles it, and how much of it a call runs.
`step` calls it for one step, `epoch` for an epoch or several. So the modes train the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.backend import kernels, patches
from trainkit.backend.precision import loss_scale
from trainkit.callbacks.monitor import Monitor
from trainkit.checkpoint.train_state import State
from trainkit.engine.evaluation import evaluation_steps, scalar_results
from trainkit.engine.inputs import Feed, Stream
from trainkit.engine.train_step import Step


@dataclass(frozen=True)
class Plan:
    """Sizes of the training: `rows` of which `step_rows` make a step, `steps` an epoch, at most `epochs` epochs a call."""

    rows: int
    step_rows: int
    steps: int
    epochs: int = 1

    @property
    def full(self) -> int:
        """Steps of an epoch that have all their rows."""
        return min(self.steps, self.rows // self.step_rows)


@dataclass
class Program:
    """The compiled training program of one task, feed and plan.

    Args:
        validation: Feed of the validation rows, read in their own order, or None.
        monitors: Observers whose best epoch and early stop are decided in the graph when a call runs several epochs.
        xla: Whether XLA compiles the program: all of it, or with a `Stream` feed each step of it.
        fast: Use the kernels of `trainkit.kernels` instead of Keras's own.
    """

    step: Step
    state: State
    strategy: tf.distribute.Strategy
    feed: Feed
    plan: Plan
    validation: Feed | None = None
    monitors: Sequence[Monitor] = ()
    xla: bool = False
    fast: bool = False
    names: list[str] = field(default_factory=list, init=False)  # of the logged values, once traced
    traces: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.snapshots = (
            [[tf.Variable(v, trainable=False) for v in self.state.variables] for _ in self.monitors]
            if self.plan.epochs > 1
            else []
        )
        whole = self.xla and not isinstance(self.feed, Stream)
        self._run = tf.function(self._program, autograph=False, jit_compile=whole or None)
        self._inner = inner = self.xla and not whole
        self._step: Callable[..., Any] = self._one_step
        if inner:
            self._step = lambda fetched, size: tf.function(
                lambda f: self._one_step(f, size), autograph=False, jit_compile=True
            )(fetched)

    def __call__(
        self,
        orders: tf.Tensor,
        *,
        epochs: int = 1,
        start: int = 0,
        stop: int | None = None,
        validate: Sequence[bool] = (False,),
    ) -> tuple[int, np.ndarray]:
        """Run steps `start : stop` of `epochs` epochs.

        Args:
            orders: Row orders `[plan.epochs, rows]` int32, of which the first `epochs` are used.
            validate: For each epoch whether to validate after it.

        Returns:
            The number of epochs run (fewer than asked when a monitor stopped the training), and a row of values each, named by `names`.
        """
        flags = np.zeros([self.plan.epochs], bool)
        flags[:epochs] = validate
        best = np.array([m.best for m in self.monitors], np.float32)
        wait = np.array([m.wait for m in self.monitors], np.int32)
        end = self.plan.steps if stop is None else stop
        scalars = tf.constant([epochs, start, end], tf.int32)
        validation = self.validation.arguments() if self.validation else None
        done, rows = self._run(
            self.feed.arguments(),
            validation,
            orders,
            scalars,
            tf.constant(flags),
            tf.constant(best),
            tf.constant(wait),
        )
        rows = rows.numpy()  # the one host-device sync of a call
        return int(done), rows[: int(done)]

    def _program(
        self,
        train: Any,
        validation: Any,
        orders: tf.Tensor,
        scalars: tf.Tensor,
        validate: tf.Tensor,
        best: tf.Tensor,
        wait: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        self.traces += 1
        epochs, start, stop = tf.unstack(scalars)
        with ExitStack() as stack:
            stack.enter_context(patches.streams())
            if self.fast:
                stack.enter_context(kernels.fast(self.xla))
            stack.enter_context(patches.plain_losses())
            width = self._row_width()

            def body(
                epoch: tf.Tensor, rows: tf.Tensor, best: tf.Tensor, wait: tf.Tensor, stopped: tf.Tensor
            ) -> tuple[tf.Tensor, ...]:
                tf.cond(tf.equal(start, 0), self._reset, tf.no_op)
                self._steps(train, orders[epoch], start, stop)
                row = self._row(validation, validate[epoch])
                rows = tf.tensor_scatter_nd_update(rows, [[epoch]], [row])
                if self.snapshots:
                    best, wait, stopped = self._follow(row, validate[epoch], best, wait)
                return epoch + 1, rows, best, wait, stopped

            rows = tf.zeros([self.plan.epochs, width])
            going = lambda epoch, rows, best, wait, stopped: (epoch < epochs) & ~stopped  # noqa: E731
            done, rows, *_ = tf.while_loop(going, body, [0, rows, best, wait, False], parallel_iterations=1)
        return done, rows

    def _steps(self, arguments: Any, order: tf.Tensor, start: tf.Tensor, stop: tf.Tensor) -> None:
        """Steps `start : stop` of an epoch: the full ones in a loop, the last, ragged one apart since its shape differs."""
        size, full = self.plan.step_rows, self.plan.full

        def body(i: tf.Tensor) -> tf.Tensor:
            self._step(self.feed.fetch(arguments, tf.slice(order, [i * size], [size]), size), size)
            return i + 1

        if full:
            tf.while_loop(lambda i: i < tf.minimum(stop, full), body, [start], parallel_iterations=1)
        if self.plan.steps > full:
            rest = self.plan.rows - full * size

            def ragged() -> tf.Operation:
                return self._effect(
                    lambda: self._step(self.feed.fetch(arguments, order[full * size :], rest), rest)
                )

            tf.cond((start <= full) & (stop > full), ragged, tf.no_op)

    def _one_step(self, fetched: Any, size: int) -> None:
        self.strategy.run(lambda f: self.step.train(self.feed, f, size), args=(fetched,))
        self.step.after()

    def _reset(self) -> tf.Operation:
        return self._effect(lambda: [m.reset_state() for m in self.step.model.metrics])

    @staticmethod
    def _effect(function: Callable[[], Any]) -> tf.Operation:
        function()
        return tf.no_op()

    def _row(self, validation: Any, validate: tf.Tensor) -> tf.Tensor:
        """Training values, validation values (zeros where not validated), learning rate, and the loss scale if there is one."""
        train = self._results()
        self.names[:] = list(train)
        values = [tf.stack(list(train.values()))]
        if self.validation is not None:
            self.names += [f"val_{name}" for name in train]
            values.append(
                tf.cond(
                    validate,
                    lambda: self._evaluate(self.validation, validation),
                    lambda: tf.zeros([len(train)]),
                )
            )
        optimizer = self.step.model.optimizer
        extra = {"learning_rate": tf.cast(optimizer.learning_rate, tf.float32)}
        scaled = loss_scale(optimizer)
        if scaled is not None:
            # Skipped steps do not advance `iterations`, so the host knows how many there were.
            extra["loss_scale"], extra["iterations"] = (
                tf.cast(v.value, tf.float32) for v in (scaled.dynamic_scale, scaled.iterations)
            )
        self.names += [f"/{name}" for name in extra]
        return tf.concat([*values, tf.stack(list(extra.values()))], 0)

    def _row_width(self) -> int:
        logs = len(self.step.model.get_metrics_result())
        return logs * (2 if self.validation is not None else 1) + (
            1 if loss_scale(self.step.model.optimizer) is None else 3
        )

    def _results(self) -> dict[str, tf.Tensor]:
        return scalar_results(self.step.model)

    def _evaluate(self, feed: Feed, arguments: Any) -> tf.Tensor:
        self._reset()
        evaluation_steps(self.step, self.strategy, feed, arguments, compiled=self._inner)
        return tf.stack(list(self._results().values()))

    def _follow(
        self, row: tf.Tensor, validated: tf.Tensor, best: tf.Tensor, wait: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What `Monitor.on_epoch_end` decides, in the graph: keep the state of a better epoch, count the others, stop when patience ends."""
        bests, waits, stops = [], [], [tf.constant(False)]
        for i, monitor in enumerate(self.monitors):
            value = row[self.names.index(monitor.monitor)]
            known = validated if monitor.monitor.startswith("val_") else tf.constant(True)
            better = known & (
                value < best[i] - monitor.min_delta
                if monitor.mode == "min"
                else value > best[i] + monitor.min_delta
            )
            pairs = list(zip(self.snapshots[i], self.state.variables, strict=True))
            tf.cond(
                better,
                lambda pairs=pairs: self._effect(lambda: [kept.assign(v) for kept, v in pairs]),
                tf.no_op,
            )
            bests.append(tf.where(better, value, best[i]))
            waits.append(tf.where(better, 0, wait[i] + tf.cast(known, tf.int32)))
            if monitor.patience is not None:
                stops.append(known & ~better & (waits[-1] >= monitor.patience))
        return tf.stack(bests), tf.stack(waits), tf.reduce_any(tf.stack(stops))
