"""Settings of mode=export."""

from __future__ import annotations

from dataclasses import dataclass

from trainkit.config.fields import setting

__all__ = ["FORMATS", "QUANTIZE", "ExportConfig"]

FORMATS = ("keras", "saved_model", "onnx", "litert")
QUANTIZE = ("none", "dynamic", "int8", "all")


@dataclass
class ExportConfig:
    """mode=export: the model of a run for other programs, each file compared in its own runtime."""

    format: str = setting("saved_model", "what to write into the run's export/", choices=(*FORMATS, "all"))
    preparation: bool = setting(
        True, "with the preparation of raw rows, where the task has one; false: the model alone"
    )
    rows: int = setting(1000, "test rows on which each file is compared", at_least=1)
    tolerance: float = setting(
        1e-5, "largest difference that passes, relative to outputs larger than 1", above=0
    )
    quantize: str = setting(
        "none", "with format=litert or all: also smaller weights, or 8-bit integers", choices=QUANTIZE
    )
