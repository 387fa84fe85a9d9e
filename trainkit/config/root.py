"""Everything that the command takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from trainkit.config.callbacks import CallbacksConfig
from trainkit.config.checkpoint import CheckpointConfig
from trainkit.config.compare import CompareConfig
from trainkit.config.data import DataConfig
from trainkit.config.export import ExportConfig
from trainkit.config.fields import setting
from trainkit.config.find_lr import FindLrConfig
from trainkit.config.modes import EvaluateConfig, FitConfig, ParityConfig, PredictConfig, VerifyConfig
from trainkit.config.optimizer import OptimizerConfig
from trainkit.config.trainer import TrainerConfig
from trainkit.config.tune import TuneConfig
from trainkit.core.errors import UserError

__all__ = ["MODES", "PROGRESS", "Config"]

MODES = {
    "fit": "train, and leave a run directory",
    "evaluate": "loss and metrics of a checkpoint on every split, or on new rows",
    "predict": "predictions of a checkpoint for the rows of a split",
    "tune": "search for good settings, over any of them",
    "parity": "the same training by model.fit, or on several devices, compared",
    "report": "report.html of a run, written anew",
    "compare": "runs side by side, as a table and as a page",
    "export": "the best model of a run for other programs, each file compared in its own runtime",
    "verify_resume": "the same training, killed and resumed, compared bit for bit",
}
MAX_NAME = 200  # bytes; most disks take 255
PROGRESS = ("auto", "rich", "plain", "none")


def name_problem(name: str) -> str | None:
    """What the name of a run's folder must be, if `name` is not one."""
    if len(name.encode()) > MAX_NAME:
        return f"at most {MAX_NAME} letters, since it names a folder"
    good = re.fullmatch(r"\w[\w.-]*", name)
    return None if good else "a folder's name of letters, digits, '-', '_' and '.'"


@dataclass
class Config:
    """Everything that `python -m trainkit` takes."""

    mode: str = setting("fit", "what to do", choices=tuple(MODES))
    name: str = setting(
        "???", "folder of the task's runs: runs/<name>/; by default the task's name", problem=name_problem
    )
    task: Any = setting("???", "what to train: {_target_: class, argument: value}")
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    parity: ParityConfig = field(default_factory=ParityConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    compare: CompareConfig = field(default_factory=CompareConfig)
    tune: TuneConfig = field(default_factory=TuneConfig)
    find_lr: FindLrConfig = field(default_factory=FindLrConfig)
    verify: VerifyConfig = field(default_factory=VerifyConfig)
    progress: str = setting("auto", "how progress is printed", choices=PROGRESS)
    compile_cache: bool = setting(True, "keep what XLA compiles in the user's cache folder")
    resume: str | None = setting(
        None, "run to continue or open: last, best, or a run directory or checkpoint"
    )
    run_dir: str | None = setting(None, "folder of this run; null: runs/<name>/<time>-<id>")
    runs_dir: str = setting("runs", "folder of all runs")

    def check(self, prefix: str) -> None:
        """Refuse settings of two groups that do not go together.

        Args:
            prefix: Key of all settings in messages: nothing.
        """
        if self.trainer.engine == "keras" and self.checkpoint.every_steps is not None:
            every = f"{prefix}checkpoint.every_steps={self.checkpoint.every_steps}"
            raise UserError(f"{every} needs trainer.engine=trainkit; model.fit saves at ends of epochs.")
