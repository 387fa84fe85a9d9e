"""What happens to a step whose loss, gradients or weights are not finite.

The loss of an epoch is a running mean that the graph keeps anyway, and one loss that is not finite stays
visible in it. So the result of a call tells whether all of its steps were finite, at no cost. If one was not,
the state goes back to a copy from before the call, and shorter calls find the step: a training repeats bit
for bit.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trainkit.backend import compat
from trainkit.backend.precision import inner_optimizer, learning_rate, loss_scale
from trainkit.checkpoint.train_state import all_finite
from trainkit.core.errors import NotFinite, UserError
from trainkit.core.logs import EpochLogs
from trainkit.trainer.epochs_per_call import SNAPSHOT_BYTES
from trainkit.trainer.nonfinite_report import describe
from trainkit.trainer.program_runner import ProgramRunner
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.skipped_steps import SkippedSteps
from trainkit.trainer.windows import Window

__all__ = ["StepGuard"]

COST_FACTOR = 50  # the state is copied where a call lasts so many times longer than a copy takes
CHECK_SECONDS = 0.25  # between two looks at the weights, where steps are calls of their own
NOTHING = EpochLogs(train={})


class StepGuard:
    """Looks at each call of the program, and acts on the first step that is not finite.

    Args:
        setup: The task made ready; its `trainer.on_nonfinite` says what to do.
        runner: Makes the calls.

    Raises:
        UserError: for a learning rate that is to be cut and follows a schedule.
    """

    def __init__(self, setup: TrainSetup, runner: ProgramRunner) -> None:
        self.setup = setup
        self.runner = runner
        self.state = setup.state
        self.policy = setup.config.on_nonfinite
        self.active = self.policy != "ignore"
        self.copies_always = self.policy in ("skip", "restore") or setup.in_lockstep
        self._limit: int | None = None  # steps of the next call, while a step is sought
        self._sought = 0  # the optimizer step at which the search ends
        self._copy: _Copy | None = None
        self._epoch_copy: _Copy | None = None
        self._cost = 0.0
        self._call_began = 0.0
        self._call_seconds = math.inf
        self._checked_at = -math.inf
        self._passed: set[tuple[int, int]] = set()
        self._restores = 0
        if self.policy == "restore" and setup.config.restore_rate < 1:
            _check_rate(setup.model.optimizer)

    def begin(self) -> None:
        """Look at the state before the first step."""
        scaled = loss_scale(self.setup.model.optimizer)
        self._scaled = scaled is not None  # it leaves steps out by itself, so only the weights tell
        updates = int(inner_optimizer(scaled).iterations.numpy()) if scaled is not None else 0
        self.skipped = SkippedSteps(self.setup.config.max_skipped_steps, updates, self.state.step)
        self._watched = [v for v in self.state.groups["model"] if all_finite([v])] if self.active else []

    @property
    def by_steps(self) -> bool:
        """Whether the next call must lie within one epoch."""
        return self._limit is not None or bool(self._passed)

    def stop(self, epoch: int, start: int, stop: int) -> int:
        """The step at which a call that begins with `start` must end, at most `stop`."""
        passed = [step for e, step in self._passed if e == epoch and step > start]
        return min([stop, start + (self._limit or stop), *passed])

    def keep(self, steps: int) -> None:
        """Copy the state before a call of `steps` steps, if that costs little or the policy needs it."""
        if not self.active:
            return
        begin = time.perf_counter()
        # Of a single step it is known which one it was: a copy only tells more of it.
        wanted = steps > 1 or self._call_seconds > COST_FACTOR * self._cost
        cheap = self.state.nbytes <= SNAPSHOT_BYTES and wanted
        self._copy = None
        if self.copies_always or cheap or self._limit is not None:
            self._copy = _Copy(self.setup, self.runner)
            self._cost = time.perf_counter() - begin
        if self.policy == "restore" and (self._epoch_copy is None or not self.state.step_in_epoch):
            self._epoch_copy = self._copy
        self._passed = {key for key in self._passed if key[0] == self.state.epoch}
        self._call_began = time.perf_counter()

    def undoes(self, logs: Sequence[EpochLogs], steps: int) -> bool:
        """Look at the results of a call of `steps` steps; whether it must be undone, by `react` or
        `put_back`. The position is still that of the call's begin."""
        self._call_seconds = time.perf_counter() - self._call_began
        end = self.state.step + steps
        if not self.active or self._finite(logs):
            if self._limit is not None:
                self._limit = None if end >= self._sought else 2 * self._limit
            self.state.idle = False
            return False
        self._sought = max(self._sought, end)
        self._limit = max(1, steps // 2)
        return True

    def put_back(self) -> None:
        """Put the state back as it was before the call."""
        if self._copy is not None:
            self._copy.put_back()

    def react(self, window: Window, start: int, stop: int) -> EpochLogs:
        """Undo the steps `start : stop`; if that is a single step, do with it what the policy says.

        Raises:
            NotFinite: which names the step, if the training is to stop.
        """
        weight = next((v.name for v in self._watched if not all_finite([v])), None)
        self.put_back()
        if stop - start > 1 and self._copy is not None:
            return NOTHING
        epoch = self.state.epoch
        if self.policy == "skip":
            return self.leave_out(window, epoch, start)
        copied = self._copy is not None
        self._restores += 1
        if self.policy == "stop" or self._restores > self.setup.config.max_restores:
            raise NotFinite(describe(self.setup, epoch, start, stop, weight, copied=copied))
        return self._restore(epoch, start)

    def passes(self, epoch: int, start: int) -> bool:
        """Whether a step is to be passed over."""
        return (epoch, start) in self._passed

    def leave_out(self, window: Window, epoch: int, start: int) -> EpochLogs:
        """Go on after a step without having trained it; the logs of the epoch so far."""
        logs = self.runner.run_steps(window, start, start, reset=start == 0) or NOTHING
        self.state.skipped += 1
        self.state.idle = self.state.idle or start == 0
        self.state.seek({"epoch": epoch, "step_in_epoch": start + 1, "step": self.state.step + 1})
        return logs

    def counted(self, logs: EpochLogs) -> EpochLogs:
        """The logs of an epoch that ends: metrics that have counted no step give 0, which is no result."""
        if not self.state.idle:
            return logs
        return replace(logs, train=dict.fromkeys(logs.train, math.nan))

    def _restore(self, epoch: int, start: int) -> EpochLogs:
        """Go back to the begin of the epoch, and pass the step over or train more slowly."""
        if self._epoch_copy is None:
            raise RuntimeError("StepGuard.keep comes before a call.")
        factor = self.setup.config.restore_rate
        self._epoch_copy.put_back()
        done = f"the learning rate is multiplied by {factor:g}"
        if factor < 1:
            inner = inner_optimizer(self.setup.model.optimizer)
            inner.learning_rate = float(inner.learning_rate.numpy()) * factor
            self._epoch_copy = _Copy(self.setup, self.runner)
        else:
            self._passed.add((epoch, start))
            done = "the step is passed over"
        warnings.warn(
            f"Step {start + 1} of epoch {epoch + 1} was not finite; the epoch is trained again from step "
            f"{self.state.step_in_epoch + 1}, and {done} ({self._restores} of at most "
            f"{self.setup.config.max_restores}).",
            stacklevel=2,
        )
        self._limit = None
        return NOTHING

    def _finite(self, logs: Sequence[EpochLogs]) -> bool:
        losses = [epoch.train.get("loss", 0.0) for epoch in logs]
        if not self._scaled and not all(math.isfinite(loss) for loss in losses):
            return False
        seldom = not self.copies_always and self._limit is None
        if seldom and time.monotonic() - self._checked_at < CHECK_SECONDS:
            return True
        self._checked_at = time.monotonic()
        return all_finite(self._watched)


class _Copy:
    """The state and the position of a training, and how much it had counted."""

    def __init__(self, setup: TrainSetup, runner: ProgramRunner) -> None:
        self.state = setup.state
        self.times = runner.times
        self.position = self.state.position()
        self.skipped = self.state.skipped
        self.idle = self.state.idle
        self.counts = (self.times.steps, self.times.rows)
        # On one device a value that is read stays as it is when the variable moves on: no copy is made here.
        one_device = setup.replicas == 1
        self.values: Sequence[Any] = (
            [v.read_value() for v in self.state.variables] if one_device else self.state.values()
        )
        self.parts = self.state.parts.read()

    def put_back(self) -> None:
        """Put all of it back."""
        self.state.assign(self.values)
        self.state.parts.assign(self.parts)
        self.state.seek(self.position)
        self.state.skipped = self.skipped
        self.state.idle = self.idle
        self.times.steps, self.times.rows = self.counts


def _check_rate(optimizer: Any) -> None:
    inner = inner_optimizer(optimizer)
    if learning_rate(optimizer) is None or compat.own_schedule(inner) is not None:
        raise UserError(
            "trainer.restore_rate cuts a constant learning rate; this optimizer follows a schedule. Use "
            "trainer.restore_rate=1, which passes the step over."
        )
