"""Names of classes and columns in pictures: short, different, and of characters that a font has."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg

from trainkit.core.datasets import Arrays
from trainkit.experiment import pictures
from trainkit.runs import figures
from trainkit.runs.picture_names import short_names
from trainkit.tasks.mnist import MNIST

BUNDLED = Path(matplotlib.get_data_path())
ANIMALS = ["犬", "猫", "a猫"]


@pytest.fixture
def bundled_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No fonts but those that come with matplotlib."""
    fonts = [font for font in font_manager.fontManager.ttflist if Path(font.fname).is_relative_to(BUNDLED)]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    for cached in (figures._fonts, figures._tell_of_missing):
        cached.cache_clear()
    yield
    figures._fonts.cache_clear()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Takes the figures, laid out as in their files; what matplotlib has to say is raised."""
    found: list[Any] = []

    def keep(canvas: FigureCanvasAgg, path: Path) -> None:
        warnings.simplefilter("error")
        canvas.draw()
        found.append(canvas.figure)
        Path(path).touch()

    monkeypatch.setattr(FigureCanvasAgg, "print_png", keep)
    return found


def draw_classes(names: list[str], folder: Path) -> None:
    count = len(names)
    labels = np.arange(4 * count) % count
    scores = np.full((len(labels), count), 0.5 / count)
    scores[np.arange(len(labels)), np.random.default_rng(0).permutation(labels)] += 0.5

    class Named(MNIST):
        def class_names(self) -> list[str]:
            return names

    rows = Arrays(np.zeros((len(labels), 1)), np.eye(count)[labels])
    pictures.draw_results(Named(), scores, rows, folder)


def tick_names(figure: Any) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


@pytest.mark.parametrize("length", [50, 150])
def test_legends_of_long_names_stay_in_their_panels(tmp_path: Path, drawn: list[Any], length: int) -> None:
    names = [f"{i} {'extraordinarily-long_class_name ' * 5}"[:length] for i in range(5)]
    draw_classes(names, tmp_path)
    confusion, curves, _ = drawn
    assert tick_names(confusion) == short_names(names, figures.NAME_WIDTH)
    for axes in curves.axes:
        legend = axes.get_legend()
        assert [text.get_text().split(",")[0] for text in legend.get_texts()] == tick_names(confusion)
        assert axes.bbox.fully_containsx(legend.get_window_extent().x0)
        assert axes.bbox.fully_containsx(legend.get_window_extent().x1)


def test_many_classes_have_some_names_in_their_confusion(tmp_path: Path, drawn: list[Any]) -> None:
    figures.draw_confusion(tmp_path / "c.png", np.eye(120), [f"c{i}" for i in range(120)], "")
    assert tick_names(drawn[0]) == [f"c{i}" for i in range(0, 120, 3)]
    assert drawn[0].axes[0].get_ylabel() == "actual, one of 3 classes is named"


def test_names_of_characters_that_no_font_has_are_numbered_and_told_in_one_line(
    bundled_fonts: None, tmp_path: Path, drawn: list[Any]
) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        draw_classes(ANIMALS, tmp_path)
        figures.draw(tmp_path / "loss.png", "loss", {"training": ([1], [0.5])}, "on 猫.csv")
        figures.draw_bars(tmp_path / "bars.png", {"猫": 2.0, "犬": 1.0, "z": 0.5}, "", "")
    assert ["no installed font has" in str(each.message) for each in told] == [True]
    confusion, curves, _, loss, bars = drawn
    assert tick_names(confusion) == ["0: ?", "1: ?", "2: a?"]
    assert "2: a?, area" in curves.axes[0].get_legend().get_texts()[2].get_text()
    assert loss.axes[0].get_title() == "on ?.csv"
    assert tick_names(bars) == ["0: ?", "1: ?", "z"]


def test_characters_that_another_font_has_are_drawn_in_it(
    bundled_fonts: None, tmp_path: Path, drawn: list[Any]
) -> None:
    names = ["\u210a", "plain", "größe"]  # the first in STIX alone
    draw_classes(names, tmp_path)
    assert tick_names(drawn[0]) == names
    assert drawn[0].axes[0].get_yticklabels()[0].get_fontfamily() == ["sans-serif", "STIXGeneral"]


def test_short_names_stay_different() -> None:
    alike = [f"a very long class name number {i} of the long ones" for i in range(30)]
    for names in (["cat", "dog"], alike, [f"class {'x' * 20} {i}" for i in range(12)]):
        short = short_names(names, 16)
        assert len(set(short)) == len(names)
        assert max(map(len, short)) <= 16
    assert short_names(["cat", f"{'a' * 20}z"], 9) == ["cat", "aaaa…aaaz"]
