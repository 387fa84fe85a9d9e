"""Laws of cells: a number, or a date, is what the cell says, and nothing else is one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainkit.core.errors import UserError
from trainkit.data import cells
from trainkit.data.date_formats import COMMON_DATE_FORMATS, DateFormat
from trainkit.data.kinds import Cells


# Years before 1000 are left out: strftime does not pad them.
@settings(max_examples=200, deadline=None)
@given(
    st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 30)),
    st.sampled_from(COMMON_DATE_FORMATS),
    st.integers(-1439, 1439),
)
def test_seconds_of_a_date_are_those_of_the_calendar(moment: datetime, text: str, offset: int) -> None:
    written = DateFormat(text)
    zone = timezone(timedelta(minutes=offset))
    cell = moment.replace(tzinfo=zone).strftime(text)
    cell = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", cell) if "%z" in text else cell
    read, bad = written.seconds(np.array([cell, "", "x"], object), missing=("x",))
    known = moment if written.has_time else moment.replace(hour=0, minute=0, second=0)
    known = known.replace(second=known.second if "S" in written.places else 0, microsecond=0)
    known -= timedelta(minutes=offset if "%z" in text else 0)
    assert read[0] == (known - datetime(1970, 1, 1)).total_seconds()
    assert np.isnan(read[1:]).all()
    assert not bad.any()


FORMATS = [
    "%m/%d/%Y",
    "%d.%m.%y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%d %B %Y %I%p",
    "%B %d, %Y",
    "%d%b%Y",
    "%Y%m%d",
]


@settings(max_examples=200, deadline=None)
@given(
    st.datetimes(min_value=datetime(1969, 1, 1), max_value=datetime(2068, 12, 31)),
    st.sampled_from(FORMATS),
    st.sampled_from([str.upper, str.lower, str]),
)
def test_one_digit_names_of_months_and_clocks_of_12_hours_are_read_as_by_python(
    moment: datetime, text: str, cased: Callable[[str], str]
) -> None:
    cell = cased(moment.strftime(text))
    short = {"%d": moment.day, "%m": moment.month, "%H": moment.hour, "%I": moment.hour % 12 or 12}
    shorter = text if text == "%Y%m%d" else re.sub("%[dmHI]", lambda found: str(short[found[0]]), text)
    cells_of_it = [cell, cased(moment.strftime(shorter))]
    seconds, bad = DateFormat(text).seconds(np.array(cells_of_it, object))
    expected = (datetime.strptime(cell, text) - datetime(1970, 1, 1)).total_seconds()
    assert seconds.tolist() == [expected, expected]
    assert not bad.any()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        *(("%m/%d/%Y %I:%M %p", f"6/1/2020 {hour}") for hour in ("0:10 AM", "13:10 AM", "1:10", "1:1 PM")),
        *(("%d %b %Y", f"1 {name} 2020") for name in ("Juni", "Juno", "Ju", "juin", "Sept", "06")),
        *(("%Y%m%d", cell) for cell in ("2020111", "202011")),
        *(("%m/%d/%Y", cell) for cell in ("13/1/2020", "2/30/2020", "/1/2020", "006/1/2020", "6/1/20")),
    ],
)
def test_what_looks_like_a_date_of_a_format_is_none(text: str, cell: str) -> None:
    assert DateFormat(text).seconds(np.array([cell], object))[1].all()


@given(st.dates(min_value=date(1969, 1, 1), max_value=date(2068, 12, 31)))
def test_years_of_two_digits_are_those_of_python(day: date) -> None:
    seconds, bad = DateFormat("%m/%d/%y").seconds(np.array([day.strftime("%m/%d/%y")], object))
    assert seconds[0] == (day - date(1970, 1, 1)).total_seconds()
    assert not bad.any()


@pytest.mark.parametrize("offset", ["+24:00", "+02:60", "+2:00", "+0200", "02:00", "Z", ""])
def test_what_is_no_offset_from_utc_is_no_date(offset: str) -> None:
    written = DateFormat("%Y-%m-%dT%H:%M%z")
    assert written.seconds(np.array([f"2024-01-31T10:00{offset}"], object))[1].all()


@pytest.mark.parametrize(
    "text",
    ["%Y-%m", "%y-%Y-%m-%d", "%Y-%m-%d%z", "%Y-%m-%d %H:%M:%S.%f%z", "%Y-%m-%d %I", "%Y-%m-%d %d", "x"]
    + ["%Y-%m-%d %H %p", "%Y-%m-%d %I:%M:%S.%f %p", "%d %b %m %Y", "%d %b %B %Y", "%a %Y-%m-%d"],
)
def test_unknown_date_formats_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no date format; expected"):
        DateFormat(text)


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_its_text(number: float) -> None:
    read, bad = cells.numbers(np.array([repr(number), f"{number:+e}"], object))
    assert read.tolist() == [number, float(f"{number:e}")]
    assert not bad.any()


@pytest.mark.parametrize("text", ["1_000", "nan", "inf", "1e999", "0x1", "1,5", "one", "١", "1 2", "--1"])
def test_what_only_python_takes_for_a_number_is_none(text: str) -> None:
    read, bad = cells.numbers(np.array([text], object))
    assert np.isnan(read).all()
    assert bad.all()


def test_cells_are_counted_once() -> None:
    assert Cells("x", np.array(["b", "", "a", "b"], object)).counts == {"b": 2, "a": 1}
