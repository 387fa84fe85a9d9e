"""debug=find_lr: looks for a learning rate; leaves `find_lr.json` and `plots/find_lr.png`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from trainkit.cli.commands.run_files import comparison_dir
from trainkit.config import OptimizerConfig, ScheduleConfig
from trainkit.core import files
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.experiment.job import Job
from trainkit.runs import figures

if TYPE_CHECKING:
    from trainkit.callbacks.rate_finder import RateFinder
    from trainkit.trainer.setup import TrainSetup

__all__ = ["run"]


def run(job: Job) -> int:
    """Train for some steps with a growing rate, and say which is good. No run is made or changed.

    Raises:
        UserError: for data, settings or a model that cannot be trained, or a run that is to be resumed.
    """
    if job.found is not None:
        raise UserError("debug=find_lr begins anew; leave resume= out.")
    from trainkit.backend import devices
    from trainkit.callbacks.rate_finder import smoothed, steepest

    finder, setup = _search(job)
    place = comparison_dir(job, "find_lr", setup.splits.source, devices.describe())
    suggestion = steepest(finder.rates, finder.losses)
    smooth = smoothed(finder.losses)
    content = {
        "suggestion": suggestion,
        "task": job.config.name,
        "dataset": setup.splits.source.name,
        "rates": finder.rates[: len(finder.losses)],
        "losses": finder.losses,
        "smoothed": smooth,
    }
    files.write_json(place.path / "find_lr.json", content)
    finite = [i for i, loss in enumerate(finder.losses) if math.isfinite(loss)]
    curves = {
        "loss of a batch": ([finder.rates[i] for i in finite], [finder.losses[i] for i in finite]),
        "smoothed": ([finder.rates[i] for i in finite], [smooth[i] for i in finite]),
    }
    path = place.plots / "find_lr.png"
    title = f"{job.config.name}: suggestion {suggestion:.2g}" if suggestion else f"{job.config.name}"
    figures.draw(path, "loss", curves, title, axis="learning rate", log_axis=True, mark=suggestion)
    if suggestion is None:
        print(
            "The loss does not fall at any of these rates; look at the curve, or set find_lr.low and .high."
        )
    else:
        print(f"Suggestion: optimizer.learning_rate={suggestion:.2g}, where the loss falls most steeply")
    print(f"Written:    {place.shown}/find_lr.json, {files.shown(path)}")
    return 0


def _search(job: Job) -> tuple[RateFinder, TrainSetup]:
    """A training from the start, without validation, with a rate that grows."""
    from trainkit.callbacks.rate_finder import RateFinder
    from trainkit.trainer.trainer import Trainer

    settings = job.config.find_lr
    config = replace(job.config.trainer, epochs=settings.steps, steps=settings.steps, on_nonfinite="ignore")
    optimizer: OptimizerConfig = replace(
        job.config.optimizer, learning_rate=settings.low, schedule=ScheduleConfig()
    )
    splits = job.data() or job.task.data()
    trainer = Trainer(config, optimizer=optimizer, progress=job.config.progress)
    rows = Splits(splits.train, source=splits.source)
    setup = trainer.prepare(job.task, data=rows)
    finder = RateFinder(settings.low, settings.high, settings.steps, setup.shape.step_rows, setup.shape.rows)
    trainer.callbacks = [finder]
    trainer.fit(job.task)
    return finder, setup
