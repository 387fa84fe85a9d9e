"""mode=predict: what a checkpoint predicts for the rows of a split, or for new rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainkit.cli.commands.exported import predict_by_file
from trainkit.cli.commands.opened import Opened, open_checkpoint, refuse_empty_split
from trainkit.core import files
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.experiment.job import Job

if TYPE_CHECKING:
    from trainkit.experiment.predictions import Predictions

__all__ = ["run"]


def run(job: Job) -> int:
    """Predict all rows; print some, and write all of them to `predictions.csv`.

    Raises:
        UserError: if there is no checkpoint, the split does not have its rows as arrays, or new rows do not
            fit those of the training.
    """
    if job.config.predict.model is not None:
        return predict_by_file(job)
    opened, predictions = _of_split(job) if job.config.predict.path is None else _of_new_rows(job)
    for line in [*predictions.lines(job.config.predict.show), *predictions.totals()]:
        print(line)
    opened.print_written(files.write_text(opened.folder / "predictions.csv", predictions.csv()))
    return 0


def _of_split(job: Job) -> tuple[Opened, Predictions]:
    from trainkit.experiment.predictions import Predictions, rows_of_split

    try:
        opened = open_checkpoint(job)
    except UserError as error:
        if "data.path" not in job.changed:
            raise
        raise UserError(f"{error} New rows are predicted by predict.path, in place of data.path.") from error
    split = job.config.predict.split
    found = getattr(opened.trainer.splits, split)
    refuse_empty_split(job, split, found, f"predict.split={split}")
    outputs = opened.trainer.predict(split=split)
    names = getattr(opened.trainer.model, "output_names", None) or ()
    rows = rows_of_split(job.task, split, len(found))
    return opened, Predictions(job.task, outputs, found.y, names, rows)


def _of_new_rows(job: Job) -> tuple[Opened, Predictions]:
    from trainkit.experiment.predictions import Predictions

    rows = job.task.new_rows(job.config.predict.path)
    for note in rows.notes:
        print(f"Note: {note}.")
    opened = open_checkpoint(job, Splits(rows.arrays, source=rows.source))
    outputs = opened.trainer.predict(x=rows.arrays.x)
    return opened, Predictions(job.task, outputs, rows=rows.names or None)
