"""Laws of the preparation of a table: fitted on the training rows alone, then frozen and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.columns import objects
from trainkit.core.errors import UserError
from trainkit.data.inference import infer_schema
from trainkit.data.preparation import (
    ColumnSettings,
    Preparation,
    PreparationSettings,
    fit_preparation,
    separate_settings,
)
from trainkit.data.preparation.scaling import fit_scaling
from trainkit.data.schema import Schema

NAN = np.nan
ROWS = 60
TRAINING = np.arange(0, ROWS, 2)


def table(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    days = np.datetime64("2024-01-01") + random.integers(0, 700, ROWS)
    return {
        "age": np.where(random.random(ROWS) < 0.2, NAN, random.normal(40, 9, ROWS).round(1)),
        "city": random.choice(objects("x", "y", "z", ""), ROWS),
        "street": objects(*(f"street {i % 25}" for i in random.integers(0, 99, ROWS))),
        "since": days.astype(str).astype(object),
        "note": objects(*(f"word{i} and word{i % 7}" for i in random.integers(0, 30, ROWS))),
        "price": random.normal(100, 20, ROWS).round(2),
        "class": random.choice(objects("yes", "no"), ROWS),
    }


def schema_of(columns: dict[str, np.ndarray], target: str = "class") -> Schema:
    overrides = {"note": "text", "street": "category", "price" if target == "class" else "class": "ignore"}
    return infer_schema(columns, roles={target: "target"}, overrides=overrides)


def fitted(columns: dict[str, np.ndarray], target: str = "class") -> Preparation:
    schema = schema_of(columns, target)
    choices = PreparationSettings(columns={"street": {"max_one_hot": 5}})
    return fit_preparation(schema, schema.read(columns), TRAINING, choices)


@pytest.mark.parametrize("target", ["class", "price"])
def test_other_rows_change_nothing_of_what_is_fitted(target: str) -> None:
    columns = table()
    others = np.setdiff1d(np.arange(ROWS), TRAINING)
    state = fitted(columns, target).to_dict()
    for seed in range(3):
        random = np.random.default_rng(seed)
        changed = {name: column.copy() for name, column in columns.items()}
        for column in changed.values():
            column[others] = random.permutation(column[others])
        changed["age"][others] = random.normal(-1e5, 1e4, len(others))
        changed["city"][others] = random.choice(objects("new", "newer", ""), len(others))
        changed["note"][others] = "never seen in training"
        assert fitted(changed, target).to_dict() == state


def test_the_order_of_the_training_rows_changes_only_rounding() -> None:
    columns = table()
    order = np.random.default_rng(1).permutation(TRAINING)
    schema = schema_of(columns)
    read = schema.read(columns)
    one = fit_preparation(schema, read, TRAINING).encode(read)
    other = fit_preparation(schema, read, order).encode(read)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-6)


def test_the_arrays_are_those_that_the_inputs_announce() -> None:
    columns = table()
    preparation = fitted(columns)
    arrays = preparation.encode(schema_of(columns).read(columns))
    announced = preparation.inputs
    assert list(arrays) == list(announced) == ["note", "numbers", "street"]
    for name, array in arrays.items():
        assert (array.shape[1:], array.dtype.name) == (announced[name].shape, announced[name].dtype)
        if announced[name].size:
            assert 0 <= array.min() <= array.max() < announced[name].size
    assert announced["numbers"].names[:2] == ("age", "age is missing")
    assert len(announced["numbers"].names) == arrays["numbers"].shape[1]
    assert announced["street"].names == ("street",)


def test_arrays_of_a_split_hold_its_rows() -> None:
    columns = table()
    preparation = fitted(columns, "price")
    read = schema_of(columns, "price").read(columns)
    rows = np.array([5, 3])
    arrays = preparation.arrays(read, rows, weight=np.arange(ROWS, dtype=float))
    assert (len(arrays), arrays.weight.tolist(), arrays.y.dtype) == (2, [5.0, 3.0], np.float32)
    np.testing.assert_array_equal(arrays.x["numbers"], preparation.encode(read)["numbers"][rows])
    np.testing.assert_allclose(preparation.target.decode(arrays.y), columns["price"][rows], rtol=1e-6)


def test_a_preparation_survives_its_file(tmp_path: Path) -> None:
    columns = table()
    read = schema_of(columns).read(columns)
    for target in ("class", "price"):
        preparation = fitted(columns, target)
        preparation.save(tmp_path / "preparation.json")
        loaded = Preparation.load(tmp_path / "preparation.json")
        assert loaded == preparation
        for name, array in preparation.encode(read).items():
            np.testing.assert_array_equal(loaded.encode(read)[name], array)


@pytest.mark.parametrize("state", [{}, {"format": 2}, {"format": 1, "features": [{"kind": "x"}]}])
def test_a_damaged_preparation_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="The preparation"):
        Preparation.from_dict(state)


def test_names_of_inputs_are_plain_and_differ() -> None:
    numbers = np.arange(30) * 0.5
    columns = dict.fromkeys(("a b", "a_b", "a-b", "1st", "numbers", "größe", "class"), numbers)
    schema = infer_schema(columns)
    keys = fit_preparation(schema, schema.read(columns), np.arange(30)).keys
    assert keys == ("a_b", "a_b_2", "a_b_3", "column_1st", "numbers_2", "gr__e", "column_class")


def test_one_mapping_sets_schema_and_preparation() -> None:
    overrides, own = separate_settings(
        {"age": {"kind": "numeric", "scaling": "log"}, "id": "ignore", "c": {"unit": "m"}}
    )
    assert overrides == {"age": {"kind": "numeric"}, "id": "ignore", "c": {"unit": "m"}}
    assert own == {"age": {"scaling": "log"}}
    with pytest.raises(UserError, match=r"data\.columns\.age\.scalling is no setting; did you mean scaling"):
        separate_settings({"age": {"scalling": "log"}})


BAD_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "scaling": ({"columns": {"age": {"scaling": "log2"}}}, r"data\.columns\.age\.scaling=log2 is unknown"),
    "fill": (
        {"defaults": ColumnSettings(fill="medain")},
        r"preparation\.fill=medain is no number; did you mean med",
    ),
    "rows": ({"columns": {"city": {"min_rows": 0}}}, r"data\.columns\.city\.min_rows=0 is too small"),
    "setting": (
        {"columns": {"age": {"scale": 1}}},
        r"data\.columns\.age\.scale is no setting; did you mean scal",
    ),
    "labels": ({"labels": "onehot"}, r"data\.labels=onehot is unknown; did you mean one_hot"),
    "target": ({"target_scaling": "x"}, r"data\.target_scaling=x is unknown"),
    "column": (
        {"columns": {"aeg": {"scaling": "log"}}},
        r"data\.columns\.aeg: there is no such feature; did you mean",
    ),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_impossible_settings_are_refused(case: str) -> None:
    given_settings, said = BAD_SETTINGS[case]
    columns = table()
    schema = schema_of(columns)
    with pytest.raises(UserError, match=said):
        fit_preparation(schema, schema.read(columns), TRAINING, PreparationSettings(**given_settings))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"x": objects(*["same"] * 30)},
            r"x \(it is 'same' in every row\)\. Expected one with several values",
        ),
        (
            {"n": np.arange(30), "flag": objects(*["same"] * 30)},
            r"n \(whole numbers that number the rows\), flag \(it is .*as in data\.columns\.n=numeric\.$",
        ),
        (
            {"my name": objects(*[f"n{i}" for i in range(30)])},
            r"my name \(30 different values .*'data\.columns\.my name=category'\.$",
        ),
        (
            {"share": objects(*[f"{i}%" for i in range(30)])},
            r"share \(30 different values .*'0%' is a number with a sign or unit; leave that out\.$",
        ),
        ({}, r"The table has no columns but y \(target\); expected others"),
    ],
)
def test_a_table_without_features_is_refused_with_each_column_and_why(
    columns: dict[str, np.ndarray], message: str
) -> None:
    columns = {**columns, "y": objects(*["a", "b"] * 15)}
    schema = infer_schema(columns, roles={"y": "target"})
    with pytest.raises(UserError, match=message):
        fit_preparation(schema, schema.read(columns), np.arange(30))


@pytest.mark.parametrize("column", ["city", "note", "class"])
def test_texts_that_no_exported_model_could_tell_apart_are_refused(column: str) -> None:
    columns = table()
    columns[column] = objects(*(f"{value}\0" if value else "" for value in columns[column]))
    with pytest.raises(UserError, match=f"{column}: .* holds the character NUL"):
        fitted(columns)


@pytest.mark.parametrize("kind", ["standard", "min_max", "robust", "log"])
@given(exponent=st.integers(-60, 60), seed=st.integers(0, 99))
def test_a_column_is_constant_up_to_rounding_whatever_its_unit(kind: str, exponent: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    value = random.uniform(0.1, 0.9) * 2.0**exponent
    rounded = np.nextafter(value, random.choice([value, np.inf], ROWS))
    assert fit_scaling(kind, rounded).scale == 1.0
    varying = random.normal(size=ROWS) * 2.0**exponent
    scaled = fit_scaling(kind, varying).apply(varying)
    assert 0.5 < scaled.max() - scaled.min() < 100
