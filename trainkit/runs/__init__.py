"""A run's directory on disk: its files, how it is found again, its metrics, its manifest and its figures."""

from __future__ import annotations

from trainkit.runs.locate import Found
from trainkit.runs.run_dir import RunDir

__all__ = ["Found", "RunDir"]
