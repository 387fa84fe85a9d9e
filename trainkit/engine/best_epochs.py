"""What the graph decides from epoch to epoch inside of a call: which was the best, and whether to stop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainkit.checkpoint.train_state import TrainState
from trainkit.core.logs import base_name
from trainkit.core.monitor import MonitorRule
from trainkit.engine.log_layout import LogLayout

__all__ = ["BestEpochs", "Decision"]


class Decision(NamedTuple):
    """What was decided so far, for each rule.

    Args:
        best: Best value `[rules]`.
        wait: Epochs without improvement `[rules]`.
        stopped: Whether one of the rules stops the training.
    """

    best: tf.Tensor
    wait: tf.Tensor
    stopped: tf.Tensor


class BestEpochs:
    """Applies each rule as the host does after an epoch, and keeps the state of the best epoch.

    Args:
        rules: What is followed; none if a call runs a single epoch.
        train_logs: Layout of the training values.
        test_logs: Layout of the validation values, which follow them.
        state: The variables to keep.

    Attributes:
        snapshots: For each rule, a copy of all variables as they were after the best epoch.
    """

    def __init__(
        self, rules: Sequence[MonitorRule], train_logs: LogLayout, test_logs: LogLayout, state: TrainState
    ) -> None:
        self.rules = rules
        self.train_logs = train_logs
        self.test_logs = test_logs
        self.state = state
        self.snapshots = [[tf.Variable(v, trainable=False) for v in state.variables] for _ in rules]

    def decide(self, values: tf.Tensor, validated: tf.Tensor, before: Decision) -> Decision:
        """Look at the values of an epoch: keep the state of a better one, count the others, stop when
        patience ends."""
        best, wait, stops = [], [], [tf.constant(False)]
        finite = self._finite_loss(values, validated)
        for i, rule in enumerate(self.rules):
            value = tf.where(finite, tf.cast(values[self._index(rule)], tf.float32), np.nan)
            known = validated if rule.needs_validation else tf.constant(True)
            better = known & rule.improves(value, before.best[i])
            tf.cond(better, partial(self._keep, i), tf.no_op)
            best.append(tf.where(better, value, before.best[i]))
            wait.append(tf.where(better, 0, before.wait[i] + tf.cast(known, tf.int32)))
            stops.append(known & ~better & rule.out_of_patience(wait[-1]))
        return Decision(tf.stack(best), tf.stack(wait), before.stopped | tf.reduce_any(tf.stack(stops)))

    def _index(self, rule: MonitorRule) -> int:
        if rule.needs_validation:
            return self.train_logs.width + self.test_logs.index(base_name(rule.monitor))
        return self.train_logs.index(rule.monitor)

    def _finite_loss(self, values: tf.Tensor, validated: tf.Tensor) -> tf.Tensor:
        """Whether the losses of the epoch are finite: else it is no best one, whatever its accuracy."""
        finite = tf.constant(True)
        if "loss" in self.train_logs.names:
            finite &= tf.math.is_finite(values[self.train_logs.index("loss")])
        if "loss" in self.test_logs.names and values.shape[0] > self.train_logs.width:
            loss = values[self.train_logs.width + self.test_logs.index("loss")]
            finite &= ~validated | tf.math.is_finite(loss)
        return finite

    def _keep(self, number: int) -> tf.Operation:
        for kept, variable in zip(self.snapshots[number], self.state.variables, strict=True):
            kept.assign(variable)
        return tf.no_op()
