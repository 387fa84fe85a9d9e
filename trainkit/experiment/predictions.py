"""Predictions beside the true values, as lines for people and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainkit.core.task import Task
from trainkit.core.tree import Structure

__all__ = ["Predictions", "confidences"]

MAX_COLUMNS = 100  # an output with more numbers per row is left out of the CSV file


class Predictions:
    """What a model predicts for some rows, and what is true.

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
            name: confidences(np.asarray(output), np.asarray(label))
            for name, (output, label) in pairs.items()
        }

    def lines(self, count: int) -> list[str]:
        """One line per output and row: `Predicted: 7  Actual: 7  confidence  99.9%`; of `count` rows."""
        lines = []
        for name in self.predicted:
            predicted = self.predicted[name][:count]
            actual = self.actual[name][:count]
            confidence = self.confidence[name]
            width = max([len(text) for text in predicted], default=0)
            actual_width = max([len(text) for text in actual], default=0)
            title = f"{name}: " if name else ""
            for i, (text, true) in enumerate(zip(predicted, actual, strict=True)):
                line = f"{title}Predicted: {text:>{width}}  Actual: {true:>{actual_width}}"
                if confidence is not None:
                    line += f"  confidence {confidence[i]:6.1%}"
                    line += "" if text == true else "  wrong"
                lines.append(line)
        return lines

    def csv(self) -> str:
        """All rows: `row`, then of each output `predicted`, `actual`, `confidence` if known, its numbers."""
        header = ["row"]
        columns: list[Sequence[Any]] = [range(len(next(iter(self.predicted.values()))))]
        for name, predicted in self.predicted.items():
            prefix = f"{name}/" if name else ""
            header += [f"{prefix}predicted", f"{prefix}actual"]
            columns += [predicted, self.actual[name]]
            confidence = self.confidence[name]
            if confidence is not None:
                header.append(f"{prefix}confidence")
                columns.append([f"{value:.6g}" for value in confidence])
            raw = self.outputs[name].reshape(len(predicted), -1)
            if raw.shape[1] <= MAX_COLUMNS:
                header += [f"{prefix}output_{i}" for i in range(raw.shape[1])]
                columns += [[f"{value:.7g}" for value in column] for column in raw.T]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))
        return text.getvalue()


def confidences(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Probability `[N]` of the predicted class, if the outputs `[N, ...]` are probabilities; else None."""
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
