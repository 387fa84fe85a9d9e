"""How differences are measured, and what the reports of a comparison say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.support.toys import Toy
from trainkit.config import ParityConfig, TrainerConfig
from trainkit.core.datasets import Source
from trainkit.core.errors import UserError
from trainkit.verification import differences, matrix, tolerance
from trainkit.verification.replicas import SpreadReport
from trainkit.verification.report import Report, VariableDifference


def test_ulp_counts_floats_in_between() -> None:
    one = np.float32(1.0)
    assert differences.ulp(np.array([one]), np.array([np.nextafter(one, np.float32(2))])) == 1
    assert differences.ulp(np.array([np.float32(0.0)]), np.array([np.float32(-0.0)])) == 0
    tiny = np.nextafter(np.float32(0), np.float32(1))
    assert differences.ulp(np.array([tiny]), np.array([-tiny])) == 2


def test_a_nan_on_one_side_is_an_infinite_difference() -> None:
    assert differences.distance(np.array([1.0, np.nan]), np.array([1.0, 2.0])) == np.inf
    assert differences.distance(np.array([np.nan]), np.array([np.nan])) == 0.0


def test_other_shapes_are_an_infinite_difference() -> None:
    assert differences.distance(np.zeros(2), np.zeros(3)) == math.inf
    assert differences.ulp(np.zeros(2, np.float32), np.zeros(3, np.float32)) == math.inf
    assert differences.relative_distance([1.0], [1.0, 1.0]) == math.inf


def test_a_relative_difference_is_absolute_below_1() -> None:
    assert differences.relative_distance([0.5, 200.0], [0.25, 200.0]) == 0.25
    assert differences.relative_distance([0.5, 200.0], [0.5, 201.0]) == pytest.approx(1 / 200)


def report(**changes: Any) -> Report:
    return Report(
        **{
            "tolerance": 0.0,
            "reason": "as asked",
            "steps": 5,
            "epochs": 1,
            "differences": {"loss, every epoch": 0.0},
            "variables": [VariableDifference("model/kernel", 0.0, 0.0)],
            "first_step": 0,
            "first_names": [],
            "losses": ([1.0], [1.0]),
            "losses_per": "step",
            "seconds": {"trainkit": 1.0, "keras": 2.0},
            "about": {},
            "source": Source(),
            "devices": "2 CPU cores",
            **changes,
        }
    )


def test_a_report_without_differences_passes() -> None:
    assert report().passed
    assert report().worst == 0.0
    assert "passed" in report().lines()[-1]


@pytest.mark.parametrize(
    "changes",
    [
        {"differences": {"loss, every epoch": math.nan}},
        {"variables": [VariableDifference("model/kernel", math.nan, 0.0)]},
    ],
    ids=["value", "variable"],
)
def test_a_difference_that_is_not_a_number_fails_under_any_tolerance(changes: dict[str, Any]) -> None:
    failed = report(tolerance=1e9, **changes)
    assert failed.worst == math.inf
    assert not failed.passed
    assert "FAILED" in failed.lines()[-1]


def test_a_report_names_the_worst_variable_of_each_group_and_the_first_that_differ() -> None:
    variables = [
        VariableDifference("model/kernel", 0.25, 2.0),
        VariableDifference("model/bias", 0.5, 3.0),
        VariableDifference("optimizer/rate", 0.0, 0.0),
    ]
    names = ["model/a", "model/b", "model/c", "model/d"]
    text = "\n".join(report(variables=variables, first_step=3, first_names=names).lines())
    assert "model variables (2)" in text
    assert "model/bias, 3 ULP" in text
    assert "optimizer/rate" not in text
    assert "after step 3, in model/a, model/b, model/c …" in text


def test_several_devices_are_judged_by_model_and_metrics() -> None:
    slots = [VariableDifference("model/kernel", 1e-7), VariableDifference("optimizer/velocity", 0.1)]
    spread = SpreadReport(
        parts="2 replicas", steps=20, variables=slots, metrics={"loss": 1e-8}, tolerance=1e-6, reason="auto"
    )
    assert spread.worst == 1e-7
    assert spread.passed
    assert "optimizer/velocity" in "\n".join(spread.lines())


def test_a_tolerance_is_auto_exact_or_a_number() -> None:
    config = TrainerConfig()
    assert tolerance.parity_tolerance("auto", config)[0] == 0.0
    assert tolerance.parity_tolerance("auto", TrainerConfig(accumulate=2))[0] == tolerance.ACCUMULATION
    assert tolerance.parity_tolerance("exact", TrainerConfig(accumulate=2))[0] == 0.0
    assert tolerance.replicas_tolerance("0.25")[0] == 0.25
    with pytest.raises(UserError, match="auto, exact or a number"):
        tolerance.parity_tolerance("small", config)


# What `test_parity` compares.
ELSEWHERE = [
    matrix.Combination(execution="step_xla"),
    matrix.Combination(precision="mixed_bfloat16"),
    matrix.Combination(precision="mixed_float16"),
]


@pytest.mark.slow
def test_the_matrix_names_what_keras_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    every = matrix._combinations(("sgd",))
    assert all(one in every for one in ELSEWHERE)
    rest = [one for one in every if one not in ELSEWHERE]
    monkeypatch.setattr(matrix, "_combinations", lambda optimizers: rest)
    rows = matrix.compare_all(
        Toy(dropout=0.3), TrainerConfig(batch_size=25), ParityConfig(epochs=1), optimizers=("sgd",)
    )
    outcomes = {(r["execution"], r["precision"], r["optimizer"], r["strategy"]): r["outcome"] for r in rows}
    assert outcomes["step", "float32", "recipe", "one_device x 1"] == "equal bits"
    assert outcomes["step", "float32", "sgd", "one_device x 1"] == "equal bits"
    assert "FAILED" not in outcomes.values()
    assert outcomes["step_xla", "float32", "recipe", "mirrored x 2"].startswith(("refused", "Keras"))
    assert len(matrix.table(rows)) == len(rows) + 2
