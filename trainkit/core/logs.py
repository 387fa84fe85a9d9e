"""Observers that keep the curves of a run: `metrics.csv`, and pictures of it."""

from __future__ import annotations


def column(name: str) -> str:
    """`loss` -> `train/loss`, `val_loss` -> `val/loss`."""
    return f"val/{name.removeprefix('val_')}" if name.startswith("val_") else f"train/{name}"
