"""What cannot be read is refused with what to do about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainkit.config import DataConfig
from trainkit.core.errors import UserError
from trainkit.data.sources.tables import read_table
from trainkit.data.splits.random import held_out
from trainkit.data.table_data import table_data

pytest.importorskip("pyarrow")


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("a.xlsx", "", "as CSV or Parquet: save the sheet as CSV"),
        ("a.JSON", "", r"as CSV or Parquet: convert it, as by pandas\.read_json"),
        ("a.npz", "", r"from Python, by tk\.fit or tk\.Arrays"),
        ("a.csv", "0,0,a\n1,2,b\n", r"two columns named '0'.*data\.header=false if there is no header"),
        ("a.csv", "x,x,a\n1,2,b\n", r"Rename one\.$"),
        ("a.parquet", "PAR1" * 9, r"[^.]\. Check the file\.$"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_what_helps(
    name: str, content: str, advice: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=advice) as error:
        read_table(tmp_path / name)
    assert "\n" not in str(error.value)


def test_images_in_place_of_texts_are_told_from_folders_of_texts(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("")
    with pytest.raises(
        UserError, match=r"holds images; expected a folder with a folder of \.txt files per class"
    ):
        table_data(DataConfig(path=str(tmp_path)), "text")


@pytest.mark.parametrize("labels", [None, np.array(["a", "b"] * 5)])
def test_too_large_shares_are_refused_with_the_settings_that_give_them(labels: np.ndarray | None) -> None:
    with pytest.raises(
        UserError, match=r"Cannot hold 0\.95 of 10 rows out: .*data\.test or data\.validation"
    ):
        held_out(10, 0.95, 0, labels)
