"""Settings of the `callbacks` group: the observers of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trainkit.config.checkpoint import MONITOR_MODES
from trainkit.config.fields import setting

__all__ = ["CallbacksConfig", "EarlyStoppingConfig", "TensorBoardConfig"]


@dataclass
class EarlyStoppingConfig:
    """Stops the training when the monitored value no longer improves."""

    enabled: bool = setting(False, "stop early")
    monitor: str | None = setting(None, "logged value to watch; null: the task's")
    mode: str = setting(
        "auto", "whether lower or higher is better; auto: the metric's", choices=MONITOR_MODES
    )
    patience: int = setting(5, "epochs without improvement after which training stops", at_least=1)
    min_delta: float = setting(0.0, "smallest change that counts as an improvement", at_least=0)
    restore_best_weights: bool = setting(True, "end with the weights of the best epoch")


@dataclass
class TensorBoardConfig:
    """Event files for TensorBoard."""

    enabled: bool = setting(True, "write event files")
    histograms_every: int | None = setting(None, "epochs between weight histograms; null: none", at_least=1)
    graph: bool = setting(True, "write the model's graph")
    profile: bool = setting(False, "trace a few steps of the second epoch for the Profile tab")


@dataclass
class CallbacksConfig:
    """The observers of a run."""

    csv: bool = setting(True, "write metrics.csv")
    plots: bool = setting(True, "draw the curves into plots/")
    report: bool = setting(True, "write report.html, now and then and at the end")
    tensorboard: TensorBoardConfig = field(default_factory=TensorBoardConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    extra: list[Any] = setting([], "more Keras callbacks, each as {_target_: class, argument: value}")
