"""Checks that trainkit's loop, `model.fit` and several replicas train the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.verification.parity import compare
    from trainkit.verification.report import Report
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.verification.parity": ("compare",),
            "trainkit.verification.report": ("Report",),
        },
    )

__all__ = ["Report", "compare"]
