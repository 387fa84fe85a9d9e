"""Predictions beside the true values, as lines for people and as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from trainkit.core.cells import csv_text, printed
from trainkit.core.task import Task
from trainkit.core.tree import Structure, leaves, named_leaves
from trainkit.experiment.decoding import Decoded, decode, losses_by_output, output_kind

__all__ = ["Predictions", "rows_of_split"]

BLOCK = 10_000  # rows whose numbers are texts at a time
MAX_COLUMNS = 100  # an output with more numbers per row is left out of the CSV file


class Predictions:
    """What a model predicts for some rows, and what is true.

    Args:
        task: Its loss tells what outputs mean; its `decode`, if it has one, turns them into text.
        outputs: Model outputs `[N, ...]`, or nested tuples, lists or dicts of them.
        labels: Labels `[N, ...]` in the same structure; None: not known.
        names: Names of the outputs, where they are a tuple or list.
        rows: Columns that say which row is which, `[N]` each; by default their numbers from 1.
    """

    def __init__(
        self,
        task: Task,
        outputs: Structure,
        labels: Structure = None,
        names: Sequence[str] = (),
        rows: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        found = _named(outputs, names)
        losses = losses_by_output(task.loss(), list(found))
        true = _labels(found, labels, names)
        self.outputs = {name: np.asarray(output) for name, output in found.items()}
        self.decoded: dict[str, Decoded] = {}
        for name, output in self.outputs.items():
            label = None if true.get(name) is None else np.asarray(true[name])
            kind = output_kind(losses[name], output, label)
            self.decoded[name] = decode(task, kind, output, label)
        self.numbers = task.output_names()
        self.rows = rows or {"row": range(1, len(next(iter(self.outputs.values()))) + 1)}

    def lines(self, count: int) -> list[str]:
        """One line per output and row: `Predicted: 7  Actual: 7  confidence  99.9%`; of `count` rows."""
        lines = []
        for name, decoded in self.decoded.items():
            predicted = [printed(text) for text in decoded.predicted[:count]]
            actual = (
                [printed(text) for text in decoded.actual[:count]] if decoded.actual is not None else None
            )
            width = max([len(text) for text in predicted], default=0)
            actual_width = max([len(text) for text in actual or []], default=0)
            title = f"{name}: " if name else ""
            for i, text in enumerate(predicted):
                line = f"{title}Predicted: {text:>{width}}"
                line += f"  Actual: {actual[i]:>{actual_width}}" if actual is not None else ""
                if decoded.confidence is not None:
                    line += f"  confidence {decoded.confidence[i]:6.1%}"
                wrong = decoded.right is not None and decoded.counted[i] and not decoded.right[i]
                lines.append(line + ("  wrong" if wrong else ""))
        return lines

    def totals(self) -> list[str]:
        """One line per output of classes: how many of all rows are predicted as labelled."""
        lines = []
        for name, decoded in self.decoded.items():
            if decoded.right is None or not decoded.counted.any():
                continue
            right = int(decoded.right[decoded.counted].sum())
            rows = int(decoded.counted.sum())
            title = f"{name}: " if name else ""
            lines.append(f"{title}{right:,} of {rows:,} rows right ({right / rows:.2%})")
        return lines

    def csv(self) -> Iterator[str]:
        """All rows, as the parts of a file: which row it is, then of each output `predicted`, `actual` and
        `confidence` if they are known, and its numbers."""
        count = len(next(iter(self.outputs.values())))
        for begin in range(0, count, BLOCK):
            yield csv_text(self._columns(slice(begin, begin + BLOCK)), header=begin == 0)

    def _columns(self, some: slice) -> dict[str, Sequence[Any]]:
        columns = {name: cells[some] for name, cells in self.rows.items()}
        for name, decoded in self.decoded.items():
            prefix = f"{name}/" if name else ""
            columns[f"{prefix}predicted"] = decoded.predicted[some]
            if decoded.actual is not None:
                columns[f"{prefix}actual"] = decoded.actual[some]
            if decoded.confidence is not None:
                columns[f"{prefix}confidence"] = [f"{value:.6g}" for value in decoded.confidence[some]]
            raw = self.outputs[name].reshape(len(decoded.predicted), -1)[some]
            for number, values in zip(self._names_of_numbers(raw.shape[1]), raw.T, strict=False):
                columns[f"{prefix}{number}"] = [f"{value:.7g}" for value in values]
        return columns

    def _names_of_numbers(self, count: int) -> Sequence[str]:
        """Names of the numbers of an output; none for one that has too many."""
        if self.numbers is not None:
            return self.numbers
        return [f"output_{i}" for i in range(count)] if count <= MAX_COLUMNS else []


def rows_of_split(task: Task, split: str, count: int) -> dict[str, Sequence[int]]:
    """Which rows of their source the rows of a split are: their numbers from 1, as in messages about them.

    Args:
        task: That gives the rows. Where it has them from no table and no images, they are numbered in the
            split.
        split: The split.
        count: Rows of it, from the first on.
    """
    from trainkit.data.image_data import ImageData
    from trainkit.data.table_data import TableData

    for name, kind in (("table", TableData), ("images", ImageData)):
        found = getattr(task, name) if hasattr(type(task), name) else None
        if isinstance(found, kind):
            return {"row": (found.rows[split][:count] + 1).tolist()}
    return {"row": range(1, count + 1)}


def _named(outputs: Structure, names: Sequence[str]) -> dict[str, Any]:
    """Each output by its name; one output alone has the name ""."""
    if not isinstance(outputs, (Mapping, tuple, list)):
        return {"": outputs}
    flat = named_leaves(outputs)
    if isinstance(outputs, (tuple, list)):
        flat = [(f"output_{path}", value) for path, value in flat]
    if isinstance(outputs, (tuple, list)) and len(names) == len(flat):
        return {name: value for name, (_, value) in zip(names, flat, strict=True)}
    return dict(flat)


def _labels(found: Mapping[str, Any], labels: Structure, names: Sequence[str]) -> dict[str, Any]:
    """The labels of each output: of its name, else of its place."""
    if labels is None:
        return {}
    if list(found) == [""]:
        flat = leaves(labels)
        return {"": flat[0]} if len(flat) == 1 else {}
    known = dict(named_leaves(labels))
    if isinstance(labels, Mapping):
        return {name: known.get(name) for name in found}
    values = list(known.values())
    return dict(zip(found, values, strict=True)) if len(values) == len(found) else {}
