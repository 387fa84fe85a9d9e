"""What `partial_fit` goes on from, and which parameters it can follow when they were changed in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from trainkit.backend.compat import own_schedule
from trainkit.backend.precision import inner_optimizer
from trainkit.trainer.setup import TrainSetup

__all__ = ["OptimizerForm", "check_model_parameters", "model_parameters"]


def model_parameters(estimator: Any) -> dict[str, Any]:
    """The parameters that the model of an estimator is made from, by name."""
    if estimator.model is not None:
        return {"model": estimator.model}
    return {"model": None, "units": tuple(estimator.units), "dropout": estimator.dropout}


def check_model_parameters(estimator: Any, made_from: dict[str, Any]) -> None:
    """Refuse to train a model on whose parameters were changed since it was made.

    Raises:
        ValueError: naming the first of them.
    """
    now = model_parameters(estimator)
    for name, before in made_from.items():
        value = now.get(name, before)
        if value is not before and (name == "model" or value != before):
            raise ValueError(
                f"{name}={value!r}: partial_fit goes on with the model that was made with {name}={before!r}. "
                "Set it back, or call fit."
            )


@dataclass(frozen=True)
class OptimizerForm:
    """The kind of an optimizer, as settings have made it: what has another form cannot go on with its values.

    Args:
        kind: Name of its class.
        shapes: Of its variables, in order.
        rate: Its constant learning rate; None: a schedule gives it.
    """

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    rate: float | None

    @classmethod
    def of(cls, setup: TrainSetup) -> Self:
        """The form of an optimizer of which no value was assigned yet."""
        inner = inner_optimizer(setup.model.optimizer)
        rate = float(inner.learning_rate) if own_schedule(inner) is None else None
        shapes = tuple(tuple(variable.shape) for variable in setup.state.groups["optimizer"])
        return cls(type(inner).__name__, shapes, rate)

    def go_on(self, setup: TrainSetup, before: OptimizerForm) -> None:
        """Set the learning rate of these settings, if it is another than `before`; else it stays as the
        training left it. The values of `before` are assigned."""
        if self.rate is not None and self.rate != before.rate:
            inner_optimizer(setup.model.optimizer).learning_rate = self.rate

    def check(self, before: OptimizerForm) -> None:
        """Refuse to go on with the values of another optimizer.

        Raises:
            ValueError: naming both.
        """
        if (self.kind, self.shapes) != (before.kind, before.shapes):
            raise ValueError(
                f"optimizer__... and trainer__precision now give {self.kind} with {len(self.shapes)} "
                f"variables; partial_fit goes on with {before.kind} and its {len(before.shapes)}. Set them "
                "back, or call fit."
            )
