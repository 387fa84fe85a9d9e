"""Curves as pictures: the only place that knows matplotlib."""

from __future__ import annotations

import functools
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trainkit.core.files import replacing_file
from trainkit.runs.picture_names import short_names

__all__ = [
    "CAPTION_WIDTH",
    "IMAGES_PER_ROW",
    "NAME_WIDTH",
    "Curve",
    "Panel",
    "draw",
    "draw_bars",
    "draw_confusion",
    "draw_images",
    "draw_panels",
    "drawable",
]

Curve = tuple[Sequence[float], Sequence[float]]  # positions, and the values there
CURVE_AXES = (0.12, 0.12, 0.85, 0.79)  # fixed: to lay out a picture takes longer than to draw it
COLOURS = ("#1f6fb4", "#d9541e", "#3a8f3a", "#7a4fb0")
MAX_MARKED = 40  # points of a curve that are marked one by one
MAX_CELLS = 20  # classes of a confusion matrix whose counts are written into it
MAX_NAMED = 40  # classes that it names
IMAGES_PER_ROW = 4
NAME_WIDTH = 16  # characters of the name of a class
CAPTION_WIDTH = 28  # characters of a line above an image
REGULAR = 400  # weight of the fonts of names
LAST_RESORT = "Last Resort"  # begins the name of a font that has a box for every character


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
    figure = _figure(7, 4.2, layout=None)
    axes = figure.add_subplot(position=CURVE_AXES)
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
        axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    if mark is not None:
        axes.axvline(mark, color="#555555", linestyle="--", label=f"{axis} {mark:.2g}")
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


def _spans_decades(values: list[float]) -> bool:
    """Whether a logarithmic axis shows more: all values positive, the largest over 50 times the smallest."""
    return bool(values) and all(v > 0 for v in values) and max(values) > 50 * min(values)


@dataclass(frozen=True)
class Panel:
    """One diagram of a picture.

    Args:
        title: Above it.
        x: Name of the x axis.
        y: Name of the y axis.
        lines: Positions and values by label.
        dots: Whether the lines are clouds of points.
        diagonal: Whether to draw the line on which both axes are equal.
        level: Height of a horizontal line, or None.
    """

    title: str
    x: str
    y: str
    lines: Mapping[str, tuple[Any, Any]]
    dots: bool = False
    diagonal: bool = False
    level: float | None = None


def draw_panels(path: Path, panels: Sequence[Panel]) -> None:
    """Draw diagrams side by side as a PNG file, atomically."""
    figure = _figure(5.2 * len(panels), 4.4)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for i, (label, (positions, values)) in enumerate(panel.lines.items()):
            colour = COLOURS[i % len(COLOURS)] if len(panel.lines) <= len(COLOURS) else None
            if panel.dots:
                axes.plot(positions, values, ".", label=label, color=colour, markersize=4, alpha=0.5)
            else:
                marker = "o" if len(positions) <= MAX_MARKED // 2 else None
                axes.plot(positions, values, label=label, color=colour, linewidth=1.5, marker=marker)
        if panel.diagonal:
            axes.axline((0, 0), slope=1, color="grey", linestyle="--", linewidth=1)
        if panel.level is not None:
            axes.axhline(panel.level, color="grey", linestyle="--", linewidth=1)
        axes.set_xlabel(panel.x, parse_math=False)
        axes.set_ylabel(panel.y, parse_math=False)
        axes.set_title(panel.title, parse_math=False)
        axes.grid(alpha=0.3)
        if any(panel.lines):
            legend = axes.legend(fontsize=8)
            for text in legend.get_texts():
                text.set_parse_math(False)
    _save(figure, path)


def draw_confusion(path: Path, counts: Any, names: Sequence[str], title: str) -> None:
    """Draw a confusion matrix as a PNG file, atomically.

    Args:
        path: The file.
        counts: Rows `[C, C]` by actual and predicted class.
        names: Of the classes.
        title: Above the picture.
    """
    size = len(names)
    figure = _figure(3.2 + 0.5 * min(size, 24), 2.6 + 0.5 * min(size, 24))
    axes = figure.add_subplot()
    shares = [[cell / max(1, sum(row)) for cell in row] for row in counts.tolist()]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the actual class", fraction=0.05)
    if size <= MAX_CELLS:
        for i, row in enumerate(counts.tolist()):
            for j, count in enumerate(row):
                colour = "white" if shares[i][j] > 0.5 else "black"
                axes.text(j, i, f"{count:g}", ha="center", va="center", color=colour, fontsize=8)
    every = -(-size // MAX_NAMED)
    short = short_names(names, NAME_WIDTH)[::every]
    axes.set_xticks(range(0, size, every), short, rotation=45, ha="right")
    axes.set_yticks(range(0, size, every), short)
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set_parse_math(False)
    more = f", one of {every} classes is named" if every > 1 else ""
    axes.set_xlabel(f"predicted{more}")
    axes.set_ylabel(f"actual{more}")
    axes.set_title(title, parse_math=False)
    _save(figure, path)


def draw_bars(path: Path, bars: Mapping[str, float], axis: str, title: str) -> None:
    """Draw horizontal bars, the first on top, as a PNG file, atomically."""
    figure = _figure(7, 1.4 + 0.3 * len(bars))
    axes = figure.add_subplot()
    places = range(len(bars))
    axes.barh(places, list(bars.values()), color=COLOURS[0])
    axes.set_yticks(places, short_names(drawable(list(bars)), 2 * NAME_WIDTH))
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.invert_yaxis()
    axes.axvline(0, color="grey", linewidth=1)
    axes.set_xlabel(axis, parse_math=False)
    axes.set_title(title, parse_math=False)
    axes.grid(alpha=0.3, axis="x")
    _save(figure, path)


def draw_images(path: Path, images: Any, captions: Sequence[str], title: str) -> None:
    """Draw images with captions, four in a row, as a PNG file, atomically.

    Args:
        path: The file.
        images: uint8 `[N, H, W, C]`.
        captions: Under each image.
        title: Above the picture.
    """
    rows = -(-len(images) // IMAGES_PER_ROW)
    figure = _figure(8, 2.1 * rows + 0.5)
    grid = figure.subplots(rows, IMAGES_PER_ROW, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, image, caption in zip(grid, images, captions, strict=False):
        gray = image.shape[-1] == 1
        axes.imshow(image[..., 0] if gray else image, cmap="gray" if gray else None, vmin=0, vmax=255)
        lines = textwrap.wrap(caption, CAPTION_WIDTH, max_lines=3, placeholder="…")
        axes.set_title("\n".join(lines), fontsize=8, parse_math=False)
    figure.suptitle(title)
    _save(figure, path)


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110, layout=layout)


def _save(figure: Any, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if not text.get_text().isascii()]
    families, missing = _fonts_of(text.get_text() for text in texts)
    for text in texts:
        text.set_fontfamily(families)
        text.set_text(_without(missing, text.get_text()))
    with replacing_file(path) as beside, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matplotlib has to say is for who draws
        FigureCanvasAgg(figure).print_png(beside)


def drawable(names: Sequence[str]) -> list[str]:
    """Names as a picture can show them: one with characters that no font has begins with its number, from 0,
    and has `?` in place of these."""
    _, missing = _fonts_of(names)
    return [f"{i}: {_without(missing, n)}" if missing & set(n) else n for i, n in enumerate(names)]


def _without(missing: frozenset[str], text: str) -> str:
    return "".join("?" if character in missing else character for character in text)


def _fonts_of(texts: Iterable[str]) -> tuple[list[str], frozenset[str]]:
    """The families of fonts that these texts need, and the characters that none has."""
    families, missing = _fonts(frozenset(c for text in texts for c in text if not c.isascii()))
    if missing:
        _tell_of_missing()
    return list(families), missing


@functools.cache
def _tell_of_missing() -> None:
    """Once, however many pictures have such names."""
    warnings.warn(
        "Names have characters that no installed font has: pictures show ? for each, and a number before the "
        "name, from 0 in the order of the classes. A font that has them, as Noto Sans CJK, helps.",
        stacklevel=2,
    )


@functools.cache
def _fonts(characters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    from matplotlib import font_manager, rcParams

    families = list(rcParams["font.family"])
    usual = font_manager.findfont(font_manager.FontProperties())
    missing = characters - _in_font(usual, characters)
    files: dict[str, str] = {}
    fonts = font_manager.fontManager.ttflist if missing else []
    for font in sorted(fonts, key=lambda font: font.weight != REGULAR):
        if font.style == "normal" and not font.name.startswith(LAST_RESORT):
            files.setdefault(font.name, font.fname)
    for name in sorted(files, key=lambda name: ("Sans" not in name, name)):
        found = _in_font(files[name], missing) if missing else frozenset()
        if found:
            families.append(name)
            missing -= found
    return tuple(families), missing


def _in_font(path: str, characters: frozenset[str]) -> frozenset[str]:
    """Those of these characters that a font has."""
    from matplotlib import font_manager

    try:
        font = font_manager.get_font(path)
    except (OSError, RuntimeError):  # removed, or not to be drawn
        return frozenset()
    return frozenset(character for character in characters if font.get_char_index(ord(character)))
