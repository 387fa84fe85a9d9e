"""How dates are written, and how those of a column are."""

from __future__ import annotations

import datetime
import functools
import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from trainkit.core.errors import UserError
from trainkit.core.words import text_value
from trainkit.data import cells
from trainkit.data.columns import setting_of

__all__ = [
    "COMMON_DATE_FORMATS",
    "DAY",
    "FIRST_OF_1900",
    "MONTHS",
    "DateFormat",
    "doubt",
    "formats_of",
    "notes_on",
    "rare_formats_of",
]

EPOCH = datetime.date(1970, 1, 1).toordinal()
DAY = 86_400  # seconds
FIRST_OF_1900 = 69  # two digits of a year from which it is one of the 1900s, as in `datetime.strptime`
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
MONTH_NUMBERS = {name[:3].lower(): number for number, name in enumerate(MONTHS, 1)}

# Most characters that each directive takes; `%f` takes any number of digits.
WIDTHS = {"Y": 4, "y": 2, "m": 2, "b": 9, "d": 2, "H": 2, "I": 2, "p": 2, "M": 2, "S": 2, "z": 6}
ALIASES = {"B": "b"}  # %b and %B take names of three letters and whole ones
PARTS = {"y": "Y", "b": "m", "I": "H"}  # of a date, which several directives may give
PATTERNS = {
    "b": "(?i:{})".format("|".join(f"{m[:3]}(?:{m[3:]})?" if m[3:] else m for m in MONTHS)),
    "p": "(?i:[ap]m)",
    "z": r"[+-]\d{2}:\d{2}",
}
MAY_BE_SHORT = (
    "m",
    "d",
    "H",
    "I",
)  # directives that take one digit, too, where no other digits stand beside them

TIMES = (
    *("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", "T%H:%M:%SZ", " %H:%M:%S.%f", "T%H:%M:%S.%f"),
    *("T%H:%M:%S.%fZ", "T%H:%M:%S%z", " %H:%M:%S%z", "T%H:%M%z", " %I:%M %p", " %I:%M:%S %p"),
)
DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y"),
)
COMMON_DATE_FORMATS = tuple(day + time for day in DAYS for time in TIMES)
SAMPLE = 20  # values that a date format is tried on first
MOSTLY = 0.8  # of the different cells that look like dates: a note tells how they could be read

LIKE_A_DATE = re.compile(
    r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?![^\W_T])"
    r"|\d{1,2}[-./ ]+[^\W\d_]{3,9}[-./, ]+\d{2,4}\b|[^\W\d_]{3,9}\.? \d{1,2},? \d{2,4}\b"
)
TIME_ALONE = re.compile(r"\d{1,2}:\d{2}(:\d{2})?( ?[ap]m)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class DateFormat:
    """A way to write dates, such as `%d.%m.%Y %H:%M`.

    Days, months and hours may have one digit where no other digits stand beside them.

    Args:
        text: Format as in `datetime.strptime`, of `%Y` or `%y`, `%m` or `%b`, `%d` and optionally `%H`, or
            `%I` with `%p`, `%M`, `%S`, `%f`, and `%z` for an offset from UTC such as `+02:00`. `%b` and `%B`
            are English names, as `Jun` or `June`, in any locale. Fractions of a second are dropped.

    Raises:
        UserError: for another directive, or one of year, month and day missing.
    """

    text: str

    def __post_init__(self) -> None:
        directives = [directive for _, directive in self._pieces if directive]
        unknown = [directive for directive in directives if directive not in (*WIDTHS, "f")]
        used = [PARTS.get(directive, directive) for directive in directives]
        is_complete = {"Y", "m", "d"} <= set(used) and len(set(used)) == len(used)
        is_half = ("I" in directives) != ("p" in directives) or ("z" in used and "H" not in used)
        if unknown or not is_complete or is_half or ("f" in used and {"z", "p"} & set(used)):
            raise UserError(
                f"{self.text!r} is no date format; expected %Y or %y, %m or %b (Jun, June) and %d once each, "
                "and also %H (or %I and %p, PM), %M, %S, and %z for +02:00, if needed, as in "
                "'%d.%m.%Y %H:%M'."
            )

    @functools.cached_property
    def places(self) -> dict[str, tuple[int, int]]:
        """Where each part stands in a date that has all its characters: directive -> `(first character,
        end)`. `%f` has no place."""
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
        """Where other characters stand in such a date: place -> character, up to a `%f`."""
        literals: dict[int, str] = {}
        at = 0
        for literal, directive in self._pieces:
            literals |= {at + i: character for i, character in enumerate(literal)}
            at += len(literal) + WIDTHS.get(directive, 0)
            if directive == "f":
                break
        return literals

    @functools.cached_property
    def short(self) -> frozenset[str]:
        """The directives that may have one digit here."""
        found = set()
        before = ""
        for (literal, directive), (following, after) in itertools.pairwise([*self._pieces, ("", "")]):
            stand_beside = (
                literal[-1].isdigit() if literal else _has_digits(before),
                following[0].isdigit() if following else _has_digits(after),
            )
            if directive in MAY_BE_SHORT and not any(stand_beside):
                found.add(directive)
            before = directive
        return frozenset(found)

    @functools.cached_property
    def _pieces(self) -> list[tuple[str, str]]:
        """The text as pairs of other characters and the directive that follows, "" at the end."""
        pieces = re.findall(r"([^%]*)(?:%(.)|$)", self.text)
        return [(literal, ALIASES.get(directive, directive)) for literal, directive in pieces]

    @property
    def has_time(self) -> bool:
        """Whether the format has hours."""
        return "H" in self.places or "I" in self.places

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """The regular expression that a date matches."""
        parts = []
        for literal, directive in self._pieces:
            parts.append(re.escape(literal))
            if directive == "f":
                parts.append(r"\d+")
            elif directive:
                digits = r"\d{1,2}" if directive in self.short else rf"\d{{{WIDTHS[directive]}}}"
                parts.append(f"(?P<{directive}>{PATTERNS.get(directive, digits)})")
        return re.compile("".join(parts), re.ASCII)

    def seconds(self, column: np.ndarray, missing: Collection[str] = ()) -> tuple[np.ndarray, np.ndarray]:
        """A text column as seconds since 1970, in UTC where the format has an offset from it.

        Returns:
            The seconds `[N]` float64, NaN where the value is missing, and a mask `[N]` of the cells that are
            no date of this format. Those are NaN too.
        """
        return cells.parsed(column, missing, self._seconds)

    def fits(self, values: Sequence[str]) -> bool:
        """Whether all of some texts are dates of this format."""
        return not any(np.isnan(self._seconds(value)) for value in values)

    def _seconds(self, text: str) -> float:
        found = self.pattern.fullmatch(text)
        if found is None:
            return np.nan
        named = found.groupdict()
        sign, hours, minutes = _offset(named.pop("z", "+00:00"))
        month = named.pop("b", None)
        half = named.pop("p", None)
        part = {name: int(digits) for name, digits in named.items()}
        if month is not None:
            part["m"] = MONTH_NUMBERS[month[:3].lower()]
        if "y" in part:
            part["Y"] = part["y"] + (1900 if part["y"] >= FIRST_OF_1900 else 2000)
        if half is not None:
            if not 1 <= part["I"] <= 12:
                return np.nan
            part["H"] = part["I"] % 12 + (12 if half.lower() == "pm" else 0)
        clock = part.get("H", 0), part.get("M", 0), part.get("S", 0)
        if clock[0] > 23 or clock[1] > 59 or clock[2] > 59 or hours > 23 or minutes > 59:
            return np.nan
        try:
            day = datetime.date(part["Y"], part["m"], part["d"]).toordinal()
        except ValueError:
            return np.nan
        local = (day - EPOCH) * DAY + clock[0] * 3600 + clock[1] * 60 + clock[2]
        return float(local - sign * (hours * 3600 + minutes * 60))


def _has_digits(directive: str) -> bool:
    """Whether a directive stands for digits; "" for none."""
    return directive != "" and directive not in PATTERNS


def _offset(text: str) -> tuple[int, int, int]:
    """Sign, hours and minutes of an offset such as `+02:00`."""
    return -1 if text[0] == "-" else 1, int(text[1:3]), int(text[4:])


def notes_on(text: str) -> list[str]:
    """What dates lose when they are read in a format."""
    notes = ["fractions of a second are dropped"] if "%f" in text else []
    if "%z" in text:
        notes.append("its times are read in UTC")
    if "%y" in text:
        notes.append("years of two digits are read as 1969 to 2068")
    return notes


def formats_of(values: Sequence[str]) -> dict[str, list[str]]:
    """The common formats of which some texts are dates, and the texts that are none of them."""
    sample = values[:SAMPLE]
    others: dict[str, list[str]] = {}
    array = np.array(values, dtype=object)
    for written in _begun(DAYS, sample):
        if any(written.pattern.fullmatch(value) for value in sample):
            others[written.text] = array[written.seconds(array)[1]].tolist()
    return others


def rare_formats_of(values: Sequence[str]) -> list[str]:
    """The formats that could be meant where no common one fits: of all texts, with years of two digits."""
    days = [day.replace("%Y", "%y") for day in DAYS]
    return [written.text for written in _begun(days, values[:SAMPLE]) if written.fits(values)]


def _begun(days: Sequence[str], sample: Sequence[str]) -> list[DateFormat]:
    """The formats whose days some texts begin with."""
    begun = [day for day in days if any(map(DateFormat(day).pattern.match, sample))]
    return [DateFormat(day + time) for day in begun for time in TIMES]


def doubt(name: str, values: Sequence[str]) -> list[str]:
    """What to say of a column that is taken for text and looks like dates or times."""
    times = [value for value in values if TIME_ALONE.fullmatch(value)]
    if len(times) >= MOSTLY * len(values):
        return [f"read as texts: {times[0]!r} is a time without a day; write it as a number, as of minutes"]
    like_dates = [value for value in values if LIKE_A_DATE.match(value)]
    if len(like_dates) < MOSTLY * len(values) or not like_dates:
        return []
    fitting = rare_formats_of(values)
    if fitting:
        setting = setting_of(name, text_value(fitting[0]), "format")
        other = f" if that is right, or {' or '.join(fitting[1:])}" if fitting[1:] else " to read it"
        return [f"read as texts: {like_dates[0]!r} may be a date as {fitting[0]}; set {setting}{other}"]
    return [
        f"read as texts: {like_dates[0]!r} is no date like 2024-01-31; set a format if it has one, as in "
        f"{setting_of(name, '%d.%m.%y', 'format')}, where %z is an offset such as +02:00"
    ]
