"""Checks that trainkit's loop, `model.fit` and several replicas train the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.verification.matrix import compare_all
    from trainkit.verification.parity import compare
    from trainkit.verification.replicas import SpreadReport, compare_replicas
    from trainkit.verification.report import Report
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.verification.matrix": ("compare_all",),
            "trainkit.verification.parity": ("compare",),
            "trainkit.verification.replicas": ("SpreadReport", "compare_replicas"),
            "trainkit.verification.report": ("Report",),
        },
    )

__all__ = ["Report", "SpreadReport", "compare", "compare_all", "compare_replicas"]
