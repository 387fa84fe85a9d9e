"""The validation after an epoch: in one piece, batch by batch if a callback asks, or by the host."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from trainkit.callbacks.callback_list import CallbackList
from trainkit.trainer.loop import HostValidation
from trainkit.trainer.program_runner import ProgramRunner
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.timing import FitTimes

__all__ = ["Validation", "batch_by_batch"]

Evaluate = Callable[[int, int], tuple[dict[str, Any], dict[str, Any]]]


class Validation:
    """Validates the model as it is.

    Args:
        setup: The task made ready.
        runner: Runs the program.
        callbacks: Get the `on_test_*` hooks.
        times: Where the time is noted.
        by_host: Validates rows that are not in memory.
        steps_per_hook: Batches between two calls of the batch hooks.
    """

    def __init__(
        self,
        setup: TrainSetup,
        runner: ProgramRunner,
        callbacks: CallbackList,
        times: FitTimes,
        by_host: HostValidation | None,
        steps_per_hook: int,
    ) -> None:
        self.setup = setup
        self.runner = runner
        self.callbacks = callbacks
        self.times = times
        self.by_host = by_host
        self.steps_per_hook = steps_per_hook

    def __call__(self) -> dict[str, Any]:
        """The values by the names of the metrics."""
        begin = time.perf_counter()
        values = self._validate()
        self.times.validate += time.perf_counter() - begin
        return values

    def _validate(self) -> dict[str, Any]:
        if self.by_host is not None:
            return self.by_host(self.callbacks.keras)
        model = self.setup.model
        model.stop_evaluating = False
        self.callbacks.on_test_begin()
        if self.setup.step.host_resets:
            model.reset_metrics()
        if self.callbacks.needs_test_batches or model.stop_evaluating:
            evaluate, steps = self.runner.evaluate_batches, self.setup.validation_steps
            values = batch_by_batch(self.setup, self.callbacks, evaluate, steps, self.steps_per_hook)
        elif self.runner.validates_in_graph and model.jit_compile is not True:
            values = dict(self.runner.run_nothing(validate=True)[0].validation)
        else:
            # With jit_compile as `model.evaluate` compiles it, so that both give the same value.
            values, _ = self.runner.evaluate_batches(0, self.setup.validation_steps)
        self.callbacks.on_test_end(values)
        return values


def batch_by_batch(
    setup: TrainSetup, hooks: Any, evaluate: Evaluate, steps: int, steps_per_hook: int = 1
) -> dict[str, Any]:
    """The values of an evaluation between whose batches hooks are called. A hook ends it, as in Keras, by
    `model.stop_evaluating` or by StopIteration; before the first batch, there are no values.

    Args:
        setup: The task made ready.
        hooks: Has `on_test_batch_begin` and `on_test_batch_end`.
        evaluate: Adds batches from one to before another; returns the values so far, and what the last logs.
        steps: Batches.
        steps_per_hook: Batches between two calls of the hooks.
    """
    values: dict[str, Any] = {}
    with suppress(StopIteration):
        for first in range(0, steps, steps_per_hook):
            hooks.on_test_batch_begin(first)
            values, logs = evaluate(first, min(first + steps_per_hook, steps))
            hooks.on_test_batch_end(first + steps_per_hook - 1, logs)
            if setup.model.stop_evaluating:
                break
    return values
