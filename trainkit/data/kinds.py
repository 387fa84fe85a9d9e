"""The kind of a column, judged by its cells. Every decision that loses something leaves a note."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from trainkit.core.cells import quoted
from trainkit.core.errors import UserError
from trainkit.core.words import text_value
from trainkit.data import booleans, cells, date_formats
from trainkit.data.cells import MARKERS, NUMBER
from trainkit.data.columns import gaps_of, setting_of
from trainkit.data.date_formats import DateFormat
from trainkit.data.number_marks import IN_BRACKETS, note_on_codes, refuse_marks
from trainkit.data.schema import ColumnSchema

__all__ = ["LOOKED_AT", "Cells", "as_kind", "inferred"]

MOSTLY = 0.8  # of the cells that are numbers or dates: the others are then mistakes, not another kind
DOUBTFUL = 0.2  # of the cells that are numbers: worth a note where the others are not
MIN_ROWS = 20  # in fewer rows, different values everywhere mean little
TEXT_WORDS = 3.0  # words per value from which a column is free text
TEXT_SHARE = 0.2  # different values per row from which it is
ID_SHARE = 0.5  # different values per row from which a category says nothing about other rows
MAX_EXACT = 2.0**53  # whole numbers beyond are not exact as float64
EXAMPLES = 3
LOOKED_AT = 128  # characters of a value by which it is judged to be free text, and shown

NAMES_AN_ID = re.compile(r"(^|[^a-z0-9])(id|ids|uuid|guid|index|unnamed)$", re.IGNORECASE)
LEADING_ZERO = re.compile(r"0\d+", re.ASCII)
WITH_UNIT = re.compile(
    r"[^\w\s.,+-]?\s?[+-]?\d[\d.,'\u2019]*(\s?[^\w\s.,]| [a-zA-Z]{1,3})?"
)  # `$1.5`, `12%`, `3 kg`
LONG_NUMBER = re.compile(r"\d{16,}", re.ASCII)


@dataclass(frozen=True)
class Cells:
    """A raw column, with its different cells counted.

    Args:
        name: Of the column.
        raw: Texts with "" for gaps, or numbers `[N]`.
        missing: Texts that the user named as gaps; None: the usual ones where they cannot be values.
    """

    name: str
    raw: np.ndarray
    missing: tuple[str, ...] | None = None

    @functools.cached_property
    def counts(self) -> dict[str, int]:
        """The different cells, "" apart, and the number of their rows."""
        values, codes = cells.distinct(cells.texts(self.raw))
        counts = np.bincount(codes, minlength=len(values)).tolist()
        return {value: count for value, count in zip(values, counts, strict=True) if value}

    @property
    def remedy(self) -> str:
        """What helps, besides mending them or naming gaps, where cells are not of the kind that the others
        are."""
        return f"set {setting_of(self.name, 'category')}"

    def gaps(self, kind: str) -> tuple[str, ...]:
        """The texts that are gaps in a column of this kind, whether they occur here or not."""
        if self.missing is not None:
            return self.missing
        return MARKERS if kind in ("numeric", "date") else ()

    def values(self, kind: str) -> dict[str, int]:
        """The different cells that are no gaps in a column of this kind, and the number of their rows. True
        and false, however they are spelled, count as one each, but in free text, which is read as it is."""
        present = self.written(kind)
        return present if kind == "text" else booleans.merged(present)

    def written(self, kind: str) -> dict[str, int]:
        """The same with each spelling for itself."""
        gaps = self.gaps(kind)
        return {value: count for value, count in self.counts.items() if value not in gaps}

    def found(self, kind: str, *notes: str, date_format: str = "") -> ColumnSchema:
        """The schema of this column as a column of some kind."""
        gaps = self.gaps(kind)
        values = self.values(kind)
        spelled = booleans.notes(self.written(kind)) if kind == "category" else ()
        schema = ColumnSchema(
            self.name,
            kind,
            missing=gaps,
            format=date_format,
            gaps=len(self.raw) - sum(values.values()),
            distinct=len(values),
            notes=(*notes, *spelled, *self._notes_on_markers(kind, gaps)),
        )
        return replace(schema, examples=self._examples(schema))

    def _notes_on_markers(self, kind: str, gaps: tuple[str, ...]) -> tuple[str, ...]:
        found = [marker for marker in gaps if marker in self.counts]
        notes = [f"{marker!r} in {_rows(self.counts[marker])} is read as a gap" for marker in found]
        for marker in MARKERS:
            if marker in self.counts and marker not in gaps and kind in ("category", "text"):
                remedy = setting_of(self.name, f"[{text_value(marker)}]", "missing")
                notes.append(
                    f"{marker!r} in {_rows(self.counts[marker])} is kept as a value; {remedy} makes it a gap"
                )
        return tuple(notes)

    def _examples(self, schema: ColumnSchema) -> tuple[str, ...]:
        """The least and the greatest number or date, or the most frequent values."""
        values = self.values(schema.kind)
        if schema.kind == "numeric":
            numbers = schema.read(self.raw, self.remedy)
            present = numbers[~np.isnan(numbers)]
            return (f"{present.min():g}", f"{present.max():g}") if len(present) else ()
        if schema.kind == "date":
            different = np.array(list(values), dtype=object)
            seconds, _ = DateFormat(schema.format).seconds(different)
            known = different[np.argsort(seconds, kind="stable")][: np.isfinite(seconds).sum()]
            return (known[0], known[-1]) if len(known) else ()
        frequent = sorted(values, key=lambda value: -values[value])[:EXAMPLES]
        return tuple(v if len(v) <= LOOKED_AT else f"{v[:LOOKED_AT]}..." for v in frequent)


def as_kind(column: Cells, kind: str, date_format: str | None = None) -> ColumnSchema:
    """The schema of a column whose kind is given.

    Raises:
        UserError: if cells are not of this kind.
    """
    if kind == "date" and date_format is None:
        date_format = _date_format(column)
        if not date_format:
            values = list(column.values("date"))
            example = next(iter(values), "")
            known = text_value(next(iter(date_formats.rare_formats_of(values)), "%d.%m.%Y"))
            raise UserError(
                f"data.columns.{column.name}: {quoted(example)} is no date in a format known here; expected "
                f"one such as 2024-12-31, or a format: {setting_of(column.name, known, 'format')}."
            )
    if kind == "numeric":
        refuse_marks(column.name, column.values("numeric"))
    notes = date_formats.notes_on(date_format) if kind == "date" and date_format else []
    found = column.found(kind, *notes, date_format=date_format or "")
    found.read(column.raw, column.remedy)
    return found


def inferred(column: Cells) -> ColumnSchema:
    """The schema of a column by its cells.

    Raises:
        UserError: if most cells are numbers, or dates, and some are not.
    """
    values = column.values("numeric")
    if not values:
        return column.found("constant", "left out: it has no values")
    if len(values) == 1 and sum(values.values()) == len(column.raw):
        one = " or ".join(map(quoted, column.written("numeric")))
        return column.found("constant", f"left out: it is {one} in every row")
    if column.raw.dtype.kind in "iuf":
        return _numeric(column, values)
    others = [value for value in values if not NUMBER.fullmatch(value)]
    if not others:
        return _numeric(column, values)
    code = note_on_codes(values) if len(column.raw) >= MIN_ROWS else ""
    if code:
        return _textual(column, code)
    refuse_marks(column.name, values, may_be_ignored=True)
    _refuse_mixed(column, values, others, "numbers")
    date_format = _date_format(column)
    if date_format:
        return column.found("date", *date_formats.notes_on(date_format), date_format=date_format)
    return _textual(column, *_doubts(column, values, others))


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def _share(values: Mapping[str, int], some: Collection[str]) -> float:
    """The share of the rows that have one of some values."""
    return sum(values[value] for value in some) / sum(values.values())


def _refuse_mixed(column: Cells, values: Mapping[str, int], others: Collection[str], expected: str) -> None:
    """Refuse a column in which most cells are of one kind, and some are not."""
    share = _share(values, others)
    if not 0 < share <= 1 - MOSTLY:
        return
    first = next(iter(others))
    known = [gap for gap in column.gaps("numeric") if gap in column.counts]
    row = int(np.flatnonzero(cells.texts(column.raw) == first)[0]) + 1
    raise UserError(
        f"data.columns.{column.name}: {share:.1%} of the cells are no {expected}, the first is "
        f"{quoted(first)} in row {row}. Mend them, {gaps_of(column.name, [*known, *others])}, or "
        f"{column.remedy}."
    )


def _doubts(column: Cells, values: Mapping[str, int], others: Collection[str]) -> list[str]:
    """What looks like another kind in a column that is taken for text."""
    notes = []
    if _share(values, others) <= 1 - DOUBTFUL:
        notes.append(f"{1 - _share(values, others):.0%} of its cells are numbers; all are read as texts")
    no_units = (NUMBER, IN_BRACKETS)
    units = [v for v in values if WITH_UNIT.fullmatch(v) and not any(form.fullmatch(v) for form in no_units)]
    if units and _share(values, units) >= MOSTLY:
        notes.append(f"read as texts: {units[0]!r} is a number with a sign or unit; leave that out")
    return [*notes, *date_formats.doubt(column.name, list(values))]


def _numeric(column: Cells, values: Mapping[str, int]) -> ColumnSchema:
    """A column in which all cells look like numbers: numbers, unless they name something."""
    zeros = next((value for value in values if LEADING_ZERO.fullmatch(value)), None)
    if zeros is not None:
        return _textual(column, f"kept as text: leading zeros as in {zeros!r} mean a code, no number")
    if any(LONG_NUMBER.fullmatch(value) and float(value) > MAX_EXACT for value in values):
        return _textual(column, "kept as text: it has more digits than a number keeps")
    named = NAMES_AN_ID.search(column.name) is not None
    numbers = np.array([float(value) for value in values])
    complete = sum(values.values()) == len(column.raw)
    if len(column.raw) >= MIN_ROWS and complete and (numbers == np.floor(numbers)).all():
        counts_rows = numbers.min() in (0, 1) and numbers.max() - numbers.min() == len(column.raw) - 1
        if len(numbers) == len(column.raw) and (named or counts_rows):
            return column.found("id", "left out: whole numbers that number the rows")
        if named:
            return _textual(column, "used as a category: by its name, its numbers name things")
    return column.found("numeric")


def _textual(column: Cells, *notes: str) -> ColumnSchema:
    """A column of texts: a category, or an id or free text, which are left out unless asked for."""
    values = column.values("category")
    rows = sum(values.values())
    if rows < MIN_ROWS:
        return column.found("category", *notes)
    words = sum(len(value[:LOOKED_AT].split()) for value in values) / len(values)
    if words >= TEXT_WORDS and len(values) > TEXT_SHARE * rows:
        return column.found(
            "text", *notes, f"left out: free text; {setting_of(column.name, 'category')} uses it"
        )
    if len(values) > ID_SHARE * rows:
        return column.found(
            "id", *notes, f"left out: {len(values)} different values in {rows} rows name rows"
        )
    return column.found("category", *notes)


def _date_format(column: Cells) -> str:
    """The format of a column's dates, or "" if its cells are no dates.

    Raises:
        UserError: if most cells are dates and some are not, or day and month cannot be told apart.
    """
    values = column.values("date")
    others = date_formats.formats_of(list(values))
    fitting = [text for text, bad in others.items() if not bad]
    if len(fitting) > 1:
        fitting_format = setting_of(column.name, text_value(fitting[0]), "format")
        raise UserError(
            f"data.columns.{column.name}: {next(iter(values))!r} and all others can be read as "
            f"{' or '.join(fitting)}; set {fitting_format} if that is right, or the other."
        )
    if fitting:
        return fitting[0]
    for text, bad in others.items():
        _refuse_mixed(column, values, bad, f"dates as {text}")
    return ""
