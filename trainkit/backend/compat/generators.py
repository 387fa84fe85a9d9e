"""Private names of the generators of random numbers that TensorFlow and Keras hold for all."""

from __future__ import annotations

import random
from typing import Any

from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
from tensorflow.python.eager import context
from tensorflow.python.framework import config

__all__ = ["keras_generator", "set_keras_generator", "set_tensorflow_generator", "tensorflow_generator"]


def tensorflow_generator() -> tuple[Any, random.Random | None]:
    """TensorFlow's global seed, and what it draws the seeds of operations from; None: it has no seed yet."""
    known = vars(context.context())
    return known["_seed"], known.get("_rng")


def set_tensorflow_generator(seed: Any, generator: random.Random | None) -> None:
    """Set what `tensorflow_generator` returns. No kernel is forgotten, as `tf.random.set_seed` does: to make
    them again takes longer than a small training.

    Without a seed, deterministic operations refuse to draw; then the present one stays.
    """
    if seed is None and config.is_op_determinism_enabled():
        return
    known = vars(context.context())
    known["_seed"] = seed
    if generator is not None:
        known["_rng"] = generator


def keras_generator() -> tuple[Any, Any]:
    """The seed that was given to Keras, and its generator, each None if there is none; of this thread."""
    return get_global_attribute(GLOBAL_RANDOM_SEED), get_global_attribute(GLOBAL_SEED_GENERATOR)


def set_keras_generator(seed: Any, generator: Any) -> None:
    """Set what `keras_generator` returns."""
    set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    set_global_attribute(GLOBAL_SEED_GENERATOR, generator)
