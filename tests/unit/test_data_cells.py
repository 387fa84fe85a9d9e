"""Laws of cells: a number, or a date, is what the cell says, and nothing else is one."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainkit.core.errors import UserError
from trainkit.data import cells
from trainkit.data.cells import DateFormat
from trainkit.data.kinds import Cells


# Years before 1000 are left out: strftime does not pad them.
@settings(max_examples=200, deadline=None)
@given(st.datetimes(min_value=datetime(1000, 1, 1)), st.sampled_from(cells.COMMON_DATE_FORMATS))
def test_seconds_of_a_date_are_those_of_the_calendar(moment: datetime, text: str) -> None:
    written = DateFormat(text)
    read, bad = written.seconds(np.array([moment.strftime(text), "", "x"], object), missing=("x",))
    known = moment if written.has_time else moment.replace(hour=0, minute=0, second=0)
    known = known.replace(second=known.second if "S" in written.places else 0, microsecond=0)
    assert read[0] == (known - datetime(1970, 1, 1)).total_seconds()
    assert np.isnan(read[1:]).all()
    assert not bad.any()


@pytest.mark.parametrize("text", ["%Y-%m", "%y-%m-%d", "%Y-%m-%d %I", "%Y-%m-%d %d", "x"])
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
