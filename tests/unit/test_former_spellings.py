"""Runs of a version to which each spelling of true and false was a category of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.columns import texts
from trainkit.config import DataConfig
from trainkit.core.datasets import Source
from trainkit.core.errors import UserError
from trainkit.core.files import write_json
from trainkit.data.fitted import PREPARATION_FILE, SCHEMA_FILE, check_same_schema, new_table, read_fitted
from trainkit.data.inference import infer_schema
from trainkit.data.preparation.categories import CategoryEncoder
from trainkit.data.preparation.preparation import Preparation
from trainkit.data.schema import ColumnSchema, Schema


def former(examples: list[str], distinct: int, role: str) -> ColumnSchema:
    return ColumnSchema("flag", "category", role, distinct=distinct, examples=tuple(examples))


@pytest.mark.parametrize(
    ("role", "cells", "now"),
    [
        ("feature", ["TRUE", "True", "False"], "2 now (TRUE, False)"),
        ("target", ["TRUE", "True", "False", "true", "?"], "3 now (TRUE, False, ?)"),
        ("group", ["TRUE", "true"], "1 now (TRUE)"),
        ("feature", ["TRUE", "true"], "1 now (TRUE)"),
    ],
)
def test_a_run_that_told_spellings_of_true_apart_is_refused_by_what_it_is(
    role: str, cells: list[str], now: str
) -> None:
    roles = {} if role == "feature" else {"flag": role}
    schema = infer_schema({"flag": texts(*cells)}, roles=roles, problem="classification")
    before = Schema((former(cells[:3], len(cells), role),))
    with pytest.raises(UserError, match=f"flag: .*{len(cells)} different values; .*{re.escape(now)}.*anew"):
        check_same_schema(schema, before, Source())


def test_a_target_that_is_true_in_every_spelling_is_refused_by_its_cells() -> None:
    with pytest.raises(UserError, match="is 'TRUE' or 'true' in every row: there is nothing to predict"):
        infer_schema({"y": texts("TRUE", "true")}, roles={"y": "target"}, problem="classification")


def test_a_run_goes_on_where_spellings_are_as_they_were() -> None:
    alike = infer_schema({"a": texts("True", "False"), "flag": texts("TRUE", "True", "?", "Oslo")})
    check_same_schema(alike, alike, Source())
    free = infer_schema({"flag": texts("TRUE", "True", "False")}, overrides={"flag": "text"})
    assert free["flag"].distinct == 3
    left_out = infer_schema({"flag": texts("TRUE", "true", "x")}, overrides={"flag": "ignore"})
    check_same_schema(left_out, replace(left_out, columns=(former(["x"], 9, "ignored"),)), Source())


def test_a_setting_that_changed_is_named_in_a_column_of_true_and_false_too() -> None:
    schema = infer_schema({"flag": texts("True", "False", "no")}, overrides={"flag": {"missing": ["no"]}})
    before = Schema((former(["True", "False", "no"], 3, "feature"),))
    with pytest.raises(UserError, match=r"missing is .* now, and was .*Put the setting back"):
        check_same_schema(schema, before, Source())


def test_such_a_run_predicts_new_rows_by_the_categories_it_was_trained_with(tmp_path: Path) -> None:
    known = ("TRUE", "True", "False")
    schema = Schema((former(list(known), 3, "feature"),))
    encoder = CategoryEncoder("flag", known, "embedding", ()).to_dict()
    del encoder["booleans"]
    preparation = {**Preparation((), ()).to_dict(), "features": [encoder], "keys": ["flag"]}
    write_json(tmp_path / SCHEMA_FILE, schema.to_dict())
    write_json(tmp_path / PREPARATION_FILE, preparation)
    (tmp_path / "new.csv").write_text("flag\nTrue\nFalse\nTRUE\ntrue\n")
    arrays, table, raw = new_table(tmp_path / "new.csv", DataConfig(), *read_fitted(tmp_path))
    np.testing.assert_array_equal(arrays.x["flag"], [3, 4, 2, 1])
    assert "1 of 4 cells are categories that the training did not have" in str(table.notes)
    assert raw()["flag"].tolist() == ["True", "False", "TRUE", "true"]
