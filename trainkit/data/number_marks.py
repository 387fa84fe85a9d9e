"""Numbers as people write them: with a decimal comma, with marks between thousands."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence

import numpy as np

from trainkit.config.data import THOUSANDS
from trainkit.core.cells import quoted
from trainkit.core.errors import UserError
from trainkit.core.words import in_shell
from trainkit.data import cells
from trainkit.data.cells import NUMBER
from trainkit.data.columns import setting_of

__all__ = ["IN_BRACKETS", "note_on_codes", "plain_numbers", "refuse_marks"]

MOSTLY = 0.8  # of the cells that are such numbers, or plain ones: the column then is one of numbers
BLANK = f"[{THOUSANDS[2]}]"
APOSTROPHE = f"[{THOUSANDS[3]}]"

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)  # `1,5`
ONLY_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)  # `1,500`, which may also be 1.5
COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}((,\d{3})+\.\d+|(,\d{3}){2,})", re.ASCII)  # `1,500.00`, `1,500,000`
POINTS = re.compile(r"[+-]?[1-9]\d{0,2}((\.\d{3})+,\d+|(\.\d{3}){2,})", re.ASCII)  # `1.500,00`, `1.500.000`
BLANKS = re.compile(rf"-?[1-9]\d{{0,2}}({BLANK}\d{{3}})+([.,]\d+)?", re.ASCII)  # `1 500,00`; no `+47 123 456`
APOSTROPHES = re.compile(rf"[+-]?[1-9]\d{{0,2}}({APOSTROPHE}\d{{3}})+([.,]\d+)?", re.ASCII)  # `1'500.00`
IN_BRACKETS = re.compile(rf"\(\d([\d.,]|{BLANK}|{APOSTROPHE})*\)", re.ASCII)  # `(1.5)`, for -1.5 in accounts
CODE = re.compile(rf"\d{{3}}({BLANK}\d{{3}}){{2,}}", re.ASCII)  # `838 505 590`, of a firm or a phone
FORMS = (DECIMAL_COMMA, ONLY_COMMAS, COMMAS, POINTS, BLANKS, APOSTROPHES)
MARKED = re.compile("|".join(f"(?:{form.pattern})" for form in FORMS), re.ASCII)

# As a shell takes them.
DECIMAL = in_shell('data.decimal=","')
COMMA_IN_THOUSANDS = in_shell('data.thousands=","')
POINT_IN_THOUSANDS = "data.thousands=."
BLANK_IN_THOUSANDS = in_shell('data.thousands=" "')
APOSTROPHE_IN_THOUSANDS = '"data.thousands=\\"\'\\""'


def note_on_codes(values: Mapping[str, int]) -> str:
    """What to say of cells that name rows, as numbers of firms and phones do: all of them have the same
    number of full groups of digits, and nearly all differ; "" for others.
    """
    first = next(iter(values))
    is_code = all(CODE.fullmatch(value) and len(value) == len(first) for value in values)
    if not is_code or len(values) < MOSTLY * sum(values.values()):
        return ""
    return (
        f"{quoted(first)} may be a number with blanks between thousands; {BLANK_IN_THOUSANDS} reads it as one"
    )


def refuse_marks(name: str, values: Mapping[str, int], *, may_be_ignored: bool = False) -> None:
    """Refuse a column of numbers with marks, which would else be taken for categories or ids.

    Args:
        name: Of the column.
        values: Its different cells, gaps apart, and the number of their rows.
        may_be_ignored: Whether the training can do without it.

    Raises:
        UserError: with the settings that read them.
    """
    written = [value for value in values if MARKED.fullmatch(value)]
    plain = [value for value in values if NUMBER.fullmatch(value)]
    in_brackets = [value for value in values if IN_BRACKETS.fullmatch(value)]
    if not written and not (in_brackets and plain):
        return
    if sum(values[v] for v in (*written, *plain, *in_brackets)) < MOSTLY * sum(values.values()):
        return
    remedy = setting_of(name, "category")
    if may_be_ignored:
        remedy += f", or {setting_of(name, 'ignore')} to leave it out"
    if not written:
        raise UserError(
            f"data.columns.{name}: {quoted(in_brackets[0])} may be a negative number in brackets; write it "
            f"with a minus, or set {remedy}."
        )
    raise UserError(f"data.columns.{name}: {_advice(written)}, or {remedy}.")


def _advice(written: Sequence[str]) -> str:
    """The settings that read numbers with marks."""
    found = {form: [value for value in written if form.fullmatch(value)] for form in FORMS}
    for form, mark, setting in (
        (BLANKS, "blanks", BLANK_IN_THOUSANDS),
        (APOSTROPHES, "apostrophes", APOSTROPHE_IN_THOUSANDS),
    ):
        if found[form]:
            has_points = any("." in value for value in found[form])
            has_commas = any("," in value for value in written)
            settings = f"{DECIMAL} {setting}" if has_commas and not has_points else setting
            return f"{quoted(found[form][0])} is a number with {mark} between thousands; set {settings}"
    if found[COMMAS]:
        first = quoted(found[COMMAS][0])
        return f"{first} is a number with commas between thousands; set {COMMA_IN_THOUSANDS} to read it"
    if found[POINTS]:
        first = quoted(found[POINTS][0])
        return f"{first} is a number with points between thousands; set {DECIMAL} {POINT_IN_THOUSANDS}"
    first = quoted(written[0])
    if all(ONLY_COMMAS.fullmatch(value) for value in written):
        return (
            f"{first} may be a number in thousands, or one with a decimal comma; set {COMMA_IN_THOUSANDS} if "
            f"the comma stands between thousands, {DECIMAL} if before decimals"
        )
    return f"{first} looks like a number with a decimal comma; set {DECIMAL} to read it as one"


def plain_numbers(column: np.ndarray, decimal: str, thousands: str | None) -> np.ndarray:
    """A text column `[N]` with numbers such as `1.500,25` as `1500.25`, and all other cells as they are.

    Args:
        column: Of texts; one of numbers stays as it is.
        decimal: Decimal mark, `.` or `,`.
        thousands: Mark between thousands, one of those in `THOUSANDS`; None: there is none.
    """
    if not cells.is_text(column) or (decimal == "." and thousands is None):
        return column
    form = _form(decimal, thousands)
    values, codes = cells.distinct(column)
    plain = [_plain(value, decimal, thousands) if form.fullmatch(value) else value for value in values]
    return np.asarray(np.array(plain, dtype=object)[codes])


def _plain(value: str, decimal: str, thousands: str | None) -> str:
    for mark in _alike(thousands):
        value = value.replace(mark, "")
    return value.replace(decimal, ".")


def _alike(thousands: str | None) -> str:
    """The marks that are the same to people: all blanks, all apostrophes."""
    return next((marks for marks in THOUSANDS if thousands is not None and thousands in marks), "")


@functools.cache
def _form(decimal: str, thousands: str | None) -> re.Pattern[str]:
    """Numbers that have one of these marks."""
    mark = re.escape(decimal)
    forms = [rf"\d+{mark}\d+"]
    if thousands is not None:
        forms.append(rf"[1-9]\d{{0,2}}([{_alike(thousands)}]\d{{3}})+({mark}\d+)?")
    return re.compile(rf"[+-]?({'|'.join(forms)})([eE][+-]?\d+)?", re.ASCII)
