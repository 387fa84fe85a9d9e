"""Sizes that suit the data: epochs and batch size by the training rows, embeddings by categories."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["embedding", "sizes"]


def embedding(categories: int) -> int:
    """Numbers per category, or per word, by how many there are."""
    usual: float = 1.6 * categories**0.25
    return max(4, round(usual))


def sizes(rows: int, *, batches: int, smallest: int, largest: int, steps: int) -> Mapping[str, int]:
    """`epochs` and `batch_size`, as settings of the trainer.

    Args:
        rows: Training rows.
        batches: Batches per epoch that are aimed at.
        smallest: Smallest batch, if there are as many rows; a power of two.
        largest: Largest batch; a power of two.
        steps: Steps in all that are aimed at, within 10 to 150 epochs.
    """
    wanted = max(smallest, min(largest, rows // batches))
    batch = min(2 ** (wanted.bit_length() - 1), rows)
    per_epoch = -(-rows // batch)
    return {"epochs": max(10, min(150, steps // per_epoch)), "batch_size": batch}
