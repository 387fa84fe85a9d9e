"""The known data sets that are tables, with the names of their columns."""

from __future__ import annotations

import numpy as np

from trainkit.core.errors import UserError
from trainkit.data.sources.keras_datasets import KNOWN_SETS, load
from trainkit.data.sources.tables import Table

__all__ = ["KNOWN_TABLES", "read_known_table"]

# The columns in the order of the files; the last is the target, with its unit.
KNOWN_TABLES: dict[str, tuple[tuple[str, ...], str]] = {
    "boston": (
        (
            *("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE"),
            *("DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT", "MEDV"),
        ),
        "k$",
    ),
    "california_housing": (
        (
            *("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms"),
            *("population", "households", "median_income", "median_house_value"),
        ),
        "$",
    ),
}


def read_known_table(name: str, folder: str | None = None) -> tuple[Table, str, str]:
    """A known table, its target, and the target's unit.

    Args:
        name: One of `KNOWN_TABLES`.
        folder: With its files, as for `load`.

    Raises:
        UserError: if it is nowhere to be found.
    """
    rows, source = load(KNOWN_SETS[name], name, folder)
    names, unit = KNOWN_TABLES[name]
    values = np.column_stack([rows["x"], rows["y"].reshape(-1)]).astype(np.float64)
    if values.shape[1] != len(names):
        raise UserError(f"{source.origin} has {values.shape[1]} columns; expected {len(names)}.")
    return Table({name: values[:, i] for i, name in enumerate(names)}, source), names[-1], unit
