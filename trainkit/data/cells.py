"""Cells of text columns read as numbers or dates.

A text column is an object array of `str` in which "" is a gap, as the sources give it.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from trainkit.core.cells import quoted
from trainkit.core.errors import UserError

__all__ = [
    "COMMON_DATE_FORMATS",
    "DAY",
    "FIRST_OF_1900",
    "MARKERS",
    "MAX_NUMBER",
    "NUMBER",
    "DateFormat",
    "distinct",
    "first_bad",
    "is_text",
    "numbers",
    "texts",
]

# What people and programs write for a missing value.
MARKERS = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "?", "-")

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
EPOCH = datetime.date(1970, 1, 1).toordinal()
DAY = 86_400  # seconds
MAX_NUMBER = 1e100  # that can be computed with: sums of squares stay finite

# Characters that each directive of a date format takes; `%f` takes any number of digits.
WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "z": 6}
TIMES = (
    *("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", "T%H:%M:%SZ", " %H:%M:%S.%f", "T%H:%M:%S.%f"),
    *("T%H:%M:%S.%fZ", "T%H:%M:%S%z", " %H:%M:%S%z", "T%H:%M%z"),
)
FIRST_OF_1900 = 69  # two digits of a year from which it is one of the 1900s, as in `datetime.strptime`
DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
COMMON_DATE_FORMATS = tuple(day + time for day in DAYS for time in TIMES)


def is_text(column: np.ndarray) -> bool:
    """Whether the cells of a column are texts."""
    return bool(column.dtype == object)


def distinct(column: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The different cells of a text column in order of appearance, and the position of each row's own [N]."""
    position: dict[str, int] = {}
    codes = np.fromiter((position.setdefault(cell, len(position)) for cell in column), np.int64, len(column))
    return list(position), codes


def texts(column: np.ndarray, missing: Collection[str] = ()) -> np.ndarray:
    """A column as texts: object `[N]`, "" where the value is missing.

    Args:
        column: Texts or numbers `[N]`. Whole numbers are written without a fraction: `3`, not `3.0`.
        missing: Texts that stand for a missing value.
    """
    if not is_text(column):
        return np.array([_written(value) for value in column.tolist()], dtype=object)
    if not missing:
        return column
    values, codes = distinct(column)
    kept = np.array(["" if value in missing else value for value in values], dtype=object)
    return np.asarray(kept[codes])


def _written(value: float | int | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value != value:
        return ""
    return str(int(value)) if float(value).is_integer() else repr(value)


def numbers(column: np.ndarray, missing: Collection[str] = ()) -> tuple[np.ndarray, np.ndarray]:
    """A column as numbers.

    Args:
        column: Texts or numbers `[N]`.
        missing: Texts that stand for a missing value, besides "".

    Returns:
        The numbers `[N]` float64, NaN where the value is missing, and a mask `[N]` of the cells that are no
        finite number. Those are NaN too.
    """
    if not is_text(column):
        floats = column.astype(np.float64)
        gaps = np.isin(floats, [_number(marker) for marker in missing if NUMBER.fullmatch(marker)])
        return np.where(np.isinf(floats) | gaps, np.nan, floats), np.isinf(floats)
    return _parsed(column, missing, _number)


def _parsed(
    column: np.ndarray, missing: Collection[str], parse: Callable[[str], float]
) -> tuple[np.ndarray, np.ndarray]:
    """The cells of a text column as floats, NaN where one is a gap or bad, and a mask of the bad ones."""
    values, codes = distinct(column)
    present = np.array([value != "" and value not in missing for value in values], bool)
    parsed = np.array([parse(value) for value in values], np.float64)
    parsed[~present | ~np.isfinite(parsed)] = np.nan
    return parsed[codes], (present & np.isnan(parsed))[codes]


def _number(text: str) -> float:
    return float(text) if NUMBER.fullmatch(text) else np.nan


def first_bad(column: np.ndarray, bad: np.ndarray) -> str:
    """The first cell of a mask, for a message: `'unknown' in row 17`. Rows are counted from 1."""
    row = int(np.flatnonzero(bad)[0])
    return f"{quoted(column[row])} in row {row + 1}"


@dataclass(frozen=True)
class DateFormat:
    """A way to write dates in which every part has a fixed place, such as `%d.%m.%Y %H:%M`.

    Args:
        text: Format as in `datetime.strptime`, of `%Y` or `%y`, `%m`, `%d` and optionally `%H`, `%M`, `%S`,
            `%f`, and `%z` for an offset from UTC such as `+02:00`. Fractions of a second are dropped.

    Raises:
        UserError: for another directive, or one of year, month and day missing.
    """

    text: str

    def __post_init__(self) -> None:
        directives = re.findall("%(.)", self.text)
        unknown = [f"%{d}" for d in directives if d not in (*WIDTHS, "f")]
        used = [{"y": "Y"}.get(directive, directive) for directive in directives]
        is_complete = {"Y", "m", "d"} <= set(used) and len(set(used)) == len(used)
        if unknown or not is_complete or ("z" in used and ("H" not in used or "f" in used)):
            raise UserError(
                f"{self.text!r} is no date format; expected %Y or %y, %m and %d once each, and also %H, "
                "%M, %S, and %z for +02:00, if needed, as in '%d.%m.%Y %H:%M'."
            )

    @functools.cached_property
    def places(self) -> dict[str, tuple[int, int]]:
        """Where each part stands: directive -> `(first character, end)`. `%f` has no place."""
        places = {}
        at = 0
        for literal, directive in self._pieces:
            at += len(literal)
            if directive in WIDTHS:
                places[directive] = (at, at + WIDTHS[directive])
                at += WIDTHS[directive]
        return places

    @functools.cached_property
    def literals(self) -> dict[int, str]:
        """Where other characters stand: place -> character, up to a `%f`."""
        literals: dict[int, str] = {}
        at = 0
        for literal, directive in self._pieces:
            literals |= {at + i: character for i, character in enumerate(literal)}
            at += len(literal) + WIDTHS.get(directive, 0)
            if directive == "f":
                break
        return literals

    @property
    def _pieces(self) -> list[tuple[str, str]]:
        """The text as pairs of other characters and the directive that follows."""
        return re.findall(r"([^%]*)(?:%(.)|$)", self.text)

    @property
    def has_time(self) -> bool:
        """Whether the format has hours."""
        return "H" in self.places

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """The regular expression that a date matches."""
        escaped = re.sub(r"[^%\w]", lambda found: re.escape(found[0]), self.text)
        for directive, width in WIDTHS.items():
            digits = r"[+-]\d{2}:\d{2}" if directive == "z" else rf"\d{{{width}}}"
            escaped = escaped.replace(f"%{directive}", f"(?P<{directive}>{digits})")
        return re.compile(escaped.replace("%f", r"\d+"), re.ASCII)

    def seconds(self, column: np.ndarray, missing: Collection[str] = ()) -> tuple[np.ndarray, np.ndarray]:
        """A text column as seconds since 1970, in UTC where the format has an offset from it.

        Returns:
            The seconds `[N]` float64, NaN where the value is missing, and a mask `[N]` of the cells that are
            no date of this format. Those are NaN too.
        """
        return _parsed(column, missing, self._seconds)

    def _seconds(self, text: str) -> float:
        found = self.pattern.fullmatch(text)
        if found is None:
            return np.nan
        named = found.groupdict()
        sign, hours, minutes = _offset(named.pop("z", "+00:00"))
        part = {name: int(digits) for name, digits in named.items()}
        if "y" in part:
            part["Y"] = part["y"] + (1900 if part["y"] >= FIRST_OF_1900 else 2000)
        clock = part.get("H", 0), part.get("M", 0), part.get("S", 0)
        if clock[0] > 23 or clock[1] > 59 or clock[2] > 59 or hours > 23 or minutes > 59:
            return np.nan
        try:
            day = datetime.date(part["Y"], part["m"], part["d"]).toordinal()
        except ValueError:
            return np.nan
        local = (day - EPOCH) * DAY + clock[0] * 3600 + clock[1] * 60 + clock[2]
        return float(local - sign * (hours * 3600 + minutes * 60))


def _offset(text: str) -> tuple[int, int, int]:
    """Sign, hours and minutes of an offset such as `+02:00`."""
    return -1 if text[0] == "-" else 1, int(text[1:3]), int(text[4:])
