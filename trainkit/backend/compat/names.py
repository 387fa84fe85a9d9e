"""Names that Keras makes up: how it does is private."""

from __future__ import annotations

import re
from typing import Any

from keras.src.utils.naming import to_snake_case

__all__ = ["is_automatic"]


def is_automatic(thing: Any) -> bool:
    """Whether the name of a layer or metric is one that Keras gives by itself: `dense`, `dense_1`."""
    base = re.escape(to_snake_case(type(thing).__name__))
    return re.fullmatch(rf"{base}(_\d+)?", thing.name) is not None
