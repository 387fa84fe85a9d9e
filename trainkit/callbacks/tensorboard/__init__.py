"""TensorBoard: the callback, and the files of events that it writes."""

from __future__ import annotations

from trainkit.callbacks.tensorboard.callback import TensorBoard, forward_graph
from trainkit.callbacks.tensorboard.event_file import EventFile

__all__ = ["EventFile", "TensorBoard", "forward_graph"]
