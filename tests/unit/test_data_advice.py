"""What cannot be read is refused with what to do about it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainkit.config import DataConfig
from trainkit.core.errors import UserError
from trainkit.data.inference import infer_schema
from trainkit.data.sources.tables import TableOptions, read_table
from trainkit.data.split_choice import choose_rows
from trainkit.data.splits.random import held_out
from trainkit.data.table_data import table_data
from trainkit.data.table_sources import read_new
from trainkit.data.targets import check_classes

pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("a.xlsx", "", "as CSV or Parquet: save the sheet as CSV"),
        ("a.JSON", "", r"as CSV or Parquet: convert it, as by pandas\.read_json"),
        ("a.feather", "", r"as CSV or Parquet: convert it, as by pandas\.read_feather\(\.\.\.\)\.to_parquet"),
        ("a.ods", "", "as CSV or Parquet: save the sheet as CSV"),
        ("a.npz", "", r"from Python, by tk\.fit or tk\.Arrays"),
        ("a.csv", "0,0,a\n1,2,b\n", r"two columns named '0'.*data\.header=false if there is no header"),
        ("a.csv", "x,x,a\n1,2,b\n", r"Rename one\.$"),
        ("a.csv.zip", "", r"unpack it, or pack a table as \.csv\.gz\.$"),
        ("a.csv.XZ", "", r"unpack it, or pack a table as \.csv\.gz\.$"),
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


@pytest.mark.parametrize(
    ("pack", "advice"),
    [
        (gzip.compress, r"give it a name that ends in \.csv\.gz\.$"),
        (bz2.compress, r"give it a name that ends in \.csv\.bz2\.$"),
        (lambda content: _packed_as_zst(content), r"give it a name that ends in \.csv\.zst\.$"),
        (lzma.compress, r"unpack it, or use \.csv\.gz\.$"),
        (lambda content: _zipped(content), r"unpack it, or use \.csv\.gz; save a sheet as CSV\.$"),
        (lambda content: _parquet(), r"set data\.format=parquet\.$"),
    ],
    ids=["gz", "bz2", "zst", "xz", "zip", "parquet"],
)
def test_a_packed_file_that_is_said_to_be_csv_is_known_by_its_bytes(
    pack: Callable[[bytes], bytes], advice: str, tmp_path: Path
) -> None:
    (tmp_path / "table.txt").write_bytes(pack(b"a,b\n1,2\n" * 9))
    with pytest.raises(UserError, match=rf"table\.txt is no CSV file, but .*{advice}"):
        read_table(tmp_path / "table.txt", TableOptions(format="csv"))


def _packed_as_zst(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content))


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", content)
    return file.getvalue()


def _parquet() -> bytes:
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pa.table({"a": [1]}), file)
    return file.getvalue()


@pytest.mark.parametrize("trained", ["auto", "csv", "text"])
def test_new_rows_are_read_by_their_names_and_as_it_was_set_where_those_do_not_tell(
    trained: str, tmp_path: Path
) -> None:
    config = DataConfig(format=trained)
    for name in ("rows.csv", "rows.txt", "rows.data"):
        (tmp_path / name).write_text("text\nhello there\nhow are you\n")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("hello there")

    def rows(name: str) -> int:
        return len(read_new(str(tmp_path / name), config, texts=True))

    assert rows("rows.csv") == 2
    assert rows("letters") == 1
    assert rows("rows.txt") == (2 if trained == "csv" else 1)
    if trained == "csv":
        assert rows("rows.data") == 2
        assert len(read_new(str(tmp_path / "rows.txt"), config, texts=False)) == 2
    if trained == "auto":
        with pytest.raises(UserError, match=r"predict\.path=.*rows\.data has no file of a known format"):
            rows("rows.data")
        with pytest.raises(UserError, match=r"rows\.txt holds text, and a table was expected"):
            read_new(str(tmp_path / "rows.txt"), config, texts=False)


def test_the_names_of_files_of_texts_are_no_column_that_the_training_lacks(tmp_path: Path) -> None:
    schema = infer_schema({"text": np.array(["a b", "c d"], object)}, overrides={"text": "text"})
    (tmp_path / "a.txt").write_text("hello there")
    table = read_new(str(tmp_path / "a.txt"), DataConfig(), texts=True)
    assert schema.additional(table.columns) == []
    assert schema.additional({**table.columns, "stars": np.array([1])}) == ["path", "stars"]


def test_images_in_place_of_texts_are_told_from_folders_of_texts(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("")
    with pytest.raises(
        UserError, match=r"holds images; expected a folder with a folder of \.txt files per class"
    ):
        table_data(DataConfig(path=str(tmp_path)), "text")


@pytest.mark.parametrize("labels", [None, np.array(["a", "b"] * 5)])
def test_too_large_shares_are_refused_with_the_settings_that_give_them(labels: np.ndarray | None) -> None:
    with pytest.raises(UserError, match=r"Cannot hold 0\.95 of 10 rows out: .*Lower data\.test"):
        held_out("test", 10, 0.95, 0, labels)


CLASSES = np.array([f"c{i % 100}" for i in range(500)], object)


def test_advice_on_splits_by_class_ends_at_a_split_that_works() -> None:
    """100 classes of 5 rows: what each message says to change makes the next attempt get further."""
    kept = np.arange(500)
    by_chance = choose_rows(DataConfig(), kept, CLASSES, None, 500)
    advice = r"split=stratified and raise data\.validation \(80 rows cannot have one of each of 100 classes\)"
    with pytest.raises(UserError, match=advice):
        check_classes("y", CLASSES, by_chance)
    for share in (0.2, 0.1):
        with pytest.raises(UserError, match=r"100 classes\. Raise data\.validation to 0\.25 or more"):
            choose_rows(DataConfig(split="stratified", validation=share), kept, CLASSES, None, 500)
    parts = choose_rows(DataConfig(split="stratified", validation=0.25), kept, CLASSES, None, 500)
    assert {name: len(set(CLASSES[rows])) for name, rows in parts.items()} == dict.fromkeys(parts, 100)
    with pytest.raises(UserError, match=r"50 rows held out cannot have .* Raise data\.test to 0\.2 or more"):
        choose_rows(DataConfig(split="stratified", test=0.1), kept, CLASSES, None, 500)


def test_advice_on_classes_that_no_share_can_split_is_no_share() -> None:
    few = np.repeat(CLASSES[:100], 2)[:199]
    with pytest.raises(UserError, match="class 'c99' has one of them, and both parts need one"):
        held_out("validation", 199, 0.2, 0, few)
    with pytest.raises(UserError, match=r"Class 'c99' has 1 rows; .* Use data\.split=auto"):
        choose_rows(DataConfig(split="stratified"), np.arange(199), few, None, 199)
    with pytest.raises(UserError, match=r"in no training row\. Take more rows, at least 2 of each class"):
        check_classes("y", few, {"train": np.arange(198), "test": np.array([198])})
