"""Observers that keep the curves of a run: `metrics.csv`, and pictures of it."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import IO, Any

from trainkit.state import Observer

RECORD = ("learning_rate", "seconds", "loss_scale", "skipped_steps")  # columns that come from params["record"], where it has them


def column(name: str) -> str:
    """`loss` -> `train/loss`, `val_loss` -> `val/loss`."""
    return f"val/{name.removeprefix('val_')}" if name.startswith("val_") else f"train/{name}"


class MetricsCSV(Observer):
    """One row an epoch: `epoch, step, train/<...>, val/<...>, learning_rate, seconds`; an epoch without validation leaves its cells empty.

    A resumed run keeps the rows up to the epoch that it continues from; what a crash left behind after them, torn lines included,
    is dropped. Each row is handed to the system at once (about 2 microseconds), so that a checkpoint is never ahead of the rows.

    Args:
        path: File to write.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self.path = Path(path)
        self._file: IO[str] | None = None
        self._columns: list[str] = []

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        names = self.params["logged"]
        scale = ["loss_scale", "skipped_steps"] if self.params["precision"] == "mixed_float16" else []
        self._columns = ["epoch", "step", *map(column, names), "learning_rate", "seconds", *scale]
        kept = [row for row in read_rows(self.path) if int(row["epoch"]) <= self.params["initial_epoch"]] if self.path.exists() else []
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        beside = self.path.with_name(f".{self.path.name}")
        beside.write_text(text.getvalue())
        os.replace(beside, self.path)
        self._file = self.path.open("a", buffering=1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        record = self.params["record"]
        row = {"epoch": epoch + 1, "step": record["step"], **{column(k): v for k, v in (logs or {}).items()}, **{k: record[k] for k in RECORD if k in record}}
        if self._file is None:
            raise RuntimeError("MetricsCSV.on_epoch_end came before on_train_begin.")
        self._file.write(",".join("" if name not in row else repr(row[name]) for name in self._columns) + "\n")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def read_rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a `metrics.csv`; a last line without its end is left out."""
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    rows = list(csv.DictReader(io.StringIO(whole)))
    return [row for row in rows if (row.get("epoch") or "").isdigit() and None not in row.values() and None not in row]


class Plots(Observer):
    """Pictures of the curves, `<folder>/loss.png` and one for each metric, drawn when the training ends from the run's `metrics.csv`.

    Args:
        folder: Where the pictures go.
        metrics: The `metrics.csv` to draw, which also has the epochs before a resume.
    """

    def __init__(self, folder: Path | str, metrics: Path | str) -> None:
        super().__init__()
        self.folder, self.metrics = Path(folder), Path(metrics)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        rows = read_rows(self.metrics)
        if not rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in [c.removeprefix("train/") for c in rows[0] if c.startswith("train/")]:
            curves = {part: _curve(rows, f"{part}/{name}") for part in ("train", "val")}
            draw(
                self.folder / f"{name}.png",
                name,
                {"training": curves["train"], "validation": curves["val"]},
                f"{self.params['task']} on {self.params['dataset'].name}",
            )


def _curve(rows: list[dict[str, str]], name: str) -> tuple[list[int], list[float]]:
    points = [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
    return [e for e, _ in points], [v for _, v in points]


def draw(path: Path, name: str, curves: dict[str, tuple[list[int], list[float]]], title: str, axis: str = "epoch") -> None:
    """One picture of curves over epochs or steps, written beside and renamed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for (label, (epochs, values)), colour in zip(curves.items(), ("#1f6fb4", "#d9541e", "#3a8f3a", "#7a4fb0"), strict=False):
        if epochs:
            axes.plot(epochs, values, label=f"{label}, last {values[-1]:.4g}", color=colour, marker="o" if len(epochs) < 40 else None, markersize=3)
    positive = all(v > 0 for _, values in curves.values() for v in values)
    spread = [v for _, values in curves.values() for v in values]
    if name == "loss" and positive and max(spread) > 50 * min(spread):
        axes.set_yscale("log")
    axes.set(xlabel=axis, ylabel=name, title=title)
    axes.locator_params(axis="x", integer=True)
    axes.grid(alpha=0.3)
    axes.legend()
    beside = path.with_name(f".{path.name}")
    FigureCanvasAgg(figure).print_png(beside)
    os.replace(beside, path)
