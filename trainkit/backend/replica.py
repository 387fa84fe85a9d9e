"""Which replica the code is being traced for."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

__all__ = ["Replica", "replica"]


@dataclass(frozen=True)
class Replica:
    """The place of a replica among all.

    Args:
        count: Replicas in sync, >= 1.
        index: Number of this one, `0 <= index < count`.
    """

    count: int
    index: int


def replica() -> Replica:
    """The replica that the code is being traced for; `Replica(1, 0)` outside of any strategy."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return Replica(1, 0)
    return Replica(context.num_replicas_in_sync, int(tf.get_static_value(context.replica_id_in_sync_group)))
