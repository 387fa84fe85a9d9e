"""The modes that only read what runs have left: no task is made, and TensorFlow is not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainkit.cli import planning
from trainkit.cli.arguments import Arguments
from trainkit.cli.commands import compare, report
from trainkit.cli.compose import Composed
from trainkit.cli.mode_settings import check_mode_reads
from trainkit.cli.settings import flatten, plain
from trainkit.core.errors import UserError

__all__ = ["READERS", "read_runs"]

READERS = ("report", "compare")
# What says what to do, and not what a run must be; of the last two, the keys that they set count.
ABOUT_THE_COMMAND = (
    "mode",
    "name",
    "task",
    "resume",
    "run_dir",
    "runs_dir",
    "progress",
    "experiment",
    "debug",
)


def read_runs(composed: Sequence[Composed], arguments: Arguments) -> int:
    """Do mode=report or mode=compare, and return the exit code.

    Raises:
        UserError: for what is wrong.
    """
    if len(composed) > 1:
        raise UserError(f"mode={composed[0].settings.mode} reads runs; leave --multirun out.")
    one = composed[0]
    config = planning.checked(one.settings)
    check_mode_reads(config.mode, one.overrides)
    names_a_task = arguments.config_name is not None or bool(one.named & {"task", "name"})
    task = config.name if names_a_task else None
    if config.mode == "report":
        return report.run(config, task)
    return compare.run(config, task, _wanted(one))


def _wanted(composed: Composed) -> Mapping[str, Any]:
    """The settings that the command line names and that a run must have; of a group, its name.

    Raises:
        UserError: for a group that has no name by which runs could be told apart.
    """
    values = flatten(plain(composed.settings, resolve=True))
    wanted = {}
    for key in sorted(composed.named):
        if key in ABOUT_THE_COMMAND or key.startswith(("compare.", "hydra")):
            continue
        name = f"{key}.name" if isinstance(values.get(key), Mapping) or "." not in key else key
        if name not in values:
            raise UserError(
                f"mode=compare: {key}= names several settings at once; name one that runs must have, such "
                f"as {key}.<setting>=<value>."
            )
        wanted[name] = values[name]
    return wanted
