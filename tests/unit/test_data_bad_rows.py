"""Rows of a CSV file with too few or too many cells are told as all rows are counted: from 1, below the
header."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainkit.core.errors import UserError
from trainkit.data.sources import csv_files
from trainkit.data.sources.table_options import TableOptions

pytest.importorskip("pyarrow")


@pytest.mark.parametrize("header", [True, False])
def test_a_bad_row_is_counted_without_the_header_and_empty_lines(header: bool, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" * header + '1,"2\n2"\n\n3\n4,5,6\n')
    options = TableOptions(header=header)
    said = "table.csv: row 2 has 1 cells, expected 2: '3'. Mend the row, or leave such rows out by data.skip"
    for read in (csv_files.read, lambda *given: list(csv_files.batches(*given))):
        with pytest.raises(UserError) as caught:
            read(path, options, [])
        assert said in str(caught.value)
