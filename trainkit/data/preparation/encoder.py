"""What every prepared column can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from trainkit.core.cells import quoted
from trainkit.core.errors import UserError

__all__ = ["ColumnEncoder", "refuse_null"]


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


def refuse_null(name: str, texts: Iterable[str]) -> None:
    """Refuse texts of a column with the character NUL: NumPy and Keras take it for the end of a text.

    Raises:
        UserError: for the first of them.
    """
    for text in texts:
        if "\0" in text:
            raise UserError(
                f"{name}: {quoted(text)} holds the character NUL, which ends a text for NumPy and Keras, so "
                "an exported model could not tell it from others; take it out of the data."
            )
