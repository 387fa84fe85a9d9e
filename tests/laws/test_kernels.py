"""The faster kernels compute what Keras's own compute, to rounding, and are gone after use."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras.src.backend.tensorflow import numpy as backend_numpy
from keras.src.backend.tensorflow import random as backend_random

from tests.support.toys import Toy
from tests.support.training import fit
from trainkit.backend import kernels
from trainkit.backend.patches import patched


def patchable() -> list[Any]:
    return [
        backend_random.dropout,
        backend_numpy.matmul,
        layers.BatchNormalization.call,
        keras.optimizers.Adam.update_step,
    ]


@pytest.mark.parametrize("xla", [False, True])
def test_keras_gets_its_own_back_even_after_an_error(xla: bool) -> None:
    before = patchable()

    def fail() -> None:
        with patched(kernels.fast_kernels(xla)):
            assert patchable() != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert patchable() == before


@pytest.mark.parametrize(
    ("rounds", "key", "counter", "expected"),
    [
        (20, (0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        (20, (0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        (20, (0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
        (13, (0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
        (13, (0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
        (13, (0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xBA3E4725, 0xF27D669E)),
    ],
)
def test_threefry_gives_the_published_numbers(
    rounds: int, key: tuple[int, int], counter: tuple[int, int], expected: tuple[int, int]
) -> None:
    """The known answers of Random123, by the authors of threefry."""
    run = tf.function(lambda *words: kernels.threefry(*words, rounds=rounds), jit_compile=True)
    words = run(*(tf.constant(v, tf.uint32) for v in key), *(tf.constant([v], tf.uint32) for v in counter))
    assert tuple(int(w[0]) for w in words) == expected


def test_a_mask_keeps_the_right_share_and_masks_are_independent() -> None:
    @tf.function(jit_compile=True)
    def masks(seed: tf.Tensor) -> tf.Tensor:
        return kernels.dropout_mask([400, 501], 0.2, seed)

    a, b = (masks(tf.constant([7, i])).numpy() for i in range(2))
    assert abs(a.mean() - 0.8) < 0.005
    quarter = a.size // 4
    pairs = {"next seed": (a, b), "next column": (a[:, 1:], a[:, :-1]), "next row": (a[1:], a[:-1])}
    # The four quarters of a mask come from the same words.
    pairs |= {
        f"quarter {i}": (a.ravel()[:quarter], a.ravel()[i * quarter : (i + 1) * quarter]) for i in (1, 2, 3)
    }
    for name, (x, y) in pairs.items():
        assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 0.012, name
    assert (masks(tf.constant([7, 0])).numpy() == a).all()


@pytest.mark.parametrize("shape", [[1], [7, 3], [2, 3, 5]])
def test_a_mask_has_any_shape(shape: list[int]) -> None:
    run = tf.function(lambda: kernels.dropout_mask(shape, 0.5, tf.constant([1, 2])), jit_compile=True)
    assert run().shape == shape


@pytest.mark.parametrize("xla", [True, False], ids=["with XLA", "without"])
@pytest.mark.parametrize("noise_shape", [(None, 1), (200, 1), (None, None), (1, 300)])
def test_a_noise_shape_says_what_is_dropped_together(noise_shape: tuple[int | None, ...], xla: bool) -> None:
    layer = layers.Dropout(0.5, noise_shape=noise_shape, seed=3)

    @tf.function(jit_compile=xla, autograph=False)
    def drop() -> tf.Tensor:
        with patched(kernels.fast_kernels(xla)):
            return layer(tf.ones([200, 300]), training=True)

    out = drop().numpy()
    for axis, size in enumerate(noise_shape):
        assert (out == out.take([0], axis)).all() == (size == 1)
    assert 0.3 < (out == 0).mean() < 0.7


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dropout_keeps_the_mean_and_the_dtype(dtype: str) -> None:
    layer = layers.Dropout(0.2, seed=3, dtype=dtype)

    @tf.function(jit_compile=True)
    def drop() -> tf.Tensor:
        with patched(kernels.fast_kernels(True)):
            return layer(tf.ones([200, 300], dtype), training=True)

    out = drop()
    assert out.dtype == dtype
    values = out.numpy().astype(np.float32)
    assert set(np.unique(values)) == {np.float32(0.0), np.float32(1.25)}
    assert abs(values.mean() - 1.0) < 0.01


@pytest.mark.in_parts(4)
@pytest.mark.slow_but_first
@pytest.mark.parametrize("shape", [(64, 6), (16, 5, 6), (8, 4, 5, 6)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": False, "center": False},
        {"momentum": 0.5, "epsilon": 0.1},
        {"trainable": False},
        {"epsilon": 1e-7},
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_batch_normalisation_is_that_of_keras(
    shape: tuple[int, ...], options: dict[str, Any], dtype: str
) -> None:
    x = tf.constant(np.random.default_rng(0).normal(3.0, 2.0, shape), tf.float32)
    target = tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)

    def run(fast: bool) -> list[np.ndarray]:
        layer = layers.BatchNormalization(dtype=dtype, **options)
        layer.build(shape)

        @tf.function
        def step() -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                out = layer(tf.cast(x, layer.compute_dtype), training=True)
                loss = tf.reduce_sum(tf.cast(out, tf.float32) * target)
            return out, tape.gradient(loss, [x, *layer.trainable_weights])

        if not fast:
            out, grads = step()
        else:
            with patched(kernels.fast_kernels(False)):
                out, grads = step()
        return [np.asarray(tf.cast(v, tf.float32)) for v in (out, *grads, *(w.value for w in layer.weights))]

    tolerance = {"float32": 1e-5, "mixed_bfloat16": 2e-2, "mixed_float16": 4e-3}[dtype]
    for mine, theirs in zip(run(True), run(False), strict=True):
        np.testing.assert_allclose(
            mine, theirs, rtol=tolerance, atol=tolerance * max(1.0, np.abs(theirs).max())
        )


def test_a_bfloat16_product_is_the_float32_product_rounded_once() -> None:
    generator = np.random.default_rng(0)
    x, kernel, g = (
        tf.cast(generator.normal(size=shape), tf.bfloat16) for shape in ((8, 300), (300, 5), (8, 5))
    )

    @tf.function(jit_compile=True)
    def run() -> Any:
        with patched(kernels.fast_kernels(True)), tf.GradientTape() as tape:
            tape.watch([x, kernel])
            out = keras.ops.matmul(x, kernel)
            loss = tf.reduce_sum(tf.cast(out * g, tf.float32))
        return out, *tape.gradient(loss, [x, kernel])

    wide = [v.numpy().astype(np.float32) for v in (x, kernel, g)]
    for mine, exact in zip(run(), (wide[0] @ wide[1], wide[2] @ wide[1].T, wide[0].T @ wide[2]), strict=True):
        assert mine.dtype == tf.bfloat16
        np.testing.assert_allclose(mine.numpy().astype(np.float32), exact, rtol=2**-8, atol=1e-4)


def test_dense_layers_in_bfloat16_take_that_product() -> None:
    layer = layers.Dense(3, dtype="mixed_bfloat16")
    layer.build((None, 4))
    with patched(kernels.fast_kernels(True)):
        graph = tf.function(lambda: layer(tf.ones([2, 4]))).get_concrete_function().graph
    assert "XlaDotV2" in {op.type for op in graph.get_operations()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, {"strategy": "mirrored", "replicas": 2}, {"precision": "mixed_float16"}, {"accumulate": 2}],
)
def test_a_training_is_the_same_with_them(settings: dict[str, Any]) -> None:
    _, with_them = fit(Toy(batch_norm=True), execution="epoch", fast_kernels=True, epochs=3, **settings)
    _, without = fit(Toy(batch_norm=True), execution="epoch", epochs=3, **settings)
    np.testing.assert_allclose(
        with_them["loss"], without["loss"], rtol=5e-3 if "precision" in settings else 1e-4
    )
    assert with_them["loss"] != without["loss"], "the kernels were not used"


@pytest.mark.slow
def test_what_is_asked_for_by_name_is_keras_s_own() -> None:
    """`auto` is free to round otherwise; `epoch` is not."""
    _, named = fit(Toy(batch_norm=True), execution="epoch", epochs=2)
    _, own = fit(Toy(batch_norm=True), execution="epoch", epochs=2, fast_kernels=False)
    assert named["loss"] == own["loss"]
