"""Keras's callbacks that write or print, and the one that swaps averaged weights in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from keras.callbacks import (
    BackupAndRestore,
    CSVLogger,
    LambdaCallback,
    ModelCheckpoint,
    RemoteMonitor,
    SwapEMAWeights,
    TensorBoard,
)

from tests.conformance.cases.monitors import scripted
from tests.conformance.parts import VALIDATION, X, Y, compiled, dense, fit, sgd
from tests.conformance.registry import Cases
from tests.conformance.side import Side

case = Cases("writers")

CHECKPOINTS: dict[str, tuple[str, dict[str, Any]]] = {
    "weights_of_each_epoch": ("{epoch:02d}-{loss:.3f}.weights.h5", {"save_weights_only": True}),
    "weights_of_the_best": (
        "{epoch}.weights.h5",
        {"save_weights_only": True, "save_best_only": True, "monitor": "score", "mode": "min"},
    ),
    "weights_of_the_best_below_a_threshold": (
        "{epoch}.weights.h5",
        {
            "save_weights_only": True,
            "save_best_only": True,
            "monitor": "score",
            "mode": "min",
            "initial_value_threshold": 3.95,
        },
    ),
    "weights_every_second_batch": (
        "{epoch}-{batch}.weights.h5",
        {"save_weights_only": True, "save_freq": 2},
    ),
    "weights_every_fifth_batch": (
        "{epoch}-{batch}.weights.h5",
        {"save_weights_only": True, "save_freq": 5},
    ),
    "the_whole_model": ("{epoch}.keras", {}),
}


def saves(name: str, given: dict[str, Any], side: Side) -> None:
    """The files, and all arrays in them, optimizer's included."""
    checkpoint = ModelCheckpoint(side.folder / "kept" / name, **given)
    fit(side, dense(layers.Dropout(0.2)), callbacks=[scripted(), checkpoint], epochs=4)
    side.note_files(side.folder / "kept")
    side.note("best", checkpoint.best)


for name, (file, given) in CHECKPOINTS.items():
    case.add(name, partial(saves, file, given))


@case
def weights_of_the_best_validation(side: Side) -> None:
    path = side.folder / "best.weights.h5"
    model = dense(optimizer=sgd(0.9), metrics=["mae"])
    best = ModelCheckpoint(path, "val_mae", save_best_only=True, save_weights_only=True, mode="min")
    fit(side, model, callbacks=[best], epochs=4, validation_data=VALIDATION)
    side.note_files(side.folder)


@case
def weights_in_steps_of_two(side: Side) -> None:
    path = side.folder / "{epoch}-{batch}.weights.h5"
    model = dense(steps_per_execution=2)
    kept = ModelCheckpoint(path, save_weights_only=True, save_freq=3)
    fit(side, model, batch_size=2, callbacks=[kept])
    side.note_files(side.folder)


class Interrupted(Exception):
    """What ends a training before its end."""


def interrupted_at(hook: str, count: int) -> LambdaCallback:
    """Raises when `hook` is called the `count`th time."""
    calls: list[Any] = []

    def fail(*_: Any, logs: Any = None) -> None:
        calls.append(None)
        if len(calls) == count:
            raise Interrupted

    return LambdaCallback(**{hook: fail})


BACKUPS: dict[str, tuple[dict[str, Any], str, int]] = {
    "a_backup_each_epoch": ({}, "on_epoch_begin", 3),
    "a_backup_each_second_batch": ({"save_freq": 2}, "on_train_batch_end", 9),
    "a_backup_that_stays": ({"delete_checkpoint": False}, "on_epoch_begin", 3),
    "two_backups": ({"double_checkpoint": True, "delete_checkpoint": False}, "on_epoch_begin", 4),
}


def continues(given: dict[str, Any], hook: str, count: int, side: Side) -> None:
    """A fresh model goes on at the epoch that was not finished."""
    folder = side.folder / "backup"
    callbacks = [BackupAndRestore(folder, **given), interrupted_at(hook, count)]
    try:
        fit(side, dense(metrics=["mae"]), callbacks=callbacks, epochs=4)
    except Interrupted:
        side.note("interrupted", True)
    side.note_files(folder)
    model = dense(metrics=["mae"])
    history = fit(side, model, callbacks=[BackupAndRestore(folder, **given)], epochs=4, record="batches")
    assert 0 < len(history.epoch) < 4
    side.note_files(side.folder)


for name, (given, hook, count) in BACKUPS.items():
    case.add(name, partial(continues, given, hook, count))


@case
def a_backup_of_a_training_that_had_ended(side: Side) -> None:
    """Nothing is left to train."""
    folder = side.folder / "backup"
    fit(side, dense(), callbacks=[BackupAndRestore(folder, delete_checkpoint=False)])
    fit(side, dense(), callbacks=[BackupAndRestore(folder, delete_checkpoint=False)])


@case
def a_table(side: Side) -> None:
    """Floats in full, columns in alphabetical order."""
    table = CSVLogger(side.folder / "log.csv")
    fit(side, dense(metrics=["mae"]), callbacks=[scripted(), table], validation_data=VALIDATION)
    side.note_files(side.folder)


@case
def a_table_without_validation_at_first(side: Side) -> None:
    """Without a `val_` column in the first epoch, one is made for each."""
    table = CSVLogger(side.folder / "log.csv", separator=";")
    fit(side, dense(), callbacks=[table], epochs=3, validation_data=VALIDATION, validation_freq=2)
    side.note_files(side.folder)


@case
def a_table_that_goes_on(side: Side) -> None:
    model = dense()
    fit(side, model, callbacks=[CSVLogger(side.folder / "log.csv", append=True)])
    fit(side, model, callbacks=[CSVLogger(side.folder / "log.csv", append=True)], epochs=4, initial_epoch=2)
    side.note_files(side.folder)


BOARDS: dict[str, dict[str, Any]] = {
    "a_board": {},
    "a_board_of_batches": {"update_freq": "batch"},
    "a_board_of_every_second_batch": {"update_freq": 2},
    "a_board_with_histograms": {"histogram_freq": 1, "write_images": True},
    "a_board_with_speed": {"write_steps_per_second": True},
}


def draws(given: dict[str, Any], side: Side) -> None:
    """Tags, steps and values of all events."""
    board = TensorBoard(side.folder, **given)
    fit(side, dense(metrics=["mae"]), callbacks=[board], validation_data=VALIDATION)
    side.note_files(side.folder)


for name, given in BOARDS.items():
    case.add(name, partial(draws, given))


@case
def a_remote_monitor(side: Side) -> None:
    """Posts the logs of each epoch to a server; here one of this process."""
    posted: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        fit(side, dense(), callbacks=[RemoteMonitor(root=root, send_as_json=True)])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    side.note("posted", posted)
    assert len(posted) == 2


def averaged(given: dict[str, Any], side: Side) -> None:
    """Validation sees the averaged weights."""
    model = dense(layers.BatchNormalization(), optimizer=sgd(use_ema=True, ema_momentum=0.5))
    path: Path = side.folder / "{epoch}.weights.h5"
    callbacks = [SwapEMAWeights(**given), ModelCheckpoint(path, save_weights_only=True)]
    fit(side, model, callbacks=callbacks, epochs=3, validation_data=VALIDATION, record="batches")
    side.note_files(side.folder)


case.add("averaged_weights_in_validation", partial(averaged, {}))
case.add("averaged_weights_at_an_epochs_end", partial(averaged, {"swap_on_epoch": True}))


VERBOSITIES: dict[str, Any] = {"silent": 0, "a_bar": 1, "a_line_per_epoch": 2, "auto": "auto"}


def prints(verbose: Any, side: Side) -> None:
    """How it looks is free; whether something is shown is not."""
    model = dense(metrics=["mae"])

    def train() -> None:
        side.train(model, X, Y, batch_size=4, epochs=2, shuffle=False, verbose=verbose)

    side.note("prints something", bool(side.printed(train).strip()))
    side.note_model(model)


for name, verbose in VERBOSITIES.items():
    case.add(f"progress_{name}", partial(prints, verbose))


def speaks(build: Callable[[Path], Any], side: Side) -> None:
    """What a verbose callback of Keras prints appears as it is."""
    model = compiled(dense(), optimizer=sgd(1.5))

    def train() -> None:
        fit(side, model, callbacks=[build(side.folder)], epochs=3, validation_data=VALIDATION)

    lines = [line for line in side.printed(train).splitlines() if line.strip()]
    side.note("lines", [line.replace(str(side.folder), "") for line in lines])
    assert lines


SPEAKING: dict[str, Callable[[Path], Any]] = {
    "early_stopping": lambda folder: keras.callbacks.EarlyStopping(verbose=1, restore_best_weights=True),
    "checkpoint": lambda folder: ModelCheckpoint(
        folder / "best.weights.h5", save_best_only=True, save_weights_only=True, verbose=1
    ),
    "plateau": lambda folder: keras.callbacks.ReduceLROnPlateau(patience=1, min_delta=9.0, verbose=1),
}
for name, build in SPEAKING.items():
    case.add(f"lines_of_{name}", partial(speaks, build))


@case
def a_file_of_a_lambda(side: Side) -> None:
    """Keras's own example: a file that is written line by line and closed at the end."""
    log = (side.folder / "log.json").open("w")
    writes = LambdaCallback(
        on_epoch_end=lambda epoch, logs: log.write(json.dumps({"epoch": epoch, "loss": logs["loss"]}) + "\n"),
        on_train_end=lambda logs: log.close(),
    )
    fit(side, dense(), callbacks=[writes])
    side.note_files(side.folder)
    assert np.all([log.closed])
