"""What the columns of a table are: kinds, gaps and decisions, as `schema.json` keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from trainkit.core.datasets import Source
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data import booleans, cells
from trainkit.data.cells import MAX_NUMBER
from trainkit.data.columns import gaps_of
from trainkit.data.date_formats import DateFormat

__all__ = ["KINDS", "ROLES", "ColumnSchema", "Schema"]

KINDS = ("numeric", "category", "date", "text", "id", "constant")
# A feature goes into the model. The others steer the training, or are left out.
ROLES = ("feature", "target", "ignored", "split", "group", "time", "weight")
FORMAT_NUMBER = 1


@dataclass(frozen=True)
class ColumnSchema:
    """One column of a table.

    Args:
        name: Its name in the file.
        kind: One of `KINDS`.
        role: One of `ROLES`.
        missing: Texts that are gaps in this column, besides the empty cell.
        format: How its dates are written, as in `datetime.strptime`; "" for other kinds.
        unit: Unit of its numbers, for reports; "" if not given.
        gaps: Rows without a value.
        distinct: Different values, gaps apart.
        examples: Some of its values, or the least and the greatest number.
        notes: Decisions about it that lose something, one sentence each.
        chosen: Whether the user set its kind.
    """

    name: str
    kind: str
    role: str = "feature"
    missing: tuple[str, ...] = ()
    format: str = ""
    unit: str = ""
    gaps: int = 0
    distinct: int = 0
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    chosen: bool = False

    def read(self, column: np.ndarray, remedy: str = "") -> np.ndarray:
        """The raw cells of this column as its kind.

        Args:
            column: Texts or numbers `[N]`, as a source gives them.
            remedy: What helps besides mending cells that are not of this kind, and naming gaps; "": nothing,
                since the kind is that of a training.

        Returns:
            `[N]` float64 with NaN for gaps if numeric, else object `[N]` of texts with "" for gaps.
            Dates stay texts in their own format.

        Raises:
            UserError: if a cell is not of this kind.
        """
        if self.kind == "numeric":
            values, bad = cells.numbers(column, self.missing)
            self._refuse(column, bad, "number", remedy)
            self._refuse(column, np.abs(values) > MAX_NUMBER, f"number of at most {MAX_NUMBER:g}", remedy)
            return values
        values = cells.texts(column, self.missing)
        if self.kind == "date":
            bad = DateFormat(self.format).seconds(values)[1]
            self._refuse(values, bad, f"date as {self.format}", remedy)
        return self._as_spelled(values) if self.kind == "category" else values

    def note_gaps(self, values: np.ndarray) -> str:
        """What to say of gaps in new values `[N]`, as `read` gives them; "" if there are none, or there were
        some in the training's table."""
        gaps = 0 if self.gaps else int(np.sum(np.isnan(values) if values.dtype.kind == "f" else values == ""))
        if not gaps:
            return ""
        return f"{self.name}: {gaps} of {len(values)} cells are gaps, of which the training had none"

    @property
    def booleans(self) -> tuple[str, ...]:
        """True and false as this column of categories spells them: `TRUE` in one cell, `True` in another and
        a Boolean of Parquet are the same category."""
        if self.kind != "category" or self.distinct != len(self.examples):
            return ()  # it has other categories than those that are known here
        return booleans.known(self.examples)

    def _as_spelled(self, values: np.ndarray) -> np.ndarray:
        if not self.booleans:
            return values
        different, codes = cells.distinct(values)
        spelled = booleans.respelled(different, self.booleans)
        return np.asarray(np.array(spelled, dtype=object)[codes])

    def times(self, values: np.ndarray) -> np.ndarray:
        """Numbers `[N]` float64 that grow with time, NaN where missing, of this column as `read` gives it.

        Raises:
            UserError: if it has neither dates nor numbers.
        """
        if self.kind == "numeric":
            return values
        if self.kind != "date":
            raise UserError(
                f"data.columns.{self.name} is of kind {self.kind}; a split by time needs dates or numbers."
            )
        return DateFormat(self.format).seconds(values)[0]

    def _refuse(self, column: np.ndarray, bad: np.ndarray, expected: str, remedy: str) -> None:
        if not bad.any():
            return
        helps = ": the column is read as in the training"
        if remedy:
            known = set(column[~bad]) if cells.is_text(column) else ()
            gaps = [gap for gap in self.missing if gap in known]
            gaps += dict.fromkeys(map(str, column[bad]))
            helps = f", {gaps_of(self.name, gaps)}, or {remedy}"
        raise UserError(
            f"data.columns.{self.name}: {bad.sum()} of {len(bad)} cells are no {expected}, the first is "
            f"{cells.first_bad(column, bad)}. Mend them{helps}."
        )


@dataclass(frozen=True)
class Schema:
    """The columns of a table, and the file that they were read from.

    Args:
        columns: In the order of the file.
        rows: Rows of the table.
        origin: Where the rows came from.
        sha256: Checksum of the file or files.
        notes: Decisions about the table as a whole.
        split: What names the rows of each split: `column`, `file`, or `files` by their names; "" where they
            are drawn, as those of all runs are that lack it.
    """

    columns: tuple[ColumnSchema, ...]
    rows: int = 0
    origin: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()
    split: str = ""

    def __getitem__(self, name: str) -> ColumnSchema:
        found = next((column for column in self.columns if column.name == name), None)
        if found is None:
            raise UserError(
                f"data.columns.{name}: the data have no column {name!r}; "
                f"{did_you_mean(name, [column.name for column in self.columns])}"
            )
        return found

    def with_role(self, role: str) -> tuple[ColumnSchema, ...]:
        """The columns that have a role."""
        return tuple(column for column in self.columns if column.role == role)

    @property
    def features(self) -> tuple[ColumnSchema, ...]:
        """The columns that go into the model."""
        return self.with_role("feature")

    @property
    def target(self) -> ColumnSchema | None:
        """The column to be predicted, None without one."""
        return next(iter(self.with_role("target")), None)

    @property
    def decisions(self) -> list[str]:
        """All that was decided and loses something, one sentence each."""
        return [*self.notes, *(f"{column.name}: {note}" for column in self.columns for note in column.notes)]

    def read(
        self, columns: Mapping[str, np.ndarray], *, roles: Sequence[str] = ROLES
    ) -> dict[str, np.ndarray]:
        """The columns of a source as their kinds, ignored ones left out.

        Args:
            columns: Raw columns `[N]` by name, of the table that the schema was inferred from or of new rows.
            roles: The roles that are needed. New rows need `("feature",)` only.

        Returns:
            Numeric columns `[N]` float64 with NaN for gaps; others `[N]` object of texts with "" for gaps.

        Raises:
            UserError: if a column is missing, or a cell is not of its column's kind.
        """
        wanted = self.check_present(columns, roles)
        return {column.name: column.read(columns[column.name]) for column in wanted}

    def check_present(self, columns: Mapping[str, Any], roles: Sequence[str]) -> list[ColumnSchema]:
        """The columns that have one of some roles, which must be there; ignored ones are left out.

        Raises:
            UserError: naming those that are missing.
        """
        wanted = [column for column in self.columns if column.role in roles and column.role != "ignored"]
        missing = [column.name for column in wanted if column.name not in columns]
        if missing:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise UserError(
                f"The rows have no column {', '.join(map(repr, missing[:5]))}{more}, which the training had; "
                f"{did_you_mean(missing[0], list(columns))}"
            )
        return wanted

    def additional(self, columns: Mapping[str, np.ndarray]) -> list[str]:
        """The names of columns that the schema does not know. They are not used. That of the files, which is
        all that files of texts have besides their texts, is none of them."""
        known = {column.name for column in self.columns}
        if list(columns) == ["path", "text"]:
            known.add("path")
        return [name for name in columns if name not in known]

    def check_unchanged(self, source: Source) -> None:
        """Refuse rows from a file with another content than the schema was inferred from.

        Raises:
            UserError: if the checksums differ.
        """
        if not self.sha256 or source.sha256 == self.sha256:
            return
        if source.origin != self.origin:
            raise UserError(
                f"data.path={source.origin} has other rows than the run was trained on ({self.origin}): "
                "leave it out, or start a new run. mode=evaluate evaluate.path=<file> measures on new rows, "
                "mode=predict predict.path=<file> predicts them."
            )
        raise UserError(
            f"data.path={source.origin} has changed: its sha256 is {source.sha256[:12]}..., the run "
            f"began with {self.sha256[:12]}.... Restore the file, or start a new run."
        )

    def to_dict(self) -> dict[str, Any]:
        """The schema as JSON can hold it."""
        return {"format": FORMAT_NUMBER, **asdict(self)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Schema:
        """The inverse of `to_dict`.

        Raises:
            UserError: if the content is not that of a schema.
        """
        try:
            if content["format"] != FORMAT_NUMBER:
                raise UserError(f"schema.json has format {content['format']}; expected {FORMAT_NUMBER}.")
            columns = tuple(_column(entry) for entry in content["columns"])
            apart = ("columns", "notes", "split")
            rest = {f.name: content[f.name] for f in fields(cls) if f.name not in apart}
            return cls(columns, notes=tuple(content["notes"]), split=content.get("split", ""), **rest)
        except (KeyError, TypeError) as error:
            raise UserError(f"schema.json is damaged ({error}); expected what a run writes.") from error


def _column(entry: Mapping[str, Any]) -> ColumnSchema:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return ColumnSchema(**values)
