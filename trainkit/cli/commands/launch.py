"""`launch workers=2 task=...`: one training by several workers on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from trainkit.checkpoint import members
from trainkit.cli import arguments, planning
from trainkit.cli.compose import compose
from trainkit.cli.planning import Plan
from trainkit.core.errors import UserError
from trainkit.core.files import shown
from trainkit.core.words import override
from trainkit.distributed import cluster, launcher
from trainkit.runs.run_dir import RunDir

__all__ = ["run"]

RESTARTS = "max_restarts="
NOT_RESTARTED = (0, launcher.WRONG_USE, *launcher.STOPPED)
PLACES = ("run_dir=", "resume=")
HELP = """\
trainkit launch trains by several workers on this machine, as one training:

  python -m trainkit launch workers=2 task=mnist
  python -m trainkit launch workers=2 max_restarts=3 resume=last task=mnist

  workers=N        processes to start, at least 1; needed
  max_restarts=N   when workers fail, start all again from the last checkpoint, at most N times; 0: never
  key=value        every setting of a training, as without launch; trainer.strategy is auto or multi_worker
  --config-dir DIR, --config-name NAME   as without launch

launch trains only: other modes, --multirun and flags that show something go without it. Each line that
a worker prints begins with its number, [0] for the first. Exit code: 0 if all workers ended well, else that
of the first that did not.

All settings and flags: python -m trainkit --help"""


def run(words: Sequence[str]) -> int:
    """Check once, and here, what the workers will be asked to do; then start them.

    Args:
        words: What follows `launch` on the command line.

    Returns:
        0 if all workers ended well, else the exit code of the first that did not.

    Raises:
        UserError: for what is wrong before any worker was started.
    """
    if not {"-h", "--help"}.isdisjoint(words):
        print(HELP)
        return 0
    workers, words = launcher.workers_of(words)
    restarts, words = _restarts_of(words)
    parsed = arguments.parse(words)
    if parsed.multirun or parsed.shows:
        raise UserError(
            "launch starts one training; --multirun and the flags that show something "
            "belong to the command without it."
        )
    plan = planning.plan(compose(parsed)[0], parsed)
    if plan.config.mode != "fit":
        raise UserError(
            f"launch trains, with mode=fit; got mode={plan.config.mode}, which one process does by itself."
        )
    strategy = plan.config.trainer.strategy
    if workers > 1 and not cluster.trains_together(strategy):
        raise UserError(
            f"launch workers={workers} needs trainer.strategy=auto or multi_worker; got {strategy}, with "
            "which each worker would train by itself. Set trainer.strategy=auto, or train without launch."
        )
    start = partial(launcher.launch, workers, silence=plan.config.trainer.heartbeat_seconds)
    if not restarts:
        return start(words)
    return _launch_until_done(start, words, _run_of(plan), restarts)


def _launch_until_done(
    start: Callable[[Sequence[str]], int], words: Sequence[str], run: Path, restarts: int
) -> int:
    """Launch, and launch again from what was saved, as long as workers fail."""
    rest = [word for word in words if not word.startswith(PLACES)]
    code = start([*words, override("run_dir", str(run))] if rest == list(words) else words)
    for number in range(1, restarts + 1):
        if code in NOT_RESTARTED:
            break
        saved = members.newest_good(RunDir(run).checkpoints)
        print(
            f"trainkit: restart {number} of at most {restarts}, "
            + (f"from {shown(saved)}." if saved is not None else "from the start: nothing was saved."),
            flush=True,
        )
        code = start([*rest, override("resume" if saved else "run_dir", str(run))])
    return code


def _run_of(plan: Plan) -> Path:
    """The directory of the run that is begun or resumed."""
    if plan.found is not None and plan.found.run is not None:
        return plan.found.run.path
    if plan.path is None:
        raise ValueError("A launcher is no follower: it knows where the run goes.")
    return plan.path


def _restarts_of(words: Sequence[str]) -> tuple[int, list[str]]:
    """The number that `max_restarts=N` asks for, and the other words.

    Raises:
        UserError: if it is no whole number.
    """
    given = [word.removeprefix(RESTARTS) for word in words if word.startswith(RESTARTS)]
    if len(given) > 1 or not all(number.isdigit() for number in given):
        raise UserError(
            f"launch: {RESTARTS}{given[-1]}: expected one whole number of at least 0; for example: "
            f"python -m trainkit launch workers=2 {RESTARTS}3 task=mnist"
        )
    others = [word for word in words if not word.startswith(RESTARTS)]
    return int(given[0]) if given else 0, others
