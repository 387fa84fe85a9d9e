"""Our metrics in a training: the values of all rows, each once, on one device and on two replicas."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.config import ParityConfig, TrainerConfig
from trainkit.core.datasets import Arrays
from trainkit.metrics import F1, BalancedAccuracy, CalibrationError
from trainkit.verification import parity


class Measured(Toy):
    def metrics(self) -> list[keras.metrics.Metric]:
        return [F1(), F1(class_id=2), BalancedAccuracy(), CalibrationError()]


TWO = {"strategy": "mirrored", "replicas": 2}


@pytest.mark.parametrize("settings", [{}, pytest.param(TWO, marks=pytest.mark.slow)], ids=["one", "two"])
def test_metrics_are_those_of_the_predictions(settings: dict[str, Any]) -> None:
    trainer, history = fit(Measured(), **settings)
    values, outputs = trainer.evaluate(), trainer.predict()
    assert {"f1_macro", "val_f1_class_2", "val_balanced_accuracy", "calibration_error"} <= set(history)
    test = trainer.splits.test
    assert isinstance(test, Arrays)
    found = outputs.argmax(1)
    assert values["f1_macro"] == pytest.approx(f1_score(test.y, found, average="macro"), abs=1e-6)
    assert values["f1_class_2"] == pytest.approx(f1_score(test.y == 2, found == 2), abs=1e-6)
    assert values["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(test.y, found), abs=1e-6)


@pytest.mark.parametrize("execution", [pytest.param("step", marks=pytest.mark.slow), "epoch"])
def test_metrics_are_those_of_model_fit(execution: str) -> None:
    config = TrainerConfig(batch_size=16, execution=execution)
    report = parity.compare(Measured(dropout=0.3), config, ParityConfig(epochs=2))
    assert report.worst == 0.0, report.lines()
    assert "val_f1_macro, every epoch" in report.differences
