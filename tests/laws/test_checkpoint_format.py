"""A checkpoint knows its variables by name, and the former format is still read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.support.toys import Toy
from tests.support.training import difference, fit, weights
from trainkit.checkpoint import store
from trainkit.core.errors import UserError
from trainkit.core.task import Task
from trainkit.trainer.trainer import Trainer


@dataclass(frozen=True)
class Named(Toy):
    """The model of `Toy` with a layer of another name: all shapes are equal."""

    layer: str = "encoder"

    def model(self, train: object) -> keras.Model:
        hidden = keras.layers.Dense(8, activation="relu", name=self.layer)
        return keras.Sequential([keras.Input((6,)), hidden, keras.layers.Dense(3, activation="softmax")])


def prepared(task: Task) -> Trainer:
    trainer = Trainer(epochs=1, batch_size=16)
    trainer.prepare(task)
    return trainer


def test_equal_shapes_under_another_name_are_refused_by_name(tmp_path: Path) -> None:
    trainer, _ = fit(Named(), epochs=1)
    trainer.save_checkpoint(tmp_path / "c")
    with pytest.raises(UserError, match=r"encoder.*there.*decoder.*here"):
        prepared(Named(layer="decoder")).restore(tmp_path / "c")


def test_the_numbers_that_keras_counts_up_are_no_names(tmp_path: Path) -> None:
    first, _ = fit(Toy(), epochs=1)
    first.save_checkpoint(tmp_path / "c")
    second = prepared(Toy())
    assert first.state.names != second.state.names
    second.restore(tmp_path / "c")
    assert all(np.array_equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))


@pytest.mark.slow
def test_the_former_format_is_read(tmp_path: Path) -> None:
    whole, _ = fit(Toy(dropout=0.3), epochs=3)
    first, _ = fit(Toy(dropout=0.3), epochs=2)
    folder = first.save_checkpoint(tmp_path / "c")
    meta = json.loads((folder / store.META).read_text())
    former = {
        "position": meta["position"],
        "memory": {"execution": "epoch"},
        "held": {},
        "variables": [["Variable:0", shape, dtype] for _, shape, dtype in meta["variables"]],
    }
    (folder / store.META).write_text(json.dumps(former))
    rest, _ = fit(Toy(dropout=0.3), epochs=3, resume=folder)
    assert difference(whole, rest) == 0.0


@pytest.mark.slow
def test_a_later_format_is_refused(tmp_path: Path) -> None:
    trainer, _ = fit(Toy(), epochs=1)
    folder = trainer.save_checkpoint(tmp_path / "c")
    meta = json.loads((folder / store.META).read_text())
    (folder / store.META).write_text(json.dumps({**meta, "format": store.FORMAT + 1}))
    with pytest.raises(UserError, match="Use a newer trainkit"):
        trainer.restore(folder)
