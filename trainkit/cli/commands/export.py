"""mode=export: the model of a run in formats for other programs, each compared before it counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainkit.cli.commands.opened import Opened, open_checkpoint
from trainkit.config.export import FORMATS
from trainkit.core import files
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.core.figures import size
from trainkit.experiment.job import Job

if TYPE_CHECKING:
    from trainkit.export.exporting import ExportedFile, ExportReport

__all__ = ["run"]

TRAINING_ROWS = 200  # on which 8-bit formats choose their scales


def run(job: Job) -> int:
    """Export the best model of a run; leaves its files and `export.json` in the run's `export/`.

    Returns:
        The exit code: 2 if a file cannot be written, 1 if one gives something else in its own runtime.

    Raises:
        UserError: if there is no checkpoint, a package is missing, or the one format that was asked for
            cannot hold the model.
    """
    from trainkit.export.exporting import check_installed, export_model

    config = job.config.export
    formats = FORMATS if config.format == "all" else (config.format,)
    if config.quantize != "none" and "litert" not in formats:
        raise UserError(
            f"export.quantize={config.quantize} is for LiteRT; expected export.format=litert or all, "
            f"got {config.format}."
        )
    check_installed(formats)
    opened = open_checkpoint(job)
    split, rows = _rows(opened)
    training = opened.trainer.splits.in_memory().get("train")
    if training is not None:
        training = training.take(slice(0, TRAINING_ROWS))
    model = opened.trainer.model
    if config.preparation:
        model, rows, training = _with_preparation(job, model, split, rows, training)
    print(
        f"Exporting {', '.join(formats)}; each file is compared on {split} rows in a process of its own.",
        flush=True,
    )
    report = export_model(
        model,
        opened.folder / "export",
        rows,
        formats=formats,
        quantize={"none": (), "all": ("dynamic", "int8")}.get(config.quantize, (config.quantize,)),
        training=training,
        compare=config.rows,
        tolerance=config.tolerance,
        on_file=lambda one: print("\n".join(_lines(one)), flush=True),
    )
    _refuse_nothing_written(report, formats)
    opened.print_written(_write_report(job, opened, report, split))
    return _exit_code(report)


def _exit_code(report: ExportReport) -> int:
    if any(one.unwritten for one in report.files):
        return 2
    return 1 if any(one.wrong for one in report.files) else 0


def _with_preparation(
    job: Job, model: Any, split: str, rows: Arrays, training: Arrays | None
) -> tuple[Any, Arrays, Arrays | None]:
    """The model that takes raw rows, and these rows; all as they were where the task prepares none."""
    served = job.task.serving_model(model)
    if served is model:
        return model, rows, training
    raw = Arrays(job.task.serving_rows(split, rows))
    before = None if training is None else Arrays(job.task.serving_rows("train", training))
    return served, raw, before


def _rows(opened: Opened) -> tuple[str, Arrays]:
    """The rows to compare on: those of the test split if there are any."""
    have = opened.trainer.splits.in_memory()
    for split in ("test", "validation", "train"):
        if split in have:
            return split, have[split]
    raise UserError("The task gives no split as arrays; an export needs rows on which it is compared.")


def _lines(one: ExportedFile) -> list[str]:
    """`onnx: model.onnx, 412 kB; largest difference 2.4e-07 on 1,000 rows`"""
    name = f"{one.format + ':':<16}"
    if not one.file:
        word = "WRONG, not kept" if one.wrong else "NOT WRITTEN" if one.unwritten else "refused"
        return [f"{name}{word}: {one.refused}"]
    difference = f"largest difference {one.largest_difference:.2g} on {one.rows:,} rows"
    lines = [f"{name}{one.file}, {size(one.size)}; {difference}"]
    if one.metrics:
        changes = [
            f"{metric} {value:.5g} -> {one.metrics['file'][metric]:.5g}"
            for metric, value in sorted(one.metrics["model"].items())
        ]
        lines.append(f"{'':<16}{', '.join(changes)}")
    if one.rounding is not None:
        lines.append(
            f"{'':<16}computes in float32: {one.rounding:.2g} from the half precision of the training"
        )
    if one.left_out:
        lines.append(f"{'':<16}without {', '.join(one.left_out)}, which plain Keras does not know")
    return lines


def _refuse_nothing_written(report: ExportReport, formats: tuple[str, ...]) -> None:
    """Refuse what cannot be done; of several formats, those that can hold the model are enough."""
    refused = [one for one in report.files if one.refused and not one.wrong]
    if len(refused) == len(report.files):
        raise UserError(f"Nothing was exported as {', '.join(formats)}: {refused[0].refused}")


def _write_report(job: Job, opened: Opened, report: ExportReport, split: str) -> Path:
    path = opened.folder / "export" / "export.json"
    before = files.read_json(path).get("files", {})
    state = opened.trainer.state
    found = report.as_dict()
    about = {
        "checkpoint": opened.found.checkpoint.name,
        **state.position(),
        "compared_on": split,
        "tolerance": job.config.export.tolerance,
        "created": files.now(),
        "inputs": found["inputs"],
        "outputs": found["outputs"],
    }
    # Each file has its own: files of an earlier export stay, and may be of another checkpoint.
    written = {name: {**about, **one} for name, one in found["files"].items()}
    content = {"task": job.config.name, "dataset": opened.trainer.splits.source.name, **about}
    return files.write_json(path, {**content, "files": {**before, **written}})
