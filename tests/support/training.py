"""Trainings of tiny tasks, and how far two of them are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainkit.core.task import Task
from trainkit.engine.train_loop import TrainProgram
from trainkit.trainer.trainer import Trainer

__all__ = ["difference", "fit", "fit_again", "programs_made", "traces", "weights"]


def fit(
    task: Task, *, callbacks: Any = (), optimizer: Any = None, resume: Any = None, **settings: Any
) -> tuple[Trainer, dict[str, list[float]]]:
    """The trainer and the history of a training of three epochs, unless `settings` say otherwise."""
    trainer = Trainer(
        **{"epochs": 3, "batch_size": 16, "execution": "epoch", **settings},
        callbacks=callbacks,
        optimizer=optimizer,
    )
    return trainer, trainer.fit(task, resume=resume).history


def fit_again(
    trainer: Trainer, task: Task, *, callbacks: Any = (), resume: Any = None
) -> dict[str, list[float]]:
    """The history of another training of the task that `trainer` trained, by the same programs."""
    trainer.callbacks = list(callbacks)
    return trainer.fit(task, resume=resume).history


def weights(trainer: Trainer) -> list[np.ndarray]:
    """All variables of the training: of the model, its optimizer and its metrics."""
    return trainer.state.values()


def difference(a: Trainer, b: Trainer) -> float:
    """The largest difference of two trainings in any variable."""
    return max(
        float(np.abs(x.astype(np.float64) - y).max()) for x, y in zip(weights(a), weights(b), strict=True)
    )


def traces(trainer: Trainer) -> list[int]:
    """How often each training program of a trainer was traced."""
    return [program.traces for program in trainer.programs]


def programs_made(monkeypatch: pytest.MonkeyPatch) -> list[TrainProgram]:
    """The training programs that are made from here on, in a list that grows."""
    found: list[TrainProgram] = []
    begin = TrainProgram.__init__

    def noted(self: TrainProgram, *args: Any, **kwargs: Any) -> None:
        found.append(self)
        begin(self, *args, **kwargs)

    monkeypatch.setattr(TrainProgram, "__init__", noted)
    return found
