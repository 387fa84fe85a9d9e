"""What people write by hand: a `tf.function` step, called for each batch of a `tf.data` pipeline."""

from __future__ import annotations

import time
from typing import Any

import keras
import tensorflow as tf

from benchmarks import networks
from benchmarks.session import Run, Session
from benchmarks.workloads import Workload

LONG = False


def variants(workload: Workload) -> tuple[str, ...]:
    return "step", "step jit_compile"


def prepare(workload: Workload, variant: str) -> Session:
    return StepLoop(workload, jit="jit_compile" in variant)


class StepLoop(Session):
    """Calls a compiled step for each batch, from a Python loop.

    Args:
        workload: What to train.
        jit: Whether XLA compiles the step.
    """

    def __init__(self, workload: Workload, *, jit: bool) -> None:
        begin = time.perf_counter()
        rows = workload.rows
        batch = workload.batch
        self.model = networks.network(workload)
        self.optimizer = networks.optimizer(workload)
        self.optimizer.build(self.model.trainable_variables)
        self.restart = networks.Restart(workload, self.model, self.optimizer)
        self.data = (
            tf.data.Dataset.from_tensor_slices((rows.x, rows.y))
            .shuffle(len(rows.x))
            .batch(batch)
            .prefetch(tf.data.AUTOTUNE)
        )
        self.validation = (
            tf.data.Dataset.from_tensor_slices(rows.validation).batch(batch).prefetch(tf.data.AUTOTUNE)
            if rows.validation
            else None
        )
        self.loss = keras.metrics.Mean()
        self.metric = networks.metric(workload)
        error = networks.loss(workload)

        @tf.function(jit_compile=jit)
        def train(x: Any, y: Any) -> None:
            with tf.GradientTape() as tape:
                outputs = self.model(x, training=True)
                loss = error(y, outputs)
            variables = self.model.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            self.loss.update_state(loss, sample_weight=tf.shape(x)[0])
            self.metric.update_state(y, outputs)

        @tf.function(jit_compile=jit)
        def validate(x: Any, y: Any) -> None:
            outputs = self.model(x, training=False)
            self.loss.update_state(error(y, outputs), sample_weight=tf.shape(x)[0])
            self.metric.update_state(y, outputs)

        self.train = train
        self.validate = validate
        self.run(1, 0)
        self.compile_seconds = time.perf_counter() - begin

    def run(self, epochs: int, seed: int) -> Run:
        self.restart(seed)
        losses = []
        begin = time.perf_counter()
        for _ in range(epochs):
            for x, y in self.data:
                self.train(x, y)
            losses.append(self._result())
            if self.validation is not None:
                for x, y in self.validation:
                    self.validate(x, y)
                self._result()
        return Run(time.perf_counter() - begin, losses)

    def _result(self) -> float:
        loss = float(self.loss.result())
        float(self.metric.result())
        self.loss.reset_state()
        self.metric.reset_state()
        return loss
