"""All cases, by groups."""

from __future__ import annotations

from importlib import import_module

from tests.conformance.registry import Case

__all__ = ["CASES", "GROUPS"]

GROUPS = (
    "architectures",
    "layers",
    "sequences",
    "subclasses",
    "own_functions",
    "own_losses",
    "inputs",
    "outputs",
    "optimizers",
    "losses",
    "metrics",
    "weights",
    "sources",
    "lengths",
    "running",
    "freezing",
    "hooks",
    "changes",
    "stopping",
    "monitors",
    "writers",
    "errors",
    "afterwards",
)
CASES: list[Case] = [case for group in GROUPS for case in import_module(f"{__name__}.{group}").case.all]
