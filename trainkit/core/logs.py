"""The values that an epoch logs, and the only place that knows how Keras's names (`val_loss`) and ours
(`val/loss`) relate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = [
    "EpochLogs",
    "base_name",
    "column",
    "in_reading_order",
    "is_validation",
    "keras_name",
    "logged_names",
    "split_logs",
    "validation_name",
]

VALIDATION = "val_"


def validation_name(metric: str) -> str:
    """`loss` -> `val_loss`."""
    return VALIDATION + metric


def is_validation(name: str) -> bool:
    """Whether a logged value is one of the validation rows: `val_loss` is."""
    return name.startswith(VALIDATION)


def base_name(name: str) -> str:
    """The metric of a logged value: `val_loss` -> `loss`, `loss` -> `loss`."""
    return name.removeprefix(VALIDATION)


def column(name: str) -> str:
    """The column of `metrics.csv` for a logged value: `loss` -> `train/loss`, `val_loss` -> `val/loss`."""
    return f"{'val' if is_validation(name) else 'train'}/{base_name(name)}"


def keras_name(column: str) -> str:
    """The logged value of a column of `metrics.csv`: `val/loss` -> `val_loss`. The inverse of `column`."""
    part, _, metric = column.partition("/")
    return validation_name(metric) if part == "val" else metric


def in_reading_order(names: Iterable[str]) -> list[str]:
    """Training before validation, losses before metrics."""
    return sorted(names, key=lambda name: (is_validation(name), not base_name(name).endswith("loss")))


def split_logs(logs: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Training values and validation values of Keras's logs, each by the metric's own name."""
    train = {name: value for name, value in logs.items() if not is_validation(name)}
    validation = {base_name(name): value for name, value in logs.items() if is_validation(name)}
    return train, validation


def logged_names(metrics: Iterable[str], *, validated: bool) -> list[str]:
    """Keras's names of all that a training logs: each metric, and its twin of the validation rows if there
    are any."""
    names = list(metrics)
    return [*names, *map(validation_name, names)] if validated else names


@dataclass(frozen=True, kw_only=True)
class EpochLogs:
    """What the compiled program reports of one epoch, or of a part of one.

    Args:
        train: Each metric over the training rows seen so far in the epoch.
        validation: Each metric over the validation rows; empty if they were not evaluated.
        learning_rate: After the epoch's last step; None: several, or of a function that only the optimizer
            calls.
        loss_scale: Of float16 training; None elsewhere.
        applied_updates: Optimizer updates in all; fewer than steps where float16 training skipped some. None
            elsewhere.
        owners: For each training value the name of the metric that gives it, and maybe others.
        step: What the last step returned, where a batch logs that and not `train`; see `LogLayout`.
    """

    train: Mapping[str, float]
    validation: Mapping[str, float] = field(default_factory=dict)
    learning_rate: float | None = None
    loss_scale: float | None = None
    applied_updates: int | None = None
    owners: Mapping[str, str] = field(default_factory=dict)
    step: Mapping[str, float] = field(default_factory=dict)

    def batch(self) -> dict[str, float]:
        """The logs of a batch, as Keras's callbacks receive them."""
        return dict(self.step or self.train)

    def keras(self) -> dict[str, float]:
        """The logs as Keras's callbacks receive them, names sorted: `{"loss": ..., "val_loss": ...}`; the
        training values of one metric stay together, at the place of its name."""
        validated = {validation_name(name): value for name, value in self.validation.items()}
        logs = {**self.train, **validated}
        return dict(sorted(logs.items(), key=lambda item: self.owners.get(item[0], item[0])))
