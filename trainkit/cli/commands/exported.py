"""mode=predict by an exported file in place of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainkit.cli.commands.opened import refuse_empty_split
from trainkit.core import files
from trainkit.core.cells import csv_text
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError, one_line
from trainkit.data.preparation.labels import NumberTarget
from trainkit.experiment.job import Job

if TYPE_CHECKING:
    from trainkit.experiment.predictions import Predictions
    from trainkit.export.runtimes import Exported

__all__ = ["predict_by_file"]


def predict_by_file(job: Job) -> int:
    """Predict the rows of a split, or new rows, by an exported file in its own runtime.

    Raises:
        UserError: if the file cannot be used, or takes other rows.
    """
    path = Path(str(job.config.predict.model))
    exported = _opened(path)
    rows, raw, about = _rows(job)
    predictions = _predictions(job, exported, rows, raw, about)
    for line in [*predictions.lines(job.config.predict.show), *predictions.totals()]:
        print(line)
    run = job.found.run if job.found else None
    folder = run.path if run is not None else path.parent
    print(f"Model:       {files.shown(path)} ({exported.format})")
    print(f"Written:     {files.shown(files.write_text(folder / 'predictions.csv', predictions.csv()))}")
    return 0


def _opened(path: Path) -> Exported:
    from trainkit.export.runtimes import load

    if not path.exists():
        raise UserError(
            f"predict.model={path} does not exist; expected a file that mode=export resume=<run> has "
            "written, into the folder export of the run."
        )
    try:
        return load(path)
    except ImportError as error:
        raise UserError(
            f"predict.model={path} needs {error.name}, which is not installed; install it with "
            "`pip install 'trainkit[onnx,litert]'`."
        ) from error
    except Exception as error:  # each runtime raises its own kinds for a file that is damaged
        raise UserError(f"predict.model={path} cannot be loaded: {one_line(str(error))[:300]}") from error


def _rows(job: Job) -> tuple[Arrays, Any, dict[str, Any]]:
    """The prepared rows, the same before their preparation, and what names them."""
    from trainkit.experiment.predictions import rows_of_split

    predict = job.config.predict
    if predict.path is not None:
        new = job.task.new_rows(predict.path)
        for note in new.notes:
            print(f"Note: {note}.")
        return new.arrays, new.raw() if new.raw else new.arrays.x, {"rows": new.names or None}
    splits = (job.data() or job.task.data()).in_memory()
    refuse_empty_split(job, predict.split, splits.get(predict.split), f"predict.split={predict.split}")
    if predict.split not in splits:
        have = ", ".join(splits) or "none"
        raise UserError(f"Task {job.task.name} has no split {predict.split!r} in memory; it has {have}.")
    rows = splits[predict.split]
    about = {"labels": rows.y, "rows": rows_of_split(job.task, predict.split, len(rows))}
    return rows, job.task.serving_rows(predict.split, rows), about


def _predictions(
    job: Job, exported: Exported, rows: Arrays, raw: Any, about: dict[str, Any]
) -> Predictions | _InUnits:
    """What the file says of the rows as the model takes them, or of those before their preparation."""
    import keras

    from trainkit.experiment.predictions import Predictions
    from trainkit.export.runtimes import flat_names

    prepared, before = (flat_names(x, "input", keras.tree) for x in (rows.x, raw))
    if exported.takes(before):
        x, named = raw, before
    elif exported.takes(prepared) or len(prepared) == 1 >= len(exported.inputs):
        x, named = rows.x, prepared
    else:
        taken = ", ".join(exported.inputs) or "inputs without names"
        raise UserError(
            f"predict.model={exported.path} takes {taken}; the rows have "
            f"{', '.join(before)}, and prepared {', '.join(prepared)}. Expected a file that was exported "
            f"from a run of task {job.task.name} with these columns."
        )
    try:
        outputs: Any = exported(named)
    except Exception as error:  # each runtime has its own for rows of another type or shape
        raise UserError(
            f"predict.model={exported.path} does not take these rows: {one_line(str(error))[:300]} Expected "
            f"a file that was exported from a run of task {job.task.name} with these columns."
        ) from error
    if "scores" in outputs:  # of a model with preparation; the class names follow from them
        outputs = outputs["scores"]
    elif x is raw and raw is not rows.x:
        labels = None if about.get("labels") is None else job.task.decode(np.asarray(about["labels"]))
        return _InUnits(_number_texts(job, outputs["predicted"]), labels, about.get("rows"))
    elif len(outputs) == 1:
        (outputs,) = outputs.values()
    return Predictions(job.task, outputs, **about)


def _number_texts(job: Job, numbers: np.ndarray) -> list[str]:
    """Numbers `[N]` in the target's unit with the digits that float32 tells apart, as the run shows them."""
    numbers = numbers.reshape(-1)
    target = getattr(job.task, "target", None)
    if isinstance(target, NumberTarget) and numbers.dtype != np.float32:
        return job.task.decode(target.encode(numbers))
    return [str(v) if numbers.dtype == np.float32 else f"{v:.12g}" for v in numbers]


@dataclass(frozen=True)
class _InUnits:
    """Numbers that are in the target's unit already, as `Predictions` shows others.

    Args:
        predicted: As texts, `[N]`.
        actual: The true ones as texts, `[N]`; None: not known.
        rows: Columns that say which row is which, `[N]` each; None: their numbers from 1.
    """

    predicted: Sequence[str]
    actual: Sequence[str] | None
    rows: Mapping[str, Sequence[Any]] | None = None

    def lines(self, count: int) -> list[str]:
        texts = [f"Predicted: {text}" for text in self.predicted[:count]]
        if self.actual is None:
            return texts
        return [f"{text}  Actual: {true}" for text, true in zip(texts, self.actual, strict=False)]

    def totals(self) -> list[str]:
        return []

    def csv(self) -> list[str]:
        columns: dict[str, Sequence[Any]] = {**(self.rows or {"row": range(1, len(self.predicted) + 1)})}
        columns["predicted"] = self.predicted
        if self.actual is not None:
            columns["actual"] = list(self.actual)
        return [csv_text(columns)]
