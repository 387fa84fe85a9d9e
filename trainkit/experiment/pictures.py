"""Pictures of what a model predicts for the test rows: where it is right, and where it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from trainkit.core import files
from trainkit.core.cells import csv_text
from trainkit.core.datasets import Arrays
from trainkit.core.number_texts import number_texts
from trainkit.core.row_view import RowView
from trainkit.core.task import Task
from trainkit.experiment.decoding import output_kind
from trainkit.runs import figures
from trainkit.runs.figures import Panel
from trainkit.runs.picture_names import short_names

__all__ = ["draw_augmented", "draw_importance", "draw_results", "importance_rows", "permutation_importance"]

WORST = 16  # rows that are shown
MAX_CURVES = 10  # classes that have a curve each
BINS = 10  # of the calibration
REPEATS = 3  # shuffles of each column
SAMPLE = 20_000  # rows in files whose columns are shuffled

Predict = Callable[[Any], np.ndarray]
Guard = Callable[[], AbstractContextManager[None]]


def draw_results(
    task: Task, outputs: Any, rows: Arrays, folder: Path, split: str = "test", guard: Guard = nullcontext
) -> list[Path]:
    """Draw what suits the task: classes, or one number per row.

    Classes: `confusion.png`, `roc_pr.png`, `calibration.png`; a number: `actual.png`, with the residuals; of
    both the rows that are predicted worst: `worst.png` for images, else `worst.csv`.

    Args:
        task: The task, for the names of its classes or its unit.
        outputs: Of the model, `[N, ...]`. Nothing is drawn for several outputs.
        rows: The rows, with labels.
        folder: Where the pictures go.
        split: Which rows these are, for the titles.
        guard: Each file is written inside of what it gives.

    Returns:
        The files.
    """
    if not isinstance(outputs, np.ndarray) or not isinstance(rows.y, np.ndarray):
        return []
    kind = output_kind(task.loss(), outputs, rows.y)
    if outputs.ndim == 2 and kind.name == "classes" and not kind.from_logits and outputs.shape[1] > 1:
        labels = rows.y.argmax(axis=1) if rows.y.ndim == 2 and rows.y.shape[1] > 1 else rows.y.reshape(-1)
        return _of_classes(task, outputs, labels.astype(np.int64), rows, folder, split, guard)
    if outputs.size == len(outputs) and kind.name == "values" and rows.y.size == len(outputs):
        return _of_numbers(task, outputs, rows, folder, split, guard)
    return []


def _of_classes(
    task: Task,
    scores: np.ndarray,
    labels: np.ndarray,
    rows: Arrays,
    folder: Path,
    split: str,
    guard: Guard,
) -> list[Path]:
    names = list(task.class_names() or map(str, range(scores.shape[1])))
    predicted = scores.argmax(axis=1)
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    share = float((predicted == labels).mean())
    title = f"{split} rows, {share:.1%} right"
    made = [folder / "confusion.png", folder / "roc_pr.png", folder / "calibration.png"]
    shown = figures.drawable(names)
    with guard():
        figures.draw_confusion(made[0], counts, shown, title)
    with guard():
        figures.draw_panels(made[1], _curves(scores, labels, short_names(shown, figures.NAME_WIDTH)))
    with guard():
        figures.draw_panels(made[2], [_calibration(scores, labels, predicted)])
    own = scores[np.arange(len(labels)), labels]
    short = short_names(shown, figures.CAPTION_WIDTH)
    captions = [
        short[label] + (f", taken for {short[taken]}" if taken != label else "") + f" ({score:.0%})"
        for label, taken, score in zip(labels, predicted, scores.max(axis=1), strict=True)
    ]
    facts = {
        "actual": [names[i] for i in labels],
        "predicted": [names[i] for i in predicted],
        "probability_of_actual": [f"{value:.6g}" for value in own],
    }
    return [*made, *_worst(task, np.argsort(own, kind="stable"), rows, folder, split, captions, facts, guard)]


def _curves(scores: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> list[Panel]:
    """ROC and precision over recall of each class against all others; of two classes, of the second."""
    chosen = range(1, 2) if len(names) == 2 else range(min(len(names), MAX_CURVES))
    roc = {}
    pr = {}
    for i in chosen:
        actual = labels == i
        if not actual.any() or actual.all():
            continue
        false_rate, recall, precision = curve(scores[:, i], actual)
        roc[f"{names[i]}, area {np.trapezoid(recall, false_rate):.3f}"] = (false_rate, recall)
        area = float(np.sum(np.diff(recall) * precision[1:]))
        pr[f"{names[i]}, area {area:.3f}"] = (recall[1:], precision[1:])
    more = f", {len(roc)} of {len(names)} classes" if len(roc) < len(names) > 2 else ""
    return [
        Panel(f"ROC{more}", "false positive rate", "true positive rate", roc, diagonal=True),
        Panel(f"precision and recall{more}", "recall", "precision", pr),
    ]


def curve(scores: np.ndarray, actual: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False positive rate, recall and precision at every threshold, from none to all.

    Args:
        scores: `[N]`.
        actual: Whether each row is of the class `[N]`; some are, and some are not.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # equal scores count together
    hits = np.cumsum(actual[order])[ends]
    taken = ends + 1
    recall = np.concatenate([[0.0], hits / actual.sum()])
    false_rate = np.concatenate([[0.0], (taken - hits) / (len(actual) - actual.sum())])
    return false_rate, recall, np.concatenate([[1.0], hits / taken])


def _calibration(scores: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> Panel:
    """How often the rows of each confidence are right."""
    confidence = scores.max(axis=1)
    bins = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    used = counts > 0
    mean = np.bincount(bins, confidence, BINS)[used] / counts[used]
    right = np.bincount(bins, (predicted == labels).astype(float), BINS)[used] / counts[used]
    error = float(np.abs(mean - right) @ counts[used] / counts.sum())
    return Panel(
        f"calibration, error {error:.3f}",
        "confidence",
        "share that is right",
        {"bins of equal width": (mean, right)},
        diagonal=True,
    )


def _of_numbers(
    task: Task, outputs: np.ndarray, rows: Arrays, folder: Path, split: str, guard: Guard
) -> list[Path]:
    predicted = task.in_unit(outputs.reshape(-1))
    actual = task.in_unit(np.asarray(rows.y).reshape(-1))
    residuals = predicted - actual
    unit = f" ({task.unit()})" if task.unit() else ""
    path = folder / "actual.png"
    error = float(np.sqrt((residuals**2).mean()))
    with guard():
        figures.draw_panels(
            path,
            [
                Panel(
                    f"{split} rows, error {error:.4g}{unit}",
                    f"actual{unit}",
                    f"predicted{unit}",
                    {"rows": (actual, predicted)},
                    dots=True,
                    diagonal=True,
                ),
                Panel(
                    "residuals",
                    f"predicted{unit}",
                    f"predicted - actual{unit}",
                    {"rows": (predicted, residuals)},
                    dots=True,
                    level=0.0,
                ),
            ],
        )
    captions = [f"{a:.4g}, predicted {p:.4g}" for a, p in zip(actual, predicted, strict=True)]
    facts = {
        "actual": number_texts(np.asarray(rows.y).reshape(-1), task.in_unit),
        "predicted": number_texts(outputs.reshape(-1), task.in_unit),
    }
    order = np.argsort(-np.abs(residuals), kind="stable")
    return [path, *_worst(task, order, rows, folder, split, captions, facts, guard)]


def _worst(
    task: Task,
    order: np.ndarray,
    rows: Arrays,
    folder: Path,
    split: str,
    captions: Sequence[str],
    facts: Mapping[str, Sequence[str]],
    guard: Guard,
) -> list[Path]:
    """The rows that come first in an order: as a picture of images, else as a table of their columns."""
    chosen = order[:WORST]
    x = rows.x
    if isinstance(x, (np.ndarray, RowView)) and x.dtype == np.uint8 and x.ndim in (3, 4):
        images = x[chosen] if x.ndim == 4 else x[chosen][..., None]
        path = folder / "worst.png"
        with guard():
            figures.draw_images(path, images, [captions[i] for i in chosen], f"worst {split} rows")
        return [path]
    shown = task.shown_columns(split, chosen)
    if not shown:
        return []
    columns = {**{name: [values[i] for i in chosen] for name, values in facts.items()}, **shown}
    path = folder / "worst.csv"
    with guard():
        files.write_text(path, csv_text(columns))
    return [path]


def draw_augmented(augmented: Callable[[int, np.ndarray], tuple[Any, ...]], rows: int, folder: Path) -> None:
    """Draw the first training images as they are augmented in the first epochs, as `augmented.png`.

    Args:
        augmented: As `Task.augmented` gives it.
        rows: Training rows.
        folder: Where the picture goes.
    """
    shown = np.arange(min(figures.IMAGES_PER_ROW, rows))
    batches = [augmented(epoch, shown)[0] for epoch in range(WORST // figures.IMAGES_PER_ROW)]
    images = np.concatenate(batches)
    if images.ndim == 4:
        captions = [f"row {i + 1}, epoch {epoch + 1}" for epoch in range(len(batches)) for i in shown]
        figures.draw_images(folder / "augmented.png", images, captions, "training images as augmented")


def permutation_importance(
    task: Task, rows: Arrays, predict: Predict, split: str = "test"
) -> dict[str, float]:
    """How much the loss grows with each column of a table shuffled, the largest first.

    Source: L. Breiman: Random Forests, Machine Learning 45, 2001. The mean of three shuffles. Of rows
    that lie in files, a sample is shuffled.

    Args:
        task: A task whose `shuffled_columns` gives the rows with one column shuffled.
        rows: The rows, with labels.
        predict: Gives the outputs of inputs.
        split: Which rows these are.
    """
    chosen = importance_rows(rows)
    rows = rows.take(chosen)
    base = _loss(task, rows, predict(rows.x))
    found: dict[str, list[float]] = {}
    for repeat in range(REPEATS):
        for name, x in task.shuffled_columns(split, repeat, chosen):
            found.setdefault(name, []).append(_loss(task, rows, predict(x)) - base)
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def importance_rows(rows: Arrays) -> np.ndarray:
    """The numbers of the rows that `permutation_importance` looks at: all; of rows in files so many that they
    fit into memory."""
    if not rows.in_files or len(rows) <= SAMPLE:
        return np.arange(len(rows))
    return np.sort(np.random.default_rng(0).choice(len(rows), SAMPLE, replace=False))


def _loss(task: Task, rows: Arrays, outputs: np.ndarray) -> float:
    return float(task.loss()(rows.y, outputs, sample_weight=rows.weight))


def draw_importance(importance: Mapping[str, float], folder: Path) -> Path:
    """Draw what `permutation_importance` found as `importance.png`."""
    path = folder / "importance.png"
    shown = dict(list(importance.items())[:30])
    figures.draw_bars(path, shown, "growth of the loss with this column shuffled", "importance of columns")
    return path
