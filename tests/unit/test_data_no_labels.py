"""An empty cell of several labels is a row of none: it trains, is told, and is predicted as such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.toys import Toy
from trainkit.config import DataConfig
from trainkit.core.errors import UserError
from trainkit.data.image_data import image_data
from trainkit.data.table_data import table_data
from trainkit.experiment import baselines

LABELS = ["red", "", "red|green", " | ", "green", "none"] * 6
NUMBERS = [i * i % 17 for i in range(len(LABELS))]


def table(root: Path, **columns: list[Any]) -> str:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (root / "rows.csv").write_text("\n".join(lines) + "\n")
    return str(root / "rows.csv")


@pytest.mark.parametrize("kind", ["table", "images"])
@pytest.mark.parametrize("skip_bad", [False, True])
def test_an_empty_cell_of_several_labels_is_a_row_of_none(kind: str, skip_bad: bool, tmp_path: Path) -> None:
    if kind == "images":
        pixels = np.random.default_rng(0).integers(0, 256, (len(LABELS), 2, 2, 1), np.uint8)
        for i, image in enumerate(pixels):
            (tmp_path / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
        path = table(tmp_path, path=[f"{i}.png" for i in range(len(LABELS))], y=LABELS)
    else:
        path = table(tmp_path, x=NUMBERS, y=LABELS)
    config = DataConfig(path=path, target="y", labels="multi_label", skip_bad=skip_bad)
    found = image_data(config) if kind == "images" else table_data(config, "classification")
    assert "12 of 36 rows have no label, and train as such" in found.notes
    splits = found.splits()
    for name, rows in found.rows.items():
        y = getattr(splits, name).y
        assert y.shape == (len(rows), 3)
        assert found.preparation.target is not None
        expected = ["|".join(sorted(LABELS[row].replace(" | ", "").split("|"))) for row in rows]
        assert found.preparation.target.decode(y) == expected
    assert sum(map(len, found.rows.values())) == len(LABELS)


def test_texts_that_are_named_as_gaps_are_no_labels(tmp_path: Path) -> None:
    path = table(tmp_path, x=NUMBERS, y=LABELS)
    config = DataConfig(path=path, target="y", labels="multi_label", missing=["none"])
    found = table_data(config, "classification")
    assert "18 of 36 rows have no label, and train as such" in found.notes
    assert getattr(found.preparation.target, "classes", ()) == ("green", "red")


class OneLabel(Toy):
    """Names its only label."""

    def class_names(self) -> tuple[str, ...]:
        return ("red",)


def test_one_label_or_none_is_something_to_predict(tmp_path: Path) -> None:
    path = table(tmp_path, x=NUMBERS[:20], y=["red", ""] * 10)
    config = DataConfig(path=path, target="y", labels="multi_label")
    train = table_data(config, "classification").splits().train
    assert sorted(set(train.y[:, 0])) == [0, 1]
    with pytest.raises(UserError, match="these rows have several classes, or none"):
        baselines.check(OneLabel(), train)
    path = table(tmp_path, x=NUMBERS[:20], y=["red"] * 20)
    with pytest.raises(UserError, match="y is 'red' in every row: there is nothing to predict"):
        table_data(DataConfig(path=path, target="y", labels="multi_label"), "classification")
