"""Trainings on several replicas, and how far they are from one device's."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.training import fit
from trainkit.core.task import Task
from trainkit.trainer.trainer import Trainer

__all__ = ["CLOSE", "assert_replicas_equal_one", "fit_on", "gap"]

CLOSE = 1e-6  # float32 sums in another order


def fit_on(replicas: int, task: Task, **settings: Any) -> tuple[Trainer, dict[str, list[float]]]:
    """4 epochs of 5 steps: 20 steps, the last of each epoch ragged."""
    where = {"strategy": "mirrored", "replicas": replicas} if replicas > 1 else {"strategy": "one_device"}
    return fit(task, **{"epochs": 4, **where, **settings})


def gap(a: dict[str, list[float]], b: dict[str, list[float]]) -> float:
    """The largest difference of two histories."""
    assert a.keys() == b.keys()
    return max(float(np.abs(np.array(a[name]) - b[name]).max()) for name in a)


def assert_replicas_equal_one(task: Task, replicas: int, *, close: float = CLOSE, **settings: Any) -> None:
    """Train on one device and on replicas, and compare the weights and all that was logged."""
    (one, history_one), (many, history_many) = fit_on(1, task, **settings), fit_on(replicas, task, **settings)
    assert many.setup.replicas == replicas
    model = [
        (v.path, float(np.abs(v.numpy() - w.numpy()).max()))
        for v, w in zip(one.model.weights, many.model.weights, strict=True)
    ]
    assert max(gap for _, gap in model) <= close, model
    assert gap(history_one, history_many) <= 5 * close
