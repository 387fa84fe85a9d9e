"""`TRAINKIT_SAFE=1`: a config can make objects of known packages only.

A config names classes by `_target_`, and Python runs the code of a module that it imports. So a config of
somebody else is code of somebody else, unless what it may name is limited.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import hydra

from trainkit.core.errors import UserError

__all__ = ["check_targets", "is_safe"]

ALWAYS = ("trainkit", "keras")
ALLOWED = "TRAINKIT_SAFE_TARGETS"  # more packages or modules, separated by commas


def is_safe() -> bool:
    """Whether the user asked for it."""
    return os.environ.get("TRAINKIT_SAFE", "") not in ("", "0")


def check_targets(spec: Any, key: str) -> None:
    """Refuse a config that names anything but classes of trainkit, of Keras, and of the modules of
    `TRAINKIT_SAFE_TARGETS`.

    Raises:
        UserError: naming the first.
    """
    allowed = (*ALWAYS, *filter(None, os.environ.get(ALLOWED, "").replace(" ", "").split(",")))
    for target in _targets(spec):
        if not isinstance(target, str) or not _within(target, allowed) or not _is_class(target, allowed):
            raise UserError(
                f"{key}._target_={target}: TRAINKIT_SAFE=1 allows classes of {', '.join(allowed)} only; add "
                f"its module to {ALLOWED} if you trust it."
            )


def _within(name: str, allowed: Sequence[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in allowed)


def _is_class(target: str, allowed: Sequence[str]) -> bool:
    """Whether a name leads to a class that is defined there: `trainkit.runs.manifest.subprocess.Popen` begins
    well, too."""
    try:
        found = hydra.utils.get_object(target)
    except Exception:  # whatever an import may raise; making the object says what is wrong
        return True
    return inspect.isclass(found) and _within(found.__module__, allowed)


def _targets(spec: Any) -> Iterator[Any]:
    if isinstance(spec, Mapping):
        if "_target_" in spec:
            yield spec["_target_"]
        for value in spec.values():
            yield from _targets(value)
    elif isinstance(spec, (list, tuple)):
        for value in spec:
            yield from _targets(value)
