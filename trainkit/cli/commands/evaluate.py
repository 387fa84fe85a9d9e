"""mode=evaluate: loss and metrics of a checkpoint over all rows of every split."""

from __future__ import annotations

from collections.abc import Mapping

from trainkit.cli.commands.opened import open_checkpoint
from trainkit.config.modes import SPLITS
from trainkit.core import files
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.experiment.job import Job

__all__ = ["run"]

Results = Mapping[str, Mapping[str, float]]


def run(job: Job) -> int:
    """Evaluate a checkpoint; print a table and write `evaluate.json`.

    Raises:
        UserError: if there is no checkpoint, or no split has its rows as arrays.
    """
    opened = open_checkpoint(job)
    trainer = opened.trainer
    splits = {name: getattr(trainer.splits, name) for name in SPLITS}
    sizes = {name: len(rows) for name, rows in splits.items() if isinstance(rows, Arrays)}
    if not sizes:
        raise UserError(f"Task {job.task.name} gives no split as arrays; there is nothing to evaluate.")
    results = {name: trainer.evaluate(split=name) for name in sizes}
    print("\n".join(_table(sizes, results)))
    content = {
        "checkpoint": opened.found.checkpoint.name,
        **trainer.state.position(),
        "dataset": trainer.splits.source.name,
        "results": results,
    }
    opened.print_written(files.write_json(opened.folder / "evaluate.json", content))
    return 0


def _table(sizes: Mapping[str, int], results: Results) -> list[str]:
    """A line per split under a line of names."""
    names = list(next(iter(results.values())))
    widths = {name: max(12, len(name) + 2) for name in names}
    lines = [f"{'':<12}{'rows':>9}" + "".join(f"{name:>{widths[name]}}" for name in names)]
    for split, size in sizes.items():
        values = "".join(f"{results[split][name]:>{widths[name]}.5g}" for name in names)
        lines.append(f"{split:<12}{size:>9,}{values}")
    return lines
