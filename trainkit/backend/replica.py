"""Random streams: the order of the rows, and independent numbers on every replica."""

from __future__ import annotations

import tensorflow as tf


def replica() -> tuple[int, int]:
    """The number of replicas, and which of them the code is being traced for: (1, 0) outside of any strategy."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 1, 0
    return context.num_replicas_in_sync, int(tf.get_static_value(context.replica_id_in_sync_group))
