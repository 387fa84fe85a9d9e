"""Settings of the `data` group."""

from __future__ import annotations

from dataclasses import dataclass

from trainkit.config.fields import setting
from trainkit.config.trainer import MAX_SEED

__all__ = ["DataConfig"]


@dataclass
class DataConfig:
    """Where the rows come from and how they are split."""

    source: str = setting("auto", "auto, embedded, or the data set's name, which demands the real data")
    dir: str | None = setting(None, "folder of known data sets such as mnist.npz; TRAINKIT_DATA sets it")
    validation: float = setting(
        0.2, "fraction of the training rows held out for validation", at_least=0, below=1
    )
    seed: int = setting(0, "seed of the validation split", at_least=0, below=MAX_SEED)
    train_rows: int | None = setting(None, "train on the first rows only; null: on all", at_least=1)
