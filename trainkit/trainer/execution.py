"""Which way to run the compiled program: as asked, by rule, or by a few timed steps whose effect is
undone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat, compile_cache, recurrent
from trainkit.backend.devices import has_gpu
from trainkit.backend.machine_cache import MachineCache
from trainkit.backend.precision import inner_optimizer
from trainkit.checkpoint.train_state import TrainState
from trainkit.core.errors import UserError
from trainkit.core.figures import duration
from trainkit.engine.train_loop import TrainProgram
from trainkit.trainer.windows import Window
from trainkit.trainer.xla_limits import NOT_IN_XLA, SLOW_IN_XLA, any_of, is_otherwise

__all__ = [
    "XLA_ERRORS",
    "Choice",
    "Situation",
    "choose",
    "step_seconds",
    "undone",
    "why_without_xla",
    "xla_by_rule",
]

PROBE_SECONDS = 0.15  # of timed steps per candidate
CLOSE = 1.5  # candidates within this factor are timed once more, since a busy moment may have decided
# Of XLA, times the root of the number of trainable variables (0.8 s for 6, 1.1 for 12, 2.8 for 102): a
# training that saves less cannot win by it.
COMPILE_SECONDS = 0.3
# What a call that trains one batch costs more under XLA: `engine/batch_program.py` is called sooner. A small
# step with a callback took 2.9 to 3.6 ms, and 2.0 without XLA; that of `model.fit` 1.9 to 2.1.
ALONE_SECONDS = 2e-3
OP_SECONDS = 25e-6  # that XLA saves of a step, per trainable variable: what starting its operations costs
FLOPS_PER_SECOND = 1.5e11  # of two CPU cores, about
# A recurrent layer: what XLA saves per step, and takes to compile it; of 60 time steps in batches of 32, XLA
# was 1.3 to 3 times as fast below so many units, and slower at the latest at 128.
RECURRENT_SECONDS = 2e-3
RECURRENT_COMPILE_SECONDS = 1.0
RECURRENT_UNITS = 128
# Of the time of dense layers' products, what XLA saves by fusing what stands between them.
FUSED_SHARE = 0.1
# What XLA saves of an update, per weight: of embeddings under Adam, since each step changes every row; and of
# any weight under an optimizer that is no single operation (RMSprop and others). An embedding takes longer to
# compile than other layers.
EMBEDDING_SECONDS = 1e-9
UPDATE_SECONDS = 2e-9
EMBEDDING_COMPILE_SECONDS = 0.1
XLA_ERRORS = (tf.errors.OpError, ValueError, TypeError, NotImplementedError, LookupError)


@dataclass(frozen=True)
class Choice:
    """How a program is run.

    Args:
        execution: `epoch_xla`, `epoch`, `step_xla`, `step`, or what `model.fit` does.
        reason: Why, for people.
        step_seconds: Measured seconds per step; 0: not measured.
    """

    execution: str
    reason: str
    step_seconds: float = 0.0

    @property
    def xla(self) -> bool:
        """Whether XLA compiles the program."""
        return self.execution.endswith("_xla")


@dataclass(frozen=True)
class Situation:
    """What the choice depends on.

    Args:
        asked: `trainer.execution`.
        every_batch: Whether a callback needs the host at every batch.
        replicas: Replicas in sync.
        steps_left: Optimizer steps that the training still has.
        step_rows: Rows per optimizer step.
        resumed: Execution of the training that is resumed: `auto` keeps to it, since another rounds
            otherwise.
        operations: Names of TensorFlow's operations in the forward pass.
        alone: Whether each call trains one batch as it came.
        programs: What is compiled.
    """

    asked: str
    every_batch: bool
    replicas: int
    steps_left: int
    step_rows: int
    resumed: str
    operations: frozenset[str]
    alone: bool = False
    programs: int = 1


def choose(
    situation: Situation,
    model: keras.Model,
    measure: Callable[[bool, float], float],
    kept: MachineCache,
) -> Choice:
    """The mode of execution.

    Args:
        situation: What it depends on.
        model: What is trained.
        measure: Times a step with (True) or without XLA, and gives up beyond so many seconds per step; for
            `measure` alone.
        kept: What was measured before on this machine, so that the same training runs in the same mode.
    """
    unit = "step" if situation.every_batch else "epoch"
    asked = situation.asked
    if asked not in ("auto", "measure"):
        reason = "as asked"
        if situation.every_batch and asked.startswith("epoch"):
            asked, reason = asked.replace("epoch", "step"), "a callback needs the host at every step"
        return Choice(asked, reason)
    if situation.replicas > 1:
        return Choice(unit, "an XLA program runs on one device")
    if situation.resumed and not situation.resumed.startswith("model.fit"):
        xla = situation.resumed.endswith("_xla")
        return Choice(f"{unit}_xla" if xla else unit, "as before the resumption")
    xla, reason = xla_by_rule(situation, model)
    if asked == "auto" or not xla:
        return Choice(f"{unit}_xla" if xla else unit, reason)
    what = _what_is_timed(situation, model)
    before = kept.get(what)
    if isinstance(before, bool):
        return Choice(f"{unit}_xla" if before else unit, "measured before on this machine")
    choice = _measured(unit, measure)
    if not choice.reason.startswith(compile_cache.UNKEPT):  # which is not so the next time
        kept.set(what, choice.xla)
    return choice


def _what_is_timed(situation: Situation, model: keras.Model) -> Any:
    """What a measurement depends on: model, optimizer, and rows per step."""
    variables = [(tuple(v.shape), str(v.dtype)) for v in model.variables]
    optimizer = type(model.optimizer).__name__
    modes = (situation.every_batch, situation.step_rows)
    return [variables, sorted(situation.operations), optimizer, modes]


def xla_by_rule(situation: Situation, model: keras.Model) -> tuple[bool, str]:
    """Whether XLA pays for this model, device and length of training, without any timing; and why."""
    operations = situation.operations
    lacking = sorted(op for op in operations if any_of(op, NOT_IN_XLA))
    if lacking or not compat.supports_xla(model):
        return False, f"XLA cannot compile {lacking[0] if lacking else 'a layer of this model'}"
    other = sorted(op for op in operations if is_otherwise(op))
    if other:
        return False, f"XLA computes {other[0]} otherwise"
    if has_gpu():
        return True, "XLA fuses operations on a GPU"
    units = _recurrent_units(model)
    loops = bool(units) and max(units) < RECURRENT_UNITS  # small products: starting them is what costs
    slow_parts = [part for part in SLOW_IN_XLA if not (loops and part == "While")]
    slow = sorted(op for op in operations if any_of(op, slow_parts))
    if slow:
        return False, f"XLA on a CPU is slow at {slow[0]}"
    variables = len(model.trainable_variables)
    layers = [one for one in compat.flat_layers(model) if isinstance(one, keras.layers.Embedding)]
    embedded = sum(layer.count_params() for layer in layers)
    flops = 6.0 * (model.count_params() - embedded) * situation.step_rows
    step = FUSED_SHARE * flops / FLOPS_PER_SECOND + OP_SECONDS * variables + RECURRENT_SECONDS * len(units)
    step += _update_seconds(model, embedded) - (ALONE_SECONDS if situation.alone else 0.0)
    saved = situation.steps_left * max(step, 0.0)
    compiling = COMPILE_SECONDS * variables**0.5 + RECURRENT_COMPILE_SECONDS * len(units)
    compiling += EMBEDDING_COMPILE_SECONDS * len(layers)
    if saved < compiling * situation.programs:
        return False, f"XLA would save about {duration(saved)}: less than its compilation takes"
    return True, "XLA fuses the operations of a step"


def _update_seconds(model: keras.Model, embedded: int) -> float:
    """What XLA saves of the update of all weights, of which `embedded` are those of embeddings."""
    optimizer = inner_optimizer(model.optimizer)
    if (
        optimizer is None
        or compat.is_multi_optimizer(optimizer)
        or isinstance(optimizer, keras.optimizers.SGD)
    ):
        return 0.0
    if isinstance(optimizer, keras.optimizers.Adam) and not optimizer.amsgrad:
        return EMBEDDING_SECONDS * embedded
    return UPDATE_SECONDS * float(model.count_params())


def _recurrent_units(model: keras.Model) -> list[int]:
    """Units of each recurrent layer, if XLA may help: not where one has a kernel that calls XLA by itself."""
    found = [layer for layer in compat.flat_layers(model) if isinstance(layer, keras.layers.RNN)]
    if any(recurrent.takes(layer) for layer in found):
        return []
    return [max(keras.tree.flatten(layer.state_size)) for layer in found]


def why_without_xla(error: Exception) -> str:
    """Why a training goes on without XLA, after an error of it."""
    first = str(error).strip().partition("\n")[0]
    return compile_cache.unkept(error) or f"XLA cannot compile this model ({first[:160]})"


def _measured(unit: str, measure: Callable[[bool, float], float]) -> Choice:
    plain = measure(False, float("inf"))
    try:
        fast = measure(True, 3 * plain)
        if max(fast, plain) < CLOSE * min(fast, plain):
            plain = min(plain, measure(False, float("inf")))
            fast = min(fast, measure(True, 3 * plain))
    except XLA_ERRORS as error:
        if isinstance(error, UserError):
            raise
        return Choice(unit, why_without_xla(error), plain)
    numbers = f"measured {duration(fast)} per step with XLA, {duration(plain)} without"
    return Choice(f"{unit}_xla", numbers, fast) if fast < plain else Choice(unit, numbers, plain)


@contextmanager
def undone(state: TrainState) -> Iterator[None]:
    """Put every variable back at the end of the block, exactly."""
    values, parts = state.values(), state.parts.read()
    try:
        yield
    finally:
        state.assign(values)
        state.parts.assign(parts)


def step_seconds(
    program: TrainProgram,
    window: Window,
    *,
    every_batch: bool,
    give_up: float = float("inf"),
    **arguments: Any,
) -> float:
    """Seconds per full step: the best of three timings that last about `PROBE_SECONDS` together, after a call
    that compiles.

    What a call costs by itself is taken off, unless `every_batch` makes every step a call of its own.
    """

    def seconds(steps: int) -> float:
        begin = time.perf_counter()
        program(window.rows, window.orders, start=0, stop=steps, **arguments)
        return time.perf_counter() - begin

    seconds(1)
    call = 0.0 if every_batch else min(seconds(0) for _ in range(3))
    once = max(seconds(1) - call, 1e-6)
    if once > give_up and once > PROBE_SECONDS / 3:
        return once
    full = max(1, min(program.spec.shape.full_steps, window.stop))
    steps = 1 if every_batch else min(full, max(1, int(PROBE_SECONDS / 3 / once)))
    return max(min(seconds(steps) for _ in range(3)) - call, 1e-7) / steps
