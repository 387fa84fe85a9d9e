"""JAX: one compiled `lax.scan` over the steps of an epoch, or of many; a jitted step for convolutions."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.session import Run, Session
from benchmarks.workloads import Network, Workload

LONG = True
EPOCHS_PER_CALL = 100
Tree = Any


def variants(workload: Workload) -> tuple[str, ...]:
    if workload.network.convolutions:
        return ("jitted step",)  # inside a loop, XLA's convolutions are many times slower on a CPU
    return ("scan epoch", f"scan {EPOCHS_PER_CALL} epochs") if workload.long_epochs else ("scan epoch",)


def prepare(workload: Workload, variant: str) -> Session:
    return Scan(workload, variant)


def initial(workload: Workload, seed: int) -> tuple[Tree, Tree]:
    """The weights that all contenders start from, and the running statistics of the normalisations."""
    network = workload.network
    weights: dict[str, Tree] = {}
    running: dict[str, Tree] = {}
    kernels = iter(map(jnp.asarray, workload.kernels(seed)))
    for i, filters in enumerate(network.convolutions):
        weights[f"c{i}"] = (next(kernels), jnp.ones(filters), jnp.zeros(filters))
        running[f"c{i}"] = (jnp.zeros(filters), jnp.ones(filters))
    for i, units in enumerate((*network.hidden, network.outputs)):
        weights[f"d{i}"] = (next(kernels), jnp.zeros(units))
    return weights, running


def forward(network: Network, weights: Tree, running: Tree, x: Any, key: Any) -> tuple[Any, Tree]:
    """Logits or values, and the new running statistics; `key` None means no training."""
    running = dict(running)
    for i in range(len(network.convolutions)):
        kernel, scale, offset = weights[f"c{i}"]
        x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        mean, variance = running[f"c{i}"]
        if key is not None:
            now = x.mean((0, 1, 2)), x.var((0, 1, 2))
            running[f"c{i}"] = (0.99 * mean + 0.01 * now[0], 0.99 * variance + 0.01 * now[1])
            mean, variance = now
        x = jax.nn.relu((x - mean) * lax.rsqrt(variance + 1e-3) * scale + offset)
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x.reshape(len(x), -1)
    for i in range(len(network.hidden)):
        kernel, bias = weights[f"d{i}"]
        x = jax.nn.relu(x @ kernel + bias)
        if key is not None and network.dropout:
            key, one = jax.random.split(key)
            x = jnp.where(
                jax.random.bernoulli(one, 1 - network.dropout, x.shape), x / (1 - network.dropout), 0
            )
    kernel, bias = weights[f"d{len(network.hidden)}"]
    return x @ kernel + bias, running


def update(workload: Workload, weights: Tree, grads: Tree, slots: Tree, step: Any) -> tuple[Tree, Tree]:
    """Keras's Adam or RMSprop, with its constants."""
    rate = workload.learning_rate
    if workload.optimizer == "rmsprop":
        slots = jax.tree.map(lambda v, g: 0.9 * v + 0.1 * g * g, slots, grads)
        return jax.tree.map(lambda w, g, v: w - rate * g * lax.rsqrt(v + 1e-7), weights, grads, slots), slots
    first, second = slots
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
    t = (step + 1).astype(jnp.float32)
    alpha = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    weights = jax.tree.map(lambda w, m, v: w - alpha * m / (jnp.sqrt(v) + 1e-7), weights, first, second)
    return weights, (first, second)


class Scan(Session):
    """Trains a workload with JAX alone, as one of `variants`."""

    def __init__(self, workload: Workload, variant: str) -> None:
        begin = time.perf_counter()
        self.workload = workload
        self.variant = variant
        rows = workload.rows
        self.rows = len(rows.x)
        self.data = (*map(jnp.asarray, (rows.x, rows.y)), *map(jnp.asarray, rows.validation or ()))
        # The rows are arguments: as constants of the program they would be compiled into it.
        self.step = jax.jit(self._step, donate_argnums=1)
        self.epoch = jax.jit(self._epoch, donate_argnums=1)
        self.epochs = jax.jit(self._epochs, donate_argnums=1)
        self.many = variant.endswith("epochs")
        self.run(EPOCHS_PER_CALL if self.many else 1, 0)
        self.compile_seconds = time.perf_counter() - begin

    def run(self, epochs: int, seed: int) -> Run:
        state = self._fresh(seed)
        generator = np.random.default_rng(seed)
        losses: list[float] = []
        begin = time.perf_counter()
        done = 0
        while done < epochs:
            count = min(EPOCHS_PER_CALL, epochs - done) if self.many else 1
            orders = np.stack([generator.permutation(self.rows).astype(np.int32) for _ in range(count)])
            if self.variant == "jitted step":
                state, sums = self._by_steps(state, orders[0])
            elif count == 1:
                state, sums = self.epoch(self.data, state, orders[0])
            else:
                state, sums = self.epochs(self.data, state, orders)
            losses += np.asarray(sums[0]).reshape(-1).tolist()  # waits for the device
            done += count
        return Run(time.perf_counter() - begin, [loss / self.rows for loss in losses])

    def _fresh(self, seed: int) -> Tree:
        weights, running = initial(self.workload, seed)
        zeros = partial(jax.tree.map, jnp.zeros_like)
        slots = zeros(weights) if self.workload.optimizer == "rmsprop" else (zeros(weights), zeros(weights))
        return weights, running, slots, jnp.zeros((), jnp.int32), jax.random.key(seed + 1)

    def _errors(self, weights: Tree, running: Tree, x: Any, y: Any, key: Any) -> tuple[Any, Any]:
        """Mean loss; running statistics, and the sum of the metric."""
        out, running = forward(self.workload.network, weights, running, x, key)
        if self.workload.network.classes:
            right = (out.argmax(1) == y.argmax(1)).sum().astype(jnp.float32)
            return -(y * jax.nn.log_softmax(out)).sum(1).mean(), (running, right)
        return ((out - y) ** 2).mean(), (running, jnp.abs(out - y).sum())

    def _step(self, data: Tree, state: Tree, rows: Any) -> tuple[Tree, Any]:
        weights, running, slots, step, key = state
        key, one = jax.random.split(key)
        x = data[0][rows]
        y = data[1][rows]
        (loss, (running, metric)), grads = jax.value_and_grad(self._errors, has_aux=True)(
            weights, running, x, y, one
        )
        weights, slots = update(self.workload, weights, grads, slots, step)
        return (weights, running, slots, step + 1, key), (loss * len(x), metric)

    def _epoch(self, data: Tree, state: Tree, order: Any) -> tuple[Tree, Any]:
        """All batches by a scan, the partial last one, then the validation rows: sums of loss and metric."""
        full = self.rows // self.workload.batch * self.workload.batch
        state, sums = lax.scan(
            partial(self._step, data), state, order[:full].reshape(-1, self.workload.batch)
        )
        sums = jax.tree.map(jnp.sum, sums)
        if full < self.rows:
            state, last = self._step(data, state, order[full:])
            sums = jax.tree.map(jnp.add, sums, last)
        if len(data) == 2:
            return state, sums
        loss, (_, metric) = self._errors(state[0], state[1], data[2], data[3], None)
        return state, (*sums, loss, metric)

    def _epochs(self, data: Tree, state: Tree, orders: Any) -> tuple[Tree, Any]:
        state, sums = lax.scan(partial(self._epoch, data), state, orders)
        return state, sums

    def _by_steps(self, state: Tree, order: np.ndarray) -> tuple[Tree, Any]:
        sums = []
        for begin in range(0, len(order), self.workload.batch):
            state, one = self.step(self.data, state, order[begin : begin + self.workload.batch])
            sums.append(one)
        return state, (sum(loss for loss, _ in sums), sum(metric for _, metric in sums))
