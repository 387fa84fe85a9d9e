"""Each learning-rate schedule follows its formula, in a graph and under XLA."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from trainkit.config import OptimizerConfig, ScheduleConfig, validate_section
from trainkit.config.optimizer import SCHEDULES
from trainkit.core.errors import UserError
from trainkit.optim import schedules

DECAY = keras.optimizers.schedules.ExponentialDecay


def rates(schedule: Any, steps: int) -> list[float]:
    return [float(schedule(step)) for step in range(steps)]


def one_cycle(step: int, top: float, end: float, high: float, first: float, last: float) -> float:
    a, b, share = (first, high, step / top) if step < top else (high, last, (step - top) / (end - top))
    return b + (a - b) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))


def triangle(step: int, half: int) -> float:
    """Height of the triangle, from 0 to 1."""
    within = step % (2 * half)
    return within / half if within <= half else 2 - within / half


FORMULAS: dict[str, tuple[Any, Callable[[int], float]]] = {
    "constant": (schedules.Constant(0.25), lambda step: 0.25),
    "warm-up": (
        schedules.WarmUp(4, DECAY(1.0, 1, 0.5)),
        lambda step: (step + 1) / 5 if step < 4 else 0.5 ** (step - 4),
    ),
    "one cycle": (
        schedules.OneCycle(0.5, steps=20),
        lambda step: one_cycle(step, 5.0, 19.0, 0.5, 0.02, 2e-6),
    ),
    "one cycle, early": (
        schedules.OneCycle(0.5, steps=20, rise=0.1, start_divisor=10.0, end_divisor=5.0),
        lambda step: one_cycle(step, 1.0, 19.0, 0.5, 0.05, 0.01),
    ),
    "cyclical": (
        schedules.Cyclical(0.1, 0.5, half_cycle=4),
        lambda step: 0.1 + 0.4 * triangle(step, 4),
    ),
    "cyclical, halving": (
        schedules.Cyclical(0.1, 0.5, half_cycle=4, decay=0.5),
        lambda step: 0.1 + 0.4 * triangle(step, 4) * 0.5 ** (step // 8),
    ),
}


@pytest.mark.parametrize(("schedule", "formula"), FORMULAS.values(), ids=FORMULAS.keys())
def test_a_schedule_follows_its_formula(schedule: Any, formula: Callable[[int], float]) -> None:
    assert rates(schedule, 30) == pytest.approx([formula(step) for step in range(30)], rel=1e-5)


@pytest.mark.parametrize("schedule", [s for s, _ in FORMULAS.values()], ids=FORMULAS.keys())
def test_a_schedule_survives_its_config_and_a_graph(schedule: Any) -> None:
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert type(again) is type(schedule)
    assert rates(again, 30) == rates(schedule, 30)
    for compiled in (tf.function(schedule), tf.function(schedule, jit_compile=True)):
        got = [float(compiled(tf.constant(step, tf.int64))) for step in range(30)]
        assert got == pytest.approx(rates(schedule, 30), rel=1e-5)


def test_without_steps_of_its_own_a_schedule_takes_those_after_the_warm_up() -> None:
    made = schedules.schedule(ScheduleConfig(name="cosine", warmup_steps=10), 0.1, 100)
    assert made.after.get_config()["decay_steps"] == 90
    assert float(made(99)) == pytest.approx(0.0, abs=1e-4)


def line(step: int, steps: int) -> float:
    """From 1 at step 0 to 0 at `steps`."""
    return 1 - min(step / steps, 1.0)


# Settings, and the rate of 0.1 that they make of a step after the warm-up; the training has 100 steps.
CONFIGS: dict[str, tuple[dict[str, Any], Callable[[int], float]]] = {
    "constant": ({"name": "constant"}, lambda step: 0.1),
    "cosine": (
        {"name": "cosine", "decay_steps": 20, "final": 0.2},
        lambda step: 0.02 + 0.08 * (1 + math.cos(math.pi * min(step / 20, 1))) / 2,
    ),
    "step": ({"name": "step", "decay_steps": 6, "decay_rate": 0.3}, lambda step: 0.1 * 0.3 ** (step // 6)),
    "exponential": (
        {"name": "exponential", "decay_steps": 6, "decay_rate": 0.3},
        lambda step: 0.1 * 0.3 ** (step / 6),
    ),
    "polynomial": (
        {"name": "polynomial", "decay_steps": 20, "final": 0.2, "power": 2.0},
        lambda step: 0.02 + 0.08 * line(step, 20) ** 2,
    ),
    "polynomial, all steps": ({"name": "polynomial"}, lambda step: 0.1 * line(step, 100)),
    "piecewise": (
        {"name": "piecewise", "boundaries": [3, 9], "decay_rate": 0.1},
        lambda step: 0.1 * 0.1 ** ((step > 3) + (step > 9)),
    ),
    "one cycle": (
        {"name": "one_cycle", "rise": 0.5, "decay_steps": 20},
        lambda step: one_cycle(step, 9.0, 19.0, 0.1, 0.004, 4e-7),
    ),
    "cyclical": (
        {"name": "cyclical", "decay_steps": 4, "final": 0.5, "decay_rate": 1.0},
        lambda step: 0.05 + 0.05 * triangle(step, 4),
    ),
    "cyclical, all steps": (
        {"name": "cyclical"},
        lambda step: 0.1 * triangle(step, 50) * 0.5 ** (step // 100),
    ),
}


@pytest.mark.parametrize(("settings", "formula"), CONFIGS.values(), ids=CONFIGS.keys())
def test_settings_give_the_schedule_that_they_describe(
    settings: dict[str, Any], formula: Callable[[int], float]
) -> None:
    alone = schedules.schedule(ScheduleConfig(**settings), 0.1, 100)
    assert rates(alone, 60) == pytest.approx([formula(step) for step in range(60)], rel=1e-4, abs=1e-9)
    warm = schedules.schedule(ScheduleConfig(warmup_steps=10, **settings), 0.1, 110)
    assert rates(warm, 70)[10:] == pytest.approx(rates(alone, 60), rel=1e-5)


def test_every_schedule_of_the_settings_is_tested() -> None:
    assert {settings["name"] for settings, _ in CONFIGS.values()} == set(SCHEDULES)


@pytest.mark.parametrize("boundaries", [[], [5, 3], [3, 3]])
def test_boundaries_that_do_not_ascend_are_refused(boundaries: list[int]) -> None:
    config = OptimizerConfig(schedule=ScheduleConfig(name="piecewise", boundaries=boundaries))
    with pytest.raises(UserError, match=r"optimizer\.schedule\.boundaries=.*ascending"):
        validate_section(config, "optimizer")


def test_a_cycle_of_one_step_has_its_highest_rate() -> None:
    assert float(schedules.OneCycle(0.5, steps=1)(0)) == 0.5
