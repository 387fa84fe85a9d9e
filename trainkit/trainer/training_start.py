"""How a training starts: by that it is told whether it can have the programs of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from trainkit.backend.traced_values import TracedValues
from trainkit.backend.unlisted import unlisted_variables
from trainkit.core.datasets import Splits
from trainkit.core.task import Task
from trainkit.trainer import structure
from trainkit.trainer.structure import NotComparable

__all__ = ["TrainingStart"]


@dataclass(frozen=True)
class TrainingStart:
    """How the training of a task starts, for one seed.

    Args:
        kept: Task and rows, so that no other objects get their identities.
        structure: Of its model, losses and metrics.
        weights: All variables of the model.
        values: The values of layers and metrics that programs read from variables.
    """

    kept: tuple[Task, Splits]
    structure: str
    weights: tuple[np.ndarray, ...]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, task: Task, splits: Splits, model: keras.Model) -> TrainingStart:
        """How the training of a task with a new model starts.

        Raises:
            NotComparable: if nobody can tell its programs from others.
        """
        if unlisted_variables(model):
            raise NotComparable
        weights = tuple(v.numpy() for v in model.variables)
        values = tuple(TracedValues.values_of(model, None))
        return cls((task, splits), structure.model_structure(task, model), weights, values)
