"""Settings of the `checkpoint` group."""

from __future__ import annotations

import string
from dataclasses import dataclass

from trainkit.config.fields import setting
from trainkit.core.monitor import DIRECTIONS

__all__ = ["MONITOR_MODES", "CheckpointConfig"]

MONITOR_MODES = ("auto", *DIRECTIONS)


def pattern_problem(pattern: str) -> str | None:
    """What a file name of epoch checkpoints must be, if `pattern` is not one."""
    expected = "a file name with {epoch} or {step}, such as epoch-{epoch:04d}"
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
    except ValueError:  # an open brace
        return expected
    names = {name.split(".")[0].split("[")[0] for name in fields}
    return None if names & {"epoch", "step"} and "/" not in pattern else expected


@dataclass
class CheckpointConfig:
    """What is saved while training, besides checkpoints/last and checkpoints/best."""

    enabled: bool = setting(True, "save checkpoints")
    every_steps: int | None = setting(None, "optimizer steps between checkpoints; null: none", at_least=1)
    every_epochs: int | None = setting(None, "epochs between epoch checkpoints; null: none", at_least=1)
    every_minutes: float | None = setting(None, "minutes between checkpoints; null: none", above=0)
    keep: int | None = setting(None, "newest of these checkpoints to keep; null: all", at_least=1)
    keep_every: int | None = setting(
        None, "of them, every n-th stays for good besides the newest; null: none", at_least=1
    )
    pattern: str = setting(
        "epoch-{epoch:04d}",
        "file name of epoch checkpoints: {epoch}, {step} and logged values such as {val_loss:.4f}",
        problem=pattern_problem,
    )
    monitor: str | None = setting(None, "logged value that decides which epoch is best; null: the task's")
    mode: str = setting(
        "auto", "whether lower or higher is better; auto: the metric's", choices=MONITOR_MODES
    )
