"""Curves as pictures: the only place that knows matplotlib."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trainkit.core.files import replacing_file

__all__ = ["Curve", "draw", "file_names", "other_pictures"]

Curve = tuple[Sequence[float], Sequence[float]]  # positions, and the values there
COLOURS = ("#1f6fb4", "#d9541e", "#3a8f3a", "#7a4fb0")
MAX_MARKED = 40  # points of a curve that are marked one by one
MAX_FILE_NAME = 100  # characters; file systems allow 255 bytes


def draw(
    path: Path,
    name: str,
    curves: Mapping[str, Curve],
    title: str,
    axis: str = "epoch",
    *,
    log_axis: bool = False,
    mark: float | None = None,
) -> None:
    """Draw curves as a PNG file, atomically.

    Args:
        path: The file.
        name: What the values are; the name of the y axis.
        curves: Positions and values by label, four at the most; empty ones are left out.
        title: Above the picture.
        axis: Name of the x axis.
        log_axis: Whether it is logarithmic; else it shows whole numbers.
        mark: Position that a line marks.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for (label, (positions, values)), colour in zip(curves.items(), COLOURS, strict=False):
        if positions:
            marker = "o" if len(positions) < MAX_MARKED else None
            text = f"{label}, last {values[-1]:.4g}"
            axes.plot(positions, values, label=text, color=colour, marker=marker, markersize=3)
    if name == "loss" and _spans_decades([v for _, values in curves.values() for v in values]):
        axes.set_yscale("log")
    # Names are shown as they are: "$" begins no formula.
    axes.set_xlabel(axis, parse_math=False)
    axes.set_ylabel(name, parse_math=False)
    axes.set_title(title, parse_math=False)
    if log_axis:
        axes.set_xscale("log")
    else:
        axes.locator_params(axis="x", integer=True)
    if mark is not None:
        axes.axvline(mark, color="#555555", linestyle="--", label=f"{axis} {mark:.2g}")
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing_file(path) as beside:
        FigureCanvasAgg(figure).print_png(beside)


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each of these names, which may hold anything: `top/5` -> `top_5`.

    No two are the same, also where upper and lower case are not told apart.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^\w.+-]+", "_", name).lstrip(".")[:MAX_FILE_NAME] or "_"
        unique = plain
        number = 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{plain}-{number}"
        taken.add(unique.casefold())
        found[name] = unique
    return found


def other_pictures(folder: Path, metrics: Iterable[str]) -> list[Path]:
    """The PNG files of a folder that are no curves of these metrics."""
    curves = {f"{name}.png" for name in file_names(metrics).values()}
    return [path for path in sorted(folder.glob("*.png")) if path.name not in curves]


def _spans_decades(values: list[float]) -> bool:
    """Whether a logarithmic axis shows more: all values positive, the largest over 50 times the smallest."""
    return bool(values) and all(v > 0 for v in values) and max(values) > 50 * min(values)
