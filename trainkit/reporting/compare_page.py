"""`compare.html`: several runs on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainkit.core import files
from trainkit.core.figures import NOTHING, moment, number
from trainkit.reporting.comparison import Row, column_names, seed_groups
from trainkit.reporting.page import data, element, page, section, table
from trainkit.reporting.run_data import RATES
from trainkit.reporting.series import thinned

__all__ = ["compare_html"]

POINTS = 6_000  # of all curves of one metric together, so that the page stays small
FEWEST = 30


def compare_html(rows: Sequence[Row], where: str) -> str:
    """The page of several runs.

    Args:
        rows: In the order in which they are shown.
        where: Where they lie, for the title.
    """
    columns = column_names(rows)
    content = {
        "columns": columns,
        "runs": [
            {
                "values": [_plain(row.values.get(name)) for name in columns],
                "folder": files.shown(row.run.data.run.path),
                "curves": _curves(row, max(FEWEST, POINTS // max(1, len(rows)))),
            }
            for row in rows
        ],
    }
    return page(
        f"{len(rows)} runs in {where}",
        element("h1", f"{len(rows)} runs"),
        element("p", f"in {where}, {moment(files.now())}", class_="quiet"),
        section("Table", element("div", id="table")),
        section("Curves", element("div", id="curves")),
        section("Any two columns", element("div", id="scatter")),
        section("Seeds and folds", *_seeds(rows)),
        data("comparison", content),
        scripts=("chart.js", "compare.js"),
    )


def _curves(row: Row, most: int) -> dict[str, Any]:
    curves = row.run.data.curves
    return {
        name: thinned(*points, most)
        for name, points in curves.items()
        if name not in RATES or name == "learning_rate"
    }


def _seeds(rows: Sequence[Row]) -> list[Any]:
    """Trainings with several seeds or folds: mean and standard deviation."""
    found = seed_groups(rows)
    if not found:
        return []
    names = list(dict.fromkeys(name for group in found for name in group.spread))
    lines = [
        [
            group.rows[0].values["task"],
            ", ".join([group.kind, *(f"{key} {_plain(value)}" for key, value in group.apart.items())]),
            *(group.text(name) if name in group.spread else NOTHING for name in names),
        ]
        for group in found
    ]
    note = "Runs that differ in their seeds and folds alone: mean ± standard deviation."
    return [element("p", note, class_="quiet"), table(["task", "runs", *names], lines)]


def _plain(value: Any) -> Any:
    """A value for the page: numbers stay numbers, so that columns can be sorted and drawn."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else number(value)
