"""A schema as people read it before a training."""

from __future__ import annotations

from trainkit.core.cells import printed
from trainkit.data.schema import ColumnSchema, Schema

__all__ = ["table_text"]

EXAMPLE_WIDTH = 40  # of a value
MAX_LINES = 20  # of columns, and of decisions


def table_text(schema: Schema, width: int = 100) -> str:
    """A table for the terminal, followed by the decisions: `MAX_LINES` of each.

    Args:
        schema: Of a table.
        width: Columns of the terminal.
    """
    head = ("column", "kind", "role", "gaps", "distinct", "values")
    shown = _shown(schema)
    rows = [head, *(_row(column) for column in shown)]
    sizes = [max(len(row[i]) for row in rows) for i in range(len(head) - 1)]
    lines = []
    for row in rows:
        parts = [cell.ljust(size) for cell, size in zip(row, sizes, strict=False)]
        lines.append(_clipped("  ".join([*parts, row[-1]]).rstrip(), width))
    if len(shown) < len(schema.columns):
        lines.append(
            f"and {len(schema.columns) - len(shown):,} more columns, as schema.json of the run tells"
        )
    decisions = schema.decisions
    lines += [f"! {decision}" for decision in decisions[:MAX_LINES]]
    if len(decisions) > MAX_LINES:
        lines.append(f"! and {len(decisions) - MAX_LINES:,} more such lines, in schema.json of the run")
    return "\n".join(lines)


def _shown(schema: Schema) -> list[ColumnSchema]:
    """The columns that a table has room for, in the order of the file: first those that steer the
    training, then those with a remark."""
    order = sorted(schema.columns, key=lambda c: (c.role in ("feature", "ignored"), not c.notes))
    kept = {column.name for column in order[:MAX_LINES]}
    return [column for column in schema.columns if column.name in kept]


def _row(column: ColumnSchema) -> tuple[str, ...]:
    between = " to " if column.kind in ("numeric", "date") else ", "
    values = between.join(printed(example, EXAMPLE_WIDTH) for example in column.examples) + (
        f" {column.unit}" if column.unit else ""
    )
    kind = column.kind + ("*" if column.chosen else "")
    gaps = str(column.gaps) if column.gaps else ""
    return (printed(column.name, 24), kind, column.role, gaps, str(column.distinct), values)


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
