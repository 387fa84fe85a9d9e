"""The global generators of random numbers: a training seeds them, and gives them back as they were."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend.compat import generators as compat
from trainkit.core.errors import UserError

__all__ = ["GeneratorStates", "kept_generators"]


class GeneratorStates:
    """What the global generators of Python, NumPy, TensorFlow and Keras draw next, as they are now."""

    def __init__(self) -> None:
        self._of_process = _OfProcess()
        self._of_thread = _OfThread()

    def put(self) -> None:
        """Make them draw so again."""
        self._of_process.put()
        self._of_thread.put()


@contextmanager
def kept_generators() -> Iterator[None]:
    """After the block, the global generators are as they were before.

    Blocks may lie in each other and go on in several threads: the last one that ends puts the generators
    back, so that it disturbs no training that goes on.

    Raises:
        UserError: in a graph, where no training can be begun.
    """
    if not tf.executing_eagerly():
        raise UserError(
            "A training cannot be begun within a tf.function or tf.Graph; call it from plain Python."
        )
    before = None if _thread.within else _OfThread()
    with _lock:
        _process.before = _process.before or _OfProcess()
        _process.blocks += 1
    _thread.within = True
    try:
        yield
    finally:
        if before is not None:
            _thread.within = False
            before.put()
        with _lock:
            _process.blocks -= 1
            if not _process.blocks and _process.before is not None:
                _process.before.put()
                _process.before = None


class _OfProcess:
    """The states of those that all threads share."""

    def __init__(self) -> None:
        self.python = random.getstate()
        self.numpy = np.random.get_state(legacy=False)
        self.seed, self.tensorflow = compat.tensorflow_generator()
        self.drawn = None if self.tensorflow is None else self.tensorflow.getstate()

    def put(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        if self.tensorflow is not None and self.drawn is not None:
            self.tensorflow.setstate(self.drawn)
        compat.set_tensorflow_generator(self.seed, self.tensorflow)


class _OfThread:
    """The state of Keras's, of which each thread has its own."""

    def __init__(self) -> None:
        self.seed, self.generator = compat.keras_generator()
        self.drawn = None if self.generator is None else keras.ops.convert_to_numpy(self.generator.state)

    def put(self) -> None:
        compat.set_keras_generator(self.seed, self.generator)
        if self.generator is not None:
            self.generator.state.assign(self.drawn)


@dataclass
class _Process:
    """How many blocks go on, and the states from before the first of them."""

    blocks: int = 0
    before: _OfProcess | None = None


class _Thread(threading.local):
    """Whether this thread is within a block."""

    within = False


_lock = threading.Lock()
_process = _Process()
_thread = _Thread()
