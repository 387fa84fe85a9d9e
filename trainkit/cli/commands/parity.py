"""mode=parity: the comparison with `model.fit`, its files and its picture."""

from __future__ import annotations

from pathlib import Path

from trainkit.backend import devices
from trainkit.config import TrainerConfig
from trainkit.core import files
from trainkit.core.datasets import Arrays, Source
from trainkit.core.errors import UserError
from trainkit.distributed import launcher
from trainkit.experiment.job import Job
from trainkit.runs import figures, manifest, metrics_csv, run_dir
from trainkit.runs.run_dir import RunDir
from trainkit.verification import matrix, parity, replicas
from trainkit.verification.report import Report


def parity_mode(job: Job) -> int:
    """`mode=parity`: one comparison with `model.fit`, with `parity.matrix=true` many, or one of one device with several."""
    if job.config.parity.replicas or job.config.parity.workers:
        return spread(job)
    return several(job) if job.config.parity.matrix else compare(job)


def compare(job: Job) -> int:
    """Compare once, and leave `parity.json` and `plots/parity.png`; 0 if the differences are within the tolerance, else 1."""
    report = parity.compare(
        job.task, job.config.trainer, job.config.parity, job.config.optimizer, job.data(), job.callbacks
    )
    place = _place(job, report.source, report.devices)
    files.write_json(place.path / "parity.json", report.as_dict())
    _picture(place.path / "plots" / "parity.png", report)
    about = report.about
    print(
        f"trainkit and model.fit: {about['task']} on {about['dataset']}, {about['execution']}, {about['precision']}, {about['strategy']}, {report.steps} steps"
    )
    print("\n".join(report.lines()))
    print(f"Written:   {place.shown}/parity.json, {place.shown}/plots/parity.png")
    return 0 if report.passed else 1


def several(job: Job) -> int:
    """Compare every mode, precision, optimizer and strategy; 0 if no comparison fails."""
    devices.logical_cpus(2)  # for the rows with replicas, before anything runs
    rows = matrix.matrix(job.task, job.config.trainer, job.config.parity)
    place = RunDir(job.path) if job.path else None
    lines = matrix.table(rows)
    print("\n".join(lines))
    if place is not None:
        run_dir.create(place.path, job.config.runs_dir, "parity")
        files.write_json(place.path / "parity.json", {"rows": rows})
        files.write_text(place.path / "parity.md", "\n".join(lines) + "\n")
        print(f"Written:   {place.shown}/parity.json, {place.shown}/parity.md")
    return 1 if any(row["outcome"] == "FAILED" for row in rows) else 0


def spread(job: Job) -> int:
    """Compare one device with `parity.replicas` replicas, or with `parity.workers` workers; 0 if they are within the tolerance."""
    asked, data = job.config.parity, job.data()
    splits = data or job.task.data()
    rows = len(splits.train) if isinstance(splits.train, Arrays) else int(splits.train.cardinality())
    settings = replicas.settings(job.config.trainer, asked.steps, rows)
    place = _place(job, splits.source, "")
    outcomes = []
    if asked.replicas:
        outcomes.append(
            replicas.replicas(job.task, settings, asked.replicas, job.config.optimizer, data, asked.tolerance)
        )
    if asked.workers:
        one, history = replicas.one_device(job.task, settings, job.config.optimizer, data)
        run = place.path / "workers"
        code = launcher.launch(asked.workers, _words_of_workers(job, settings, run))
        if code:
            raise UserError(
                f"The {asked.workers} workers ended with exit code {code}; see their lines above."
            )
        named = [
            {_logged(key): float(value) for key, value in row.items() if value and "/" in key}
            for row in metrics_csv.read_rows(run / "metrics.csv")
        ]
        outcomes.append(
            replicas.workers(
                one, history, run / "checkpoints" / "last", named, asked.workers, asked.tolerance
            )
        )
    files.write_json(
        place.path / "parity.json", {"task": job.config.name, "outcomes": [o.as_dict() for o in outcomes]}
    )
    for outcome in outcomes:
        print("\n".join(outcome.lines()))
    print(f"Written:   {place.shown}/parity.json")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _words_of_workers(job: Job, settings: TrainerConfig, run: Path) -> list[str]:
    """The command of each worker: the job's own words, with the settings of the comparison and a run of their own."""
    ours = (
        "mode=",
        "parity.",
        "run_dir=",
        "progress=",
        "trainer.strategy=",
        "trainer.replicas=",
        "trainer.execution=",
    )
    words = [word for word in job.argv if not word.startswith(ours)]
    words += [
        f"run_dir={run}",
        "progress=none",
        "trainer.strategy=multi_worker",
        "trainer.execution=epoch",
        f"trainer.steps={settings.steps}",
    ]
    words += [f"trainer.epochs={settings.epochs}", "trainer.dropout=false", "trainer.sync_batch_norm=true"]
    return [*words, "callbacks.tensorboard.enabled=false", "callbacks.plots=false"]


def _logged(column: str) -> str:
    """`train/loss` -> `loss`, `val/loss` -> `val_loss`."""
    part, _, name = column.partition("/")
    return name if part == "train" else f"{part}_{name}"


def _place(job: Job, source: Source, devices: str) -> RunDir:
    if job.path is None:
        raise ValueError("A comparison needs a path for its files.")
    place = run_dir.create(job.path, job.config.runs_dir, "parity")
    for name, text in job.files.items():
        files.write_text(place.path / name, text)
    about = manifest.describe(job.argv, job.config.trainer.seed, source, devices)
    files.write_json(place.path / "manifest.json", about)
    return place


def _picture(path: Path, report: Report) -> None:
    """The running loss of both, and the difference, over the steps; over epochs where the steps were not compared."""
    ours, theirs = report.losses
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = list(range(1, len(ours) + 1))
    gaps = [abs(a - b) for a, b in zip(ours, theirs, strict=False)]
    curves = {"trainkit": (steps, ours), "model.fit": (steps, theirs), "difference": (steps, gaps)}
    figures.draw(
        path,
        "running loss",
        curves,
        f"{report.about['task']}: largest difference {report.worst:g}",
        axis="step",
    )
