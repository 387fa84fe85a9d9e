"""Models for other programs: each file is loaded in its own runtime and compared before it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.core import lazy

if TYPE_CHECKING:
    from trainkit.export.exporting import ExportedFile, ExportReport, export_model
    from trainkit.export.runtimes import Exported, load
else:
    __getattr__, __dir__ = lazy.public_names(
        __name__,
        {
            "trainkit.export.exporting": ("ExportedFile", "ExportReport", "export_model"),
            "trainkit.export.runtimes": ("Exported", "load"),
        },
    )

__all__ = ["ExportReport", "Exported", "ExportedFile", "export_model", "load"]
