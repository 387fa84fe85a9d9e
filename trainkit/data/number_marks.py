"""Numbers as people write them: with a decimal comma, with marks between thousands."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

import numpy as np

from trainkit.core.cells import quoted
from trainkit.core.errors import UserError
from trainkit.core.words import in_shell
from trainkit.data import cells
from trainkit.data.cells import NUMBER
from trainkit.data.columns import setting_of

__all__ = ["plain_numbers", "refuse_marks"]

MOSTLY = 0.8  # of the cells that are such numbers, or plain ones: the column then is one of numbers

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)  # `1,5`
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)  # `1,500`, which may also be 1.5
COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}((,\d{3})+\.\d+|(,\d{3}){2,})", re.ASCII)  # `1,500.00`, `1,500,000`
POINTS = re.compile(r"[+-]?[1-9]\d{0,2}((\.\d{3})+,\d+|(\.\d{3}){2,})", re.ASCII)  # `1.500,00`, `1.500.000`

# As a shell takes them.
DECIMAL = in_shell('data.decimal=","')
COMMA_IN_THOUSANDS = in_shell('data.thousands=","')
POINT_IN_THOUSANDS = "data.thousands=."


def refuse_marks(name: str, values: Mapping[str, int]) -> None:
    """Refuse a column of numbers with marks, which would else be taken for categories or ids.

    Args:
        name: Of the column.
        values: Its different cells, gaps apart, and the number of their rows.

    Raises:
        UserError: with the settings that read them.
    """
    forms = (DECIMAL_COMMA, THOUSANDS, COMMAS, POINTS)
    written = [value for value in values if any(form.fullmatch(value) for form in forms)]
    plain = [value for value in values if NUMBER.fullmatch(value)]
    if not written or sum(values[v] for v in (*written, *plain)) < MOSTLY * sum(values.values()):
        return
    commas = next((value for value in written if COMMAS.fullmatch(value)), None)
    points = next((value for value in written if POINTS.fullmatch(value)), None)
    first = quoted(commas or points or written[0])
    if commas is not None:
        what = f"{first} is a number with commas between thousands; set {COMMA_IN_THOUSANDS} to read it"
    elif points is not None:
        what = f"{first} is a number with points between thousands; set {DECIMAL} {POINT_IN_THOUSANDS}"
    elif all(THOUSANDS.fullmatch(value) for value in written):
        what = (
            f"{first} may be a number in thousands, or one with a decimal comma; set {COMMA_IN_THOUSANDS} if "
            f"the comma stands between thousands, {DECIMAL} if before decimals"
        )
    else:
        what = f"{first} looks like a number with a decimal comma; set {DECIMAL} to read it as one"
    raise UserError(f"data.columns.{name}: {what}, or {setting_of(name, 'category')}.")


def plain_numbers(column: np.ndarray, decimal: str, thousands: str | None) -> np.ndarray:
    """A text column `[N]` with numbers such as `1.500,25` as `1500.25`, and all other cells as they are.

    Args:
        column: Of texts; one of numbers stays as it is.
        decimal: Decimal mark, `.` or `,`.
        thousands: Mark between thousands, `,` or `.`; None: there is none.
    """
    if not cells.is_text(column) or (decimal == "." and thousands is None):
        return column
    form = _form(decimal, thousands)
    values, codes = cells.distinct(column)
    plain = [_plain(value, decimal, thousands) if form.fullmatch(value) else value for value in values]
    return np.asarray(np.array(plain, dtype=object)[codes])


def _plain(value: str, decimal: str, thousands: str | None) -> str:
    without = value if thousands is None else value.replace(thousands, "")
    return without.replace(decimal, ".")


@functools.cache
def _form(decimal: str, thousands: str | None) -> re.Pattern[str]:
    """Numbers that have one of these marks."""
    mark = re.escape(decimal)
    forms = [rf"\d+{mark}\d+"]
    if thousands is not None:
        forms.append(rf"[1-9]\d{{0,2}}({re.escape(thousands)}\d{{3}})+({mark}\d+)?")
    return re.compile(rf"[+-]?({'|'.join(forms)})([eE][+-]?\d+)?", re.ASCII)
