"""The products of a step are counted from its graph, and timed once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.support.toys import Toy, TwoByTwo
from tests.support.training import fit
from trainkit.core.datasets import Arrays, Splits
from trainkit.trainer import roofline
from trainkit.trainer.loop import StepCost
from trainkit.trainer.trainer import Trainer


@dataclass(frozen=True)
class Images(Toy):
    def data(self) -> Splits:
        rng = np.random.default_rng(0)
        return Splits(Arrays(rng.normal(size=(32, 8, 8, 3)).astype(np.float32), rng.integers(0, 3, 32)))

    def model(self, train: Arrays) -> keras.Model:
        return keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.Conv2D(4, 3, padding="same"),
                layers.Conv2D(5, 3, strides=2),
                layers.Flatten(),
                layers.Dense(3, "softmax"),
            ]
        )


@dataclass(frozen=True)
class Recurrent(Toy):
    def data(self) -> Splits:
        return Splits(Arrays(np.zeros((32, 4, 2), np.float32), np.zeros(32, int)))

    def model(self, train: Arrays) -> keras.Model:
        return keras.Sequential([keras.Input((4, 2)), layers.GRU(3), layers.Dense(3, "softmax")])


def prepared(task: Any, **settings: Any) -> Any:
    return Trainer(**{"batch_size": 16, "execution": "epoch", **settings}).prepare(task)


# A product forward, one for the kernel's gradient, and but for the first layer one for the input's.
COUNTS = [
    (Toy(), 16 * 2 * (6 * 8 * 2 + 8 * 3 * 3)),
    (TwoByTwo(), 16 * 2 * (6 * 8 * 2 + 8 * 3 * 3 + 8 * 1 * 3)),
    (Images(), 16 * 2 * (64 * 27 * 4 * 2 + 9 * 36 * 5 * 3 + 45 * 3 * 3)),
]


@pytest.mark.parametrize(("task", "flops"), COUNTS, ids=lambda value: type(value).__name__)
def test_the_operations_of_a_step_are_those_of_its_layers(task: Any, flops: int, tmp_path: Path) -> None:
    work = roofline.measure(prepared(task), tmp_path / "cache.json")
    assert work.flops == flops
    assert work.matmul_seconds > 0


@pytest.mark.slow
def test_accumulation_and_replicas_count_the_whole_step(tmp_path: Path) -> None:
    one = roofline.measure(prepared(Toy()), tmp_path / "cache.json")
    assert (
        roofline.measure(prepared(Toy(), batch_size=4, accumulate=4), tmp_path / "cache.json").flops
        == one.flops
    )
    assert (
        roofline.measure(prepared(Toy(), strategy="mirrored", replicas=2), tmp_path / "cache.json").flops
        == one.flops
    )


def test_the_timing_is_kept_and_a_damaged_file_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, times = tmp_path / "cache.json", iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(roofline, "_time", lambda found: next(times))
    assert [roofline.measure(prepared(Toy()), cache).matmul_seconds for _ in range(2)] == [1.0, 1.0]
    assert roofline.measure(prepared(TwoByTwo()), cache).matmul_seconds == 2.0
    assert (
        roofline.measure(prepared(Toy()), cache, again=True).matmul_seconds == 1.0
    )  # the third timing, 3.0, is slower
    times = iter([3.0])
    cache.write_text("{")
    assert roofline.measure(prepared(Toy()), cache).matmul_seconds == 3.0


def test_what_cannot_be_counted_says_so(tmp_path: Path) -> None:
    work = roofline.measure(prepared(Recurrent()), tmp_path / "cache.json")
    assert (work.flops, work.matmul_seconds) == (0.0, 0.0)
    assert "loops" in work.reason


@pytest.mark.slow_but_first
@pytest.mark.parametrize("feed", ["resident", "stream"])
def test_a_run_says_what_bounds_it(feed: str) -> None:
    trainer, _ = fit(Toy(), feed=feed, epochs=4)
    bound = trainer.bottleneck
    assert bound["by"] in ("host", "input", "device")
    assert 0 <= bound["host_share"] <= 1
    assert (bound["input_share"] > 0) == (feed == "stream")


@pytest.mark.slow
def test_speed_is_part_of_the_throughput_where_the_work_is_known() -> None:
    trainer = Trainer(epochs=2, batch_size=16, execution="epoch")
    task = Toy()
    trainer.prepare(task)
    assert "tflops" not in trainer.throughput
    trainer.step_cost = StepCost(5e6, 1e-6)
    trainer.fit(task)
    rate = trainer.throughput["steps_per_second"]
    assert trainer.throughput["tflops"] == pytest.approx(5e6 * rate / 1e12)
    assert trainer.throughput["roofline_fraction"] == pytest.approx(1e-6 * rate)
