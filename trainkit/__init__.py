"""trainkit: a trainer for Keras models. `from trainkit import Trainer, Task, Arrays, Splits, Source, UserError`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainkit.task import Arrays, Source, Splits, Task, UserError

if TYPE_CHECKING:
    from trainkit.trainer import Trainer

__all__ = ["Arrays", "Source", "Splits", "Task", "Trainer", "UserError", "__version__"]
__version__ = "0.1.0"

# A wheel holds `conf` and `tasks` inside the package; in a checkout they stand beside it. Here both get one name, `trainkit.tasks`,
# which a user's own `tasks` folder can neither hide nor be hidden by.
_beside = Path(__file__).parent.parent
if not (Path(__file__).parent / "conf").is_dir() and (_beside / "conf" / "main.yaml").is_file():
    __path__.append(str(_beside))


def __getattr__(name: str) -> Any:
    """`Trainer` on first use: it imports TensorFlow, which takes seconds."""
    if name == "Trainer":
        from trainkit.trainer import Trainer

        return Trainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
