"""The words that everything else speaks: tasks, rows, errors, files, logs, the rule of better. Needs
neither TensorFlow nor Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.core.datasets import Arrays, Source, Splits
    from trainkit.core.errors import UserError
    from trainkit.core.logs import EpochLogs
    from trainkit.core.monitor import MonitorRule
    from trainkit.core.run_info import EpochRecord, RunInfo
    from trainkit.core.stateful import Stateful
    from trainkit.core.task import Task
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.core.datasets": (
                "Arrays",
                "Source",
                "Splits",
            ),
            "trainkit.core.errors": ("UserError",),
            "trainkit.core.logs": ("EpochLogs",),
            "trainkit.core.monitor": ("MonitorRule",),
            "trainkit.core.run_info": (
                "EpochRecord",
                "RunInfo",
            ),
            "trainkit.core.stateful": ("Stateful",),
            "trainkit.core.task": ("Task",),
        },
    )

__all__ = [
    "Arrays",
    "EpochLogs",
    "EpochRecord",
    "MonitorRule",
    "RunInfo",
    "Source",
    "Splits",
    "Stateful",
    "Task",
    "UserError",
]
