"""A tracker that remembers what it was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["FakeTracker"]


class FakeTracker:
    """What a run tells a tracker, in order; it fails from the epoch `fails_at` on."""

    name = "fake"

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at
        self.told: list[str] = []
        self.settings: dict[str, str] = {}
        self.values: dict[int, dict[str, float]] = {}
        self.files: list[str] = []

    def start(self, run: str, known_as: str | None, settings: Mapping[str, str]) -> str:
        self.told.append(f"start {run} {known_as}")
        self.settings = dict(settings)
        return known_as or "id-1"

    def log(self, values: Mapping[str, float], step: int) -> None:
        if step == self.fails_at:
            raise ConnectionError("the server is gone")
        self.told.append(f"log {step}")
        self.values[step] = dict(values)

    def finish(self, status: str, results: Mapping[str, float], artifacts: Sequence[Path]) -> None:
        self.told.append(f"finish {status} {dict(results)}")
        self.files = [path.name for path in artifacts]
