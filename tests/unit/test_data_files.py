"""Laws of the files of known data sets: what is read is what was described."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.data_files import digits, houses, packed, with_value
from trainkit.core.errors import UserError
from trainkit.data.sources.keras_datasets import BOSTON, MNIST, DataSet, load

BAD_FILES: dict[str, tuple[DataSet, Callable[[], bytes], str]] = {
    "empty": (MNIST, lambda: b"", "damaged, or no MNIST file"),
    "truncated": (MNIST, lambda: packed(digits())[:-40], "damaged, or no MNIST file"),
    "damaged inside": (
        BOSTON,
        lambda: packed(houses(500)).replace(b"x.npy", b"x.npx", 1),
        "damaged, or no Boston housing file",
    ),
    "text": (MNIST, lambda: b"5,0,4,1,9\n" * 100, "damaged, or no MNIST file"),
    "array missing": (MNIST, lambda: packed({"x": digits()["x_train"]}), "no array 'x_train'; it holds x;"),
    "small images": (
        MNIST,
        lambda: packed(digits() | {"x_test": np.zeros((2, 14, 14), np.uint8)}),
        "x_test has shape [2, 14, 14]; expected [M, 28, 28]",
    ),
    "float images": (
        MNIST,
        lambda: packed(digits() | {"x_train": digits()["x_train"] / 255}),
        "x_train has dtype float64",
    ),
    "label 10": (
        MNIST,
        lambda: packed(digits() | {"y_train": with_value(digits()["y_train"], 10)}),
        "y_train has values from 1 to 10",
    ),
    "fewer labels": (
        MNIST,
        lambda: packed(digits() | {"y_train": digits()["y_train"][:3]}),
        "y_train has shape [3] where N=4",
    ),
    "no rows": (BOSTON, lambda: packed(houses(0)), "x has shape [0, 13]"),
    "NaN": (
        BOSTON,
        lambda: packed(houses() | {"x": with_value(houses()["x"], np.nan)}),
        "x has NaN or infinite values in 1 rows, the first is row 1",
    ),
    "infinite": (
        BOSTON,
        lambda: packed(houses() | {"y": with_value(houses()["y"], np.inf)}),
        "y has NaN or infinite",
    ),
    "twelve features": (
        BOSTON,
        lambda: packed(houses() | {"x": houses()["x"][:, 1:]}),
        "x has shape [6, 12]",
    ),
    "text in an array": (BOSTON, lambda: packed(houses() | {"y": np.array(["a"] * 6)}), "y has dtype <U1"),
    "pickled objects": (BOSTON, lambda: packed(houses() | {"y": np.array([{}] * 6)}), "allow_pickle=False"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_gives_one_clear_line(tmp_path: Path, case: str) -> None:
    wanted, content, said = BAD_FILES[case]
    (tmp_path / wanted.file_names).write_bytes(content())
    with pytest.raises(UserError) as error:
        load(wanted, dir=str(tmp_path))
    text = str(error.value)
    assert said in text
    assert wanted.file_names in text
    assert "expected" in text
    assert "\n" not in text


def test_unreadable_file_gives_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "mnist.npz").mkdir()
    with pytest.raises(UserError, match="Cannot read"):
        MNIST.read([tmp_path / "mnist.npz"])


def test_real_files_are_as_described(real_data: Path) -> None:
    for wanted, name, rows in ((MNIST, "x_train", 60000), (BOSTON, "x", 506)):
        arrays, source = load(wanted, wanted.key, str(real_data))
        assert (len(arrays[name]), source.name) == (rows, wanted.name)
