"""Blanks around a cell are no part of it to the exported preparation, as they are none to the reader."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tensorflow as tf

from tests.support.columns import objects
from tests.unit.test_data_keras_twin import ROWS, fitted
from trainkit.data.preparation import ColumnSettings, Preparation, PreparationSettings, keras_preprocessing
from trainkit.data.preparation.keras_texts import BLANKS

PLAIN = ("Rome", "New York", "東京", "", "NA", "Lima", "true", "x")


def around(cell: str) -> list[str]:
    """A cell with each blank before it, behind it and on both sides, and with many."""
    ends = [*BLANKS, BLANKS * 4]
    return [cell, *(end + cell for end in ends), *(cell + end for end in ends), f"{BLANKS}{cell}{BLANKS}"]


def agrees(preparation: Preparation, name: str, model: keras.Model, cells: list[str], plain: str) -> None:
    expected = preparation.encode({name: objects(plain)})
    for array, got in model({name: tf.constant(cells)}).items():
        np.testing.assert_allclose(got, np.repeat(expected[array], len(cells), axis=0), atol=1e-6)


def test_the_blanks_are_those_that_the_reader_trims() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    trimmed = pc.utf8_trim_whitespace(pa.array(every)).to_pylist()
    blanks = {letter for letter, left in zip(every, trimmed, strict=True) if not left}
    assert set(BLANKS) == blanks == {letter for letter in every if letter.isspace()}
    assert len(BLANKS) == len(set(BLANKS))


@pytest.mark.parametrize("encoding", ["one_hot", "embedding"])
def test_blanks_around_a_category_are_no_part_of_it(encoding: str, tmp_path: Path) -> None:
    columns = {"city": np.resize(objects(*PLAIN), ROWS)}
    choices = PreparationSettings(ColumnSettings(encoding=encoding))
    overrides = {"city": {"kind": "category", "missing": ["NA"]}}
    preparation, _ = fitted(columns, choices, overrides=overrides)
    keras_preprocessing(preparation).save(tmp_path / "twin.keras")
    model = keras.saving.load_model(tmp_path / "twin.keras")
    for cell in PLAIN:
        agrees(preparation, "city", model, around(cell), "" if cell == "NA" else cell)
    others = ["New  York", "NewYork", "New", "New\u00a0York", "Rom", "Romea", "emoR", "xx", "é", "Rome" * 9]
    agrees(preparation, "city", model, others, "seen never")
    agrees(preparation, "city", model, ["", " "], "")  # alone, without a character


def test_blanks_around_a_date_and_a_text_are_no_part_of_it() -> None:
    columns = {"day": np.resize(objects("2024-01-31 10:00", "2023-06-01 11:30"), ROWS)}
    preparation, _ = fitted(columns)
    agrees(
        preparation, "day", keras_preprocessing(preparation), around("2023-06-01 11:30"), "2023-06-01 11:30"
    )
    columns = {"note": np.resize(objects("good day", "bad night here"), ROWS)}
    preparation, _ = fitted(columns, overrides={"note": "text"})
    cells = [" good day", "good day\t", "\n good day\r\n"]
    agrees(preparation, "note", keras_preprocessing(preparation), cells, "good day")
