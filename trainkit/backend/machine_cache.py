"""What was timed on this machine, kept for the next process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import tensorflow as tf

from trainkit.core import files
from trainkit.core.errors import UserError

__all__ = ["MachineCache"]


class MachineCache:
    """Timings by what was timed, for one machine and version of TensorFlow, in a JSON file.

    Args:
        file: Where they are kept; what cannot be read is timed again, and where nothing can be written,
            nothing is kept.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def get(self, what: Any) -> Any:
        """What is kept of `what`; None if nothing is."""
        return self._known().get(self._key(what))

    def set(self, what: Any, value: Any) -> None:
        """Keep a JSON value for `what`."""
        with contextlib.suppress(UserError):
            files.write_json(self.file, {**self._known(), self._key(what): value})

    def _known(self) -> dict[str, Any]:
        try:
            known = json.loads(self.file.read_text())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    @staticmethod
    def _key(what: Any) -> str:
        gpus = [
            tf.config.experimental.get_device_details(g).get("device_name", "")
            for g in tf.config.get_visible_devices("GPU")
        ]
        where = [platform.node(), platform.processor(), os.cpu_count(), gpus, tf.__version__]
        return hashlib.sha256(repr([where, what]).encode()).hexdigest()[:24]
