"""The laws of the observers: what they write is what was logged, and a resumed or failed run leaves nothing false behind."""

from __future__ import annotations

import atexit
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.summary.writer import event_file_writer

from tests.support.toys import Toy
from trainkit.callbacks.learning_rate import LearningRate
from trainkit.callbacks.metrics_csv import MetricsCSV
from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.opening import Opening
from trainkit.callbacks.plots import Plots
from trainkit.callbacks.progress import Bars, Lines, make
from trainkit.callbacks.run_status import Status
from trainkit.callbacks.tensorboard import TensorBoard
from trainkit.core.datasets import Source
from trainkit.trainer.trainer import Trainer

LOGGED = ["loss", "accuracy", "val_loss", "val_accuracy"]
CONFIG = {"task": {"dropout": 0.0}, "trainer": {"epochs": 4}}
Run = tuple[Path, dict[str, list[float]]]  # folder and history
HPARAMS = {"learning_rate": 0.01, "optimizer": "Adam"}


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(observer: Any, epochs: int = 10, first: int = 0) -> Any:
    """The observer of a training that has begun, without the training."""
    params = {
        "epochs": epochs,
        "initial_epoch": first,
        "steps": 5,
        "logged": LOGGED,
        "precision": "float32",
        "task": "toy",
        "dataset": Source("Toys"),
    }
    about = {
        "batch_size": 16,
        "feed": "resident (small)",
        "devices": "2 CPU cores",
        "strategy": "one_device",
        "replicas": 1,
    }
    observer.set_params({**params, **about, "execution": "epoch", "reason": "as asked"})
    observer.on_train_begin()
    return observer


def epoch(observer: Any, number: int, **logs: float) -> None:
    """Tell it the end of an epoch (1-based)."""
    speed = {"examples_per_second": 52_300.4, "steps_per_second": 3_000.0}
    observer.params["record"] = {
        "epoch": number,
        "step": 5 * number,
        "seconds": 0.25,
        "learning_rate": 0.01,
        **speed,
    }
    observer.on_epoch_end(number - 1, logs or {"loss": 1 / number, "accuracy": 0.5})


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run's folder and history: four epochs, every second of them validated and with histograms."""
    folder = tmp_path_factory.mktemp("run")
    board = TensorBoard(folder / "tensorboard", CONFIG, HPARAMS, histograms_every=2)
    observers = [MetricsCSV(folder / "metrics.csv"), Plots(folder / "plots", folder / "metrics.csv"), board]
    history = Trainer(epochs=4, batch_size=16, validate_every=2, execution="epoch", callbacks=observers).fit(
        Toy()
    )
    return folder, history.history


# metrics.csv and its pictures.


def test_csv_has_a_row_an_epoch_with_empty_cells_where_nothing_was_validated(run: Run) -> None:
    folder, history = run
    rows = table(folder / "metrics.csv")
    assert (
        ",".join(rows[0])
        == "epoch,step,train/loss,train/accuracy,val/loss,val/accuracy,learning_rate,seconds"
    )
    assert [(row["epoch"], row["step"]) for row in rows] == [
        ("1", "5"),
        ("2", "10"),
        ("3", "15"),
        ("4", "20"),
    ]
    for name in ("loss", "accuracy"):
        assert [float(row[f"train/{name}"]) for row in rows] == history[name]
        assert [row[f"val/{name}"] for row in rows[::2]] == ["", ""]
        assert [float(row[f"val/{name}"]) for row in rows[1::2]] == history[f"val_{name}"]
    assert all(
        float(row["learning_rate"]) == pytest.approx(0.01) and float(row["seconds"]) > 0 for row in rows
    )


@pytest.mark.parametrize(
    ("first", "kept"), [(0, []), (2, ["1", "2"]), (5, ["1", "2", "3"])], ids=["new", "resumed", "torn"]
)
def test_csv_keeps_the_whole_rows_up_to_the_epoch_that_a_run_continues_from(
    tmp_path: Path, first: int, kept: list[str]
) -> None:
    path = tmp_path / "metrics.csv"
    crashed = told(MetricsCSV(path))
    for number in (1, 2, 3):
        epoch(crashed, number, loss=1.0, val_loss=2.0)
    with path.open("a") as file:
        file.write("4,20,1.0,0.")  # what kill -9 may leave
    resumed = told(MetricsCSV(path), first=first)
    epoch(resumed, first + 1, loss=0.125)
    resumed.on_train_end()
    assert [row["epoch"] for row in table(path)] == [*kept, str(first + 1)]
    assert [(row["train/loss"], row["val/loss"]) for row in table(path)] == [
        *(("1.0", "2.0") for _ in kept),
        ("0.125", ""),
    ]


def test_no_checkpoint_is_ahead_of_the_csv(tmp_path: Path) -> None:
    """After `kill -9`, the run resumes from the checkpoint and nobody writes the rows before it again."""
    path, seen = tmp_path / "metrics.csv", []

    class Keeper(Monitor):
        def after_call(self, state: Any, logs: dict[str, Any], *, final: bool = False) -> None:
            seen.append((state.epoch, len(table(path))))  # where Checkpoints saves

    Trainer(
        epochs=6,
        batch_size=16,
        execution="epoch",
        epochs_per_call=3,
        callbacks=[MetricsCSV(path), Keeper("loss")],
    ).fit(Toy())
    assert seen[-1] == (6, 6)
    assert all(rows == epochs for epochs, rows in seen)


def test_plots_are_a_picture_a_value_of_training_and_validation_drawn_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    draw = FigureCanvasAgg.print_png
    monkeypatch.setattr(
        FigureCanvasAgg,
        "print_png",
        lambda self, path: (draw(self, path), drawn.update({path.name: self.figure.axes[0]})),
    )
    rows, plots = (
        told(MetricsCSV(tmp_path / "metrics.csv")),
        told(Plots(tmp_path / "plots", tmp_path / "metrics.csv")),
    )
    for number in (1, 2, 3):
        epoch(
            rows,
            number,
            loss=0.5**number,
            accuracy=float("nan"),
            **({} if number == 2 else {"val_loss": 0.75}),
        )
        epoch(plots, number)
    assert not (tmp_path / "plots").exists()
    rows.on_train_end()
    plots.on_train_end()
    assert {path.name: path.read_bytes()[:4] for path in (tmp_path / "plots").iterdir()} == dict.fromkeys(
        ("accuracy.png", "loss.png"), b"\x89PNG"
    )
    axes = drawn[".loss.png"]
    assert [line.get_xydata().tolist() for line in axes.lines] == [
        [[1, 0.5], [2, 0.25], [3, 0.125]],
        [[1, 0.75], [3, 0.75]],
    ]
    assert all(tick == int(tick) for tick in axes.get_xticks())
    assert [label.get_text() for label in axes.get_legend().get_texts()] == [
        "training, last 0.125",
        "validation, last 0.75",
    ]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("epoch", "loss", "toy on Toys")


# Progress.


@pytest.mark.parametrize(
    ("ran", "shown"), [(10, [1, 4, 7, 10]), (8, [1, 4, 7, 8])], ids=["all", "ends_early"]
)
def test_lines_show_first_and_last_and_at_most_one_a_second(ran: int, shown: list[int]) -> None:
    out, clock = io.StringIO(), Clock()
    lines = told(Lines(out, clock=clock))
    for number in range(1, ran + 1):
        epoch(lines, number)
        clock.now += 0.4
    lines.on_train_end()
    assert [line.split("/")[0] for line in out.getvalue().splitlines()] == [
        f"Epoch {number:>2}" for number in shown
    ]
    assert out.getvalue().splitlines()[0] == "Epoch  1/10  loss 1  accuracy 0.5  (0.25 s, 52,300 examples/s)"


def test_bars_are_for_terminals() -> None:
    assert isinstance(make("auto", Terminal()), Bars)
    assert isinstance(make("auto", io.StringIO()), Lines)
    assert isinstance(make("plain", Terminal()), Lines)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def test_bars_show_every_value_whole_and_give_the_terminal_back(terminal: Terminal) -> None:
    bars = told(Bars(terminal))
    names = [f"a_metric_{i}" for i in range(8)]
    for number in range(1, 11):
        bars.on_train_batch_end(3, {"loss": 0.5})
        epoch(bars, number, loss=0.25, val_loss=0.125, **dict.fromkeys(names, 0.5))
    bars.on_train_end()
    bars.close()
    shown = terminal.getvalue()
    assert all(
        text in shown
        for text in (
            "epochs",
            "10/10",
            "steps",
            "5/5",
            "loss 0.25",
            "loss 0.125",
            "validation",
            "52,300 examples/s",
            *names,
        )
    )
    assert "…" not in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor: hidden once, shown once


def test_bars_of_a_training_that_fails_give_the_terminal_back_when_the_process_ends(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Callable[[], Any]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    told(Bars(terminal))
    for function in at_exit:
        function()
    assert "\x1b[?25h" in terminal.getvalue()


# TensorBoard.


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in events(folder).Scalars(tag)]


def test_tensorboard_has_training_and_validation_under_one_tag(run: Run) -> None:
    folder, history = run[0] / "tensorboard", run[1]
    for name in ("loss", "accuracy"):
        assert curve(folder / "train", f"epoch/{name}") == list(zip([1, 2, 3, 4], history[name], strict=True))
        assert curve(folder / "validation", f"epoch/{name}") == list(
            zip([2, 4], history[f"val_{name}"], strict=True)
        )
    assert [step for step, _ in curve(folder / "train", "rates/learning_rate")] == [1, 2, 3, 4]
    assert all(value == pytest.approx(0.01) for _, value in curve(folder / "train", "rates/learning_rate"))
    assert all(value > 0 for _, value in curve(folder / "train", "rates/examples_per_second"))


def test_tensorboard_tells_settings_data_hyper_parameters_and_the_graph_of_the_forward_pass(run: Run) -> None:
    folder = run[0] / "tensorboard"
    text = {
        tag: tf.make_ndarray(events(folder).Tensors(tag)[0].tensor_proto).item().decode()
        for tag in ("config", "dataset")
    }
    assert json.loads(text["config"]) == CONFIG
    assert "**unnamed** from `memory`" in text["dataset"]
    content = events(folder).summary_metadata
    given = metadata.parse_session_start_info_plugin_data(
        content[metadata.SESSION_START_INFO_TAG].plugin_data.content
    ).hparams
    assert {name: value.string_value or value.number_value for name, value in given.items()} == HPARAMS
    compared = metadata.parse_experiment_plugin_data(content[metadata.EXPERIMENT_TAG].plugin_data.content)
    values = [f"{m.name.group}/{m.name.tag}" for m in compared.metric_infos]
    assert values == [
        "train/epoch/loss",
        "train/epoch/accuracy",
        "validation/epoch/loss",
        "validation/epoch/accuracy",
    ]
    assert sum(node.op == "MatMul" for node in events(folder / "train").Graph().node) == 2


def test_tensorboard_has_histograms_of_the_weights_of_that_epoch_when_asked(run: Run, tmp_path: Path) -> None:
    content = events(run[0] / "tensorboard" / "train")
    tags = [tag for tag in content.Tags()["tensors"] if tag.startswith("weights/")]
    assert len(tags) == 4
    for tag in tags:
        first, second = content.Tensors(tag)
        assert (first.step, second.step) == (2, 4)
        assert not np.array_equal(tf.make_ndarray(first.tensor_proto), tf.make_ndarray(second.tensor_proto))
    Trainer(
        epochs=1, batch_size=16, execution="epoch", callbacks=[TensorBoard(tmp_path, {}, {}, graph=False)]
    ).fit(Toy())
    without = events(tmp_path / "train").Tags()
    assert (without["tensors"], without["graph"]) == ([], False)


def test_tensorboard_of_a_resumed_run_has_every_epoch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash left behind after the checkpoint is not drawn."""
    clock = Clock()
    monkeypatch.setattr(
        event_file_writer, "time", SimpleNamespace(time=clock)
    )  # names the files, which are read in that order
    for first, last in ((0, 4), (2, 3)):
        clock.now += 10.0
        board = told(TensorBoard(tmp_path, {}, {}, graph=False), first=first)
        for number in range(first + 1, last + 1):
            epoch(board, number, loss=0.5 + first, val_loss=0.75 + first)
        board.on_train_end()
    assert curve(tmp_path / "train", "epoch/loss") == [(1, 0.5), (2, 0.5), (3, 2.5)]
    assert curve(tmp_path / "validation", "epoch/loss") == [(1, 0.75), (2, 0.75), (3, 2.75)]


# The journal.


def test_opening_tells_task_data_batch_devices_and_execution() -> None:
    said: list[str] = []
    told(Opening("Model: toy\n", {"train": 1075, "test": 19}, said.append))
    data = "Task:      toy\nData:      Toys: 1,075 train, 19 test; resident (small)\nBatch:     16 rows, 5 steps an epoch"
    assert said == [
        f"Model: toy\n{data}\nDevices:   2 CPU cores, one_device, float32\nExecution: epoch: as asked"
    ]


def test_status_tells_the_position_every_few_seconds() -> None:
    written, clock = [], Clock()
    status = told(Status(lambda epoch, step: written.append((epoch, step)), every=5.0, clock=clock))
    for number in range(1, 8):
        clock.now += 2.0
        epoch(status, number)
    assert written == [(3, 15), (6, 30)]


def test_learning_rate_overrides_that_of_the_checkpoint(tmp_path: Path) -> None:
    trainer = Trainer(epochs=1, batch_size=16, execution="epoch")
    trainer.fit(Toy())
    path = trainer.save_checkpoint(tmp_path / "checkpoint")
    resumed = Trainer(
        epochs=2,
        batch_size=16,
        execution="epoch",
        callbacks=[LearningRate(0.5), MetricsCSV(tmp_path / "metrics.csv")],
    )
    resumed.fit(Toy(), resume=path)
    assert float(keras.ops.convert_to_numpy(resumed.model.optimizer.learning_rate)) == 0.5
    assert [row["learning_rate"] for row in table(tmp_path / "metrics.csv")] == ["0.5"]
