"""Whatever a module with a task holds: it can be trained, or is refused in one line with exit code 2."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.commands import examples, refused_or_good

HEADS = [
    "",
    "import nothing_of_that_name",
    "1 / 0",
    "raise SystemExit(3)",
    "def f(:",
    "raise OSError('a\\nb')",
]
CLASSES = [
    "@dataclass(frozen=True)\nclass Mine(Task):\n    rows: int = 20",
    "class Mine(Task):\n    pass",
    "class Mine:\n    pass",
    "class Mine(Task):\n    def __init__(self):\n        raise ValueError('two\\nlines')",
    "Mine = 3\nclass Other(Task):\n    pass",
    "class Mine(Task):\n    name = property(lambda self: 1 / 0)",
]
X = "np.arange(60, dtype='float32').reshape(20, 3) / 60"
Y = "np.arange(20) % 2"
DATA = [
    f"return Splits(Arrays({X}, {Y}), Arrays({X}, {Y}))",
    f"return Splits(Arrays({X}, {Y}))",
    f"return Splits(Arrays({X}, {Y}[:7]))",
    f"return Splits(Arrays({X}, None))",
    f"return Splits(Arrays({X} * np.nan, {Y}))",
    f"return Splits(Arrays({X}.astype(str), {Y}))",
    f"return Splits(Arrays({X}, np.array(['a', 'b'] * 10)))",
    f"return Splits(Arrays({X}, {Y} - 1))",
    f"return Splits(Arrays({X}, {Y}), Arrays({X}[:, :2], {Y}))",
    f"return Splits(Arrays(({X}, {X}), {Y}))",
    f"return Splits(Arrays({{'a': {X}}}, {Y}))",
    f"return Splits(Arrays(np.array([None] * 20), {Y}))",
    f"return Splits(Arrays({X}, {Y} + 0j))",
    "return Splits(Arrays(np.zeros((0, 3)), np.zeros(0)))",
    "return Splits(Arrays(3, 4))",
    "return Splits(None)",
    "return Splits(7, 'x')",
    f"return ({X}, {Y})",
    "return None",
    "yield 1",
    "return self.data()",
    "raise KeyError('y')",
    "return open('/no/such/file')",
]
LAYER = "keras.layers.Dense(2, activation='softmax')"
MODELS = [
    f"return keras.Sequential([keras.Input((3,)), {LAYER}])",
    f"return keras.Sequential([keras.Input((4,)), {LAYER}])",
    f"return keras.Sequential([{LAYER}])",
    "return keras.Sequential([keras.Input((3,)), keras.layers.Dense(0)])",
    "return keras.Sequential([keras.Input((3,)), keras.layers.Reshape((7,))])",
    "return keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: 1 / 0)])",
    "return keras.Sequential([keras.Input((3,)), keras.layers.Flatten()])",
    "return keras.Sequential([keras.Input((3,), dtype='int32'), keras.layers.Embedding(2, 2)])",
    f"x = keras.Input((3,))\n        return keras.Model(x, [{LAYER}(x), {LAYER}(x)])",
    f"return {LAYER}",
    "return keras.Model()",
    "return None",
    "return train.no_such_thing",
    "raise RuntimeError('no model today')",
]
LOSSES = [
    "'sparse_categorical_crossentropy'",
    "'mse'",
    "'msee'",
    "None",
    "3",
    "['mse', 'mse']",
    "{'a': 'mse'}",
    "lambda y, p: 1 / 0",
    "lambda y: y",
    "lambda y, p: 'text'",
    "keras.losses.CategoricalCrossentropy()",
]
METRICS = [
    "[]",
    "['accuracy']",
    "['accurcy']",
    "'accuracy'",
    "[3]",
    "[lambda y, p: 1 / 0]",
    "{'b': ['mae']}",
    "1 / 0",
]
MORE = [
    "",
    "def optimizer(self):\n        return 'sgdd'",
    "def monitor(self):\n        return 'val_nothing'",
    "def monitor(self):\n        return 3",
    "def class_weight(self):\n        return {0: 1.0, 'a': 2}",
    "def loss_weights(self):\n        return [1, 2, 3]",
    "def compute(self, model, batch, training):\n        return 1 / 0",
    "def compute(self, model, batch, training):\n        return 3",
    "data = 3",
]
TEMPLATE = """
from dataclasses import dataclass

import keras
import numpy as np

from trainkit import Arrays, Splits, Task

{head}

{cls}

    def data(self):
        {data}

    def model(self, train):
        {model}

    def loss(self):
        return {loss}

    def metrics(self):
        return {metrics}

    {more}
"""
GOOD = {
    "head": HEADS[0],
    "cls": CLASSES[0],
    "data": DATA[0],
    "model": MODELS[0],
    "loss": LOSSES[0],
    "metrics": METRICS[0],
    "more": MORE[0],
}
SMALL = ("trainer.epochs=1", "trainer.batch_size=5")
NUMBERS = itertools.count()
ANY_HEALTH = list(hypothesis.HealthCheck)


def mostly_good(choices: list[str]) -> st.SearchStrategy[str]:
    """The first, which is good, half of the time: or else no example would come far."""
    return st.one_of(st.just(choices[0]), st.sampled_from(choices))


PARTS = st.fixed_dictionaries(
    {
        "head": mostly_good(HEADS),
        "cls": mostly_good(CLASSES),
        "data": st.sampled_from(DATA),
        "model": mostly_good(MODELS),
        "loss": mostly_good(LOSSES),
        "metrics": mostly_good(METRICS),
        "more": mostly_good(MORE),
    }
)


def try_module(text: str, folder: Path, target: str = "Mine") -> str:
    name = f"malformed_{next(NUMBERS)}"
    (folder / f"{name}.py").write_text(text, encoding="utf-8", errors="replace")
    (folder / "task").mkdir()
    (folder / "task" / "odd.yaml").write_text(f"# @package _global_\ntask: {{_target_: {name}.{target}}}\n")
    before = list(sys.path)
    try:
        return refused_or_good(["--config-dir", str(folder), "task=odd", *SMALL], folder)
    finally:
        sys.modules.pop(name, None)
        sys.path[:] = before


def test_the_good_parts_make_a_task(tmp_path: Path) -> None:
    """Else all examples would be refused for one and the same reason."""
    assert try_module(TEMPLATE.format(**GOOD), tmp_path) == ""


@pytest.mark.slow
@hypothesis.settings(max_examples=examples(250), suppress_health_check=ANY_HEALTH)
@given(parts=PARTS)
def test_odd_tasks(parts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    try_module(TEMPLATE.format(**parts), tmp_path_factory.mktemp("task"))


@pytest.mark.slow
@hypothesis.settings(max_examples=examples(70), suppress_health_check=ANY_HEALTH)
@given(data=st.data())
def test_odd_modules(data: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A module that is cut, or that has anything at all in one place."""
    good = TEMPLATE.format(**GOOD)
    place = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 40))
    text = good[:place] + data.draw(st.text(max_size=12)) + good[place + length :]
    target = data.draw(st.sampled_from(["Mine", "Mine", "Task", "np", "Mine.data", "", "__name__"]))
    try_module(text, tmp_path_factory.mktemp("module"), target)
