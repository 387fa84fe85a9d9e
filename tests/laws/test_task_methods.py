"""The methods of a task take what they are called with, or are refused in one line before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.toys import Toy
from trainkit.core.datasets import Splits
from trainkit.core.errors import UserError
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
        "serving_rows": (lambda self, split: None, "expected def serving_rows(self, split, rows)."),
    }
    for name, (method, said) in expected.items():
        with pytest.raises(UserError) as caught:
            Trainer(epochs=1, batch_size=16).prepare(type("Bad", (Toy,), {name: method})())
        assert said in str(caught.value)
    taken = type("Good", (Toy,), {"model": lambda self, *rows, **more: Toy().model(*rows)})
    Trainer(epochs=1, batch_size=16).prepare(taken())
