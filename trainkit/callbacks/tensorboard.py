"""Writes event files for TensorBoard: curves, settings, hyper-parameters, the graph, and histograms."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from trainkit.callbacks.observer import Observer
from trainkit.core.logs import base_name, is_validation

__all__ = ["TensorBoard", "forward_graph"]

RATES = (
    "learning_rate",
    "examples_per_second",
    "steps_per_second",
    "seconds",
    "tflops",
    "roofline_fraction",
    "loss_scale",
    "skipped_steps",
)


class TensorBoard(Observer):
    """Writes the curves of a training for TensorBoard.

    Training and validation have the same tags, `epoch/<metric>`, in the runs `train` and `validation`, so
    that one chart shows both; the rates of `EpochRecord` are beside them. Protocol buffers are written
    directly, in about 10 microseconds per value; `tf.summary` takes ten times that.

    Args:
        folder: Folder of the event files.
        config: All settings, shown as text.
        hparams: Hyper-parameters for the HParams tab: numbers, booleans or texts by name.
        histograms_every: Epochs between two histograms of the weights; None: none.
        graph: Whether to write the graph of the model's forward pass.
    """

    def __init__(
        self,
        folder: Path | str,
        config: Mapping[str, Any],
        hparams: Mapping[str, Any],
        histograms_every: int | None = None,
        graph: bool = True,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.config = dict(config)
        self.hparams = dict(hparams)
        self.histograms_every = histograms_every
        self.graph = graph
        self._writers: dict[str, EventFileWriter] = {}

    def due(self, epoch: int) -> bool:
        return bool(self.histograms_every) and epoch % (self.histograms_every or 1) == 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        folders = {
            "": self.folder,
            "train": self.folder / "train",
            "validation": self.folder / "validation",
        }
        self._writers = {
            name: EventFileWriter(str(folder), max_queue_size=10_000, flush_secs=2)
            for name, folder in folders.items()
        }
        # A reader drops what an earlier process wrote of the epochs that are trained again.
        restart = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        for name in self._writers:
            self._write(name, self.run.initial_epoch + 1, session_log=restart)
        self._write_settings()
        if self.graph:
            graph = forward_graph(self.model, self.run.row_spec).as_graph_def(add_shapes=True)
            self._write("train", 0, graph_def=graph.SerializeToString())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        scalars: dict[str, list[summary_pb2.Summary.Value]] = {"train": [], "validation": []}
        for name, value in (logs or {}).items():
            scalars[_writer_name(name)].append(_scalar(_tag(name), value))
        for name in RATES:
            value = getattr(self.record, name)
            if value is not None:
                scalars["train"].append(_scalar(f"rates/{name}", value))
        for writer, values in scalars.items():
            if values:
                self._write(writer, epoch + 1, summary=summary_pb2.Summary(value=values))
        if self.due(epoch + 1):
            self._write_histograms(epoch + 1)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        for writer in self._writers.values():
            writer.close()

    def _write_settings(self) -> None:
        """All settings and the data set as text, and the hyper-parameters."""
        source = self.run.dataset
        about = f"**{source.name}** from `{source.origin}`, sha256 `{source.sha256}`"
        settings = json.dumps(self.config, indent=2, default=str).replace("\n", "\n    ")
        now = time.time()
        summaries = [
            text_pb("config", f"    {settings}"),  # indented: Markdown for text as it is
            text_pb("dataset", about),
            self._experiment(),
            hparams_summary.hparams_pb(self.hparams, start_time_secs=now),
        ]
        for summary in summaries:
            self._write("", 0, summary=_own_class(summary))

    def _experiment(self) -> Any:
        """What the HParams tab compares: the hyper-parameters and the logged values."""
        metrics = []
        for name in self.run.logged:
            group = _writer_name(name)
            label = f"{group}/{base_name(name)}"
            metrics.append(hparams_summary.Metric(_tag(name), group=group, display_name=label))
        hparams = [hparams_summary.HParam(name) for name in self.hparams]
        return hparams_summary.hparams_config_pb(hparams=hparams, metrics=metrics)

    def _write_histograms(self, epoch: int) -> None:
        for variable in self.model.trainable_variables:
            summary = histogram_pb(f"weights/{variable.path}", np.asarray(variable))
            self._write("train", epoch, summary=_own_class(summary))

    def _write(self, writer: str, step: int, **content: Any) -> None:
        event = event_pb2.Event(wall_time=time.time(), step=step, **content)
        self._writers[writer].add_event(event)


def forward_graph(model: keras.Model, row_spec: Any) -> tf.Graph:
    """The graph of the model's forward pass on a batch of any size.

    Args:
        model: A built model.
        row_spec: Structure of `tf.TensorSpec` of the inputs of one row.
    """

    def forward(x: Any) -> Any:
        return model(x, training=False)

    specs = tf.nest.map_structure(lambda t: tf.TensorSpec([None, *t.shape], t.dtype), row_spec)
    return tf.function(forward, autograph=False).get_concrete_function(specs).graph


def _writer_name(name: str) -> str:
    """`val_loss` -> `validation`, `loss` -> `train`."""
    return "validation" if is_validation(name) else "train"


def _tag(name: str) -> str:
    """`loss`, `val_loss` -> `epoch/loss`."""
    return f"epoch/{base_name(name)}"


def _scalar(tag: str, value: float) -> summary_pb2.Summary.Value:
    return summary_pb2.Summary.Value(tag=tag, simple_value=value)


def _own_class(summary: Any) -> summary_pb2.Summary:
    """The summary as TensorBoard's class: beside TensorFlow, its plugins make TensorFlow's twin."""
    return summary_pb2.Summary.FromString(summary.SerializeToString())
