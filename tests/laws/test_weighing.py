"""A batch in parts, on replicas or one after the other, weighs as Keras weighs it whole.

By rows, by unmasked steps, by sums of weights, or not at all for sums; and sparse gradients stay sparse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.support.replicas import gap
from tests.support.toys import TwoByTwo
from tests.support.training import fit
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.task import Task
from trainkit.trainer.trainer import Trainer

CLOSE = 3e-6
ROWS = 43  # by 16: two whole batches and a ragged one
STEPS = 6
WORDS = 12
REDUCTIONS = {"mean": "sum_over_batch_size", "by_weights": "mean_with_sample_weight", "sum": "sum"}


@dataclass(frozen=True)
class Sequences(Task):
    """Numbers per step of padded sequences of words."""

    reduction: str = "sum_over_batch_size"
    masked: bool = True
    weight: str = "none"
    rule: str = "sgd"

    def data(self) -> Splits:
        draw = np.random.default_rng(0)
        x = draw.integers(1, WORDS, (ROWS, STEPS))
        lengths = draw.integers(1, STEPS + 1, ROWS)
        if self.masked:
            x[np.arange(STEPS) >= lengths[:, None]] = 0
        y = np.sin(x)[..., None].astype("float32")
        shapes = {"rows": (ROWS, 1), "steps": (ROWS, STEPS)}
        weight = None
        if self.weight in shapes:
            weight = draw.uniform(0.0, 3.0, shapes[self.weight]).astype("float32")
        return Splits(Arrays(x.astype("int32"), y, weight), Arrays(x[:21].astype("int32"), y[:21]))

    def model(self, train: Arrays) -> keras.Model:
        inputs = keras.Input((STEPS,), dtype="int32")
        words = layers.Embedding(WORDS, 3, mask_zero=self.masked)(inputs)
        return keras.Model(inputs, layers.Dense(1)(layers.Dense(4, activation="tanh")(words)))

    def loss(self) -> Any:
        return keras.losses.MeanSquaredError(reduction=self.reduction)

    def optimizer(self) -> keras.optimizers.Optimizer:
        rate = 1e-3 if self.reduction == "sum" else 0.05
        return {
            "sgd": keras.optimizers.SGD,
            "adam": keras.optimizers.Adam,
            "adagrad": keras.optimizers.Adagrad,
        }[self.rule](rate, **({"epsilon": 1e-3} if self.rule != "sgd" else {}))


@dataclass(frozen=True)
class Together(Sequences):
    """Each reduction in one model, with a weight per step under a mask, and embeddings by Adam."""

    rule: str = "adam"

    def data(self) -> Splits:
        splits = Sequences(weight="steps").data()

        def each(part: Any) -> Any:
            return None if part is None else dict.fromkeys(REDUCTIONS, part)

        train, validation = (
            Arrays(rows.x, each(rows.y), each(rows.weight)) for rows in (splits.train, splits.validation)
        )
        return Splits(train, validation)

    def model(self, train: Arrays) -> keras.Model:
        inputs = keras.Input((STEPS,), dtype="int32")
        words = layers.Dense(4, activation="tanh")(layers.Embedding(WORDS, 3, mask_zero=True)(inputs))
        return keras.Model(inputs, {name: layers.Dense(1, name=name)(words) for name in REDUCTIONS})

    def loss(self) -> Any:
        return {name: keras.losses.MeanSquaredError(reduction=kind) for name, kind in REDUCTIONS.items()}

    def loss_weights(self) -> Any:
        return {"mean": 1.0, "by_weights": 1.0, "sum": 0.02}


TASKS = {
    "all at once": Together(),
    "masked": Sequences(),
    "masked, a weight per row": Sequences(weight="rows"),
    "a weight per step, embeddings by Adagrad": Sequences(masked=False, weight="steps", rule="adagrad"),
    "by sums of weights, masked": Sequences("mean_with_sample_weight", weight="rows"),
}
PARTS: dict[str, dict[str, Any]] = {
    "two replicas": {"strategy": "mirrored", "replicas": 2},
    "four replicas": {"strategy": "mirrored", "replicas": 4},
    "accumulation": {"batch_size": 8, "accumulate": 2},
}


def trained(task: Task, **settings: Any) -> tuple[Trainer, dict[str, list[float]]]:
    return fit(task, **{"epochs": 2, "fast_kernels": False, **settings})


def furthest(a: Trainer, b: Trainer) -> float:
    """The largest difference of two models in any weight."""
    pairs = zip(a.model.get_weights(), b.model.get_weights(), strict=True)
    return max(float(np.abs(x - y).max()) for x, y in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_parts_weigh_as_the_whole(name: str) -> None:
    whole, history = trained(TASKS[name])
    by_keras, theirs = trained(TASKS[name], engine="keras")
    assert furthest(whole, by_keras) <= CLOSE
    assert gap(history, theirs) <= 10 * CLOSE
    for settings in PARTS.values():
        if settings.get("replicas") == (2 if name == "all at once" else 4):
            continue  # four of them show it for all kinds at once, two for each
        parts, logged = trained(TASKS[name], **settings)
        assert furthest(whole, parts) <= CLOSE, settings
        if "batch_size" in settings:  # of the validation too, whose masked losses Keras weighs by its batches
            assert gap({"loss": history["loss"]}, {"loss": logged["loss"]}) <= 10 * CLOSE, settings
        else:
            assert gap(history, logged) <= 10 * CLOSE, settings


@pytest.mark.slow
def test_losses_of_outputs_are_means_of_batches_as_in_keras() -> None:
    """Also of a ragged last batch, and of a batch in parts."""
    _, theirs = fit(TwoByTwo(), engine="keras")
    _, ours = fit(TwoByTwo())
    _, parts = fit(TwoByTwo(), batch_size=8, accumulate=2)
    assert ours.keys() == theirs.keys() == parts.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=2e-5, err_msg=name)
        if not name.startswith("val_"):  # validated in batches of 8
            np.testing.assert_allclose(parts[name], values, rtol=2e-5, err_msg=name)
