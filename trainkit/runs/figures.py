"""Observers that keep the curves of a run: `metrics.csv`, and pictures of it."""

from __future__ import annotations

import os
from pathlib import Path


def draw(
    path: Path, name: str, curves: dict[str, tuple[list[int], list[float]]], title: str, axis: str = "epoch"
) -> None:
    """One picture of curves over epochs or steps, written beside and renamed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for (label, (epochs, values)), colour in zip(
        curves.items(), ("#1f6fb4", "#d9541e", "#3a8f3a", "#7a4fb0"), strict=False
    ):
        if epochs:
            axes.plot(
                epochs,
                values,
                label=f"{label}, last {values[-1]:.4g}",
                color=colour,
                marker="o" if len(epochs) < 40 else None,
                markersize=3,
            )
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
