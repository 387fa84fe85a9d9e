"""mode=evaluate: loss and metrics of a checkpoint over all rows of every split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trainkit.cli.commands.opened import Opened, open_checkpoint, refuse_empty_split
from trainkit.config.modes import SPLITS
from trainkit.core import files
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.experiment.job import Job

__all__ = ["run"]

Results = Mapping[str, Mapping[str, float]]


def run(job: Job) -> int:
    """Evaluate a checkpoint; print a table, write `evaluate.json` and draw the test rows. Of new rows, write
    `evaluate-new.json`.

    Raises:
        UserError: if there is no checkpoint, no split has its rows as arrays, the rows have no baselines or
            no columns where those are asked for, or new rows do not fit those of the training.
    """
    if job.config.evaluate.path is not None:
        return _of_new_rows(job, job.config.evaluate.path)
    opened = open_checkpoint(job)
    trainer = opened.trainer
    splits = {name: getattr(trainer.splits, name) for name in SPLITS}
    sizes = {name: len(rows) for name, rows in splits.items() if isinstance(rows, Arrays)}
    if not sizes:
        raise UserError(f"Task {job.task.name} gives no split as arrays; there is nothing to evaluate.")
    _check(job, splits)
    results = {name: trainer.evaluate(split=name) for name in sizes}
    print("\n".join(_table(sizes, results)))
    content: dict[str, Any] = {
        "checkpoint": opened.found.checkpoint.name,
        **trainer.state.position(),
        "dataset": trainer.splits.source.name,
        "results": results,
    }
    if job.config.evaluate.baselines:
        content["baselines"] = _baselines(job, splits, results)
    if isinstance(splits["test"], Arrays):
        content |= _pictures(job, opened, splits["test"])
    opened.print_written(files.write_json(opened.folder / "evaluate.json", content))
    return 0


def _of_new_rows(job: Job, path: str) -> int:
    """Print loss and metrics of labelled rows that the run does not have."""
    for name in ("baselines", "importance"):
        if getattr(job.config.evaluate, name):
            raise UserError(f"evaluate.{name}=true is of the run's test rows: leave it or evaluate.path out.")
    rows = job.task.labelled_rows(path)
    for note in rows.notes:
        print(f"Note: {note}.")
    opened = open_checkpoint(job, Splits(rows.arrays, source=rows.source))
    results = {rows.source.name: opened.trainer.evaluate(split="train")}
    print("\n".join(_table({rows.source.name: len(rows.arrays)}, results)))
    content = {
        "checkpoint": opened.found.checkpoint.name,
        **opened.trainer.state.position(),
        "rows": {**asdict(rows.source), "count": len(rows.arrays)},
        "results": results[rows.source.name],
    }
    opened.print_written(files.write_json(opened.folder / "evaluate-new.json", content))
    return 0


def _check(job: Job, splits: Mapping[str, Any]) -> None:
    """Refuse what cannot be told of these rows, before anything is evaluated."""
    config = job.config.evaluate
    train, test = splits["train"], splits["test"]
    needed = {"baselines": (train, test), "importance": (test,)}
    for name, parts in needed.items():
        if getattr(config, name):
            refuse_empty_split(job, "test", test, f"evaluate.{name}=true", "Leave it out.")
        if getattr(config, name) and not all(isinstance(rows, Arrays) for rows in parts):
            raise UserError(f"evaluate.{name}=true needs training and test rows as arrays; leave it out.")
    if config.baselines:
        from trainkit.experiment import baselines

        baselines.check(job.task, train)
    if config.importance:
        from trainkit.experiment import pictures

        next(iter(job.task.shuffled_columns("test", 0, pictures.importance_rows(test)[:1])), None)


def _table(sizes: Mapping[str, int], results: Results) -> list[str]:
    """A line per split under a line of names."""
    names = list(next(iter(results.values())))
    widths = {name: max(12, len(name) + 2) for name in names}
    lines = [f"{'':<20}{'rows':>9}" + "".join(f"{name:>{widths[name]}}" for name in names)]
    for split, scores in results.items():
        values = "".join(
            f"{scores[name]:>{widths[name]}.5g}" if name in scores else " " * widths[name] for name in names
        )
        lines.append(f"{split:<20}{sizes[split]:>9,}{values}")
    return lines


def _baselines(job: Job, splits: Mapping[str, Any], results: Results) -> Results:
    """Fit simple models, print their table and a verdict, and return their scores on the test rows."""
    from trainkit.experiment.baselines import baselines, verdict

    train, test = splits["train"], splits["test"]
    print(f"\nFitting simple models to {len(train):,} rows.", flush=True)
    found = baselines(job.task, train, test)
    print("\n".join(["", *_table(dict.fromkeys(found, len(test)), found)]))
    line = verdict(results["test"], found, job.task)
    print(f"{line}\n" if line else "")
    return found


def _pictures(job: Job, opened: Opened, test: Arrays) -> Mapping[str, Any]:
    """Draw the test rows, and with `evaluate.importance` the columns; returns their importance."""
    from trainkit.experiment import pictures

    trainer = opened.trainer
    folder = opened.folder / "plots"
    made = []
    found: dict[str, Any] = {}
    if job.config.callbacks.plots:
        made += pictures.draw_results(job.task, trainer.predict(split="test"), test, folder)
    if job.config.evaluate.importance:
        importance = pictures.permutation_importance(job.task, test, lambda x: trainer.predict(x=x))
        sample = len(pictures.importance_rows(test))
        if sample < len(test):
            print(f"Importance:  of columns on a sample of {sample:,} of {len(test):,} test rows")
        made.append(pictures.draw_importance(importance, folder))
        found["importance"] = importance
    if made:
        print(f"Pictures:    {files.shown(folder)}: {', '.join(path.name for path in made)}")
    return found
