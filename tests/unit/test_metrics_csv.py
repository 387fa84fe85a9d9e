"""`metrics.csv` and its pictures hold what was logged, whatever its name, also after a resumption."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.support.observing import begin, end_epoch, table
from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.callbacks.metrics_csv import MetricsCSV
from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.plots import Plots
from trainkit.core.logs import column, logged_names
from trainkit.runs.metrics_csv import MetricsTable, columns, curves, read_rows
from trainkit.runs.picture_names import file_names

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ODD_NAMES = ('a, "b"', "top/5", "../up", "$x^2", "Loss", "", "größe", "100 %")


def test_a_run_has_a_row_per_epoch_and_empty_cells_where_nothing_was_validated(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    _, history = fit(Toy(), epochs=4, validate_every=2, callbacks=[MetricsCSV(path)])
    rows = table(path)
    header = "epoch,step,train/loss,train/accuracy,val/loss,val/accuracy,learning_rate,seconds"
    assert ",".join(rows[0]) == header
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
    assert all(float(row["learning_rate"]) == pytest.approx(0.01) for row in rows)
    assert all(float(row["seconds"]) > 0 for row in rows)


@pytest.mark.parametrize("engine", ["trainkit", "keras"])
def test_a_rate_that_only_the_optimizer_knows_leaves_its_cells_empty(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "metrics.csv"
    optimizer = keras.optimizers.SGD(lambda: 0.05)
    fit(Toy(), engine=engine, optimizer=optimizer, callbacks=[MetricsCSV(path)])
    assert [row["learning_rate"] for row in table(path)] == ["", "", ""]


@given(
    names=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_any_name_and_any_number_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], values: list[float]
) -> None:
    path = tmp_path_factory.mktemp("table") / "metrics.csv"
    logged = list(dict.fromkeys(logged_names(names, validated=True)))
    written = MetricsTable(path, columns(logged))
    for epoch, value in enumerate(values, 1):
        written.append({"epoch": epoch, "step": epoch, **{column(name): value for name in logged}})
    written.close()
    epochs = list(range(1, len(values) + 1))
    assert curves(read_rows(path)) == dict.fromkeys(logged, (epochs, values))


@pytest.mark.parametrize(
    ("first", "kept"), [(0, []), (2, ["1", "2"]), (5, ["1", "2", "3"])], ids=["new", "resumed", "torn"]
)
def test_the_complete_rows_stay_up_to_the_epoch_that_a_run_continues_from(
    tmp_path: Path, first: int, kept: list[str]
) -> None:
    path = tmp_path / "metrics.csv"
    crashed = begin(MetricsCSV(path))
    for number in (1, 2, 3):
        end_epoch(crashed, number, {"loss": 1.0, "val_loss": 2.0})
    with path.open("a") as file:
        file.write("4,20,1.0,0.")  # what kill -9 may leave
    lacks = r"made anew, without epochs 4 to 5\.$"
    with pytest.warns(UserWarning, match=lacks) if first > 3 else nullcontext():
        resumed = begin(MetricsCSV(path), initial_epoch=first)
    end_epoch(resumed, first + 1, {"loss": 0.125})
    resumed.on_train_end()
    rows = table(path)
    assert [row["epoch"] for row in rows] == [*kept, str(first + 1)]
    values = [(row["train/loss"], row["val/loss"]) for row in rows]
    assert values == [*(("1.0", "2.0") for _ in kept), ("0.125", "")]


def test_a_resumed_run_whose_rows_are_gone_says_so(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()  # a run that is resumed elsewhere begins there with its own rows
    path = tmp_path / "metrics.csv"
    with pytest.warns(UserWarning, match=r"metrics\.csv is not there; it begins after epoch 2\.$"):
        resumed = begin(MetricsCSV(path), initial_epoch=2)
    end_epoch(resumed, 3, {"loss": 0.5})
    resumed.on_train_end()
    assert curves(read_rows(path)) == {"loss": ([3], [0.5])}


def test_a_resumed_run_keeps_the_columns_that_it_no_longer_fills(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    validated = begin(MetricsCSV(path))
    end_epoch(validated, 1, {"loss": 1.0, "val_loss": 2.0})
    validated.on_train_end()
    resumed = begin(MetricsCSV(path), initial_epoch=1, logged=("loss",))
    end_epoch(resumed, 2, {"loss": 0.5})
    resumed.on_train_end()
    assert curves(read_rows(path)) == {"loss": ([1, 2], [1.0, 0.5]), "val_loss": ([1], [2.0])}


def test_float16_adds_its_loss_scale_and_skipped_steps(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    half = begin(MetricsCSV(path), precision="mixed_float16")
    end_epoch(half, 1, loss_scale=32768.0, skipped_steps=2)
    half.on_train_end()
    assert list(table(path)[0].items())[-2:] == [("loss_scale", "32768.0"), ("skipped_steps", "2")]


def test_no_checkpoint_is_ahead_of_the_rows(tmp_path: Path) -> None:
    """After `kill -9`, the run resumes from the checkpoint and nobody writes the rows before it again."""
    path = tmp_path / "metrics.csv"
    seen: list[tuple[int, int]] = []

    class Keeper(Monitor):
        def after_call(self, state: Any, logs: dict[str, Any], *, final: bool = False) -> None:
            seen.append((state.epoch, len(table(path))))  # where Checkpoints saves

    fit(Toy(), epochs=6, epochs_per_call=3, callbacks=[MetricsCSV(path), Keeper("loss")])
    assert seen[-1] == (6, 6)
    assert all(rows == epochs for epochs, rows in seen)


# The pictures.


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """The axes of each figure that is made."""
    made: list[Axes] = []
    add_subplot = Figure.add_subplot

    def watched(self: Figure, *args: Any, **kwargs: Any) -> Any:
        made.append(add_subplot(self, *args, **kwargs))
        return made[-1]

    monkeypatch.setattr(Figure, "add_subplot", watched)
    return made


def test_a_picture_per_metric_shows_training_and_validation(tmp_path: Path, drawn: list[Axes]) -> None:
    rows = begin(MetricsCSV(tmp_path / "metrics.csv"))
    plots = begin(Plots(tmp_path / "plots", tmp_path / "metrics.csv"))
    for number in (1, 2, 3):
        validated = {} if number == 2 else {"val_loss": 0.75}
        end_epoch(rows, number, {"loss": 0.5**number, "accuracy": float("nan"), **validated})
        end_epoch(plots, number)
    assert not (tmp_path / "plots").exists()
    rows.on_train_end()
    plots.on_train_end()
    pictures = {path.name: path.read_bytes()[:4] for path in (tmp_path / "plots").iterdir()}
    assert pictures == dict.fromkeys(("accuracy.png", "loss.png"), b"\x89PNG")
    axes = next(a for a in drawn if a.get_ylabel() == "loss")
    training, validation = [line.get_xydata().tolist() for line in axes.lines]
    assert training == [[1, 0.5], [2, 0.25], [3, 0.125]]
    assert validation == [[1, 0.75], [3, 0.75]]
    assert all(tick == int(tick) for tick in axes.get_xticks())
    labels = [label.get_text() for label in axes.get_legend().get_texts()]
    assert labels == ["training, last 0.125", "validation, last 0.75"]
    assert (axes.get_xlabel(), axes.get_title()) == ("epoch", "toy on Toys")


def test_nothing_to_draw_is_told_unless_no_epoch_was_trained(tmp_path: Path) -> None:
    plots = begin(Plots(tmp_path / "plots", tmp_path / "metrics.csv"))
    with pytest.warns(UserWarning, match=r"metrics\.csv has no epoch yet"):
        plots.on_train_end({"loss": 0.5})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.on_train_end()
    assert list(tmp_path.iterdir()) == []


def test_a_metric_of_any_name_is_drawn(tmp_path: Path, drawn: list[Axes]) -> None:
    rows = begin(MetricsCSV(tmp_path / "metrics.csv"), logged=ODD_NAMES)
    end_epoch(rows, 1, dict.fromkeys(ODD_NAMES, 0.5))
    rows.on_train_end()
    begin(Plots(tmp_path / "plots", tmp_path / "metrics.csv")).on_train_end()
    assert sorted(axes.get_ylabel() for axes in drawn) == sorted(ODD_NAMES)
    assert len(list((tmp_path / "plots").glob("*.png"))) == len(ODD_NAMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "plots"]


@given(st.lists(NAMES, unique=True))
def test_file_names_are_plain_and_all_different(names: list[str]) -> None:
    files = file_names(names)
    assert list(files) == names
    assert len({file.casefold() for file in files.values()}) == len(names)
    assert all(file and "/" not in file and file[0] != "." and "\0" not in file for file in files.values())


def test_a_training_with_a_metric_of_an_odd_name_ends_well(tmp_path: Path) -> None:
    """It failed after the whole training, when its picture was drawn."""

    @dataclass(frozen=True)
    class Named(Toy):
        def metrics(self) -> list[Any]:
            return [keras.metrics.SparseCategoricalAccuracy(name='top/1, "best"')]

    observers = [MetricsCSV(tmp_path / "metrics.csv"), Plots(tmp_path / "plots", tmp_path / "metrics.csv")]
    _, history = fit(Named(), epochs=2, callbacks=observers)
    assert curves(read_rows(tmp_path / "metrics.csv"))['val_top/1, "best"'][1] == history['val_top/1, "best"']
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"loss.png", "top_1_best_.png"}


@pytest.mark.parametrize("length", [0, 5, 40])
def test_epochs_that_a_cut_table_lost_are_told_and_it_is_kept(tmp_path: Path, length: int) -> None:
    path = tmp_path / "metrics.csv"
    before = begin(MetricsCSV(path), logged=("loss",))
    for number in (1, 2, 3):
        end_epoch(before, number, {"loss": 1.0})
    before.on_train_end()
    cut = path.read_bytes()[:length]
    path.write_bytes(cut)
    with pytest.warns(UserWarning, match=r"is kept as metrics\.csv\.damaged, .*without epochs 1 to 3"):
        begin(MetricsCSV(path), initial_epoch=3, logged=("loss",)).on_train_end()
    assert path.with_name("metrics.csv.damaged").read_bytes() == cut
