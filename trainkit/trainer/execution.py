"""Which way to run the compiled program: by what is asked, by what is known, and by a few timed steps whose effect is undone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.checkpoint.train_state import State
from trainkit.config import TrainerConfig
from trainkit.core.errors import UserError
from trainkit.engine.inputs import Feed, Stream
from trainkit.engine.train_loop import Program

COMPILE_SECONDS = 0.1  # of XLA for each trainable variable, about: a training that is shorter without XLA than this cannot win by it


PROBE = 0.15  # seconds of timed steps a candidate


CLOSE = 1.5  # candidates within this factor are timed once more, since a busy moment may have decided


@dataclass
class Choice:
    """A program and how it is run: `execution` is one of the four modes, `per_call` the steps that a call may take at the most."""

    program: Any  # a `Program`; None: model.fit
    execution: str
    reason: str
    step_seconds: float  # 0: not measured


def choose(
    config: TrainerConfig,
    build: Callable[[bool], Program],
    state: State,
    orders: tf.Tensor,
    *,
    hooks: bool,
    steps_left: int,
    before: str = "",
) -> Choice:
    """The program for `config.execution`, measured where that is `auto`.

    Args:
        build: Makes the program with (True) or without XLA.
        orders: Row orders to measure on.
        hooks: Whether a callback needs the host at every step.
        steps_left: Steps that the training still has.
        before: Execution of the run that is resumed: `auto` keeps to it, since another rounds otherwise.
    """
    unit = "step" if hooks else "epoch"
    asked = config.execution
    no_xla = (
        "an XLA program runs on one device" if tf.distribute.get_strategy().num_replicas_in_sync > 1 else ""
    )
    if asked != "auto":
        xla = asked.endswith("_xla")
        if xla:
            return _with_xla(build, asked, "as asked", state, orders, hooks)
        return Choice(
            build(False),
            "step" if hooks else asked,
            "as asked" if not (hooks and asked == "epoch") else "a callback needs the host at every step",
            0.0,
        )
    if no_xla:
        return Choice(build(False), unit, no_xla, 0.0)
    if before:
        resumed = "as before the resumption"
        xla = before.endswith("_xla")
        return (
            _with_xla(build, f"{unit}_xla", resumed, state, orders, hooks)
            if xla
            else Choice(build(False), unit, resumed, 0.0)
        )
    if config.deterministic:
        xla = _by_rule(state)
        return Choice(
            build(xla),
            f"{unit}_xla" if xla else unit,
            "by rule, since trainer.deterministic forbids measuring",
            0.0,
        )
    with undone(state):
        plain = build(False)
        plain_step = _measure(plain, orders, hooks=hooks)
        if plain_step * steps_left < COMPILE_SECONDS * len(state.model.trainable_variables):
            whole = plain_step * steps_left
            reason = f"{plain_step * 1e3:.3g} ms a step, {whole:.2g} s for the whole training: too short for XLA to pay for its compilation"
            return Choice(plain, unit, reason, plain_step)
        try:
            fast = build(True)
            fast_step = _measure(fast, orders, hooks=hooks, give_up=3 * plain_step)
            if max(fast_step, plain_step) < CLOSE * min(fast_step, plain_step):
                plain_step, fast_step = (
                    min(known, _measure(p, orders, hooks=hooks))
                    for p, known in ((plain, plain_step), (fast, fast_step))
                )
        except (tf.errors.OpError, ValueError, TypeError, NotImplementedError) as error:
            return Choice(
                plain,
                unit,
                f"XLA cannot compile this model ({str(error).strip().splitlines()[0][:160]})",
                plain_step,
            )
    numbers = f"measured {fast_step * 1e3:.3g} ms a step with XLA, {plain_step * 1e3:.3g} ms without"
    return (
        Choice(fast, f"{unit}_xla", numbers, fast_step)
        if fast_step < plain_step
        else Choice(plain, unit, numbers, plain_step)
    )


def _with_xla(
    build: Callable[[bool], Program], asked: str, reason: str, state: State, orders: tf.Tensor, hooks: bool
) -> Choice:
    program = build(True)
    try:
        with undone(state):
            program(orders, epochs=0, validate=[])
    except (tf.errors.OpError, ValueError, TypeError, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        plain = asked.removesuffix("_xla")
        return Choice(
            build(False),
            plain,
            f"XLA cannot compile this model ({str(error).strip().splitlines()[0][:160]})",
            0.0,
        )
    if hooks and asked == "epoch_xla":
        return Choice(program, "step_xla", "a callback needs the host at every step", 0.0)
    return Choice(program, asked, reason, 0.0)


def _by_rule(state: State) -> bool:
    """XLA pays on GPUs, and on CPUs for models without convolutions, which XLA:CPU runs very slowly inside a loop."""
    convolutions = any("conv" in type(layer).__name__.lower() for layer in state.model._flatten_layers())
    return bool(tf.config.list_logical_devices("GPU")) or not convolutions


@contextmanager
def undone(state: State) -> Iterator[None]:
    """Put every variable back at the end of the block, exactly."""
    values = state.values()
    try:
        yield
    finally:
        state.assign(values)


def _measure(program: Program, orders: tf.Tensor, *, hooks: bool, give_up: float = float("inf")) -> float:
    """Seconds a full step: the best of three timings that last about `PROBE` together, after a call that compiles.

    What a call costs by itself is taken off, unless `hooks` make every step a call of its own.
    """

    def seconds(steps: int) -> float:
        begin = time.perf_counter()
        program(orders, start=0, stop=steps)
        return time.perf_counter() - begin

    program(orders, epochs=0, validate=[])
    seconds(1)
    call = 0.0 if hooks else min(seconds(0) for _ in range(3))
    once = max(seconds(1) - call, 1e-6)
    if once > give_up and once > PROBE / 3:
        return once
    steps = 1 if hooks else min(max(1, program.plan.full), max(1, int(PROBE / 3 / once)))
    return max(min(seconds(steps) for _ in range(3)) - call, 1e-7) / steps


def bound_by(seconds: float, inside: float, reading: float) -> dict[str, Any]:
    """What a loop of so many `seconds` hangs on: the host, for what it was not `inside` of computing calls; the input, for `reading`; else the device."""
    shares = {
        "host": min(1.0, max(0.0, 1 - inside / max(seconds, 1e-9))),
        "input": reading / max(seconds, 1e-9),
    }
    by = next((name for name in ("input", "host") if shares[name] > 0.5), "device")
    return {"by": by, "host_share": shares["host"], "input_share": shares["input"]}


def batch_seconds(feed: Feed, order: np.ndarray, steps: int) -> float:
    """Seconds a batch that a stream takes by itself; resident rows take none."""
    if not isinstance(feed, Stream):
        return 0.0
    count = min(20, steps)
    batches = iter(feed.dataset([order] * 2, 0))
    next(batches)
    return timed(lambda: [next(batches) for _ in range(count)]) / count


def timed(function: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin
