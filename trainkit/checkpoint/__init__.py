"""What a checkpoint holds, and how it is written, verified and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.checkpoint.train_state import TrainState
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.checkpoint.train_state": ("TrainState",),
        },
    )

__all__ = ["TrainState"]
