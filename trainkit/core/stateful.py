"""What all that resumes has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

__all__ = ["Stateful"]


@runtime_checkable
class Stateful(Protocol):
    """An object whose state a checkpoint keeps, so that a resumed training goes on as an uninterrupted one.

    A state is a dict of JSON values (numbers, texts, lists, dicts, None) and NumPy arrays. A user's own
    callback takes part by having these two methods.
    """

    def state_dict(self) -> dict[str, Any]:
        """What is to be kept; a copy that later training does not change."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put a state that `state_dict` returned back."""
        ...
