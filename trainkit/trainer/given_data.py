"""Rows that a trainer was given in place of those of a task, for the next fits of the task."""

from __future__ import annotations

import warnings
from typing import Any

from trainkit.core.datasets import Splits
from trainkit.core.task import Task

__all__ = ["GivenData"]


class GivenData:
    """The rows that were given last, and for which task; other tasks that are looked at leave them."""

    def __init__(self) -> None:
        self._task: Task | None = None
        self._rows: Splits | None = None

    def keep(self, task: Task, rows: Splits | None) -> None:
        """Keep rows for a task; `None`: it has its own again."""
        if rows is not None:
            self._task, self._rows = task, rows
        elif task is self._task:
            self._task = self._rows = None

    def of(self, task: Task) -> Splits | None:
        """The rows that stand in place of a task's own."""
        return self._rows if task is self._task else None

    def again(self, task: Task, shuffled: Any) -> Splits | None:
        """The same for one more fit.

        Args:
            task: The task.
            shuffled: Whether the training rows are a Dataset that was opened and shuffles anew. A warning
                says that its orders go on.
        """
        if shuffled and task is self._task:
            warnings.warn(
                "The Dataset that was given as data= is opened once more, and its shuffle goes on: this fit "
                "has other orders than the last one. Give a new Dataset, or let task.data() make it.",
                stacklevel=4,
            )
        return self.of(task)
