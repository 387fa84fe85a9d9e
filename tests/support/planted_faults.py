"""Loops that are wrong in the ways that loops are; each must be found by a comparison with `model.fit`."""

from __future__ import annotations

import types
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainkit.backend.patches import Replacement
from trainkit.engine import split_step, train_loop, train_step
from trainkit.trainer import fit_loop, program_runner, setup

__all__ = [
    "fault_batch_norm_in_inference_mode",
    "fault_last_batch_dropped",
    "fault_learning_rate_off_by_a_millionth",
    "fault_loss_not_weighted_by_rows",
    "fault_metrics_not_reset",
    "fault_one_dropout_seed_too_many",
    "fault_rows_in_another_order",
]


def fault_loss_not_weighted_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    original = setup.TrainSetup.replacements

    def replacements(self: setup.TrainSetup, **mode: bool) -> list[Any]:
        tracker = self.model._loss_tracker
        plain = type(tracker).update_state
        unweighted = types.MethodType(lambda self, value, sample_weight=None: plain(self, value), tracker)
        return [*original(self, **mode), Replacement(tracker, "update_state", unweighted)]

    monkeypatch.setattr(setup.TrainSetup, "replacements", replacements)


def fault_metrics_not_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_loop, "reset_metrics", lambda step: tf.no_op())
    never = property(lambda self: False, lambda self, value: None)
    monkeypatch.setattr(fit_loop.FitLoop, "resets", never, raising=False)  # nor by the host


def fault_batch_norm_in_inference_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    original = keras.layers.BatchNormalization.call

    def call(self: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return original(self, inputs, training=False, mask=mask)

    found = setup.TrainSetup.replacements

    def replacements(self: setup.TrainSetup, **mode: bool) -> list[Any]:  # the fault is in our loop alone
        return [*found(self, **mode), Replacement(keras.layers.BatchNormalization, "call", call)]

    monkeypatch.setattr(setup.TrainSetup, "replacements", replacements)


def fault_last_batch_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    original = train_loop.TrainProgram._steps

    def steps(self: train_loop.TrainProgram, *arguments: Any, stop: Any, **more: Any) -> Any:
        return original(self, *arguments, stop=tf.minimum(stop, self.spec.shape.full_steps), **more)

    monkeypatch.setattr(train_loop.TrainProgram, "_steps", steps)


def fault_one_dropout_seed_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    original = program_runner.ProgramRunner.compile

    def compile(self: program_runner.ProgramRunner, *window: Any) -> bool:
        changed = original(self, *window)
        for layer in self.setup.model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.seed_generator.next()
        return bool(changed)

    monkeypatch.setattr(program_runner.ProgramRunner, "compile", compile)


def fault_learning_rate_off_by_a_millionth(monkeypatch: pytest.MonkeyPatch) -> None:
    original = program_runner.ProgramRunner.compile

    def compile(self: program_runner.ProgramRunner, *window: Any) -> bool:
        changed = original(self, *window)
        rate = self.setup.model.optimizer.learning_rate
        rate.assign(rate * np.float32(1 + 1e-6))
        return bool(changed)

    monkeypatch.setattr(program_runner.ProgramRunner, "compile", compile)


def fault_rows_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def reversed_labels(original: Any) -> Any:
        def gather(*args: Any) -> Any:
            return tf.nest.map_structure(
                lambda t: tf.reverse(t, [0]) if t.shape.rank == 1 else t, original(*args)
            )

        return gather

    for module, name in ((split_step, "gather"), (train_step, "gather_apart")):
        monkeypatch.setattr(module, name, reversed_labels(getattr(module, name)))
