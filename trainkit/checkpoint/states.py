"""States of callbacks as JSON, with their arrays apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["join", "separate"]


def separate(states: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """States as JSON, in which each array is replaced by `{"array": key}`, and the arrays by key."""
    arrays: dict[str, np.ndarray] = {}

    def plain(value: Any, key: str) -> Any:
        if isinstance(value, np.ndarray):
            arrays[key] = value
            return {"array": key}
        if isinstance(value, Mapping):
            return {str(k): plain(v, f"{key}/{k}") for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v, f"{key}/{i}") for i, v in enumerate(value)]
        return value.item() if isinstance(value, np.generic) else value

    return {name: plain(state, name) for name, state in states.items()}, arrays


def join(states: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The inverse of `separate`."""

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            if set(value) == {"array"}:
                return arrays[value["array"]]
            return {k: whole(v) for k, v in value.items()}
        return [whole(v) for v in value] if isinstance(value, list) else value

    return {name: whole(state) for name, state in states.items()}
