"""All cases, by groups."""

from __future__ import annotations

from tests.conformance.cases import (
    architectures,
    inputs,
    lengths,
    losses,
    metrics,
    optimizers,
    outputs,
    own_losses,
    sequences,
    sources,
    subclasses,
    weights,
)

__all__ = ["CASES"]

GROUPS = (
    architectures,
    sequences,
    subclasses,
    own_losses,
    inputs,
    outputs,
    optimizers,
    losses,
    metrics,
    weights,
    sources,
    lengths,
)
CASES = [case for group in GROUPS for case in group.case.all]
