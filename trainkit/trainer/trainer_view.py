"""What a trainer tells of its task and of its last fit."""

from __future__ import annotations

from typing import Any

import keras

from trainkit.checkpoint.train_state import TrainState
from trainkit.config import TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.engine.train_loop import TrainProgram
from trainkit.trainer import loop as loops
from trainkit.trainer.chosen_execution import evaluation_mode
from trainkit.trainer.loop import Loop, StepCost
from trainkit.trainer.program_cache import ProgramCache
from trainkit.trainer.run_summary import FitReport
from trainkit.trainer.setup import TrainSetup

__all__ = ["TrainerView"]


class TrainerView:
    """The read-only side of a trainer.

    Attributes:
        config: Settings.
        step_cost: What a step costs, if known: speeds are then also told as a share of what the products
            alone reach.
        stopped: Why the last fit was stopped; None: it came to its end.
    """

    config: TrainerConfig

    def __init__(self) -> None:
        self.step_cost = StepCost()
        self.stopped: str | None = None
        self._setup: TrainSetup | None = None
        self._cache: ProgramCache | None = None
        self._loop: Loop | None = None
        self._finite = True

    @property
    def setup(self) -> TrainSetup:
        """The task made ready.

        Raises:
            UserError: if there is none yet.
        """
        if self._setup is None:
            raise UserError(
                "The trainer has no task yet; call fit(task), or evaluate(task) and predict(task) with one."
            )
        return self._setup

    @property
    def model(self) -> keras.Model:
        """The model that is trained."""
        return self.setup.model

    @property
    def state(self) -> TrainState:
        """All variables and the position of the training."""
        return self.setup.state

    @property
    def splits(self) -> Splits:
        """The rows."""
        return self.setup.splits

    @property
    def execution(self) -> str:
        """The mode of execution that was chosen; before `fit`, the one that was asked for."""
        return self._loop.choice.execution if self._loop else self.config.execution

    @property
    def execution_reason(self) -> str:
        """Why it was chosen."""
        return self._loop.choice.reason if self._loop else ""

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of the last `fit`: total, compile, train, validate."""
        nothing = {"total": 0.0, "compile": 0.0, "train": 0.0, "validate": 0.0}
        return self._loop.times.as_dict() if self._loop else nothing

    @property
    def throughput(self) -> dict[str, float]:
        """Rows and optimizer steps per second of training, without compilation and validation."""
        if self._loop is None:
            return {"examples_per_second": 0.0, "steps_per_second": 0.0}
        return loops.throughput(self._loop.times, self.step_cost)

    @property
    def bottleneck(self) -> dict[str, Any]:
        """What bounds the speed of the last `fit`: `by` is `input`, `host` or `device`; empty if that is not
        known."""
        found = self._loop.times.bottleneck if self._loop else None
        return found.as_dict() if found else {}

    @property
    def programs(self) -> list[TrainProgram]:
        """The training programs that were compiled for the task so far."""
        return self._cache.programs if self._cache else []

    def report(self) -> FitReport:
        """How the last `fit` went."""
        return FitReport(
            stopped=self.stopped,
            finite=self._finite,
            execution=self.execution,
            execution_reason=self.execution_reason,
            throughput=self.throughput,
            bottleneck=self.bottleneck,
            seconds=self.seconds,
        )

    def _mode(self, cache: ProgramCache) -> tuple[bool, bool]:
        """Whether evaluation and prediction use XLA, and our kernels: as the training did or would."""
        return evaluation_mode(cache, self._loop.choice if self._loop else None)
