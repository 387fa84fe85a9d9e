"""Models that are built to be looked at, not to be trained: they share variables that start alike.

Most of the time of building a small model goes into its variables. What an initializer of Keras gives depends
on its settings, its seed, the shape and the type alone, so that of two such models the second needs none of
its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import Replacement, patched

__all__ = ["Draws", "StartingValues", "keeping_kernels"]

PLAIN = (bool, int, float, str, type(None))


class Draws:
    """Whether anybody drew from a generator of TensorFlow's own."""

    any = False


@contextmanager
def keeping_kernels() -> Iterator[Draws]:
    """In the block, seeds are set without forgetting what TensorFlow has made ready of its programs: to do
    that again takes longer than a small training.

    It forgets them so that its own generators begin anew, but the layers of Keras have theirs in variables.
    What was made in a block in which somebody drew is to be made again outside.
    """
    draws = Draws()
    get_seed = compat.seeds.get_seed

    def drawn(*args: Any, **kwargs: Any) -> Any:
        draws.any = True
        return get_seed(*args, **kwargs)

    replacements = [
        Replacement(compat.runtime, compat.FORGET_KERNELS, lambda context: None),
        Replacement(compat.seeds, "get_seed", drawn),
    ]
    with patched(replacements):
        yield draws


class StartingValues:
    """Variables that models built in the block of `shared` have in common.

    Such a model shows its layers and how it starts; whoever trains it changes the others.

    Args:
        size: Variables to keep.
    """

    def __init__(self, size: int = 128) -> None:
        self.size = size
        self._known: dict[Any, tuple[tf.Variable, bytes]] = {}
        self._draws = Draws()

    @contextmanager
    def shared(self) -> Iterator[None]:
        """In the block, a variable that starts as a known one is that one; kernels are kept."""
        if len(self._known) > self.size:
            self._known.clear()
        kind = keras.Variable
        own = getattr(kind, compat.INITIALIZE)

        def initialize(variable: Any, initializer: Any) -> None:
            key = _key(variable, initializer)
            if key in self._known:
                compat.set_raw_variable(variable, self._known[key][0])
                return
            own(variable, initializer)
            if key is not None:
                raw = compat.raw_variable(variable)
                self._known[key] = raw, raw.numpy().tobytes()

        with keeping_kernels() as self._draws, patched([Replacement(kind, compat.INITIALIZE, initialize)]):
            yield

    def are_unchanged(self) -> bool:
        """Whether no model has changed the variables, as one that adapts a layer or loads weights does, nor
        drawn from a generator of TensorFlow; if one has, they are forgotten."""
        if not self._draws.any and all(raw.numpy().tobytes() == value for raw, value in self._known.values()):
            return True
        self._known.clear()
        return False


def _key(variable: Any, initializer: Any) -> Any:
    """What the start of a variable depends on; None: nobody can tell."""
    if type(initializer).__module__.split(".")[0] != "keras":
        return None
    settings = vars(initializer)
    if not tf.executing_eagerly() or not all(isinstance(value, PLAIN) for value in settings.values()):
        return None  # such as a SeedGenerator, which gives other numbers each time
    kind = compat.stored_dtype(variable)
    return type(initializer), tuple(sorted(settings.items())), tuple(variable.shape), kind
