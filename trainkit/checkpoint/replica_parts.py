"""Variables of which each replica holds a part of its own, such as the sums of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["ReplicaParts"]


class ReplicaParts:
    """Reads and assigns the parts exactly.

    Who reads such a variable sees the sum of its parts. A training that goes on from the sum, shared among
    the replicas, rounds otherwise than one that goes on from the parts.

    On several workers all must call these methods together.

    Args:
        names: Name of each variable.
        variables: All variables of a training; those without parts are passed over.
    """

    def __init__(self, names: Sequence[str], variables: Sequence[Any]) -> None:
        found = [(n, v) for n, v in zip(names, variables, strict=True) if _has_parts(v)]
        self.names = [name for name, _ in found]
        self._variables = [variable for _, variable in found]
        self._gather: Callable[[], list[tf.Tensor]] | None = None
        self._scatter: Callable[[list[tf.Tensor]], None] | None = None

    def read(self) -> dict[str, np.ndarray]:
        """The parts `[R, ...]` of each variable, by its name."""
        if not self._variables:
            return {}
        if self._gather is None:
            self._gather = tf.function(self._gathered, autograph=False)
        return {name: parts.numpy() for name, parts in zip(self.names, self._gather(), strict=True)}

    def assign(self, parts: Mapping[str, Any]) -> None:
        """Put parts back that `read` returned; those of another number of replicas are passed over."""
        count = self._replicas() if self._variables else 0
        if not count or any(len(parts.get(name, ())) != count for name in self.names):
            return
        if self._scatter is None:
            self._scatter = tf.function(self._scattered, autograph=False)
        self._scatter([tf.constant(parts[name]) for name in self.names])

    def _replicas(self) -> int:
        return int(self._variables[0].distribute_strategy.num_replicas_in_sync)

    def _gathered(self) -> list[tf.Tensor]:
        strategy, count = self._variables[0].distribute_strategy, self._replicas()

        def placed() -> list[tf.Tensor]:
            mine = tf.equal(tf.range(count), _number())
            return [
                tf.where(
                    tf.reshape(mine, [count] + [1] * len(v.shape)),
                    tf.convert_to_tensor(v)[tf.newaxis],
                    tf.zeros([], v.dtype),
                )
                for v in self._variables
            ]

        return [strategy.reduce("SUM", parts, axis=None) for parts in strategy.run(placed)]

    def _scattered(self, parts: list[tf.Tensor]) -> None:
        def take_mine() -> None:
            for variable, value in zip(self._variables, parts, strict=True):
                variable.assign(tf.gather(value, _number()))

        self._variables[0].distribute_strategy.run(take_mine)


def _number() -> Any:
    return tf.distribute.get_replica_context().replica_id_in_sync_group


def _has_parts(variable: Any) -> bool:
    """Whether replicas keep values of their own, which are summed when somebody reads them."""
    several = isinstance(variable, tf.distribute.DistributedValues)
    on_read = getattr(variable, "synchronization", None) == tf.VariableSynchronization.ON_READ
    return several and on_read and variable.distribute_strategy.num_replicas_in_sync > 1
