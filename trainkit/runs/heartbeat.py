"""Keeps the `status.json` of a run alive while it trains."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType

from trainkit.core.errors import UserError
from trainkit.core.held import FolderMoved
from trainkit.runs.run_dir import RunDir

__all__ = ["Heartbeat"]

EVERY_SECONDS = 5.0


class Heartbeat:
    """Writes `running`, the position and the time every few seconds from a thread, until the run ends.

    The training goes on where the file cannot be written; then a warning says so, once.

    Args:
        run: The run directory.
        position: Gives `epoch` and `step`.
        every: Seconds between two writes.
    """

    def __init__(
        self, run: RunDir, position: Callable[[], Mapping[str, int]], every: float = EVERY_SECONDS
    ) -> None:
        self.run = run
        self.position = position
        self.every = every
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._ended = False
        self._warned = False
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        self._write("running", "")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def end(self, status: str, reason: str = "") -> None:
        """Write how the run ended, `completed`, `failed` or `preempted`; after it nothing is written.

        Raises:
            UserError: if it cannot be written.
        """
        with self._lock:
            self._ended = True
            position = self.position()
            self.run.write_status(status, position["epoch"], position["step"], reason=reason)

    def _beat(self) -> None:
        while not self._stop.wait(self.every):
            self._write("running", "")

    def _write(self, status: str, reason: str) -> None:
        with self._lock:
            if self._ended:
                return
            position = self.position()
            try:
                self.run.write_status(status, position["epoch"], position["step"], reason=reason)
            except UserError as error:
                # A folder that was moved ends the training, which says so itself.
                if not self._warned and not isinstance(error, FolderMoved):
                    self._warned = True
                    warnings.warn(f"{error} The training goes on.", stacklevel=2)
