"""The mode of execution of a training, and of what is evaluated without one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from trainkit.backend.machine_cache import MachineCache
from trainkit.callbacks.callback_list import CallbackList
from trainkit.core import files
from trainkit.trainer.execution import Choice, Situation, choose, xla_by_rule
from trainkit.trainer.known_rows import hides_rows, hides_validation_rows
from trainkit.trainer.program_cache import BY_RULE, ProgramCache
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.windows import Window
from trainkit.trainer.xla_limits import LOOP_OF_ANY_LENGTH, OF_TEXT, any_of

__all__ = ["RowsForXla", "chosen_execution", "evaluation_mode", "situation_of"]

MOST_SIZES = 2  # of batches: the usual one, and the last


def situation_of(setup: TrainSetup, steps_left: int, **more: Any) -> Situation:
    """What the choice depends on, of a training that no callback looks into, unless `more` says otherwise."""
    usual: dict[str, Any] = {
        "asked": setup.config.execution,
        "every_batch": False,
        "replicas": setup.replicas,
        "step_rows": setup.shape.step_rows,
        "resumed": "",
        "operations": setup.facts.operations,
        # Rows that come as batches: a last one of fewer rows has a program of its own.
        "programs": 2 if setup.source.batch_spec is not None else 1,
    }
    return Situation(**usual | more, steps_left=steps_left)


def chosen_execution(
    cache: ProgramCache,
    callbacks: CallbackList,
    measure: Callable[[bool, float], float],
    *,
    step_rows: int,
    alone: bool,
) -> Choice:
    """How a training is run.

    Args:
        cache: Of its programs.
        callbacks: What they require decides how much a call may run.
        measure: As for `choose`.
        step_rows: Rows of a step, as far as they are known.
        alone: Whether each call trains one batch as it came.
    """
    setup = cache.setup
    config = setup.config
    situation = situation_of(
        setup,
        setup.steps_expected(setup.steps_per_epoch or 1),
        every_batch=callbacks.needs_train_batches,
        step_rows=step_rows,
        resumed=callbacks.resumed_execution,
        alone=alone,
    )
    never = _why_never_xla(cache)
    if never and config.execution in BY_RULE:
        situation = replace(situation, asked="auto")  # to measure it is to use it
    choice = choose(situation, setup.model, measure, MachineCache(files.cache_folder() / "execution.json"))
    if choice.xla and never:
        if config.execution not in BY_RULE:
            warnings.warn(f"{never}; the training goes on without.", stacklevel=2)
        return Choice(choice.execution.removesuffix("_xla"), never)
    if choice.xla and config.execution in BY_RULE and (reason := cache.why_not_xla):
        return Choice(choice.execution.removesuffix("_xla"), reason)
    return choice


def _why_never_xla(cache: ProgramCache) -> str:
    """Why XLA is not used where it was asked for either; empty: it may be."""
    operations = cache.setup.facts.operations
    if text := sorted(op for op in operations if any_of(op, OF_TEXT)):
        return f"XLA cannot compile {text[0]}"
    loops = any(any_of(op, (LOOP_OF_ANY_LENGTH,)) for op in operations)
    hidden = hides_rows(cache.setup, cache.first, True) or (
        cache.setup.validates_in_graph and hides_validation_rows(cache.setup, cache.first, True)
    )
    if loops and hidden:
        return "XLA cannot compile a loop over rows whose number it does not know"
    return ""


class RowsForXla:
    """Says why a training goes on without XLA, as its rows come: TensorFlow would raise for them, or XLA
    compiles again and again. Rows that lie in memory as they train were looked at before.

    Args:
        cache: Of the programs of the training.
    """

    def __init__(self, cache: ProgramCache) -> None:
        self.cache = cache
        self._latest: Window | None = None
        self._sizes: set[int] = set()  # rows of batches that are compiled by themselves

    def __call__(self, window: Window) -> str:
        """Why the rows of a window are not for XLA; empty: they are."""
        if self.cache.setup.source.is_seen or window is self._latest:
            return ""
        self._latest = window
        if window.direct:
            self._sizes.add(window.count)
        if len(self._sizes) > MOST_SIZES and self.cache.setup.config.execution in BY_RULE:
            return "XLA compiles anew for each number of rows"
        return self.cache.why_rows_not_in_xla(window.rows, window.rows_between(window.base, window.stop))


def evaluation_mode(cache: ProgramCache, choice: Choice | None) -> tuple[bool, bool]:
    """Whether evaluation and prediction use XLA, and our kernels: as the training did, else as it would.

    Args:
        cache: Programs of the task.
        choice: How it was trained in this process; None: it was not.
    """
    setup = cache.setup
    config = setup.config
    if config.engine == "keras":
        return config.execution.endswith("_xla"), False
    if choice is not None:
        xla = choice.xla
    elif config.execution in BY_RULE:
        situation = situation_of(setup, config.epochs * setup.shape.steps)
        xla = setup.replicas == 1 and xla_by_rule(situation, setup.model)[0] and not cache.why_not_xla
    else:
        xla = config.execution.endswith("_xla")
    xla = xla and (choice is not None or not _why_never_xla(cache))
    return xla, xla if config.fast_kernels is None else config.fast_kernels
