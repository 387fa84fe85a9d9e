"""JAX alone on models of `benchmarks.zoo`: one compiled `lax.scan` over the steps of an epoch.

Written where XLA's loop serves a model: dense layers, embeddings, and the LSTM as a scan in the scan.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.zoo import ZOO, drawn

__all__ = ["MODELS", "train"]
Tree = Any


def _layer(draw: np.random.Generator, before: int, units: int) -> tuple[Any, Any]:
    return drawn(draw, (before, units)), np.zeros(units, "float32")


def _dense(units: Sequence[int], draw: np.random.Generator) -> tuple[Tree, Callable[[Tree, Any], Any]]:
    weights = [_layer(draw, before, after) for before, after in itertools.pairwise(units)]

    def forward(weights: Tree, x: Any) -> Any:
        for kernel, bias in weights[:-1]:
            x = jax.nn.relu(x @ kernel + bias)
        kernel, bias = weights[-1]
        return x @ kernel + bias

    return weights, forward


def _embeddings(draw: np.random.Generator) -> tuple[Tree, Callable[[Tree, Any], Any]]:
    tables = [drawn(draw, (10_000, 16)) for _ in range(10)]
    dense, after = _dense((160, 128, 2), draw)

    def forward(weights: Tree, x: Any) -> Any:
        columns = [table[x[:, i]] for i, table in enumerate(weights[0])]
        return after(weights[1], jnp.concatenate(columns, 1))

    return (tables, dense), forward


def _lstm(draw: np.random.Generator) -> tuple[Tree, Callable[[Tree, Any], Any]]:
    bias = np.zeros(512, "float32")
    bias[128:256] = 1.0
    weights = (drawn(draw, (32, 512)), drawn(draw, (128, 512)), bias)
    dense = _layer(draw, 128, 4)

    def forward(weights: Tree, x: Any) -> Any:
        (inner, recurrent, bias), (kernel, offset) = weights

        def step(state: Any, row: Any) -> Any:
            hidden, cell = state
            i, f, c, o = jnp.split(row + hidden @ recurrent, 4, -1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(c)
            return (jax.nn.sigmoid(o) * jnp.tanh(cell), cell), None

        zeros = jnp.zeros((len(x), 128))
        rows = jnp.swapaxes(x @ inner + bias, 0, 1)
        (hidden, _), _ = lax.scan(step, (zeros, zeros), rows)
        return hidden @ kernel + offset

    return (weights, dense), forward


MODELS: dict[str, Callable[[np.random.Generator], tuple[Tree, Callable[[Tree, Any], Any]]]] = {
    "lstm": _lstm,
    "table": partial(_dense, (20, 256, 256, 2)),
    "embeddings": _embeddings,
    "deep": partial(_dense, (20, *[64] * 50, 2)),
    "autoencoder": partial(_dense, (784, 256, 64, 16, 64, 256, 784)),
}


def train(kind: str, epochs: int) -> dict[str, Any]:
    """Seconds of each epoch, the first with compiling, and the losses."""
    row = ZOO[kind]
    data = row.rows(np.random.default_rng(0))
    x, y = jnp.asarray(data[0]), jnp.asarray(data[1])
    weights, forward = MODELS[kind](np.random.default_rng(1))
    weights = jax.tree.map(jnp.asarray, weights)

    def errors(weights: Tree, x: Any, y: Any) -> tuple[Any, Any]:
        out = forward(weights, x)
        if not row.classes:
            return ((jax.nn.sigmoid(out) - y) ** 2).mean(), jnp.zeros(())
        right = (out.argmax(1) == y).sum().astype(jnp.float32)
        return -jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], 1).mean(), right

    def step(data: Tree, state: Tree, begin: Any, size: int) -> tuple[Tree, Any]:
        weights, first, second, count = state
        inputs, labels = (lax.dynamic_slice_in_dim(rows, begin, size) for rows in data)
        (loss, right), grads = jax.value_and_grad(errors, has_aux=True)(weights, inputs, labels)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
        t = (count + 1).astype(jnp.float32)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, first, second)
        return (weights, first, second, count + 1), (loss * size, right)

    @partial(jax.jit, donate_argnums=1)
    def epoch(data: Tree, state: Tree) -> tuple[Tree, Any]:
        full = len(data[0]) // row.batch
        begins = jnp.arange(full) * row.batch
        state, sums = lax.scan(lambda state, begin: step(data, state, begin, row.batch), state, begins)
        sums = jax.tree.map(jnp.sum, sums)
        rest = len(data[0]) - full * row.batch
        if rest:
            state, last = step(data, state, full * row.batch, rest)
            sums = jax.tree.map(jnp.add, sums, last)
        return state, sums

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), jnp.int32))
    seconds = []
    losses = []
    for _ in range(epochs):
        begin = time.perf_counter()
        state, sums = epoch((x, y), state)
        losses.append(float(sums[0]) / len(x))  # waits for the device
        seconds.append(time.perf_counter() - begin)
    return {"epochs": seconds, "loss": losses}
