"""The command `python -m trainkit`: from its words to an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from trainkit import __version__
from trainkit.backend import startup
from trainkit.cli import arguments, multirun, parent, planning
from trainkit.cli.arguments import Arguments
from trainkit.cli.commands import launch, run, search_jobs
from trainkit.cli.commands.readers import READERS, read_runs
from trainkit.cli.commands.search_jobs import SearchJobs
from trainkit.cli.commands.tune import share_cores
from trainkit.cli.compose import compose, show
from trainkit.cli.help import WIDTH, help_text
from trainkit.cli.instantiate import importing_from_here
from trainkit.cli.interrupts import ending_at_once
from trainkit.cli.launchers import chosen_launcher
from trainkit.cli.planning import Plan
from trainkit.cli.stage import stage
from trainkit.cli.wrapping import terminal_width
from trainkit.core.blame import own_line
from trainkit.core.errors import UserError, one_line
from trainkit.experiment.job import Job

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given words, those of the process by default, and return its exit code.

    0 done, 1 failed, 2 wrong use, 129 SIGHUP, 130 Ctrl-C, 143 SIGTERM. Whatever is wrong takes one line on
    stderr; TRAINKIT_TRACEBACK=1 adds the traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parent.stop_with_parent()
    try:
        with importing_from_here(), _plain_warnings():
            return launch.run(words[1:]) if words[:1] == ["launch"] else _main(words)
    except KeyboardInterrupt:
        print("trainkit: interrupted.", file=sys.stderr)
        return 130
    except (Exception, SystemExit) as error:  # a task's module may call sys.exit()
        return _failed(error)


def _main(words: Sequence[str]) -> int:
    parsed = arguments.parse(words)
    if parsed.shows:
        return _show(parsed)
    missing = multirun.missing_of(parsed)
    if missing is not None:
        whole, numbers, commands = missing
        plans = [planning.plan(compose(one)[0], one) for one in commands]
        return multirun.run_missing(whole, numbers, _jobs(plans))
    composed = compose(parsed)
    if search_jobs.waits() and not _joins(composed[0].settings.compile_cache):
        return 0
    if composed[0].settings.mode in READERS:
        return read_runs(composed, parsed)
    plans = [planning.plan(one, parsed) for one in composed]
    launcher = chosen_launcher(parsed.overrides)
    if launcher is not None:
        if not parsed.multirun:
            raise UserError(f"hydra/launcher={launcher.name} starts the jobs of a multirun; add -m.")
        return multirun.launch(plans, [one.overrides for one in composed], parsed.flags, launcher)
    if len(plans) == 1 and plans[0].config.mode == "tune" and plans[0].config.tune.jobs > 1:
        return _run_search(plans[0])
    jobs = _jobs(plans)
    if len(jobs) == 1:
        return run(jobs[0])
    return multirun.run_all(jobs, [one.overrides for one in composed], parsed.flags)


def _jobs(plans: Sequence[Plan]) -> list[Job]:
    """The jobs of plans; TensorFlow is imported for their tasks."""
    if any(plan.config.mode == "tune" and plan.config.tune.jobs > 1 for plan in plans):
        share_cores(max(plan.config.tune.jobs for plan in plans))
    shown = plans[0].config.progress != "none"
    with ending_at_once():
        with stage("Importing TensorFlow", shown=shown and "tensorflow" not in sys.modules):
            startup.import_tensorflow(keep_programs=plans[0].config.compile_cache)
        return [plan.job() for plan in plans]


def _joins(keep_programs: bool) -> bool:
    """Whether a process that another has started has a search to join, once TensorFlow is imported."""
    with ending_at_once():
        startup.import_tensorflow(keep_programs=keep_programs)
        return search_jobs.wait()


def _run_search(plan: Plan) -> int:
    """A search by several processes, which import TensorFlow at the same time."""
    share_cores(plan.config.tune.jobs)
    if plan.path is None:
        raise ValueError("A search needs a path.")
    others = SearchJobs(plan.argv, plan.path, plan.config.tune.jobs)
    try:
        return run(replace(_jobs([plan])[0], search_jobs=others))
    finally:
        others.close()


def _show(parsed: Arguments) -> int:
    """Print what the flags ask for."""
    if "version" in parsed.shows:
        print(f"trainkit {__version__}")
    elif "help" in parsed.shows:
        print(help_text(compose(parsed)[0], terminal_width() or WIDTH))
    else:
        return show(parsed)
    return 0


def _failed(error: BaseException) -> int:
    """Say in one line what is wrong, and return the exit code.

    A training that has begun says so itself. What comes here from the user's own code is wrong use.
    """
    if os.environ.get("TRAINKIT_TRACEBACK") == "1":
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        error = UserError(f"{_short(error.filename)} is too long a name for this disk; give a shorter one.")
    if isinstance(error, UserError):
        print(f"trainkit: {one_line(str(error))}", file=sys.stderr)
        return 2
    if _lost_worker(error):
        print(
            f"trainkit: another worker ended or no longer answers ({type(error).__name__})", file=sys.stderr
        )
        return 1
    own = own_line(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"{type(error).__name__} at {own or f'{where.filename}:{where.lineno}'}: {one_line(str(error))}"
    print(f"trainkit: {text} (TRAINKIT_TRACEBACK=1 shows the traceback)", file=sys.stderr)
    return 2 if own else 1


def _lost_worker(error: BaseException) -> bool:
    """Whether an error before the training is that of a worker whose peers are gone."""
    if "tensorflow" not in sys.modules or "ollective" not in str(error):
        return False
    from trainkit.distributed import cluster
    from trainkit.experiment.failure import LOST_WORKER

    return isinstance(error, LOST_WORKER) and cluster.workers() > 1


def _short(name: object) -> str:
    """The beginning of a name, and how long it is."""
    text = str(name)
    return f"{text[:40]}... ({len(text)} characters)"


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """In the block, warnings are shown in one line, without the line of code that raised them."""
    before = warnings.formatwarning
    if os.environ.get("TRAINKIT_TRACEBACK") != "1":
        warnings.formatwarning = _plain
    try:
        yield
    finally:
        warnings.formatwarning = before


def _plain(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return f"Warning: {one_line(str(message))}\n"
