"""`launch workers=2 task=...`: one training by several workers on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from trainkit.cli import arguments, planning
from trainkit.cli.compose import compose
from trainkit.core.errors import UserError
from trainkit.distributed import launcher

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Check once, and here, what the workers will be asked to do; then start them.

    Args:
        words: What follows `launch` on the command line.

    Returns:
        0 if all workers ended well, else the exit code of the first that did not.

    Raises:
        UserError: for what is wrong before any worker was started.
    """
    workers, words = launcher.workers_of(words)
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
    return launcher.launch(workers, words)
