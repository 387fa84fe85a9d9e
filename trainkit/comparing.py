"""mode=parity: the comparison with `model.fit`, its files and its picture."""

from __future__ import annotations

from pathlib import Path

from trainkit import callbacks, manifest, parity, rundir
from trainkit.job import Job
from trainkit.parity import Report
from trainkit.rundir import RunDir


def parity_mode(job: Job) -> int:
    """`mode=parity`: one comparison, or with `parity.matrix=true` many."""
    return several(job) if job.config.parity.matrix else compare(job)


def compare(job: Job) -> int:
    """Compare once, and leave `parity.json` and `plots/parity.png`; 0 if the differences are within the tolerance, else 1."""
    report = parity.compare(job.task, job.config.trainer, job.config.parity, job.config.optimizer, job.data(), job.callbacks)
    place = _place(job, report)
    rundir.write_json(place.path / "parity.json", report.as_dict())
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
    rows = parity.matrix(job.task, job.config.trainer, job.config.parity)
    place = RunDir(job.path) if job.path else None
    lines = parity.table(rows)
    print("\n".join(lines))
    if place is not None:
        rundir.create(place.path, job.config.runs_dir, "parity")
        rundir.write_json(place.path / "parity.json", {"rows": rows})
        rundir.write_text(place.path / "parity.md", "\n".join(lines) + "\n")
        print(f"Written:   {place.shown}/parity.json, {place.shown}/parity.md")
    return 1 if any(row["outcome"] == "FAILED" for row in rows) else 0


def _place(job: Job, report: Report) -> RunDir:
    if job.path is None:
        raise ValueError("A comparison needs a path for its files.")
    place = rundir.create(job.path, job.config.runs_dir, "parity")
    for name, text in job.files.items():
        rundir.write_text(place.path / name, text)
    about = manifest.describe(job.argv, job.config.trainer.seed, report.source, report.devices)
    rundir.write_json(place.path / "manifest.json", about)
    return place


def _picture(path: Path, report: Report) -> None:
    """The running loss of both, and the difference, over the steps; over epochs where the steps were not compared."""
    ours, theirs = report.losses
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = list(range(1, len(ours) + 1))
    gaps = [abs(a - b) for a, b in zip(ours, theirs, strict=False)]
    curves = {"trainkit": (steps, ours), "model.fit": (steps, theirs), "difference": (steps, gaps)}
    callbacks.draw(path, "running loss", curves, f"{report.about['task']}: largest difference {report.worst:g}", axis="step")
