"""The outer loop: what runs on the host around the compiled programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.trainer.drop_in import fit
    from trainkit.trainer.trainer import Trainer
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.trainer.drop_in": ("fit",),
            "trainkit.trainer.trainer": ("Trainer",),
        },
    )

__all__ = ["Trainer", "fit"]
