"""Groups of digits that name rows, and those that are numbers."""

from __future__ import annotations

import pytest

from tests.support.columns import texts
from trainkit.core.errors import UserError
from trainkit.data.inference import infer_schema

FIRMS = [f"{100 + 7 * i} {505 + i} {90 + i:03d}" for i in range(40)]


def test_digits_in_full_groups_that_name_rows_are_left_out_with_a_note() -> None:
    for blank in (" ", "\u00a0"):
        column = infer_schema({"firm": texts(*(firm.replace(" ", blank) for firm in FIRMS))})["firm"]
        assert column.role == "ignored"
        assert "blanks between thousands; 'data.thousands=\" \"' reads it as one" in column.notes[0]


@pytest.mark.parametrize(
    "cells",
    [
        [*FIRMS[:-1], "1 500"],
        [*FIRMS[:-1], "12 000 000"],
        10 * FIRMS[:3],
        [f"{250 + i} 000" for i in range(40)],
    ],
    ids=["of one group and a digit", "not full", "few that differ", "prices"],
)
def test_other_numbers_with_blanks_are_refused_with_what_reads_or_leaves_them(cells: list[str]) -> None:
    said = (
        r"with blanks between thousands; set .*data\.columns\.a=category, or data\.columns\.a=ignore to leave"
    )
    with pytest.raises(UserError, match=said):
        infer_schema({"a": texts(*cells)})
