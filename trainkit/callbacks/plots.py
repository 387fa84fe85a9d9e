"""Observers that keep the curves of a run: `metrics.csv`, and pictures of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainkit.callbacks.observer import Observer
from trainkit.runs.figures import draw
from trainkit.runs.metrics_csv import read_rows


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
