"""The modes that only read what runs have left: no task is made, and TensorFlow is not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from trainkit.cli import planning
from trainkit.cli.arguments import Arguments
from trainkit.cli.commands import compare, report
from trainkit.cli.compose import Composed
from trainkit.config import Config
from trainkit.config.fields import find
from trainkit.core.errors import UserError

__all__ = ["READERS", "read_runs"]

READERS = ("report", "compare")
ABOUT_THE_COMMAND = ("mode", "name", "task", "resume", "run_dir", "runs_dir", "progress")


def read_runs(composed: Sequence[Composed], arguments: Arguments) -> int:
    """Do mode=report or mode=compare, and return the exit code.

    Raises:
        UserError: for what is wrong.
    """
    if len(composed) > 1:
        raise UserError(f"mode={composed[0].settings.mode} reads runs; leave --multirun out.")
    one = composed[0]
    config = planning.checked(one.settings)
    names_a_task = arguments.config_name is not None or bool(one.named & {"task", "name"})
    task = config.name if names_a_task else None
    if config.mode == "report":
        return report.run(config, task)
    return compare.run(config, task, _wanted(one))


def _wanted(composed: Composed) -> Mapping[str, Any]:
    """The settings that the command line names and that a run must have; of a group, its name."""
    keys = [key if find(Config, key) else f"{key}.name" for key in sorted(composed.named)]
    return {
        key: OmegaConf.select(composed.settings, key)
        for key in keys
        if find(Config, key) and key not in ABOUT_THE_COMMAND and not key.startswith(("compare.", "hydra"))
    }
