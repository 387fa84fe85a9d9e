"""Writes event files for TensorBoard: curves, settings, hyper-parameters, the graph, and histograms."""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalars
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams_sessions
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.text.summary_v2 import text_pb

from trainkit.callbacks.observer import Observer
from trainkit.callbacks.tensorboard.event_file import EventFile
from trainkit.config import TensorBoardConfig
from trainkit.config.fields import settings_of
from trainkit.config.validation import check_arguments
from trainkit.core.errors import one_line
from trainkit.core.logs import base_name, is_validation, validation_name

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
    """Writes the curves of a training for TensorBoard, as one entry of its list of runs.

    Training and validation have the tags `<metric>/train` and `<metric>/validation`, which the tab Custom
    Scalars shows in one chart; the rates of `EpochRecord` are beside them. Protocol buffers are written
    directly, in about 10 microseconds per value; `tf.summary` takes ten times that. Where they cannot be
    written, as on a full disk, a warning says so, and the training goes on without.

    Args:
        folder: Folder of the event files.
        config: All settings, shown as text.
        hparams: Hyper-parameters for the HParams tab: numbers, booleans or texts by name.
        histograms_every: Epochs between two histograms of the weights; None: none.
        graph: Whether to write the graph of the model's forward pass.
        trial: Name of the trial in the HParams tab, where trials of one name are averaged.
    """

    def __init__(
        self,
        folder: Path | str,
        config: Mapping[str, Any],
        hparams: Mapping[str, Any],
        histograms_every: int | None = None,
        graph: bool = True,
        trial: str | None = None,
    ) -> None:
        check_arguments(self, settings_of(TensorBoardConfig), histograms_every=histograms_every, graph=graph)
        super().__init__()
        self.folder = Path(folder)
        self.config = dict(config)
        self.hparams = dict(hparams)
        self.histograms_every = histograms_every
        self.graph = graph
        self.trial = trial
        self._file: EventFile | None = None
        self._works = True

    def due(self, epoch: int) -> bool:
        return bool(self.histograms_every) and epoch % (self.histograms_every or 1) == 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._works = True
        self._open()
        # A reader drops what an earlier process wrote of the epochs that are trained again.
        restart = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(self.run.initial_epoch + 1, session_log=restart)
        self._write_settings()
        if self.graph:
            graph = forward_graph(self.model, self.run.row_spec).as_graph_def(add_shapes=True)
            self._write(0, graph_def=graph.SerializeToString())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        scalars = [_scalar(_tag(name), value) for name, value in (logs or {}).items()]
        for name in RATES:
            value = getattr(self.record, name)
            if value is not None:
                scalars.append(_scalar(f"rates/{name}", value))
        self._write(epoch + 1, summary=summary_pb2.Summary(value=scalars))
        if self.due(epoch + 1):
            self._write_histograms(epoch + 1)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        file, self._file = self._file, None
        if file is not None:
            with self._telling():
                file.close()

    def write_results(
        self, results: Mapping[str, float], step: int, pictures: Mapping[str, bytes] | None = None
    ) -> None:
        """Write what is known when a training is over; the HParams tab shows it with the trial.

        Args:
            results: Values by name: `best/val_loss`, `test/accuracy`.
            step: The epoch that they belong to.
            pictures: PNG files by name.
        """
        self._open()
        values = [_scalar(name, value) for name, value in results.items()]
        for name, png in (pictures or {}).items():
            image = summary_pb2.Summary.Image(encoded_image_string=png)
            values.append(summary_pb2.Summary.Value(tag=f"pictures/{name}", image=image))
        self._write(step, summary=summary_pb2.Summary(value=values))
        ended = hparams_sessions.session_end_pb(api_pb2.STATUS_SUCCESS, time.time())
        self._write(step, summary=_own_class(ended))
        self.on_train_end()

    def _write_settings(self) -> None:
        """All settings and the data set as text, the hyper-parameters, and which curves share a chart."""
        source = self.run.dataset
        about = f"**{source.name}** from `{source.origin}`, sha256 `{source.sha256}`"
        settings = json.dumps(self.config, indent=2, default=str).replace("\n", "\n    ")
        metrics = [name for name in self.run.logged if not is_validation(name)]
        hparams = {"data set": source.name, "execution": self.run.execution, **self.hparams}
        summaries = [
            text_pb("config", f"    {settings}"),  # indented: Markdown for text as it is
            text_pb("dataset", about),
            hparams_summary.hparams_pb(hparams, trial_id=self.trial, start_time_secs=time.time()),
            custom_scalars.pb(_layout(metrics)),
        ]
        for summary in summaries:
            self._write(0, summary=_own_class(summary))

    def _write_histograms(self, epoch: int) -> None:
        for variable in self.model.trainable_variables:
            summary = histogram_pb(f"weights/{variable.path}", np.asarray(variable))
            self._write(epoch, summary=_own_class(summary))

    def _open(self) -> None:
        if self._works:
            with self._telling():
                self._file = EventFile(self.folder)

    def _write(self, step: int, **content: Any) -> None:
        if not self._works:
            return
        if self._file is None:
            raise RuntimeError("TensorBoard writes between on_train_begin and on_train_end.")
        with self._telling():
            self._file.add(step, **content)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Write no more after an event that could not be written."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            if self._works:
                text = one_line(str(error))
                warnings.warn(f"TensorBoard is written no more: {text}. The training goes on.", stacklevel=4)
            self._works = False


def _layout(metrics: Sequence[str]) -> layout_pb2.Layout:
    """Charts for the tab Custom Scalars: training and validation of each metric in one."""
    charts = []
    for name in metrics:
        tags = [f"^{re.escape(_tag(one))}$" for one in (name, validation_name(name))]
        lines = layout_pb2.MultilineChartContent(tag=tags)
        charts.append(layout_pb2.Chart(title=name, multiline=lines))
    category = layout_pb2.Category(title="training and validation", chart=charts)
    return layout_pb2.Layout(category=[category])


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


def _tag(name: str) -> str:
    """`loss` -> `loss/train`, `val_loss` -> `loss/validation`."""
    return f"{base_name(name)}/{'validation' if is_validation(name) else 'train'}"


def _scalar(tag: str, value: float) -> summary_pb2.Summary.Value:
    return summary_pb2.Summary.Value(tag=tag, simple_value=value)


def _own_class(summary: Any) -> summary_pb2.Summary:
    """The summary as TensorBoard's class: beside TensorFlow, its plugins make TensorFlow's twin."""
    return summary_pb2.Summary.FromString(summary.SerializeToString())
