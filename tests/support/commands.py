"""A user's own task in a folder of its own, and what a test of the command reads of a run."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainkit.cli import arguments, compose, planning
from trainkit.config import Config
from trainkit.export import runtimes

__all__ = ["OWN_MODULE", "OWN_TASK", "QUIET", "compared_here", "read", "settings", "table"]

QUIET = ("callbacks=none", "progress=none")
OWN_MODULE = '''
import os
import signal
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from trainkit import Arrays, Source, Splits, Task


@dataclass(frozen=True)
class Tiny(Task):
    """Which of two numbers is larger: [B, 2] -> probability [B, 1]."""

    rows: int = 64
    width: int = 1
    nan: bool = False

    def data(self):
        x = np.random.default_rng(0).normal(size=(self.rows, 2)).astype("float32")
        y = (x[:, :1] > x[:, 1:]).astype("float32")
        if self.nan:
            x[3, 0] = np.nan
        part = lambda i: Arrays(x[i::4], y[i::4])
        return Splits(Arrays(x[::2], y[::2]), part(1), part(3), Source("tiny numbers", sha256="0"))

    def model(self, train):
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(self.width, activation="sigmoid")])

    def loss(self):
        return keras.losses.BinaryCrossentropy()

    def metrics(self):
        return [keras.metrics.BinaryAccuracy(name="accuracy")]


class Shuffled(Tiny):
    """From a Dataset that shuffles anew in each epoch; counts how often its rows were asked for."""

    reads = 0

    def data(self):
        Shuffled.reads += 1
        splits = super().data()
        rows = tf.data.Dataset.from_tensor_slices(splits.train.batch())
        return replace(splits, train=rows.shuffle(self.rows).batch(8))


@dataclass(frozen=True)
class Cut(Tiny):
    """Cuts its validation rows itself, and none is no part."""

    validation: float = 0.5

    def data(self):
        splits = super().data()
        if self.rows == 65:
            raise KeyError("rows")
        held = int(len(splits.train) * self.validation)
        return replace(splits, validation=splits.train.take(slice(0, held)))


class Unfinished(Task):
    pass


class Kill(keras.callbacks.Callback):
    def __init__(self, name, epoch):
        super().__init__()
        self.name, self.epoch = name, epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epoch:
            os.kill(os.getpid(), getattr(signal, self.name))


class Break(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("the lamp went out")


def make_tiny():
    return Tiny()
'''
OWN_TASK = (
    "task: {_target_: mine.Tiny, rows: 64, width: 1, nan: false}\ntrainer: {epochs: 3, batch_size: 8}\n"
)


def read(name: str, run: str = "runs/tiny/latest") -> Any:
    """A JSON file of a run."""
    return json.loads(Path(run, name).read_text())


def table(name: str, run: str = "runs/tiny/latest") -> list[dict[str, str]]:
    """The rows of a CSV file of a run."""
    return list(csv.DictReader(Path(run, name).read_text().splitlines()))


def settings(*words: str) -> Config:
    """The checked settings of a command line that asks for one job."""
    (composed,) = compose.compose(arguments.parse(words))
    return planning.checked(composed.settings)


def compared_here(script: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """In place of `trainkit.export.comparison.run_alone`: the file runs in the process of the test."""
    assert script == runtimes.__file__
    runtimes._main(*words)
    return subprocess.CompletedProcess([script, *words], 0, "", "")
