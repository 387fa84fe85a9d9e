"""Where the repository's files are."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PACKAGE", "ROOT"]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "trainkit"
