"""Several devices and several machines: strategies, clusters, the launcher of local workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.distributed.agreement import Agreement
    from trainkit.distributed.strategy import make_strategy
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.distributed.agreement": ("Agreement",),
            "trainkit.distributed.strategy": ("make_strategy",),
        },
    )

__all__ = ["Agreement", "make_strategy"]
