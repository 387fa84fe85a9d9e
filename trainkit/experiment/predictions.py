"""Predictions beside the true values, for people and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainkit.core.task import Task
from trainkit.core.tree import Structure

COLUMNS = 100  # raw outputs written to the CSV file, at most so many columns an output


class Predictions:
    """What a model says of some rows, and what is true.

    Args:
        task: Its `decode` turns outputs and labels into text.
        outputs: Model outputs `[N, ...]`, or a tuple or dict of them.
        labels: Labels `[N, ...]` in the same structure.
    """

    def __init__(self, task: Task, outputs: Structure, labels: Structure) -> None:
        pairs = _pairs(outputs, labels)
        self.outputs = {name: np.asarray(output) for name, (output, _) in pairs.items()}
        self.predicted = {name: task.decode(np.asarray(output)) for name, (output, _) in pairs.items()}
        self.actual = {name: task.decode(np.asarray(label)) for name, (_, label) in pairs.items()}
        self.confidence = {
            name: confidence(np.asarray(output), np.asarray(label)) for name, (output, label) in pairs.items()
        }

    def lines(self, count: int) -> list[str]:
        """One line a row, of the first `count` rows: `Predicted 7  Actual 7  (99.9 %)`."""
        lines = []
        for name, predicted in self.predicted.items():
            actual, sure = self.actual[name], self.confidence[name]
            shown = predicted[:count]
            width = max([len(text) for text in shown], default=0)
            other = max([len(text) for text in actual[:count]], default=0)
            title = f"{name + ': ' if name else ''}"
            for i, text in enumerate(shown):
                wrong = "  wrong" if sure is not None and text != actual[i] else ""
                percent = f"  confidence {sure[i]:6.1%}" if sure is not None else ""
                lines.append(
                    f"{title}Predicted: {text:>{width}}  Actual: {actual[i]:>{other}}{percent}{wrong}"
                )
        return lines

    def csv(self) -> str:
        """All rows: `row`, then for each output `predicted`, `actual`, `confidence` where it is known, and the raw outputs."""
        header = ["row"]
        columns: list[Sequence[Any]] = [range(len(next(iter(self.predicted.values()))))]
        for name, predicted in self.predicted.items():
            prefix = f"{name}/" if name else ""
            header += [f"{prefix}predicted", f"{prefix}actual"]
            columns += [predicted, self.actual[name]]
            sure = self.confidence[name]
            if sure is not None:
                header.append(f"{prefix}confidence")
                columns.append([f"{value:.6g}" for value in sure])
            raw = self.outputs[name].reshape(len(predicted), -1)
            if raw.shape[1] <= COLUMNS:
                header += [f"{prefix}output_{i}" for i in range(raw.shape[1])]
                columns += [[f"{value:.7g}" for value in column] for column in raw.T]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))
        return text.getvalue()


def confidence(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Probability `[N]` of the predicted class, where outputs `[N, ...]` are probabilities; None for other numbers."""
    flat = outputs.reshape(len(outputs), -1).astype(np.float64)
    if not np.issubdtype(outputs.dtype, np.floating) or not ((flat >= 0) & (flat <= 1)).all():
        return None
    if flat.shape[1] > 1:
        return flat.max(1) if np.allclose(flat.sum(1), 1, atol=1e-2) else None
    return np.maximum(flat[:, 0], 1 - flat[:, 0]) if np.isin(labels, (0, 1)).all() else None


def _pairs(outputs: Structure, labels: Structure) -> dict[str, tuple[Any, Any]]:
    """Each output with its labels, by name; one output alone has the name ""."""
    if isinstance(outputs, Mapping):
        return {str(name): (outputs[name], labels[name]) for name in outputs}
    if isinstance(outputs, (tuple, list)):
        return {f"output_{i}": pair for i, pair in enumerate(zip(outputs, labels, strict=True))}
    return {"": (outputs, labels)}
