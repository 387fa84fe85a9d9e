"""The typed schema of all settings: a dataclass per group, with meaning, choices and range at each field."""

from __future__ import annotations

from trainkit.config.callbacks import CallbacksConfig, EarlyStoppingConfig, TensorBoardConfig
from trainkit.config.checkpoint import CheckpointConfig
from trainkit.config.compare import CompareConfig
from trainkit.config.data import DataConfig, PreparationConfig
from trainkit.config.export import ExportConfig
from trainkit.config.find_lr import FindLrConfig
from trainkit.config.modes import EvaluateConfig, FitConfig, ParityConfig, PredictConfig
from trainkit.config.optimizer import ClipConfig, EmaConfig, OptimizerConfig, ScheduleConfig
from trainkit.config.root import PROGRESS, Config
from trainkit.config.trainer import TrainerConfig, TrainerSettings
from trainkit.config.tune import TuneConfig
from trainkit.config.validation import validate, validate_arguments, validate_section, validate_task

__all__ = [
    "PROGRESS",
    "CallbacksConfig",
    "CheckpointConfig",
    "ClipConfig",
    "CompareConfig",
    "Config",
    "DataConfig",
    "EarlyStoppingConfig",
    "EmaConfig",
    "EvaluateConfig",
    "ExportConfig",
    "FindLrConfig",
    "FitConfig",
    "OptimizerConfig",
    "ParityConfig",
    "PredictConfig",
    "PreparationConfig",
    "ScheduleConfig",
    "TensorBoardConfig",
    "TrainerConfig",
    "TrainerSettings",
    "TuneConfig",
    "validate",
    "validate_arguments",
    "validate_section",
    "validate_task",
]
