"""A file of events for TensorBoard, whose name sorts behind every earlier one of its folder."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from trainkit.core.files import make_folder
from trainkit.core.helpers import HelperThreads

__all__ = ["EventFile"]


class EventFile:
    """Writes events, each to the disk, in a thread.

    TensorBoard reads the files of a folder in the order of their names. Its own `EventFileWriter` names them
    by the second and a counter of the process: the tenth file comes before the ninth of the same second, and
    what was written last is taken for what a crash left behind.

    Args:
        folder: Folder of the file; made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        seconds, rest = divmod(time.time_ns(), 10**9)
        name = f"events.out.tfevents.{seconds:010d}.{rest:09d}.{socket.gethostname()}.{os.getpid()}"
        self._records = RecordWriter(tf.io.gfile.GFile(str(folder / name), "wb"))
        self._thread = HelperThreads(1)
        self._waiting: list[Future[None]] = []
        self.add(0, file_version="brain.Event:2")

    def add(self, step: int, **content: Any) -> None:
        """Add one event.

        Args:
            step: Epochs that have been trained.
            **content: The field of `Event` that is set: `summary=`, `graph_def=`, `session_log=`.

        Raises:
            OSError or tf.errors.OpError: An earlier event could not be written.
        """
        event = event_pb2.Event(wall_time=time.time(), step=step, **content)
        while self._waiting and self._waiting[0].done():
            self._waiting.pop(0).result()
        self._waiting.append(self._thread.submit(self._write, event.SerializeToString()))

    def close(self) -> None:
        """Write what has been added, and close the file; an event that could not be written raises here."""
        self._thread.shutdown()
        try:
            for write in self._waiting:
                write.result()
        finally:
            self._records.close()

    def _write(self, event: bytes) -> None:
        self._records.write(event)
        self._records.flush()
