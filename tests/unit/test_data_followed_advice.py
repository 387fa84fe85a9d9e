"""Advice on cells works: what a message says to set is set as a shell and Hydra read it, and the table is
read, with all other columns as they were."""

from __future__ import annotations

import re
import shlex
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.support.columns import objects, texts
from trainkit.core.errors import UserError
from trainkit.data.inference import infer_schema


def advised(message: str) -> dict[str, dict[str, Any]]:
    """The settings of columns that a message says to set first, as `data.columns` has them."""
    said = re.sub(r", or set data\.columns.*", "", message).partition("set ")[2]
    words = [word for word in shlex.split(said.replace("; ", " ")) if word.startswith("data.columns.")]
    columns: dict[str, dict[str, Any]] = {}
    for word in words:
        override = OverridesParser.create().parse_override(word)
        name, _, setting = override.key_or_group.removeprefix("data.columns.").rpartition(".")
        columns.setdefault(name, {})[setting] = override.value()
    return columns


ODD: dict[str, tuple[str, ...]] = {
    "one": ("missing",),
    "two": ("missing", "#DIV/0!"),
    "beside a usual one": ("NA", "#DIV/0!"),
    "as a shell and Hydra must not read them": ("it's", "a,b", "${x}", "1_000", 'say "x"', "[?]"),
}


@pytest.mark.parametrize("kind", ["numeric", "date", "target", "chosen"])
@pytest.mark.parametrize("odd", ODD)
def test_naming_the_gaps_that_a_message_names_is_enough_and_touches_no_other_column(
    odd: str, kind: str
) -> None:
    cell = "2024-01-{:02d}" if kind == "date" else "{}"
    values = [cell.format(1 + n % 28) for n in range(40)]
    columns = {
        "miss": texts("1", "2", "NA", "?", "-"),
        "x": objects(*values[len(ODD[odd]) :], *ODD[odd]),
    }
    roles = {"x": "target"} if kind == "target" else {}
    problem = "regression" if kind == "target" else ""
    chosen = {"x": "numeric"} if kind == "chosen" else {}
    with pytest.raises(UserError) as error:
        infer_schema(columns, roles=roles, problem=problem, overrides=chosen)
    settings = advised(str(error.value))
    schema = infer_schema(columns, roles=roles, problem=problem, overrides=settings)
    assert schema["x"].kind == ("date" if kind == "date" else "numeric")
    assert schema["x"].gaps == len(ODD[odd])
    assert schema["miss"] == infer_schema({"miss": columns["miss"]})["miss"]
    assert schema["miss"].kind == "numeric"


def test_more_odd_cells_than_a_line_holds_are_counted() -> None:
    cells = objects(*map(str, range(100)), *(f"x{n}" for n in range(11)))
    with pytest.raises(UserError, match=r"list all 11 different ones in data\.columns\.y\.missing if they"):
        infer_schema({"y": np.asarray(cells)})


@pytest.mark.parametrize("cell", ["{}/{}/2020", "0{}/0{}/20", "{}/{}/2020 1:00 PM", "{}-Feb-2{}"])
def test_the_format_that_a_message_names_reads_the_dates(cell: str) -> None:
    column = objects(*(cell.format(n, n + 1) for n in range(1, 9)))
    try:
        (message,) = infer_schema({"day": column})["day"].notes
    except UserError as error:
        message = str(error)
    assert infer_schema({"day": column}, overrides=advised(message))["day"].kind == "date"
