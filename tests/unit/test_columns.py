"""Laws of `data.columns.<name>`: any name that a column may have is written as it stands."""

from __future__ import annotations

import shlex
from dataclasses import fields

import numpy as np
import pytest

from tests.support.columns import texts
from tests.support.commands import settings
from trainkit.cli import arguments, columns, compose, planning, spaces
from trainkit.cli.settings import with_types
from trainkit.core.errors import UserError
from trainkit.data.columns import SETTINGS, setting_of
from trainkit.data.inference import ColumnOverride, infer_schema
from trainkit.data.preparation.settings import ColumnSettings

NAMES = (
    "area",
    "floor area",
    "größe",
    "a.b",
    "price (EUR)",
    "price.unit",
    "x=y",
    "[0]",
    'say "hi"',
    "it's",
    "2024",
    "null",
    "user@home",
    "a: b, {c}",
    "$HOME",
)


def test_the_settings_of_a_column_are_those_of_schema_and_preparation() -> None:
    assert list(SETTINGS) == [f.name for kind in (ColumnOverride, ColumnSettings) for f in fields(kind)]


def test_every_name_of_a_column_is_set_by_the_word_that_is_advised() -> None:
    kinds = [shlex.split(setting_of(name, "ignore"))[0] for name in NAMES]
    found = settings(*kinds).data.columns
    assert list(found) == list(NAMES)
    assert [value for value in found.values() if value != "ignore"] == [{"kind": "ignore"}]  # of price.unit
    gaps = [shlex.split(setting_of(name, "[NA]", "missing"))[0] for name in NAMES]
    assert settings(*gaps).data.columns == {name: {"missing": ["NA"]} for name in NAMES}


def test_a_sweep_over_a_column_keeps_its_name_and_the_users_words() -> None:
    word = "data.columns.floor area=numeric,ignore"
    jobs = compose.compose(arguments.parse(["-m", word]))
    assert [one.settings.data.columns["floor area"] for one in jobs] == ["numeric", "ignore"]
    for one in jobs:
        assert "data.columns.floor area" in one.named
        assert not any("++" in word for word in one.overrides)
        again = settings(*one.overrides)
        assert again.data.columns == dict(one.settings.data.columns)


def test_columns_of_any_name_are_merged_and_searched() -> None:
    keys = {name: f"data.columns.{name}.scaling" for name in NAMES}
    words = [f"tune.space.{key}=[log,robust]" for key in keys.values()]
    (composed,) = compose.compose(arguments.parse(["mode=tune", *words]))
    space = spaces.space_of(planning.checked(composed.settings), composed.settings, composed)
    assert space.keys == list(keys.values())
    changed = spaces.changed(composed.settings, dict.fromkeys(space.keys, "robust"))
    assert changed.data.columns == {name: {"scaling": "robust"} for name in NAMES}
    merged = with_types({"data": {"columns": dict.fromkeys(NAMES, "numeric")}})
    for key in keys.values():
        columns.update(merged, key, columns.select(changed, key))
    assert merged.data.columns == changed.data.columns


def test_a_misspelt_setting_or_name_is_told() -> None:
    table = {"floor area": np.arange(30.0), "y": texts("a", "b")}
    with pytest.raises(UserError, match=r"data\.columns\.floor area\.units is no setting; did you mean unit"):
        infer_schema(table, overrides={"floor area.units": "m2"})
    with pytest.raises(UserError, match="no column 'flor area'; did you mean floor area"):
        infer_schema(table, overrides={"flor area": "m2"})


def test_a_word_that_is_not_understood_is_told_as_it_came() -> None:
    with pytest.raises(UserError, match=r"^data\.columns\.größe\.missing=\[€\]: not understood") as error:
        settings("data.columns.größe.missing=[€]")
    assert "++" not in str(error.value)
    with pytest.raises(UserError, match=r"a word for each column: data\.columns\.<name>=<kind>"):
        settings("data.columns={größe: numeric}")


@pytest.mark.parametrize(
    "word",
    [
        "data.path=naïve größe.csv",
        "data.target=price (EUR)",
        "data.columns.größe.unit=€",
        "task.loss_function=ß",
    ],
)
def test_a_word_whose_quotes_the_shell_took_is_told_with_quotes_that_work(word: str) -> None:
    with pytest.raises(UserError, match="needs quotes: ") as error:
        settings("task=tabular_regression", word)
    (mended,) = shlex.split(str(error.value).partition("needs quotes: ")[2])
    key, _, value = word.partition("=")
    (composed,) = compose.compose(arguments.parse(["task=tabular_regression", mended]))
    found = columns.select(composed.settings, key)
    assert str(found).endswith(value)


def test_arguments_that_are_no_utf8_keep_their_bytes() -> None:
    word = "data.columns.caf\udce9=text"
    assert columns.as_written(columns.for_hydra(word)) == word
