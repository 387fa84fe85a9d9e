"""How the files of a table are read."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TableOptions"]


@dataclass(frozen=True)
class TableOptions:
    """How to read the files of a table.

    Args:
        format: `csv`, `parquet`, or `auto`: by the endings.
        delimiter: Between the cells of a CSV file; None: the most frequent of `, ; tab |` in the header.
        encoding: Of a CSV file.
        header: Whether the first line of a CSV file has the columns' names.
        decimal: Decimal mark of a CSV file; with `,`, cells such as `1,5` become `1.5`.
        thousands: Mark between thousands in a CSV file; with `,`, cells such as `1,500.25` become `1500.25`.
            A blank stands for blanks of all widths.
        skip_bad: Whether CSV rows with more or fewer cells than the header are left out, and not refused.
        ignore: Columns that nothing will use, so that they may have any type.
        texts: Columns that are said to be texts or ignored: their cells may look like rows of the table.
    """

    format: str = "auto"
    delimiter: str | None = None
    encoding: str = "utf-8"
    header: bool = True
    decimal: str = "."
    thousands: str | None = None
    skip_bad: bool = False
    ignore: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
