"""What a fit runs: the feed of its rows, the mode of execution, and calls of the compiled program."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from trainkit.backend import compile_cache
from trainkit.callbacks.callback_list import CallbackList
from trainkit.core.errors import UserError
from trainkit.core.logs import EpochLogs
from trainkit.engine.program_spec import ProgramSpec
from trainkit.engine.train_loop import TrainProgram
from trainkit.trainer import execution as modes
from trainkit.trainer.batch_feed import DirectFeed
from trainkit.trainer.chosen_execution import RowsForXla, chosen_execution
from trainkit.trainer.epochs_per_call import max_epochs_per_call
from trainkit.trainer.execution import XLA_ERRORS, Choice
from trainkit.trainer.keras_steps import KerasFeed
from trainkit.trainer.known_rows import hides_rows, hides_validation_rows
from trainkit.trainer.program_cache import ProgramCache
from trainkit.trainer.row_orders import RowOrders
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.shaped_feed import streamed_feed
from trainkit.trainer.timing import FitTimes
from trainkit.trainer.windows import Feed, ResidentFeed, Window

__all__ = ["ProgramRunner"]


class ProgramRunner:
    """Chooses how a fit is run, and makes its calls.

    Args:
        setup: The task made ready.
        cache: Programs and rows of former fits of the same task.
        callbacks: What they require decides how much a call may run.
        times: Where the time of the fit is noted.
        feed: Where the rows come from; default: from the set-up's source.
        validated_by_host: Whether the host validates between epochs.

    Attributes:
        max_epochs: Epochs per call, at most.
        choice: Mode of execution, and why; settled by `choose`.
    """

    def __init__(
        self,
        setup: TrainSetup,
        cache: ProgramCache,
        callbacks: CallbackList,
        times: FitTimes,
        feed: Feed | None = None,
        *,
        validated_by_host: bool = False,
    ) -> None:
        self.setup = setup
        self.cache = cache
        self.callbacks = callbacks
        self.times = times
        self.config = setup.config
        self.max_epochs = 1
        self.choice = Choice(setup.config.execution, "not chosen yet")
        self._feed = feed
        self._kernels_fit = True
        self.validated_by_host = validated_by_host
        self._latest: Window
        self._why_not_xla = RowsForXla(cache)

    # Before the first step.

    def choose(self) -> Choice:
        """Lay out the rows and settle the mode of execution; nothing is traced, but for
        `execution=measure`."""
        begin = time.perf_counter()
        if self._feed is None:
            self.max_epochs = max_epochs_per_call(
                self.setup, self.callbacks, validated_by_host=self.validated_by_host
            )
            self._feed = self._make_feed()
        self._choose(
            self.setup.shape.step_rows, alone=isinstance(self._feed, DirectFeed) and self._feed.alone
        )
        self.times.compile += time.perf_counter() - begin
        return self.choice

    def _choose(self, rows: int, *, alone: bool) -> None:
        self.choice = chosen_execution(self.cache, self.callbacks, self._measure, step_rows=rows, alone=alone)

    def compile(self, window: Window) -> bool:
        """Trace the program; whether the choice is another now, since XLA cannot compile the model, or since
        only the first batch says how many rows a step has.

        A model that our kernels do not take (a gradient of a gradient through a loop) is traced without.
        """
        begin = time.perf_counter()
        if isinstance(self.feed, KerasFeed):
            return False
        before = self.choice
        if self.config.execution == "auto" and window.step_rows != self.setup.shape.step_rows:
            self._choose(window.step_rows, alone=window.direct)
        try:
            while True:
                try:
                    self._trace(window)
                    return self.choice is not before
                except XLA_ERRORS as error:
                    if isinstance(error, UserError) or not self._does_with_less(window, error):
                        raise
        finally:
            compile_cache.note()  # now: the process may be killed
            self.times.compile += time.perf_counter() - begin

    def _does_with_less(self, window: Window, error: Exception) -> bool:
        """After a trace that failed: go on without XLA, then without our kernels; False: without neither."""
        spec = self._spec(window, self.choice.execution)
        if spec.xla:
            plain = self.choice.execution.removesuffix("_xla")
            self.choice = Choice(plain, modes.why_without_xla(error))
            said = self.choice.reason.rstrip(".")
            warnings.warn(f"{said}; the training goes on without XLA.", stacklevel=2)
        elif spec.fast:
            self._kernels_fit = False
        return spec.xla or spec.fast

    def _trace(self, window: Window) -> None:
        self.setup.build_optimizer()
        if not (program := self.program(window)).traces:
            program.trace(window.rows, window.orders, validation=self._validation_rows())

    def close(self) -> None:
        """Let go of threads."""
        if self._feed is not None:
            self._feed.close()

    @property
    def feed(self) -> Feed:
        """Where the rows come from, once `choose` has run."""
        if self._feed is None:
            raise RuntimeError("ProgramRunner.choose comes before the first call.")
        return self._feed

    def _make_feed(self) -> Feed:
        shape = replace(self.setup.shape, max_epochs=self.max_epochs)
        source = self.setup.source
        if source.kind == "resident":
            orders = RowOrders(source.order, source.rows, self.max_epochs)
            return ResidentFeed(shape, self.cache.rows("train"), orders)
        return streamed_feed(self.setup, shape)

    def _measure(self, xla: bool, give_up: float) -> float:
        window = self.window(self.setup.state.epoch, 0)
        if window is None:
            raise UserError("There are no training rows to time a step on.")
        program = self.cache.program(self._spec(window, "epoch_xla" if xla else "epoch"))
        rows = self._validation_rows()
        every_batch = self.callbacks.needs_train_batches
        with modes.undone(self.setup.state):
            return modes.step_seconds(
                program, window, every_batch=every_batch, give_up=give_up, validation=rows, **self._decided()
            )

    def _spec(self, window: Window, execution: str) -> ProgramSpec:
        config = self.config
        xla = execution.endswith("_xla")
        streamed = self.setup.source.kind != "resident"
        chosen_here = config.execution in ("auto", "measure")
        fast = config.fast_kernels if config.fast_kernels is not None else xla or chosen_here
        inside = self.validates_in_graph
        alone = window.direct and not xla  # a batch by itself, which knows as much as Keras's
        return ProgramSpec(
            shape=window.shape,
            validation=self.cache.evaluation_shape("validation") if inside else None,
            rules=self.callbacks.rules if window.shape.max_epochs > 1 else (),
            xla=xla,
            by_step=xla and streamed and execution.startswith("step"),
            fast=fast and self._kernels_fit,
            hidden_rows=window.is_empty or (not alone and hides_rows(self.setup, self.cache.first, xla)),
            hidden_validation_rows=inside and hides_validation_rows(self.setup, self.cache.first, xla),
            direct=window.direct,
        )

    # Calls.

    @property
    def validates_in_graph(self) -> bool:
        """Whether the training program validates: where it runs whole epochs, or XLA has to compile both."""
        whole = isinstance(self.feed, ResidentFeed) or self.choice.xla
        return whole and self.setup.validates_in_graph and not self.callbacks.needs_test_batches

    def program(self, window: Window) -> TrainProgram:
        """The program for the rows of a window."""
        return self.cache.program(self._spec(window, self.choice.execution))

    def window(self, epoch: int, start: int) -> Window | None:
        """Rows for step `start` of an epoch, and for some that follow; None: the epoch has no such step."""
        begin = time.perf_counter()
        window = self.feed.window(epoch, start)
        if not isinstance(self.feed, ResidentFeed):  # rows on the device are there
            self.times.waiting += time.perf_counter() - begin
        if window is not None:
            self._latest = window
        return window

    def run_steps(self, window: Window, start: int, stop: int, *, reset: bool) -> EpochLogs | None:
        """Run steps `start : stop` of an epoch, after a `reset` of the metrics; None: its rows have ended."""
        begin = time.perf_counter()
        if isinstance(self.feed, KerasFeed):
            found = self.feed.train()
            self.times.trained(time.perf_counter() - begin, stop - start, stop - start)
            return found
        if self.choice.xla and (reason := self._why_not_xla(window)):
            self.choice = Choice(self.choice.execution.removesuffix("_xla"), reason)
        logs = self.program(window)(
            window.rows,
            window.orders,
            validation=self._validation_rows(),
            base=window.base - window.offset,
            start=start - window.offset,
            stop=stop - window.offset,
            reset=reset,
            **self._decided(),
        )[0]
        rows = window.rows_between(start, stop)
        self.times.trained(time.perf_counter() - begin, stop - start, rows)
        return logs

    def run_epochs(self, first: int, count: int, start: int, validate: Sequence[bool]) -> list[EpochLogs]:
        """Run `count` epochs, the first of them from step `start` on; fewer if a rule stops the training."""
        if not isinstance(self.feed, ResidentFeed):
            raise RuntimeError("Only rows that stay on the device train several epochs per call.")
        window = self._latest = self.feed.epochs(first, count)
        begin = time.perf_counter()
        logs = self.program(window)(
            window.rows,
            window.orders,
            validation=self._validation_rows(),
            epochs=count,
            start=start,
            validate=validate,
            **self._decided(),
        )
        steps = len(logs) * self.setup.shape.steps - start
        rows = len(logs) * self.setup.shape.rows - start * self.setup.shape.step_rows
        self.times.trained(time.perf_counter() - begin, steps, rows)
        return logs

    def run_nothing(self, epochs: int = 1, *, validate: bool, reset: bool = False) -> list[EpochLogs]:
        """Run epochs without a step: only a `reset` of the metrics, and their validation."""
        if isinstance(self.feed, KerasFeed):
            return [self.feed.results()]
        window = self._latest
        end = window.shape.steps
        return self.program(window)(
            window.rows,
            window.orders,
            validation=self._validation_rows(),
            epochs=epochs,
            start=end,
            stop=end,
            reset=reset,
            validate=[validate] * epochs,
            **self._decided(),
        )

    def prepare_epochs(self, first: int, count: int) -> None:
        """Make the row orders of the next call while this one computes."""
        if isinstance(self.feed, ResidentFeed):
            self.feed.orders.prepare(first, min(count, self.config.epochs - first))

    def snapshots(self) -> list[list[tf.Variable]]:
        """What the graph kept of the best epoch of each rule."""
        return self.program(self._latest).snapshots

    def evaluate_batches(self, start: int, stop: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Validate batches `start : stop`; the values so far, and what the last batch logs."""
        spec = self._spec(self._latest, self.choice.execution)
        kinds = {"xla": spec.xla, "fast": spec.fast}
        kinds["hidden_rows"] = hides_validation_rows(self.setup, self.cache.first, spec.xla)
        kinds["by_step"] = spec.by_step or self.setup.model.jit_compile is True
        return self.cache.evaluate("validation", start, stop, **kinds)

    def _validation_rows(self) -> Any:
        return self.cache.rows("validation") if self.validates_in_graph else None

    def _decided(self) -> dict[str, Any]:
        if self.max_epochs == 1:
            return {}
        return {name: [getattr(m, name) for m in self.callbacks.monitors] for name in ("best", "wait")}
