"""The loop on the host: how much each call of the compiled program runs, where the training stands, and who is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend.precision import loss_scale
from trainkit.callbacks.callback_list import Audience
from trainkit.checkpoint import store
from trainkit.config import TrainerConfig
from trainkit.core.errors import UserError
from trainkit.data import order
from trainkit.engine.inputs import Resident, Stream
from trainkit.engine.train_loop import Plan, Program
from trainkit.trainer.execution import Choice, batch_seconds, bound_by, choose, timed
from trainkit.trainer.setup import Built

CALL_SECONDS = (
    0.5  # a call of the program lasts about so long: often enough for progress bars, signals and checkpoints
)


ORDER_BYTES = 16e6  # row orders handed to one call, at the most


SNAPSHOT_BYTES = 64e6  # state that the graph may copy for a best epoch inside a call of several


EPOCHS_A_CALL = 1000


class HostLoop:
    """One `fit`.

    Args:
        built: The task made ready.
        config: Settings.
        callbacks: Keras callbacks. If all of them only observe, a call may run several epochs.
        stop_reason: Gives a reason once somebody wants the training to stop.
    """

    choice: Choice
    program: Program

    def __init__(
        self,
        built: Built,
        config: TrainerConfig,
        callbacks: Sequence[keras.callbacks.Callback],
        stop_reason: Callable[[], str | None],
    ) -> None:
        self.built, self.config, self.state, self.stop_reason = built, config, built.state, stop_reason
        self.audience = Audience(built, config, callbacks)
        self.seconds = {"total": 0.0, "compile": 0.0, "train": 0.0, "validate": 0.0}
        self.steps_run = 0
        self.step_seconds = 0.0  # as last measured, of the calls as they are made
        self._grown = 1  # units that the last call took, see `_fits`
        self._bound: dict[str, Any] = {}
        self._calls = 0
        self._ahead: tuple[int, int, Future[tf.Tensor]] | None = None
        self._thread = ThreadPoolExecutor(1)  # starts nothing before it is used
        self._moved = self._moved_at = (
            0  # updates that the optimizer has made, and the step until which they are known, for float16
        )

    def run(self, resume: Path | str | None = None) -> keras.callbacks.History:
        """Restore if asked, train until the end or until somebody stops it, and return the history."""
        if resume is not None:
            self.audience.remember(store.restore(self.state, resume))
        scaled = loss_scale(self.built.model.optimizer)
        self._moved, self._moved_at = int(scaled.iterations.numpy()) if scaled else 0, self.state.step
        self._choose()
        self.callbacks = self.audience.gather(self.choice.execution, self.choice.reason)
        self.callbacks.on_train_begin()
        begin = time.perf_counter()
        while not self._over():
            if self.plan.epochs > 1:
                self._several_epochs()
            else:
                self._one_epoch()
            self.audience.after_call()
        self._judge(time.perf_counter() - begin)
        self._split_seconds()
        self.audience.after_call(final=True)
        self.state.finish()
        self.callbacks.on_train_end(self.audience.logs)
        return self.audience.history

    def throughput(self) -> dict[str, float]:
        seconds = max(self.seconds["train"], 1e-9)
        rate = self.steps_run / seconds
        return {
            "examples_per_second": rate * self.built.rows_per_step,
            "steps_per_second": rate,
            **self.built.speed(rate),
        }

    def bound(self) -> dict[str, Any]:
        """What the speed of the run hangs on: `input`, `host` or `device`, with the shares of the time that say so."""
        return self._bound

    # The loop.

    def _over(self) -> bool:
        return (
            self.state.epoch >= self.config.epochs
            or self.built.model.stop_training
            or self._stopped()
            or self._steps_left() == 0
        )

    def _stopped(self) -> bool:
        return self.stop_reason() is not None

    def _steps_left(self) -> int:
        return (
            max(0, self.config.steps - self.state.step) if self.config.steps is not None else self.built.steps
        )

    def _several_epochs(self) -> None:
        """One call for as many epochs as last about `CALL_SECONDS`; then the callbacks are told of them in order."""
        state, first, start = self.state, self.state.epoch, self.state.step_in_epoch
        count = (
            1 if start else min(self.plan.epochs, self.config.epochs - first, self._fits(self.built.steps))
        )
        due = [e for e in range(first + 1, first + count) if self.audience.due(e)]
        count = min([count, *(e - first for e in due)])
        orders = self._orders(first, count)
        self._look_ahead(first + count)
        begin = time.perf_counter()
        done, rows = self.program(
            orders,
            epochs=count,
            start=start,
            validate=[self._validates(e) for e in range(first, first + count)],
        )
        seconds = time.perf_counter() - begin
        self._timed(seconds, done * self.built.steps - start)
        self.seconds["train"] += seconds
        for i in range(done):
            self.audience.begin_epoch(first + i)
            state.epoch, state.step_in_epoch, state.step = (
                first + i + 1,
                0,
                state.step + self.built.steps - start,
            )
            start = 0
            self._end_epoch(first + i, rows[i], seconds / done, seconds / done, self.built.steps)
        self.audience.capture(self.program.snapshots)
        self._check_skipped(rows[-1])

    def _one_epoch(self) -> None:
        """One epoch in calls of about `CALL_SECONDS`, or of one step where a callback needs the host at each; then the validation."""
        state, epoch, first, begin = self.state, self.state.epoch, self.state.step, time.perf_counter()
        last = min(self.built.steps, state.step_in_epoch + self._steps_left())
        if state.step_in_epoch == 0:
            self.audience.begin_epoch(epoch)
        row = np.zeros(0)
        while state.step_in_epoch < last and not self._stopped() and not self.built.model.stop_training:
            row = self._some_steps(epoch, last)
        train_seconds = time.perf_counter() - begin
        if state.step_in_epoch < last and not self.built.model.stop_training:
            return
        whole = state.step_in_epoch == self.built.steps
        if self._validates(epoch):
            row = self._validate(epoch, keep_metrics=not whole)
        if whole:
            state.epoch, state.step_in_epoch = epoch + 1, 0
        self._end_epoch(epoch, row, time.perf_counter() - begin, train_seconds, state.step - first)
        self.audience.capture()

    def _some_steps(self, epoch: int, last: int) -> np.ndarray:
        state, start = self.state, self.state.step_in_epoch
        single = self.audience.hooks or self.choice.execution.startswith("step")
        stop = (
            start + 1
            if single
            else min(last, start + (self._fits(1) if self.built.lockstep is None else self.built.lockstep))
        )
        if self.audience.hooks:
            self.callbacks.on_train_batch_begin(start)
        begin = time.perf_counter()
        _, rows = self.program(self._orders(epoch, 1), start=start, stop=stop)
        seconds = time.perf_counter() - begin
        self._timed(seconds, stop - start)
        self.seconds["train"] += seconds
        state.step_in_epoch, state.step = stop, state.step + stop - start
        self._check_skipped(rows[0])
        self.audience.tell_steps(stop - 1, self._named(rows[0], validated=False))
        if stop < last:
            self.audience.after_call()
        return rows[0]

    def _validate(self, epoch: int, *, keep_metrics: bool) -> np.ndarray:
        """Validation alone, by the same program: no step, then the validation rows.

        In the middle of an epoch, where the training ends but may be resumed, the metrics of the epoch so far are kept.
        """
        kept = self.state.values() if keep_metrics else None
        self.callbacks.on_test_begin()
        begin = time.perf_counter()
        steps = self.built.steps
        _, rows = self.program(self._orders(epoch, 1), start=steps, stop=steps, validate=[True])
        self.seconds["validate"] += time.perf_counter() - begin
        logs = self._named(rows[0], validated=True)
        self.callbacks.on_test_end(
            {k.removeprefix("val_"): v for k, v in logs.items() if k.startswith("val_")}
        )
        if kept is not None:
            self.state.assign(kept)
        return rows[0]

    def _end_epoch(
        self, epoch: int, row: np.ndarray, seconds: float, train_seconds: float, steps: int
    ) -> None:
        values = dict(zip(self.program.names, map(float, row), strict=True))
        more = {"learning_rate": values["/learning_rate"]}
        if "/loss_scale" in values:
            more.update(
                loss_scale=values["/loss_scale"], skipped_steps=self.state.step - int(values["/iterations"])
            )
        self.audience.record(epoch, seconds, train_seconds, steps, more)
        self.audience.end_epoch(epoch, self._named(row, validated=self._validates(epoch)))

    # What it needs to know.

    def _validates(self, epoch: int) -> bool:
        return self.built.splits.validation is not None and (epoch + 1) % self.config.validate_every == 0

    def _named(self, row: np.ndarray, *, validated: bool) -> dict[str, float]:
        """The logs that callbacks see, as Keras names them."""
        pairs = zip(self.program.names, map(float, row), strict=True)
        return {
            name: value
            for name, value in pairs
            if not name.startswith("/") and (validated or not name.startswith("val_"))
        }

    def _fits(self, unit: int) -> int:
        """How many units of so many steps last about `CALL_SECONDS`; few as long as nothing is known, at most 8 times more than before."""
        fits = max(1, int(CALL_SECONDS / max(self.step_seconds * unit, 1e-7))) if self.step_seconds else 1
        self._grown = min(fits, 8 * self._grown)
        return self._grown

    def _timed(self, seconds: float, steps: int) -> None:
        if steps:
            self._calls += 1
            self.step_seconds = seconds / steps
            self.steps_run += steps

    def _check_skipped(self, row: np.ndarray) -> None:
        """End a float16 training whose gradients are not finite for many steps in a row.

        A call says how many of its steps moved the weights, not which: s skipped steps among k moves leave a row of s / (k + 1) at the least.
        """
        values = dict(zip(self.program.names, row, strict=True))
        if "/iterations" not in values:
            return
        moves, steps = int(values["/iterations"]) - self._moved, self.state.step - self._moved_at
        in_a_row = (steps - moves) // (moves + 1)
        if in_a_row >= self.config.max_skipped_steps:
            raise UserError(
                f"{in_a_row} steps in a row had gradients that are not finite, at loss scale {values['/loss_scale']:g}. "
                "Lower optimizer.learning_rate, clip gradients (optimizer.clip.global_norm=1), or use trainer.precision=mixed_bfloat16."
            )
        if moves:
            self._moved, self._moved_at = self._moved + moves, self.state.step

    def _choose(self) -> None:
        """Lay out feeds and sizes, and choose the program."""
        built, config, state = self.built, self.config, self.state
        begin = time.perf_counter()
        if "feeds" not in built.compiled:
            feed = (
                Stream(built.train, built.step_rows)
                if built.feed_kind == "stream"
                else Resident(built.train, built.strategy)
            )
            built.compiled["feeds"] = (
                feed,
                Resident(built.splits.validation, built.strategy)
                if built.splits.validation is not None
                else None,
            )
        self.feed, validation = built.compiled["feeds"]
        monitors = self.audience.monitors
        self.plan = Plan(built.rows, built.step_rows, built.steps, self._epochs_a_call())

        def program(xla: bool) -> Program:
            # A second fit of the same task uses the programs of the first: compiling takes seconds, and XLA never gives its programs' memory back.
            # A mode without XLA that is asked for by its name trains as model.fit does, bit for bit.
            fast = (
                config.fast_kernels if config.fast_kernels is not None else xla or config.execution == "auto"
            )
            key = (
                xla,
                self.plan,
                fast,
                *((m.monitor, m.mode, float(m.min_delta), m.patience) for m in monitors),
            )
            if key not in built.compiled:
                built.compiled[key] = Program(
                    built.step, state, built.strategy, self.feed, self.plan, validation, monitors, xla, fast
                )
            built.compiled[key].monitors = monitors
            return built.compiled[key]

        self._order_key = (-1, 0)
        left = (config.epochs - state.epoch) * built.steps
        self._seek()
        orders, left = self._orders(state.epoch, 1), min(left, config.steps or left)
        self.choice = choose(
            config,
            program,
            state,
            orders,
            hooks=self.audience.hooks,
            steps_left=left,
            before=self.audience.before,
        )
        self.program = self.choice.program
        if not self.program.traces:
            self.program(self._orders(state.epoch, 1), epochs=0, validate=[])
        self._seek()  # measuring has read from a stream
        self.step_seconds = self.choice.step_seconds
        self._grown = (
            max(1, int(CALL_SECONDS / 4 / self.step_seconds / built.steps))
            if self.step_seconds and self.plan.epochs > 1
            else 1
        )
        self.seconds["compile"] = time.perf_counter() - begin

    def _epochs_a_call(self) -> int:
        """At most so many epochs in one call: one, unless all callbacks only observe and nothing else needs the host between epochs."""
        config, built = self.config, self.built
        left = max(1, config.epochs - self.state.epoch)
        alone = (
            not self.audience.observed
            or built.feed_kind == "stream"
            or built.strategy.num_replicas_in_sync > 1
            or config.steps is not None
        )
        if alone or config.execution.startswith("step") or self.state.nbytes > SNAPSHOT_BYTES:
            return 1
        return min(
            left, config.epochs_per_call or EPOCHS_A_CALL, max(1, int(ORDER_BYTES // (4 * built.rows)))
        )

    def _seek(self) -> None:
        if isinstance(self.feed, Stream):
            epochs = range(self.state.epoch, self.config.epochs)
            self.feed.seek(
                (
                    order.order(self.config.seed, e, self.built.rows)[: self.built.rows_per_epoch]
                    for e in epochs
                ),
                self.state.step_in_epoch,
            )

    def _orders(self, epoch: int, count: int) -> tf.Tensor:
        """Row orders `[plan.epochs, rows]` int32 of at least `count` epochs; the rest is unused. Kept for the next call on the same epochs."""
        if self._ahead is not None and self._ahead[0] == epoch and self._ahead[1] >= count:
            self._order_key, self._order, self._ahead = self._ahead[:2], self._ahead[2].result(), None
        if self._order_key[0] != epoch or self._order_key[1] < count:
            self._order_key, self._order = (epoch, count), self._make_orders(epoch, count)
        return self._order

    def _make_orders(self, epoch: int, count: int) -> tf.Tensor:
        orders = np.zeros([self.plan.epochs, self.built.rows], np.int32)
        if not isinstance(self.feed, Stream):
            for i in range(count):
                orders[i] = order.order(self.config.seed, epoch + i, self.built.rows)
        return tf.constant(orders)

    def _look_ahead(self, epoch: int) -> None:
        """Make the orders of the next call in another thread, while this call computes: for 11 steps an epoch they are 7 % of the time."""
        count = min(self.plan.epochs, self.config.epochs - epoch, 8 * self._grown)
        if count > 0:
            self._ahead = (epoch, count, self._thread.submit(self._make_orders, epoch, count))

    def _judge(self, seconds: float) -> None:
        """Say what the time of the loop went into; not on several workers, whose calls must be the same."""
        if self.steps_run and self.built.lockstep is None:
            steps, orders = self.built.steps, self._orders(max(0, self.state.epoch - 1), 1)
            empty = min(timed(lambda: self.program(orders, start=steps, stop=steps)) for _ in range(3))
            inside = self.seconds["train"] + self.seconds["validate"] - self._calls * empty
            row_order = order.order(self.config.seed, 0, self.built.rows)
            self._bound = bound_by(
                seconds, inside, batch_seconds(self.feed, row_order, self.built.steps) * self.steps_run
            )

    def _split_seconds(self) -> None:
        """Where validation ran inside the training calls, its share is that of validations measured alone."""
        if self.plan.epochs > 1 and self.built.splits.validation is not None and self.steps_run:
            steps = self.built.steps

            def seconds(epochs: int, validated: bool) -> float:
                """An epoch of no steps: a single one would be lost in what its call costs."""
                begin = time.perf_counter()
                done, _ = self.program(
                    self._order, epochs=epochs, start=steps, stop=steps, validate=[validated] * epochs
                )
                return (time.perf_counter() - begin) / done

            epochs = min(self.plan.epochs, max(1, int(CALL_SECONDS / 10 / seconds(1, True))))
            alone = max(
                0.0,
                min(seconds(epochs, True) for _ in range(5)) - min(seconds(epochs, False) for _ in range(5)),
            )
            self.seconds["validate"] = min(
                alone * (self.steps_run // steps // self.config.validate_every), self.seconds["train"] / 2
            )
            self.seconds["train"] -= self.seconds["validate"]
