"""From pyarrow's columns to NumPy's, nothing lost without a note."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.core.errors import UserError, one_line
from trainkit.data.columns import setting_of
from trainkit.data.sources import paths

__all__ = ["is_text", "note_blanks", "reading_parquet", "refuse_types", "require", "to_numpy", "trimmed"]

MAX_EXACT = 2**53  # whole numbers beyond are not exact as float64


def require() -> Any:
    """The pyarrow module.

    Raises:
        UserError: if it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as error:
        raise UserError(
            "Tables need pyarrow, which is not installed: pip install 'trainkit[tables]'."
        ) from error
    return pyarrow


@contextmanager
def reading_parquet(file: Path) -> Iterator[None]:
    """In the block, what pyarrow raises for a damaged file is told in one line.

    It raises errors of its own, of Python's texts for a name that is no UTF-8, and of memory for a length
    that was damaged.
    """
    pa = require()
    try:
        yield
    except UserError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        reason = one_line(str(error)).rstrip(".") or type(error).__name__
        advice = paths.conversion(file)
        helps = f"; {advice}." if advice else ". Check the file."
        raise UserError(f"Cannot read {file} as Parquet: {reason}{helps}") from error


def to_numpy(name: str, column: Any, notes: list[str], *, any_type: bool = False) -> np.ndarray:
    """One column as NumPy has it: int64, float64 with NaN for gaps, or object with texts and "" for gaps.

    Args:
        name: Of the column.
        column: A `pyarrow.ChunkedArray`.
        notes: Takes a sentence for what is lost.
        any_type: Whether values of other types become texts, and are not refused.

    Raises:
        UserError: for a type that is neither number, text nor date, such as a list.
    """
    pa = require()
    kind = column.type
    types = pa.types
    if types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if str(kind) == "string_view":
        column = column.cast(pa.large_string())
        kind = column.type
    if is_text(kind):
        return _texts(name, column, notes)
    if types.is_boolean(kind) or types.is_null(kind):
        return _texts(name, column.cast(pa.string()), notes)
    if types.is_integer(kind):
        return _integers(name, column, notes)
    if types.is_floating(kind):
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    if types.is_decimal(kind):
        if kind.precision > 15:
            notes.append(f"{name}: decimal numbers are rounded to 15 digits")
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    if types.is_date(kind) or types.is_timestamp(kind):
        return _dates(name, column, notes)
    if any_type:
        return np.array(["" if v is None else str(v) for v in column.to_pylist()], dtype=object)
    raise UserError(_unusable([(name, kind)]))


def refuse_types(schema: Any, ignore: Collection[str]) -> None:
    """Refuse a table with columns whose types are not read, all of them at once.

    Args:
        schema: A `pyarrow.Schema`.
        ignore: Columns that may have any type.

    Raises:
        UserError: with the settings that leave these columns out.
    """
    bad = [
        (field.name, field.type) for field in schema if field.name not in ignore and not _is_read(field.type)
    ]
    if bad:
        raise UserError(_unusable(bad))


def _is_read(kind: Any) -> bool:
    """Whether `to_numpy` reads a type."""
    types = require().types
    if types.is_dictionary(kind):
        kind = kind.value_type
    known = (
        *(types.is_boolean, types.is_null, types.is_integer, types.is_floating, types.is_decimal),
        *(types.is_date, types.is_timestamp),
    )
    return is_text(kind) or str(kind) == "string_view" or any(is_known(kind) for is_known in known)


def _unusable(columns: Sequence[tuple[str, Any]]) -> str:
    told = [f"data.columns.{name} has the type {kind}" for name, kind in columns]
    settings = " ".join(setting_of(name, "ignore") for name, _ in columns)
    it = "it" if len(columns) == 1 else "them"
    return (
        f"{', '.join(told)}; expected numbers, texts or dates. Convert {it}, or leave {it} out by {settings}."
    )


def is_text(kind: Any) -> bool:
    """Whether a type of pyarrow is that of texts."""
    types = require().types
    return bool(types.is_string(kind) or types.is_large_string(kind))


def trimmed(column: Any) -> tuple[Any, int]:
    """Texts without the blanks around them, "" for gaps, and in how many rows there were blanks."""
    pa = require()
    filled = pa.compute.fill_null(column, "")
    found = pa.compute.utf8_trim_whitespace(filled)
    return found, pa.compute.sum(pa.compute.not_equal(filled, found)).as_py() or 0


def note_blanks(name: str, rows: int, notes: list[str]) -> None:
    """Add the sentence for blanks that `trimmed` drops."""
    if rows:
        notes.append(f"{name}: blanks around the text are dropped in {rows} rows")


def _texts(name: str, column: Any, notes: list[str]) -> np.ndarray:
    """Texts without the blanks around them; equal texts share one object."""
    pa = require()
    plain, changed = trimmed(column)
    note_blanks(name, changed, notes)
    encoded = plain.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):  # no rows
        return np.empty(0, dtype=object)
    values = np.array([*encoded.dictionary.to_pylist(), ""], dtype=object)
    return np.asarray(values[encoded.indices.to_numpy()])


def _integers(name: str, column: Any, notes: list[str]) -> np.ndarray:
    pa = require()
    limits = pa.compute.min_max(column).as_py()
    largest = max(abs(limits["min"] or 0), abs(limits["max"] or 0))
    if largest > MAX_EXACT:
        notes.append(f"{name}: whole numbers beyond 2^53 are kept as texts, which keep all digits")
        return _texts(name, column.cast(pa.string()), notes)
    if column.null_count:
        return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
    return np.asarray(column.to_numpy(), np.int64)


def _dates(name: str, column: Any, notes: list[str]) -> np.ndarray:
    """Dates as texts: `2024-12-31`, or `2024-12-31 23:59:00` (with a Z, if in UTC)."""
    pa = require()
    if pa.types.is_date(column.type):
        return _texts(name, pa.compute.strftime(column, "%Y-%m-%d"), notes)
    zone = column.type.tz
    whole = column.cast(pa.timestamp("s", tz=zone), safe=False)
    lost = pa.compute.sum(pa.compute.not_equal(whole.cast(column.type), column)).as_py() or 0
    if lost:
        notes.append(f"{name}: fractions of a second are dropped in {lost} rows")
    if zone is not None:
        whole = whole.cast(pa.timestamp("s", tz="UTC"))
    written = "%Y-%m-%dT%H:%M:%SZ" if zone is not None else "%Y-%m-%d %H:%M:%S"
    return _texts(name, pa.compute.strftime(whole, written), notes)
