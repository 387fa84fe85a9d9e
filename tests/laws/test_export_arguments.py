"""Arguments of `export_model` are taken as meant, or refused in one line before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.support.toys import Toy
from trainkit.config.export import FORMATS
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.export import arguments, export_model

ROWS = np.ones((3, 4), np.float32)

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown format": ({"formats": ("tflite",)}, "Unknown format 'tflite'; did you mean litert"),
    "one of no name": ({"formats": "onx"}, r"Unknown format 'onx'; did you mean onnx"),
    "no format": ({"formats": ()}, "formats is empty; expected at least one of keras"),
    "an unknown rounding": ({"formats": "litert", "quantize": ("int4",)}, "Unknown quantize 'int4'; .*int8"),
    "no LiteRT": ({"quantize": ("int8",)}, "int8.* is for LiteRT; expected litert among the formats"),
    "a task": ({"model": Toy()}, r"model is Toy; expected a keras\.Model"),
    "narrow rows": ({"rows": ROWS[:, :3]}, "The rows do not fit the model: .*expected"),
    "texts for numbers": ({"rows": np.full((3, 4), "a")}, "The rows do not fit the model: .*string"),
    "splits": ({"rows": Splits(Arrays(ROWS))}, "x is Splits; expected an array"),
}


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(2)])


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_of_an_export_are_refused_in_one_line(
    case: str, model: keras.Model, tmp_path: Path
) -> None:
    wrong, said = WRONG[case]
    with pytest.raises(UserError, match=said) as error:
        export_model(**{"model": model, "folder": tmp_path / "new", "rows": ROWS, **wrong})
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


def test_all_formats_can_be_asked_for_by_one_word() -> None:
    assert arguments.chosen("all", ())[0] == FORMATS


def test_one_text_is_one_format_and_rows_may_be_plain_arrays(model: keras.Model, tmp_path: Path) -> None:
    (one,) = export_model(model, tmp_path, ROWS, formats="keras").files
    assert (one.format, one.refused, one.rows) == ("keras", "", 3)
    assert arguments.chosen("litert", "int8") == (("litert",), ["litert", "litert_int8"])
