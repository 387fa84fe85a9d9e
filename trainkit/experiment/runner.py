"""mode=fit: a training and all around it, from the run directory to the last printed lines."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from trainkit.backend.compat.names import kept_names
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.callbacks.monitor import Monitor
from trainkit.callbacks.plots import Plots
from trainkit.core import files
from trainkit.core.datasets import Arrays
from trainkit.core.errors import NotFinite, UserError
from trainkit.core.held import FolderMoved
from trainkit.core.unwritten import Unwritten
from trainkit.experiment.artifacts import opened_run_dir
from trainkit.experiment.callback_factory import best_keeper, make_callbacks, monitored_value
from trainkit.experiment.ceiling import step_cost
from trainkit.experiment.failure import LOST_WORKER, reason, remedy
from trainkit.experiment.finished import finish_report, finished, trains_no_more
from trainkit.experiment.job import Job
from trainkit.experiment.last_weights import average, early_stop, last_weights
from trainkit.experiment.pictures import draw_results
from trainkit.experiment.shared_programs import maker
from trainkit.experiment.signals import EXIT_CODES, stop_on_signals
from trainkit.experiment.summary import closing_lines
from trainkit.export import keras_format
from trainkit.reporting import write_report
from trainkit.runs.heartbeat import Heartbeat
from trainkit.runs.moved import what_is_left
from trainkit.runs.picture_names import other_pictures
from trainkit.runs.run_dir import RunDir
from trainkit.trainer.lost_best import forget_lost_best
from trainkit.trainer.resumed import check_resumed
from trainkit.trainer.run_summary import best_epoch, not_finite, summarise
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.trainer import Trainer

__all__ = ["fit"]

Write = Callable[[str], None]
CALMER = (
    "Lower optimizer.learning_rate, or clip gradients (optimizer.clip.global_norm=1); "
    "trainer.on_nonfinite=stop names the step"
)


@kept_names()
def fit(job: Job, *, write: Write, write_error: Write) -> int:
    """Train, evaluate on the test rows, and leave a run directory.

        prepare data and model, restore if asked, and check all that can be wrong; nothing is written before
        make the run directory, or open the one that is resumed
        train, until the end or until a signal, with the state saved
        test the last and the best weights; write the summary and the best model

    Args:
        job: What to train.
        write: Takes lines for standard output.
        write_error: Takes lines for standard error.

    Returns:
        The exit code: 0 done, 1 failed, 129, 130 or 143 stopped by a signal, also by one that came while the
        trained model was tested: the run is complete then, and nothing is to follow it.

    Raises:
        UserError: for what is wrong before the run directory is made.
    """
    trainer = Trainer(job.config.trainer, optimizer=job.config.optimizer)
    extra = job.callbacks()
    setup = trainer.prepare(job.task, data=job.data(), by=maker(job.config, extra))
    monitor = monitored_value(job, setup, extra)
    memory: Mapping[str, Any] = {}
    if job.found:
        trainer.told_changes = check_resumed(setup, job.found.checkpoint, told=job.changed)
        memory = trainer.restore(job.found.checkpoint)
    said = finished(job, trainer, memory)
    if said is not None:
        finish_report(job, setup)
        write(said)
        return 0
    if note := trains_no_more(job, trainer):
        write(note)
    unwritten = Unwritten()
    with (
        opened_run_dir(job, trainer, setup, unwritten) as run,
        Heartbeat(run, setup.state.position) as status,
    ):
        best = best_keeper(job, run, setup, monitor)
        forget_lost_best(best, job.found.run if job.found else None, memory, trainer.state.epoch)
        training = _Training(job, trainer, setup, run, status, best, unwritten, write, write_error)
        try:
            code = training.run_to_the_end(extra)
        finally:
            left = training.leave()
        return code or left


@dataclass(frozen=True)
class _Training:
    """One training in a run directory that is there; whatever happens, it leaves the directory in order."""

    job: Job
    trainer: Trainer
    setup: TrainSetup
    run: RunDir
    status: Heartbeat
    best: Monitor
    unwritten: Unwritten
    write: Write
    write_error: Write

    def run_to_the_end(self, extra: Sequence[keras.callbacks.Callback]) -> int:
        """Train, and return the exit code: of a signal, also if the run came to its end after it."""
        heard: list[str] = []
        code = self._train(extra, heard)
        return EXIT_CODES[heard[0]] if heard and code == 0 else code

    def _train(self, extra: Sequence[keras.callbacks.Callback], heard: list[str]) -> int:
        """Train, and return the exit code; the names of signals that come are added to `heard`."""
        job, trainer, run = self.job, self.trainer, self.run

        def stop(reason: str) -> None:
            heard.append(reason)
            trainer.request_stop(reason)

        try:
            with stop_on_signals(stop, self.give_up):
                self.measure_ceiling()
                trainer.callbacks = [*make_callbacks(job, run, self.setup, self.best, self.write), *extra]
                resume = job.found.checkpoint if job.found else None
                history = trainer.fit(job.task, resume=resume)
                for drawn in (one for one in trainer.callbacks if isinstance(one, Plots)):
                    self.unwritten.errors += drawn.unwritten.errors
                self.check_ceiling()
                report = trainer.report()
                summary = summarise(job.config.name, self.setup, run, history.history, self.best, report)
                if report.status == "completed":
                    self.test_and_save(summary)
                    self.write_results(summary)
                    if self.unwritten.errors:
                        summary["status"] = "failed"
                with self.unwritten.left_out():
                    files.write_json(run.summary, summary)
                if report.status == "failed":
                    raise NotFinite(f"{not_finite(self.setup)}. {CALMER}")
            if trainer.stopped is not None:
                return self.stopped(trainer.stopped)
            files.sweep(run.checkpoints, unnamed=True)
            if not self.unwritten.errors:
                self.status.end("completed")
        except KeyboardInterrupt:
            return self.stopped("SIGINT")
        except Exception as error:
            asked = heard and isinstance(error, FolderMoved)
            return self.stopped(heard[0]) if asked else self.failed(error)
        command = job.command(mode="evaluate", resume=run.shown)
        self.write(
            closing_lines(
                summary,
                run.shown,
                "Evaluate",
                command,
                last_weights(trainer),
                stopped=early_stop(trainer),
                feed=self.setup.source.reason,
            )
        )
        return self.failed(self.unwritten.error()) if self.unwritten.errors else 0

    def measure_ceiling(self) -> None:
        """Time what a step computes, alone, so that speeds are also told as a share of it."""
        if self.setup.is_chief:
            self.trainer.step_cost = step_cost(self.setup)

    def check_ceiling(self) -> None:
        """Measure again where the training was faster: a busy moment gave a ceiling that is too low."""
        if self.setup.is_chief and self.trainer.throughput.get("roofline_fraction", 0.0) > 1:
            self.trainer.step_cost = step_cost(self.setup, again=True)

    def test_and_save(self, summary: dict[str, Any]) -> None:
        """Add the test results of the last and the best weights to the summary; save the best model."""
        trainer = self.trainer
        tested = isinstance(trainer.splits.test, Arrays)
        if tested:
            summary["test"] = trainer.evaluate()
        if average(trainer) is not None:
            with self.unwritten.left_out():
                keras_format.save_or_tell(trainer.model, self.run.average)
        checkpoint = self.best_checkpoint()
        if checkpoint is not None:
            position = trainer.state.position()
            trainer.restore(checkpoint)
            trainer.state.finalize()
            trainer.state.seek(position)  # the weights are the best ones; the run still stands where it ended
            if tested:
                summary["best"]["test"] = trainer.evaluate()
        with self.unwritten.left_out():
            keras_format.save_or_tell(trainer.model, self.run.model)
        test = trainer.splits.test
        if self.job.config.callbacks.plots and self.setup.is_chief and isinstance(test, Arrays):
            outputs = trainer.predict(split="test")
            draw_results(self.job.task, outputs, test, self.run.plots, guard=self.unwritten.left_out)

    def write_results(self, summary: Mapping[str, Any]) -> None:
        """Hand the results to the callbacks that keep them beside the curves, such as TensorBoard's."""
        best = summary["best"]
        test = best.get("test") or summary["test"]
        results = {f"test/{name}": value for name, value in test.items()}
        if best:
            results[f"best/{summary['monitor']}"] = best["value"]
        pictures = {path.stem: path.read_bytes() for path in other_pictures(self.run.plots, summary["train"])}
        for callback in self.trainer.callbacks:
            if hasattr(callback, "write_results"):
                callback.write_results(results, summary["epochs"], pictures)

    def best_checkpoint(self) -> Path | None:
        """The checkpoint of the best epoch, if there is one."""
        if not isinstance(self.best, Checkpoints) or not self.best.best_epoch:
            return None
        runs = [self.run]
        if self.job.found is not None and self.job.found.run is not None:
            runs.append(self.job.found.run)  # from before the resumption; a follower's own run begins empty
        return next((run.best for run in runs if run.best.is_dir()), None)

    def leave(self) -> int:
        """Write `report.html`, and tell trackers how the run ended; the exit code, which is 1 if the report
        could not be written: then the run has failed, as without any other of its files."""
        report, code = Unwritten(), 0
        if self.setup.is_chief and self.job.config.callbacks.report:
            command = self.job.command(mode="report", resume=self.run.shown)
            with suppress(UserError), report.left_out(f"{command} writes it."):
                write_report(self.run.path)
        if report.errors and files.read_json(self.run.status).get("status") == "completed":
            code = self.failed(report.error())
            with suppress(UserError):
                files.write_json(self.run.summary, {**files.read_json(self.run.summary), "status": "failed"})
        for callback in self.trainer.callbacks:
            if hasattr(callback, "finish_run"):
                callback.finish_run(files.read_json(self.run.status).get("status", "failed"))
        return code

    def stopped(self, reason: str) -> int:
        """Leave a run that a signal stopped so that it can be resumed, and say how."""
        try:
            self.status.end("preempted", reason)
        except FolderMoved as moved:
            self.write_error(f"trainkit: ended by {reason}. {moved} {what_is_left(moved, self.job.command)}")
            return EXIT_CODES[reason]
        summary = {"monitor": self.best.monitor, "best": best_epoch(self.best), "test": {}}
        command = self.job.command(resume=self.run.shown)
        self.write(closing_lines(summary, self.run.shown, "Resume", command))
        return EXIT_CODES[reason]

    def give_up(self, reason: str) -> None:
        """End the process at once; what was saved last can be resumed."""
        saved = self.run.last.is_dir()
        go_on = f"Resume: {self.job.command(resume=self.run.shown)}" if saved else "Nothing was saved yet."
        try:
            self.status.end("preempted", reason)
        except FolderMoved as moved:
            go_on = f"{moved} {what_is_left(moved, self.job.command)}"
        except UserError:
            pass
        os.write(2, f"\ntrainkit: ended at once by {reason}. {go_on}\n".encode())
        os._exit(EXIT_CODES[reason])

    def failed(self, error: Exception) -> int:
        """Keep the traceback of an error in the run, and say in one line what happened and how to go on."""
        if os.environ.get("TRAINKIT_TRACEBACK") == "1":
            traceback.print_exception(error)
        run = self.run
        chief = self.setup.is_chief
        lost = self.setup.workers > 1 and isinstance(error, LOST_WORKER)
        text = reason(error, lost=lost)
        hint = ""
        try:
            if not lost and not isinstance(error, UserError):
                files.write_text(run.error, "".join(traceback.format_exception(error)))
                text += f" (traceback in {run.shown}/{run.error.name})" if chief else ""
            self.status.end("failed", text)
        except FolderMoved as moved:
            text = str(moved) if isinstance(error, FolderMoved) else f"{text.rstrip('.')}. {moved}"
            hint = f" {what_is_left(moved, self.job.command)}"
        except UserError as unwritten:
            text = f"{text} {unwritten}"
        where = f"the training in {run.shown}" if chief else "the training of this worker"
        hint = hint or remedy(error, self.job, run, self.best, chief=chief, lost=lost)
        self.write_error(f"trainkit: {where} failed: {text.rstrip('.')}.{hint}")
        if lost:
            os._exit(1)  # TensorFlow's own end would wait for the worker that is gone
        return 1
