"""Settings of the `callbacks` group: the observers of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trainkit.config.checkpoint import MONITOR_MODES
from trainkit.config.fields import setting

__all__ = [
    "TRACKERS",
    "CallbacksConfig",
    "EarlyStoppingConfig",
    "ReduceLrConfig",
    "SwaConfig",
    "TensorBoardConfig",
    "TrackerConfig",
]

TRACKERS = ("none", "mlflow", "wandb", "aim")


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
class ReduceLrConfig:
    """Lowers the learning rate when the monitored value no longer improves, as Keras does."""

    enabled: bool = setting(False, "lower the learning rate on a plateau")
    monitor: str | None = setting(None, "logged value to watch; null: the task's")
    factor: float = setting(0.1, "what the rate is multiplied by", above=0, below=1)
    patience: int = setting(3, "epochs without improvement before that", at_least=0)
    min_delta: float = setting(1e-4, "smallest change that counts as an improvement", at_least=0)
    cooldown: int = setting(0, "epochs to wait after the rate was lowered", at_least=0)
    lowest: float = setting(0.0, "the rate never falls below this", at_least=0)


@dataclass
class SwaConfig:
    """Stochastic weight averaging: ends with the mean of the weights after each of the last epochs."""

    enabled: bool = setting(False, "average the weights; average.keras holds the model")
    start: float = setting(0.75, "share of the epochs after which the averaging begins", at_least=0, below=1)


@dataclass
class TrackerConfig:
    """A tracker of experiments; nothing leaves the machine unless a server is named."""

    name: str = setting("none", "which tracker", choices=TRACKERS)
    project: str = setting("trainkit", "project, or experiment, that the runs belong to")
    place: str | None = setting(
        None, "server or folder of the tracker; null: runs/<tracker>/ on this machine, offline"
    )
    model: bool = setting(False, "also hand model.keras on")


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
    reduce_lr: ReduceLrConfig = field(default_factory=ReduceLrConfig)
    swa: SwaConfig = field(default_factory=SwaConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    extra: list[Any] = setting([], "more Keras callbacks, each as {_target_: class, argument: value}")
