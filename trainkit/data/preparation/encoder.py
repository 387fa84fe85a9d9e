"""What every prepared column can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

__all__ = ["ColumnEncoder"]


@dataclass(frozen=True)
class ColumnEncoder(ABC):
    """Turns the values of one column into numbers; fitted, and then never changed.

    Args:
        name: Of the column.
    """

    name: str

    kind: ClassVar[str]  # of the columns that it takes, as the schema names them

    @property
    @abstractmethod
    def own_array(self) -> bool:
        """Whether it gives an array of its own, and not columns of the numbers that all others share."""

    @abstractmethod
    def encode(self, values: np.ndarray) -> np.ndarray:
        """Prepare values.

        Args:
            values: As `Schema.read` gives them `[N]`: float64 with NaN for gaps, or texts with "" for gaps.

        Returns:
            Numbers `[N, W]` float64, or indices `[N]` or `[N, L]` int32 if it gives an array of its own.
        """

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What each number stands for `[W]`; empty if it gives an array of its own."""

    def to_dict(self) -> dict[str, Any]:
        """Its state as JSON can hold it."""
        return {"kind": self.kind, **asdict(self)}
