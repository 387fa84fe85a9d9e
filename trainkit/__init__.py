"""trainkit: a trainer for Keras models. `import trainkit as tk`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainkit.core import checkout
from trainkit.core.datasets import Arrays, Source, Splits
from trainkit.core.errors import UserError
from trainkit.core.task import Task

if TYPE_CHECKING:
    from trainkit.trainer.trainer import Trainer

__all__ = ["Arrays", "Source", "Splits", "Task", "Trainer", "UserError", "__version__"]
__version__ = "0.1.0"

checkout.find_tasks_beside_the_package()


def __getattr__(name: str) -> Any:
    """`Trainer` on first use: it imports TensorFlow, which takes seconds."""
    if name == "Trainer":
        from trainkit.trainer.trainer import Trainer

        return Trainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
