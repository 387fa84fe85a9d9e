"""What `trainkit.fit` trains once layers were frozen; the conformance cases `freezing` compare with Keras."""

from __future__ import annotations

import gc
import weakref

import keras
import numpy as np
import pytest

import trainkit as tk

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def model() -> keras.Model:
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def test_what_keras_has_compiled_is_not_trained_otherwise() -> None:
    """Nobody can see which layers `model.fit` goes on with, once some were frozen."""
    frozen = model()
    frozen.fit(X, X[:, :1], verbose=0)
    frozen.layers[0].trainable = False
    with pytest.raises(tk.UserError, match=r"call model.compile\(...\) again"):
        tk.fit(frozen, X, X[:, :1], verbose=0)
    frozen.compile("sgd", "mse")
    before = np.array(frozen.layers[0].kernel)
    tk.fit(frozen, X, X[:, :1], verbose=0)
    assert np.array_equal(before, np.array(frozen.layers[0].kernel))


def test_what_a_model_trains_is_forgotten_with_it() -> None:
    first, kept = model(), model()
    tk.fit(first, X, X[:, :1], verbose=0)
    tk.fit(kept, X, X[:, :1], verbose=0)
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None
