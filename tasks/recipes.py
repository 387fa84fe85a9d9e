"""Epochs, batch size and learning rate that suit the number of training rows."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["learning_rate", "sizes"]


def sizes(rows: int, *, batches: int, largest: int, steps: int) -> Mapping[str, int]:
    """`epochs` and `batch_size`, as settings of the trainer.

    Args:
        rows: Training rows.
        batches: Batches per epoch that are aimed at.
        largest: Largest batch; the smallest has 8 rows, or all that there are.
        steps: Steps in all that are aimed at, within 10 to 200 epochs.
    """
    wanted = max(8, min(largest, rows // batches))
    batch = min(2 ** (wanted.bit_length() - 1), rows)
    per_epoch = -(-rows // batch)
    return {"epochs": max(10, min(200, steps // per_epoch)), "batch_size": batch}


def learning_rate(batch_size: int) -> float:
    """Of Adam: 0.001 for 64 rows per batch, growing with the root of the batch up to 0.004."""
    return float(round(min(4e-3, max(5e-4, 1e-3 * (batch_size / 64) ** 0.5)), 6))
