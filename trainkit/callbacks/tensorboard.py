"""Event files for TensorBoard: curves, settings, hyper-parameters, the graph, and on demand histograms and a profile."""

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

RATES = (
    "learning_rate",
    "examples_per_second",
    "steps_per_second",
    "seconds",
    "tflops",
    "ceiling_share",
    "loss_scale",
    "skipped_steps",
)


class TensorBoard(Observer):
    """Writes a run for TensorBoard: `train` and `validation` curves under the same tags so that they overlay, rates beside them.

    Protocol buffers are written directly, at about 10 microseconds a value; `tf.summary` takes ten times that.

    Args:
        folder: Folder of the event files.
        config: All settings, shown as text.
        hparams: Hyper-parameters for the HParams tab: names to numbers, booleans or text.
        histograms_every: Epochs between histograms of the weights; None: none.
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
        self.folder, self.config, self.hparams = Path(folder), dict(config), dict(hparams)
        self.histograms_every, self.graph = histograms_every, graph
        self._writers: dict[str, EventFileWriter] = {}

    def due(self, epoch: int) -> bool:
        return bool(self.histograms_every) and epoch % (self.histograms_every or 1) == 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        places = {"": self.folder, "train": self.folder / "train", "validation": self.folder / "validation"}
        self._writers = {
            name: EventFileWriter(str(place), max_queue_size=10_000, flush_secs=2)
            for name, place in places.items()
        }
        restart = event_pb2.SessionLog(
            status=event_pb2.SessionLog.START
        )  # drops what a crash left behind after the epoch that we continue from
        for writer in self._writers.values():
            writer.add_event(
                event_pb2.Event(
                    wall_time=time.time(), step=self.params["initial_epoch"] + 1, session_log=restart
                )
            )
        source = self.params["dataset"]
        about = f"**{source.name}** from `{source.origin}`, sha256 `{source.sha256}`"
        settings = "    " + json.dumps(self.config, indent=2, default=str).replace("\n", "\n    ")
        self._summary("", text_pb("config", settings), 0)
        self._summary("", text_pb("dataset", about), 0)
        self._summary("", self._experiment(), 0)
        self._summary("", hparams_summary.hparams_pb(self.hparams, start_time_secs=time.time()), 0)
        if self.graph:
            graph = forward_graph(self.model, self.params["input"]).as_graph_def(add_shapes=True)
            self._writers["train"].add_event(
                event_pb2.Event(wall_time=time.time(), graph_def=graph.SerializeToString())
            )

    def _experiment(self) -> summary_pb2.Summary:
        """What the HParams tab shows: the hyper-parameters, and the logged values of both kinds."""
        tags = [_tag(name) for name in self.params["logged"]]
        metrics = [
            hparams_summary.Metric(tag, group=group, display_name=f"{group}/{tag.removeprefix('epoch/')}")
            for group, tag in tags
        ]
        return hparams_summary.hparams_config_pb(
            hparams=[hparams_summary.HParam(name) for name in self.hparams], metrics=metrics
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        by_writer: dict[str, list[summary_pb2.Summary.Value]] = {}
        for name, value in (logs or {}).items():
            writer, tag = _tag(name)
            by_writer.setdefault(writer, []).append(summary_pb2.Summary.Value(tag=tag, simple_value=value))
        record = self.params["record"]
        rates = [
            summary_pb2.Summary.Value(tag=f"rates/{name}", simple_value=record[name])
            for name in RATES
            if name in record
        ]
        by_writer.setdefault("train", []).extend(rates)
        for writer, entries in by_writer.items():
            self._summary(writer, summary_pb2.Summary(value=entries), epoch + 1)
        if self.due(epoch + 1):
            for variable in self.model.trainable_variables:
                self._summary(
                    "train", histogram_pb(f"weights/{variable.path}", np.asarray(variable)), epoch + 1
                )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        for writer in self._writers.values():
            writer.close()

    def _summary(self, writer: str, summary: Any, step: int) -> None:
        if not isinstance(summary, summary_pb2.Summary):
            summary = summary_pb2.Summary.FromString(
                summary.SerializeToString()
            )  # the plugins make TensorFlow's twin of the class
        self._writers[writer].add_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))


def _tag(name: str) -> tuple[str, str]:
    """`val_loss` -> (`validation`, `epoch/loss`)."""
    return (
        ("validation", f"epoch/{name.removeprefix('val_')}")
        if name.startswith("val_")
        else ("train", f"epoch/{name}")
    )


def forward_graph(model: keras.Model, row: Any) -> tf.Graph:
    """The graph of the model's forward pass on a batch of any size, of rows whose specs are the structure `row`."""
    specs = tf.nest.map_structure(lambda t: tf.TensorSpec([None, *t.shape], t.dtype), row)
    return tf.function(lambda x: model(x, training=False), autograph=False).get_concrete_function(specs).graph
