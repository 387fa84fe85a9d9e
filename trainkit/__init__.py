"""trainkit: a trainer for Keras models. `import trainkit as tk`.

Importing it takes no time: TensorFlow is imported with the first name that needs it. Imported before Keras
and TensorFlow, it lets them start in half the time, without their log lines, and keeps what XLA compiles.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from trainkit.core import checkout, first_import, lazy

if TYPE_CHECKING:
    from trainkit import (
        callbacks,
        data,
        estimators,
        export,
        metrics,
        optim,
        tasks,
        tuning,
        verification,
    )
    from trainkit.core.datasets import Arrays, Source, Splits
    from trainkit.core.errors import UserError
    from trainkit.core.task import Task
    from trainkit.trainer.drop_in import fit
    from trainkit.trainer.trainer import Trainer
else:

    def _start(name: str) -> None:
        """Import TensorFlow without its log lines, before the first name that needs it."""
        if name not in ("Arrays", "Source", "Splits", "Task", "UserError", "data"):
            importlib.import_module("trainkit.backend.startup").import_tensorflow()

    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.core.datasets": ("Arrays", "Source", "Splits"),
            "trainkit.core.errors": ("UserError",),
            "trainkit.core.task": ("Task",),
            "trainkit.trainer.drop_in": ("fit",),
            "trainkit.trainer.trainer": ("Trainer",),
        },
        folders=(
            "callbacks",
            "data",
            "estimators",
            "export",
            "metrics",
            "optim",
            "tasks",
            "tuning",
            "verification",
        ),
        before=_start,
    )

__all__ = [
    "Arrays",
    "Source",
    "Splits",
    "Task",
    "Trainer",
    "UserError",
    "__version__",
    "callbacks",
    "data",
    "estimators",
    "export",
    "fit",
    "metrics",
    "optim",
    "tasks",
    "tuning",
    "verification",
]
__version__ = "0.1.0"

checkout.find_tasks_beside_the_package()
first_import.watch()
