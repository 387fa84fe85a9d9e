"""mode=predict: what a checkpoint predicts for the rows of a split."""

from __future__ import annotations

from trainkit.cli.commands.opened import open_checkpoint
from trainkit.core import files
from trainkit.experiment.job import Job

__all__ = ["run"]


def run(job: Job) -> int:
    """Predict all rows of a split; print some, and write all of them to `predictions.csv`.

    Raises:
        UserError: if there is no checkpoint, or the split does not have its rows as arrays.
    """
    from trainkit.experiment.predictions import Predictions

    opened = open_checkpoint(job)
    split = job.config.predict.split
    outputs = opened.trainer.predict(split=split)
    labels = getattr(opened.trainer.splits, split).y
    names = getattr(opened.trainer.model, "output_names", None) or ()
    predictions = Predictions(job.task, outputs, labels, names)
    for line in [*predictions.lines(job.config.predict.show), *predictions.totals()]:
        print(line)
    opened.print_written(files.write_text(opened.folder / "predictions.csv", predictions.csv()))
    return 0
