"""Every change that trainkit makes to Keras: for the time of a trace, in one thread, and always undone.

A trace patches Keras's functions while TensorFlow records the graph, and puts them back before anybody else
sees them. One trace goes on at a time, and a patched function serves the threads of that trace alone: every
other thread gets Keras's own.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.precision import inner_optimizer
from trainkit.backend.replica import replica

__all__ = [
    "Replacement",
    "inner_optimizers",
    "joining",
    "keep_with",
    "kept_with",
    "optimizer_reduction",
    "patched",
    "replica_seeds",
    "set_attributes",
    "synchronized_statistics",
    "unscaled_losses",
    "without_dropout",
]

LOCK = threading.Lock()
SEED_STRIDE = (
    829_348_951  # a large odd number takes replicas far from the seeds that neighbouring layers may have
)
DROPOUT_ATTRIBUTES = ("rate", "dropout", "recurrent_dropout")
MISSING = object()


@dataclass(frozen=True)
class Replacement:
    """A value that takes the place of an attribute for a while.

    Args:
        owner: Module, class or object whose attribute is replaced.
        name: Name of the attribute.
        value: What takes its place. A function in a module or class serves the threads of the trace alone.
    """

    owner: Any
    name: str
    value: Any


@dataclass(frozen=True)
class _Trace:
    """The trace that is going on, and the threads that take part in it: a strategy traces each replica in a
    thread of its own."""

    threads: set[int] = field(default_factory=set)


class _Active:
    trace: _Trace | None = None


@contextmanager
def patched(replacements: Sequence[Replacement]) -> Iterator[None]:
    """Apply replacements in the block; undo them in reverse order, whatever happens.

    A block inside of a block belongs to the same trace. Another thread that patches waits until the outer
    block is over.
    """
    trace = _Active.trace
    if trace is not None and threading.get_ident() in trace.threads:
        with _applied(replacements, trace):
            yield
        return
    with LOCK:
        trace = _Trace({threading.get_ident()})
        _Active.trace = trace
        try:
            with _applied(replacements, trace):
                yield
        finally:
            _Active.trace = None


def joining(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, to be run by a strategy: the threads that it is traced in take part in the trace that is
    going on."""
    trace = _Active.trace

    @functools.wraps(function)
    def joined(*args: Any) -> Any:
        ident = threading.get_ident()
        if trace is None or ident in trace.threads:
            return function(*args)
        trace.threads.add(ident)
        try:
            return function(*args)
        finally:
            trace.threads.discard(ident)

    return joined


@contextmanager
def _applied(replacements: Sequence[Replacement], trace: _Trace) -> Iterator[None]:
    with ExitStack() as undo:
        for one in replacements:
            before = vars(one.owner).get(one.name, MISSING)
            undo.callback(_restore, one.owner, one.name, before)
            value = one.value
            if callable(value) and not isinstance(one.owner, (keras.Layer, keras.optimizers.Optimizer)):
                value = _for_threads_of(trace, value, getattr(one.owner, one.name))
            _set(one.owner, one.name, value)
        yield


def _restore(owner: Any, name: str, before: Any) -> None:
    if before is MISSING:
        delattr(owner, name)
    else:
        _set(owner, name, before)


def _set(owner: Any, name: str, value: Any) -> None:
    if isinstance(value, (list, dict, set)):
        vars(owner)[name] = value  # Keras would put one of its own in its place
    else:
        setattr(owner, name, value)


def _for_threads_of(
    trace: _Trace, patch: Callable[..., Any], original: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(original)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        chosen = patch if threading.get_ident() in trace.threads else original
        return chosen(*args, **kwargs)

    return dispatch


def set_attributes(owner: Any, values: Mapping[str, Any]) -> None:
    """Set attributes of an object that is not ours, for good: what a checkpoint kept of a user's callback, or
    the values of a model that goes on as another one."""
    for name, value in values.items():
        setattr(owner, name, value)


def keep_with(owner: Any, thing: Any) -> None:
    """Keep something as long as an object of Keras's lives, unseen by Keras; one thing per object."""
    vars(owner)["_trainkit"] = thing


def kept_with(owner: Any) -> Any:
    """What `keep_with` was given for an object; None: nothing."""
    return vars(owner).get("_trainkit")


def replica_seeds() -> list[Replacement]:
    """Independent random numbers on each replica.

    Keras draws the same numbers on all replicas of a strategy, since their seed generators hold equal states;
    here the number of the replica is added to the seed. Replica 0 keeps Keras's numbers.
    """
    draw = compat.random_ops.draw_seed

    def draw_seed(seed: Any) -> tf.Tensor:
        drawn = draw(seed)
        index = replica().index
        return drawn if index == 0 else drawn + tf.constant([index * SEED_STRIDE, 0], drawn.dtype)

    return [Replacement(compat.random_ops, "draw_seed", draw_seed)]


def unscaled_losses() -> list[Replacement]:
    """Losses, `add_loss` and regularizers as plain means over a replica's own rows.

    Keras multiplies each by 1 / number of replicas, which is right only if all replicas have equally many
    rows. The step weighs every loss by its share of the global batch instead.
    """
    names = ("scale_loss_for_distribution", "unscale_loss_for_distribution")
    return [Replacement(compat.losses, name, lambda value: value) for name in names]


def optimizer_reduction(optimizer: Any, *, reduced: bool, single: bool) -> list[Replacement]:
    """Disables the cross-replica steps of a Keras optimizer that the training step performs itself.

    Keras clips and looks for non-finite values before it sums the gradients, each replica for itself; on
    gradients that arrive summed, both are those of the global batch, and all replicas decide alike.
    Overwriting the weights with their average fails
    under a strategy, since Keras attempts it inside of a condition: the loop does it between steps. A sum
        over a single replica
    changes nothing, but TensorFlow keeps its gradient, and with it the whole graph, as long as the process
    lives.

    Args:
        reduced: Whether the gradients arrive summed over the replicas.
        single: Whether there is one replica.
    """
    found: list[Replacement] = []
    for one in inner_optimizers(optimizer):
        if reduced or single:
            found.append(Replacement(one, "_all_reduce_sum_gradients", list))
        if not single:
            found.append(Replacement(one, "ema_overwrite_frequency", None))
    return found


def inner_optimizers(optimizer: Any) -> list[Any]:
    """The optimizers that update variables: the one inside of a loss scale, and the parts of a
    `MultiOptimizer`."""
    inner = inner_optimizer(optimizer)
    parts = getattr(inner, "optimizers", None)
    if compat.is_multi_optimizer(inner) and parts:
        return [one for part in parts for one in inner_optimizers(part)]
    return [inner]


def without_dropout(model: keras.Model) -> list[Replacement]:
    """All dropout of a model off, that of recurrent layers too; the rates are back after the trace, and in a
    saved model."""
    found = []
    for layer in compat.flat_layers(model):
        for name in DROPOUT_ATTRIBUTES:
            kind = type(layer).__name__
            if isinstance(vars(layer).get(name), float) and (name != "rate" or "Dropout" in kind):
                found.append(Replacement(layer, name, 0.0))
    return found


def synchronized_statistics(model: keras.Model) -> list[Replacement]:
    """BatchNormalization over the rows of all replicas."""
    layers = [one for one in compat.flat_layers(model) if isinstance(one, keras.layers.BatchNormalization)]
    return [Replacement(layer, "synchronized", True) for layer in layers]
