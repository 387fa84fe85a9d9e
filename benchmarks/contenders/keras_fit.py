"""`model.fit`: as it comes, and at its best with `steps_per_execution` and `jit_compile`."""

from __future__ import annotations

import time
from typing import Any

import keras

from benchmarks import networks
from benchmarks.session import Run, Session
from benchmarks.workloads import Workload

LONG = False


def variants(workload: Workload) -> tuple[str, ...]:
    several = f"steps_per_execution={min(25, workload.steps)}"
    return "default", several, "jit_compile", f"{several} jit_compile"


def prepare(workload: Workload, variant: str) -> Session:
    return Fit(workload, variant)


class Clock(keras.callbacks.Callback):
    """Times the training alone: `fit` prepares its data before and cleans up after."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.begin = time.perf_counter()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.seconds = time.perf_counter() - self.begin


class Fit(Session):
    """Trains a workload with `model.fit`, as one of `variants`."""

    def __init__(self, workload: Workload, variant: str) -> None:
        begin = time.perf_counter()
        key = "steps_per_execution="
        several = [int(word.removeprefix(key)) for word in variant.split() if word.startswith(key)]
        self.workload = workload
        self.model = networks.network(workload)
        self.model.compile(
            optimizer=networks.optimizer(workload),
            loss=networks.loss(workload),
            metrics=[networks.metric(workload)],
            steps_per_execution=several[0] if several else 1,
            jit_compile=True if "jit_compile" in variant else "auto",
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.restart = networks.Restart(workload, self.model, self.model.optimizer)
        self.run(1, 0)
        self.compile_seconds = time.perf_counter() - begin

    def run(self, epochs: int, seed: int) -> Run:
        self.restart(seed)
        rows = self.workload.rows
        clock = Clock()
        history = self.model.fit(
            rows.x,
            rows.y,
            batch_size=self.workload.batch,
            epochs=epochs,
            validation_data=rows.validation,
            verbose=0,
            callbacks=[clock],
        )
        return Run(clock.seconds, history.history["loss"])
