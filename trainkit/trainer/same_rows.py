"""Whether all workers of a training have the same rows and settings, seen before the model is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.datasets import SPLITS, Arrays
from trainkit.core.errors import UserError
from trainkit.core.tree import named_leaves
from trainkit.distributed import cluster
from trainkit.distributed.agreement import differing
from trainkit.distributed.strategy import strategy_name

__all__ = ["check_same_rows", "content"]

MOST_BYTES = 2**24  # of an array that are compared: evenly spaced rows, the first and the last among them


def check_same_rows(
    strategy: tf.distribute.Strategy,
    config: TrainerConfig,
    optimizer: Any,
    rows: int,
    spec: Any,
    splits: dict[str, Arrays],
) -> None:
    """Refuse workers that would train something else than one device does.

    Args:
        strategy: Where the training runs; nothing is compared for a single process.
        config: Settings of the trainer.
        optimizer: Those of the optimizer, if it is made by settings.
        rows: Training rows.
        spec: What a row of them is.
        splits: The rows that are arrays, by split. Others, of a dataset, are read when they are needed.

    Raises:
        UserError: in all workers, if they differ in any of these.
    """
    if strategy_name(strategy) != "multi_worker":
        return
    settings = (replace(config, devices=None), optimizer if isinstance(optimizer, OptimizerConfig) else None)
    facts = {
        "settings": repr(settings).encode(),
        "number or type of training rows": repr((rows, spec)).encode(),
    }
    for name in SPLITS:
        known = f"{'training' if name == 'train' else name} rows"
        facts[known] = b"".join(content(splits[name])) if name in splits else b""
    what = differing(strategy, cluster.is_chief(), facts)
    if what is not None:
        raise UserError(
            f"The workers differ in their {what}; all train one model, and need the same. Give each the same "
            "command and data, and let data() draw nothing that differs from process to process."
        )


def content(arrays: Arrays) -> Iterator[bytes]:
    """Names, shapes, types and a bounded part of the values."""
    for name, array in named_leaves(arrays.batch()):
        count = len(array)
        row_bytes = max(1, array.nbytes // max(1, count))
        picked = np.unique(np.linspace(0, count - 1, max(2, min(count, MOST_BYTES // row_bytes)), dtype=int))
        yield f"{name} {array.shape} {array.dtype}".encode()
        values = np.ascontiguousarray(array[picked])
        # The bytes of objects are their addresses.
        yield repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes()
