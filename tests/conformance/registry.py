"""The cases of the suite: named functions that train on one side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.conformance.side import Side

__all__ = ["Case", "Cases"]


@dataclass(frozen=True)
class Case:
    """One thing that Keras does, shown by a training.

    Args:
        name: `<group>.<what it shows>`.
        run: Builds model and data, trains by `side.fit`, and notes what has to be equal on both sides.
    """

    name: str
    run: Callable[[Side], None]


@dataclass
class Cases:
    """The cases of one group; as a decorator, adds the function under its own name."""

    group: str
    all: list[Case] = field(default_factory=list)

    def __call__(self, run: Callable[[Side], None]) -> Callable[[Side], None]:
        self.add(run.__name__, run)
        return run

    def add(self, name: str, run: Callable[[Side], None]) -> None:
        case = Case(f"{self.group}.{name}", run)
        if any(known.name == case.name for known in self.all):
            raise ValueError(f"two cases are named {case.name}")
        self.all.append(case)
