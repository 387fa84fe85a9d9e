"""What every contender offers: the names of its ways to train a workload, and a `Session` for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from importlib import import_module
from typing import Protocol

from benchmarks.workloads import Workload

# In the order of the table. A contender's module has the contender's name.
CONTENDERS = (
    "trainkit_trainer",
    "keras_fit",
    "handwritten",
    "torch_plain",
    "lightning_trainer",
    "jax_scan",
    "ceiling",
)
# Libraries of the extra `bench`; one that is not installed is reported as missing.
PEERS = ("torch", "lightning", "jax")


@dataclass(frozen=True)
class Run:
    """One measured training.

    Args:
        seconds: From the first step to the end of the last epoch, validation included, compiling excluded.
        losses: Training loss of each epoch, the mean over its rows while it was trained; empty if nothing is
            learnt.
        note: What the contender chose by itself.
        compile_seconds: Of this run alone, apart from `seconds`.
        own_start: Whether it starts from other weights than the other contenders do.
    """

    seconds: float
    losses: list[float] = field(default_factory=list)
    note: str = ""
    compile_seconds: float | None = None
    own_start: bool = False


class Session(ABC):
    """A workload made ready by one contender: built, compiled and warmed up.

    Attributes:
        compile_seconds: What that took, the first epoch included where a framework compiles while it trains.
    """

    compile_seconds: float = 0.0

    @abstractmethod
    def run(self, epochs: int, seed: int) -> Run:
        """Train from fresh weights."""


class Contender(Protocol):
    """What a module in `benchmarks.contenders` has.

    Attributes:
        LONG: Whether it trains `workload.long_epochs`, since it is too quick for fewer.
    """

    LONG: bool

    def variants(self, workload: Workload) -> tuple[str, ...]:
        """Its ways to train this workload, the default first."""

    def prepare(self, workload: Workload, variant: str) -> Session:
        """Build, compile, warm up."""


def contender(name: str) -> Contender:
    """The module of that name.

    Raises:
        ModuleNotFoundError: if its framework is not installed.
    """
    return import_module(f"benchmarks.contenders.{name}")
