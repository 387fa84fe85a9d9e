"""Where rows come from, how they are split, and in which order they are trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.data.sources.keras_datasets import DataSet, DataWarning, load
    from trainkit.data.splits import holdout, shuffled
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.data.sources.keras_datasets": ("DataSet", "DataWarning", "load"),
            "trainkit.data.splits": ("holdout", "shuffled"),
        },
    )

__all__ = ["DataSet", "DataWarning", "holdout", "load", "shuffled"]
