"""Settings of single modes: `predict`, `parity` and `verify_resume`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainkit.config.fields import setting
from trainkit.core.errors import UserError

__all__ = ["SPLITS", "EvaluateConfig", "FitConfig", "ParityConfig", "PredictConfig", "VerifyConfig"]

SPLITS = ("train", "validation", "test")


def tolerance_problem(tolerance: str) -> str | None:
    """What a tolerance must be, if `tolerance` is not one."""
    try:
        number = 0.0 if tolerance in ("auto", "exact") else float(tolerance)
    except ValueError:
        number = math.nan
    return None if 0 <= number < math.inf else "auto, exact, or a number of at least 0"


@dataclass
class FitConfig:
    """mode=fit: one training, or several that differ in their folds or seeds."""

    cv: int | None = setting(None, "folds of a cross-validation, a run for each; null: one run", at_least=2)
    fold: int | None = setting(None, "the only fold of fit.cv to train, from 1; null: all", at_least=1)
    seeds: int | None = setting(None, "runs with as many seeds, from trainer.seed on; null: one", at_least=1)

    def check(self, prefix: str) -> None:
        """Refuse a fold that there is not.

        Args:
            prefix: Dotted key of this section with a final dot, for the message.
        """
        if self.fold is not None and self.fold > (self.cv or 0):
            folds = f"{prefix}cv is not set" if self.cv is None else f"there are {self.cv} folds"
            raise UserError(f"{prefix}fold={self.fold}: {folds}; expected one of the folds of {prefix}cv.")


@dataclass
class PredictConfig:
    """mode=predict: predictions for the rows of a split, or for new rows."""

    path: str | None = setting(None, "file or folder with new rows; null: the rows of predict.split")
    split: str = setting("test", "rows to predict", choices=SPLITS)
    model: str | None = setting(None, "exported file that predicts in place of the run's checkpoint")
    show: int = setting(10, "predictions to print; predictions.csv holds all", at_least=0)

    def check(self, prefix: str) -> None:
        """Refuse a split where new rows are named.

        Args:
            prefix: Dotted key of this section with a final dot, for the message.
        """
        if self.path is not None and self.split != PredictConfig.split:
            raise UserError(
                f"{prefix}split={self.split} is not read with {prefix}path={self.path}, whose rows are all "
                "predicted: leave one of both out."
            )


@dataclass
class EvaluateConfig:
    """mode=evaluate: loss and metrics on every split, and pictures of the test rows; or on new rows."""

    path: str | None = setting(None, "file or folder with new rows and their labels; null: the run's splits")
    baselines: bool = setting(
        False, "compare with the majority or mean, a linear model and gradient boosting of scikit-learn"
    )
    importance: bool = setting(False, "how much worse predictions are with each column of a table shuffled")


@dataclass
class ParityConfig:
    """mode=parity: the same training by model.fit, or on several devices, compared step by step."""

    epochs: int = setting(1, "epochs to compare", at_least=1)
    steps: int | None = setting(None, "steps to compare; null: all", at_least=1)
    tolerance: str = setting(
        "auto", "largest difference that passes: auto, exact or a number", problem=tolerance_problem
    )
    matrix: bool = setting(False, "compare all executions, precisions, optimizers and strategies")
    replicas: int | None = setting(None, "compare one device with this many replicas", at_least=1)
    workers: int | None = setting(
        None, "compare one device with this many workers on this machine", at_least=1
    )


@dataclass
class VerifyConfig:
    """mode=verify_resume: the same training, killed and resumed, compared bit for bit."""

    kills: int = setting(20, "times that the training is killed", at_least=1)
    seed: int = setting(0, "seed of the moments", at_least=0)
    workers: int | None = setting(
        None, "train by this many launched workers; null: by copies of this process", at_least=1
    )
