"""The methods of a task take what they are called with, or are refused in one line before anything runs."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import tensorflow as tf

from tests.support.toys import Toy
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
from trainkit.trainer.task_values import check_members
from trainkit.trainer.trainer import Trainer


def test_a_compute_of_other_parameters_is_refused_by_them() -> None:
    class Bad(Toy):
        def compute(self, model: Any, batch: Any, train: bool) -> Any:  # type: ignore[override]
            return super().compute(model, batch, train)

    with pytest.raises(UserError, match=r"is called as compute\(model, batch, training=True\): missing"):
        Trainer(epochs=1, batch_size=16).prepare(Bad())


def test_a_method_of_other_parameters_is_refused_by_what_it_is_called_with() -> None:
    def rows(self: Any, train: Any) -> Splits:
        return Toy().data()

    expected = {
        "model": (lambda self: None, "model() is called as model(train): too many positional arguments; "),
        "class_weight": (lambda self, y: None, "class_weight(y) is called as class_weight(): missing a requ"),
        "data": (rows, "expected def data(self)."),
        "serving_model": (lambda self: None, "expected def serving_model(self, model)."),
    }
    for name, (method, said) in expected.items():
        with pytest.raises(UserError) as caught:
            Trainer(epochs=1, batch_size=16).prepare(type("Bad", (Toy,), {name: method})())
        assert said in str(caught.value)
    taken = type("Good", (Toy,), {"model": lambda self, *rows, **more: Toy().model(*rows)})
    Trainer(epochs=1, batch_size=16).prepare(taken())


def test_helpers_of_the_names_of_reports_are_not_asked_before_a_training() -> None:
    def unread(self: Any) -> str:
        raise RuntimeError("read")

    helpers = {
        "decode": lambda self, path, label: path,
        "in_unit": lambda self: 1,
        "new_rows": lambda self: 3,
        "description": lambda self, verbose: "x",
        "unit": property(unread),
    }
    check_members(type("Helped", (Toy,), helpers)())


def test_decorators_may_supply_arguments() -> None:
    def with_rate(method: Any) -> Any:
        @functools.wraps(method)
        def called(self: Any, *given: Any) -> Any:
            return method(self, *given, rate=0.1)

        return called

    class Decorated(Toy):
        @with_rate
        def optimizer(self, rate: float) -> Any:  # type: ignore[override]
            return super().optimizer()

        @functools.cache  # noqa: B019
        def data(self) -> Splits:
            return super().data()

        @tf.function  # type: ignore[untyped-decorator]
        def compute(self, model: Any, batch: Any, training: bool) -> Any:
            return super().compute(model, batch, training)

    check_members(Decorated())
