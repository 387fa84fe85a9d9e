"""A run directory for a training from Python: what the command leaves, without its config."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import keras

from trainkit.backend import devices
from trainkit.callbacks import progress
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.metrics_csv import MetricsCSV
from trainkit.callbacks.plots import Plots
from trainkit.callbacks.run_status import RunStatus
from trainkit.checkpoint import members
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.core.held import FolderMoved
from trainkit.core.logs import base_name
from trainkit.reporting import REPORT_SECONDS, write_report
from trainkit.runs import manifest, run_dir
from trainkit.runs.heartbeat import Heartbeat
from trainkit.runs.lock import locked
from trainkit.runs.moved import what_is_left
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.lost_best import forget_lost_best
from trainkit.trainer.run_summary import FitReport, not_finite, summarise
from trainkit.trainer.setup import TrainSetup

__all__ = ["RunFiles", "progress_display"]


def progress_display(kind: str) -> list[keras.callbacks.Callback]:
    """The progress display of a training: `auto`, `rich` bars, `plain` lines, or `none`."""
    return [] if kind == "none" else [progress.make(kind, sys.stdout)]


class RunFiles:
    """The files of one training.

    Args:
        path: The run directory, new or empty; one that holds a run if that is resumed.
        setup: The task made ready.
        resumed: Checkpoint that the training goes on from; None: it begins.

    Raises:
        UserError: if the directory holds something else, or cannot be written.
    """

    def __init__(self, path: Path | str, setup: TrainSetup, *, resumed: Path | None) -> None:
        self.setup = setup
        name = setup.task.monitor()
        monitored = name if setup.splits.validation is not None else base_name(name)
        setup.direction(monitored)
        place = Path(path)
        goes_on = resumed is not None and resumed.resolve().is_relative_to(place.resolve())
        if goes_on:
            self.run = RunDir(place)
        else:
            self.run = run_dir.create(run_dir.new_path("", "", str(place)), "", "")
        self.best = Checkpoints(self.run.checkpoints, monitored, agree=setup.chiefs_clock())
        if resumed is not None and goes_on:
            about = members.read_meta(resumed)
            forget_lost_best(self.best, self.run, about.get("callbacks", {}), about["position"]["epoch"])

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """The callbacks that write the files."""
        return [
            RunStatus(self._write_report, every=REPORT_SECONDS),
            MetricsCSV(self.run.metrics),
            Plots(self.run.plots, self.run.metrics),
            self.best,
        ]

    @contextmanager
    def open(self, report: Callable[[], FitReport]) -> Iterator[dict[str, Sequence[float]]]:
        """Keep `status.json` true during the block, which fills the dict with its history; then write the
        summary.

        Raises:
            UserError: if the directory cannot be written, or was moved or removed meanwhile.
        """
        try:
            with self._opened(report) as history:
                yield history
        except FolderMoved as moved:
            left = what_is_left(
                moved, lambda resume: f"Trainer(run_dir={resume!r}).fit(task, resume='last')."
            )
            raise UserError(f"{moved} {left}") from moved

    @contextmanager
    def _opened(self, report: Callable[[], FitReport]) -> Iterator[dict[str, Sequence[float]]]:
        history: dict[str, Sequence[float]] = {}
        with locked(self.run.path), Heartbeat(self.run, self.setup.state.position) as status:
            files.sweep(self.run.path)
            source = self.setup.splits.source
            about = manifest.describe(sys.argv, self.setup.config.seed, source, devices.describe())
            about |= {"task": self.setup.task.name, "settings": asdict(self.setup.config)}
            files.write_json(self.run.manifest, about)
            try:
                yield history
            except BaseException as error:
                with suppress(FolderMoved):  # the error counts
                    status.end("failed", reason=f"{type(error).__name__}: {error}")
                raise
            done = report()
            summary = summarise(self.setup.task.name, self.setup, self.run, history, self.best, done)
            files.write_json(self.run.summary, summary)
            if done.status == "completed":
                files.sweep(self.run.checkpoints, unnamed=True)
            status.end(done.status, reason=done.stopped or ("" if done.finite else not_finite(self.setup)))
            self._write_report()

    def _write_report(self) -> None:
        write_report(self.run.path)
