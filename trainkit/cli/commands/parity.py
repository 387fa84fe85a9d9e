"""mode=parity: compares trainings, writes what it found, and exits by the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainkit.cli.commands.run_files import comparison_dir
from trainkit.core import files
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.distributed import launcher
from trainkit.experiment.job import Job
from trainkit.runs import figures, metrics_csv, run_dir

if TYPE_CHECKING:
    from trainkit.config import TrainerConfig
    from trainkit.verification.replicas import SpreadReport
    from trainkit.verification.report import Report

__all__ = ["run"]

# What a comparison sets for its workers, in place of the same words of the command.
SET_FOR_WORKERS = (
    "mode=",
    "parity.",
    "run_dir=",
    "progress=",
    "trainer.strategy=",
    "trainer.replicas=",
    "trainer.execution=",
)


def run(job: Job) -> int:
    """One comparison with `model.fit`, or many by `parity.matrix=true`, or of one device with several.

    Returns:
        The exit code: 0 if the differences are within the tolerance, else 1.

    Raises:
        UserError: for settings that cannot be compared.
    """
    parity = job.config.parity
    if parity.replicas or parity.workers:
        return _compare_with_several_devices(job)
    return _compare_all(job) if parity.matrix else _compare(job)


def _compare(job: Job) -> int:
    """Compare with `model.fit` once; leaves `parity.json` and `plots/parity.png`."""
    from trainkit.verification import compare

    config = job.config
    report = compare(job.task, config.trainer, config.parity, config.optimizer, job.data(), job.callbacks)
    place = comparison_dir(job, "parity", report.source, report.devices)
    files.write_json(place.path / "parity.json", report.as_dict())
    _draw(place.path / "plots" / "parity.png", report)
    about = report.about
    print(
        f"trainkit and model.fit: {about['task']} on {about['dataset']}, {about['execution']}, "
        f"{about['precision']}, {about['strategy']}, {report.steps} steps"
    )
    print("\n".join(report.lines()))
    print(f"Written:   {place.shown}/parity.json, {place.shown}/plots/parity.png")
    return 0 if report.passed else 1


def _compare_all(job: Job) -> int:
    """Compare every mode, precision, optimizer and strategy; leaves `parity.json` and `parity.md`."""
    from trainkit.backend import devices
    from trainkit.verification import matrix

    devices.logical_cpus(2)  # for the rows with replicas, before TensorFlow computes anything
    rows = matrix.compare_all(job.task, job.config.trainer, job.config.parity)
    lines = matrix.table(rows)
    print("\n".join(lines))
    if job.path is not None:
        place = run_dir.create(job.path, job.config.runs_dir, "parity")
        files.write_json(place.path / "parity.json", {"rows": rows})
        files.write_text(place.path / "parity.md", "\n".join(lines) + "\n")
        print(f"Written:   {place.shown}/parity.json, {place.shown}/parity.md")
    return 1 if any(row["outcome"] == matrix.FAILED for row in rows) else 0


def _compare_with_several_devices(job: Job) -> int:
    """Compare one device with `parity.replicas` replicas or workers; leaves `parity.json`."""
    from trainkit.verification import replicas

    parity = job.config.parity
    data = job.data()
    splits = data or job.task.data()
    settings = replicas.comparable(job.config.trainer, parity.steps, _training_rows(splits))
    place = comparison_dir(job, "parity", splits.source, "")
    reports = []
    if parity.replicas:
        reports.append(
            replicas.compare_replicas(
                job.task, settings, parity.replicas, job.config.optimizer, data, parity.tolerance
            )
        )
    if parity.workers:
        reports.append(_compare_workers(job, settings, data, place.path / "workers", parity.workers))
    found = {"task": job.config.name, "outcomes": [report.as_dict() for report in reports]}
    files.write_json(place.path / "parity.json", found)
    for report in reports:
        print("\n".join(report.lines()))
    print(f"Written:   {place.shown}/parity.json")
    return 0 if all(report.passed for report in reports) else 1


def _compare_workers(
    job: Job, settings: TrainerConfig, data: Splits | None, run: Path, count: int
) -> SpreadReport:
    """Train on one device here and with `count` workers, which leave the run `run`."""
    from trainkit.verification import replicas

    one, history = replicas.train(job.task, settings, job.config.optimizer, data)
    code = launcher.launch(count, _worker_arguments(job, settings, run))
    if code:
        raise UserError(f"The {count} workers ended with exit code {code}; see their lines above.")
    epochs = [metrics_csv.logged_values(row) for row in metrics_csv.read_rows(run / "metrics.csv")]
    last = run / "checkpoints" / "last"
    return replicas.compare_workers(one, history, last, epochs, count, job.config.parity.tolerance)


def _worker_arguments(job: Job, settings: TrainerConfig, run: Path) -> list[str]:
    """The arguments of each worker: those of this command, with the settings of the comparison."""
    return [
        *(word for word in job.argv if not word.startswith(SET_FOR_WORKERS)),
        f"run_dir={run}",
        "progress=none",
        "trainer.strategy=multi_worker",
        "trainer.execution=epoch",
        f"trainer.steps={settings.steps}",
        f"trainer.epochs={settings.epochs}",
        "trainer.dropout=false",
        "trainer.sync_batch_norm=true",
        "callbacks.tensorboard.enabled=false",
        "callbacks.plots=false",
    ]


def _training_rows(splits: Splits) -> int:
    return len(splits.train) if isinstance(splits.train, Arrays) else int(splits.train.cardinality())


def _draw(path: Path, report: Report) -> None:
    """Draw the running loss of both trainings, and its difference."""
    ours, theirs = report.losses
    positions = list(range(1, len(ours) + 1))
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=False)]
    curves = {
        "trainkit": (positions, ours),
        "model.fit": (positions, theirs),
        "difference": (positions, differences),
    }
    title = f"{report.about['task']}: largest difference {report.worst:g}"
    figures.draw(path, "running loss", curves, title, axis=report.losses_per)
