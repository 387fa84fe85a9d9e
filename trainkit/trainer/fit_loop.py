"""The outer loop: where the training stands, how much the next call runs, and who is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from trainkit.callbacks.callback_list import CallbackList
from trainkit.checkpoint import store
from trainkit.core.logs import EpochLogs
from trainkit.trainer import fit_timing
from trainkit.trainer.call_limits import NO_LIMIT, CallLimits
from trainkit.trainer.compilation import Compilation
from trainkit.trainer.execution import Choice
from trainkit.trainer.keras_steps import KerasFeed
from trainkit.trainer.loop import HostValidation, StepCost, epoch_record, run_info, seek_backup, seek_same_row
from trainkit.trainer.mid_epoch import MidEpoch
from trainkit.trainer.pacing import Pacing
from trainkit.trainer.program_cache import ProgramCache
from trainkit.trainer.program_runner import ProgramRunner
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.step_guard import StepGuard
from trainkit.trainer.timing import FitTimes
from trainkit.trainer.validation import Validation
from trainkit.trainer.windows import Feed, Window

__all__ = ["FitLoop"]


class FitLoop:
    """One fit by the compiled program.

    Args:
        setup: The task made ready.
        cache: Programs and rows of former fits of the same task.
        callbacks: Keras callbacks. If all of them only observe, a call may run several epochs.
        stop_reason: Gives a reason once somebody wants the training to stop.
        cost: What a step costs, if known.
        feed: Where the rows come from; default: from the set-up's source.
        validation: Validates rows that are not in memory.
        validates: Whether to validate after an epoch (0-based); default: every `validate_every` epochs.
        steps_per_hook: Steps between two calls of the batch hooks.
        finds_bottleneck: Whether to time, at the end, what bounds the speed.
    """

    def __init__(
        self,
        setup: TrainSetup,
        cache: ProgramCache,
        callbacks: CallbackList,
        stop_reason: Callable[[], str | None],
        cost: StepCost | None = None,
        *,
        feed: Feed | None = None,
        validation: HostValidation | None = None,
        validates: Callable[[int], bool] | None = None,
        steps_per_hook: int = 1,
        finds_bottleneck: bool = True,
    ) -> None:
        self.setup = setup
        self.callbacks = callbacks
        self.stop_reason = stop_reason
        self.cost = cost or StepCost()
        self.config = setup.config
        self.state = setup.state
        self.times = FitTimes()
        self.mid_epoch = MidEpoch(setup, callbacks)
        self.runner = ProgramRunner(
            setup, cache, callbacks, self.times, feed, validated_by_host=validation is not None
        )
        self.guard = StepGuard(setup, self.runner)
        self.limits = CallLimits(setup, callbacks, self.guard)
        self.pacing = Pacing()
        self.chiefs_clock = setup.chiefs_clock()
        self.compilation = Compilation(setup.model)
        self.validation = Validation(setup, self.runner, callbacks, self.times, validation, steps_per_hook)
        self.validates = validates or self._validates_by_config
        self.steps_per_hook = steps_per_hook
        # Callbacks that look into an epoch find its metrics begun anew, as in Keras.
        self.exact = isinstance(feed, KerasFeed)
        looked_into = self.exact or (setup.replicas == 1 and not callbacks.only_observers)
        self.resets = looked_into or setup.step.host_resets
        self.finds_bottleneck = finds_bottleneck
        self.logs = EpochLogs(train={})  # of the last steps

    @property
    def choice(self) -> Choice:
        """Mode of execution, and why."""
        return self.runner.choice

    def run(self, resume: Path | str | None = None) -> keras.callbacks.History:
        """Restore if asked, train until the end or until somebody stops it, and return the history.

        restore, choose the mode of execution, tell the callbacks
        while epochs remain and nobody asked to stop:
            compile, once the callbacks have been told of the first step
            run several epochs in a call, or one epoch in as few calls as its callbacks allow
            validate if due; tell the callbacks; save
        """
        if resume is not None:
            restored = store.restore(self.state, resume)
            seek_same_row(self.setup, restored["step_rows"])
            self.setup.source.resume(self.state.epoch, self.state.step_in_epoch, self.setup.shape.rows)
            self.callbacks.load_states(restored)
        try:
            self.runner.choose()
            self._begin()
            begin = time.perf_counter()
            while not self._is_over():
                if self._runs_whole_epochs():
                    self._several_epochs()
                else:
                    self._one_epoch()
                self.callbacks.after_call()
            self.runner.cache.step_seconds = self.pacing.step_seconds
            if self.finds_bottleneck:
                fit_timing.finish(self.runner, time.perf_counter() - begin)
        finally:
            self.runner.close()
            self.callbacks.close()
        self.mid_epoch.keep_end(self.choice.execution)
        self.state.finalize()
        self.callbacks.on_train_end()
        self.mid_epoch.end()
        return self.callbacks.history

    def _begin(self) -> None:
        """Tell the callbacks; what one of them changes before the program is traced counts."""
        self.callbacks.attach(run_info(self.setup, self.choice))
        self.stopped = bool(self.setup.model.stop_training)  # by a callback, in the training that is resumed
        self.callbacks.on_train_begin()
        seek_backup(self.setup)
        self.compiled = False
        steps = self.setup.shape.steps if self.runner.max_epochs > 1 else 1
        self.pacing = Pacing(self.choice.step_seconds or self.runner.cache.step_seconds, steps)
        self.guard.begin()

    def _is_over(self) -> bool:
        done = self.state.epoch >= self.config.epochs or self.limits.steps_left() == 0
        return done or self.stopped or self.stop_reason() is not None

    def _runs_whole_epochs(self) -> bool:
        """Whether the next call runs whole epochs: not if they are long, so that bars move within them."""
        if self.runner.max_epochs <= 1 or self.limits.within_epoch():
            return False
        return self.pacing.fits(self.setup.shape.steps)

    # Several epochs in a call.

    def _several_epochs(self) -> None:
        """One call for as many epochs as last about half a second; the callbacks are then told of each."""
        state, first, start = self.state, self.state.epoch, self.state.step_in_epoch
        window = self.runner.window(first, start)
        if window is not None:
            self._compile(window)
        steps, rows = self.setup.shape.steps, self.setup.shape.rows
        most = min(self.runner.max_epochs, self.config.epochs - first, self.pacing.units_per_call(steps))
        count = self.limits.epochs(first, 1 if start else most)
        self.runner.prepare_epochs(first + count, 8 * self.pacing.last_units)
        before = self.times.train
        validate = [self.validates(e) for e in range(first, first + count)]
        self.guard.keep(count * steps)
        logs = self.runner.run_epochs(first, count, start, validate)
        if self.guard.undoes(logs, len(logs) * steps - start):
            self.guard.put_back()
            return
        self.times.validated_inside += sum(validate[: len(logs)])
        seconds = self.times.train - before
        self.pacing.record(seconds, len(logs) * steps - start)
        for i, epoch_logs in enumerate(logs):
            self.callbacks.on_epoch_begin(first + i)
            state.seek({"epoch": first + i + 1, "step_in_epoch": 0, "step": state.step + steps - start})
            start = 0
            share = seconds / len(logs)
            self._end_epoch(first + i, epoch_logs, seconds=share, train_seconds=share, steps=steps, rows=rows)
        self.callbacks.capture_best(self.runner.snapshots())
        self.guard.skipped.check(logs[-1], state.step)
        self.stopped = bool(self.setup.model.stop_training)

    # One epoch in several calls.

    def _one_epoch(self) -> None:
        """One epoch, in calls of about half a second, or of one step if a callback needs the host at each;
        then the validation."""
        state, model, epoch = self.state, self.setup.model, self.state.epoch
        begin, compiling = time.perf_counter(), self.times.compile
        first_step, first_row = state.step, self.times.rows
        if state.step_in_epoch == 0:
            if self.resets:
                model.reset_metrics()
            self.callbacks.on_epoch_begin(epoch)
        former, self.logs, ended = self.logs, EpochLogs(train={}), False
        try:
            while not ended and self.limits.steps_left() > 0:
                if not self.runner.feed.has_step(epoch, state.step_in_epoch):
                    ended = True
                elif self.stop_reason() is not None:
                    break
                else:
                    ended = not self._some_steps(epoch)
                    if model.stop_training:
                        break
        except StopIteration:  # of a batch hook: in Keras, it ends the epoch
            ended = True
            self.runner.feed.cut_off()
        empty = ended and state.step == first_step and bool(former.train)
        self.logs = former if empty else self.logs  # as in Keras, which logs by the names of before
        logs, compiling = self.logs, self.times.compile - compiling
        train_seconds = time.perf_counter() - begin - compiling
        whole = ended or state.step_in_epoch == self.runner.feed.steps
        if not whole and self.limits.steps_left() > 0 and not model.stop_training:
            return  # somebody asked to stop in the middle of the epoch
        if not whole:
            self.mid_epoch.keep(self.choice.execution)
        if empty or ((self.exact or self.callbacks.needs_train_batches) and logs.train):  # as hooks left them
            logs = self.runner.run_nothing(validate=False, reset=empty and not self.resets)[0]
        logs = self.guard.counted(logs)
        if self.validates(epoch):
            logs = replace(logs, validation=self.validation())
        if whole:
            state.seek({"epoch": epoch + 1, "step_in_epoch": 0, "step": state.step})
        seconds = time.perf_counter() - begin - compiling
        steps, rows = state.step - first_step, self.times.rows - first_row
        self._end_epoch(epoch, logs, seconds=seconds, train_seconds=train_seconds, steps=steps, rows=rows)
        self.callbacks.capture_best()
        self.stopped = bool(model.stop_training)

    def _some_steps(self, epoch: int) -> bool:
        """The next steps of the epoch; False if its rows have ended."""
        feed, start, hooks = self.runner.feed, self.state.step_in_epoch, self.callbacks.needs_train_batches
        last = 0
        if hooks:  # rows that were never counted end after this hook, as in Keras
            first, last = feed.hook_steps(start, self.steps_per_hook)
            self.callbacks.on_train_batch_begin(first)
        window = self.runner.window(epoch, start)
        if window is None:
            return False
        self._compile(window)
        stop = feed.hook_stop(start, self.steps_per_hook) if hooks else start + self._steps_per_call()
        stop = min(stop, start + self.limits.steps_left())
        logs = self._run_steps(epoch, window, stop)
        while logs is not None and hooks and self.state.step_in_epoch < stop:
            window = self.runner.window(epoch, self.state.step_in_epoch)
            if window is None:
                break
            logs = self._run_steps(epoch, window, stop)
        if logs is None:
            return False
        if logs.train:
            self.logs = logs
            self.callbacks.on_train_batches(last if hooks else self.state.step_in_epoch - 1, logs.batch())
        if self.state.step_in_epoch != feed.steps and self.limits.steps_left() > 0:
            self.callbacks.after_call()
        return True

    def _run_steps(self, epoch: int, window: Window, stop: int) -> EpochLogs | None:
        """Steps up to `stop`, as far as the window reaches; None: the rows have ended."""
        state, start = self.state, self.state.step_in_epoch
        if self.guard.passes(epoch, start):
            return self.guard.leave_out(window, epoch, start)
        stop = self.limits.stop(epoch, start, min(stop, window.stop))
        self.guard.keep(stop - start)
        before = self.times.train
        logs = self.runner.run_steps(window, start, stop, reset=start == 0 and not self.resets)
        if logs is None:
            return None
        self.pacing.record(self.times.train - before, stop - start)
        if self.guard.undoes([logs], stop - start):
            return self.guard.react(window, start, stop)
        state.seek({"epoch": epoch, "step_in_epoch": stop, "step": state.step + stop - start})
        self.guard.skipped.check(logs, state.step)
        return logs

    def _compile(self, window: Window) -> None:
        """Compile before the first step, once the callbacks have had their say."""
        self.compilation.check()
        if not self.compiled:
            self.compiled = True
            if self.runner.compile(window):
                self.callbacks.inform(run_info(self.setup, self.choice))

    def _steps_per_call(self) -> int:
        # Set before the first batch, Keras still trains that one.
        if self.setup.model.stop_training or self.choice.execution.startswith("step"):
            return 1
        return int(self.chiefs_clock(min(self.pacing.units_per_call(1), self.runner.feed.steps or NO_LIMIT)))

    # After an epoch.

    def _end_epoch(self, epoch: int, logs: EpochLogs, **spent: Any) -> None:
        record = epoch_record(self.setup, logs, self.cost, epoch=epoch + 1, **spent)
        self.callbacks.on_epoch_end(epoch, logs.keras(), record)

    def _validates_by_config(self, epoch: int) -> bool:
        return self.setup.splits.validation is not None and (epoch + 1) % self.config.validate_every == 0
