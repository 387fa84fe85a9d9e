"""Writes a measured mode of execution into the run's config, so that repeating the run repeats its mode."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from trainkit.callbacks.observer import Observer
from trainkit.core import files

__all__ = ["SettledExecution"]


class SettledExecution(Observer):
    """Replaces `execution: measure` in a run's `config.yaml` by the mode that was chosen.

    Args:
        config: The file.
    """

    def __init__(self, config: Path) -> None:
        super().__init__()
        self.config = config

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._write()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._write()  # XLA may have failed after all

    def _write(self) -> None:
        text = self.config.read_text()
        settled = re.sub(r"(?m)^(  execution: )\w+$", rf"\g<1>{self.run.execution}", text)
        if settled != text:
            files.write_text(self.config, settled)
