"""What the machine can do: the matrix products and convolutions of the training alone, forward and both backward, in the same shapes.

Each step reads other input rows, so that no product is the same in every step and could be taken out of the loop; each product's result is either
used by the next or handed from step to step, so that none can be left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from benchmarks.session import Run, Session
from benchmarks.workloads import Workload

LONG = True
EPOCHS_A_CALL = 100
TURNS = 4  # input arrays taken in turn


def variants(workload: Workload) -> tuple[str, ...]:
    return ("tf.matmul",) if workload.network.convolutions else ("tf.matmul", "one XLA program")


def prepare(workload: Workload, variant: str) -> Session:
    return Products(workload, xla="XLA" in variant)


@dataclass(frozen=True)
class Layer:
    """One product: kernel `[in, out]`, or `[3, 3, in, out]` for a convolution whose result is pooled to half its size."""

    kernel: tf.Tensor
    first: bool

    @property
    def convolution(self) -> bool:
        return len(self.kernel.shape) == 4

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        if self.convolution:
            return tf.nn.conv2d(x, self.kernel, 1, "SAME")
        return tf.matmul(tf.reshape(x, [x.shape[0], self.kernel.shape[0]]), self.kernel)

    def backward(self, x: tf.Tensor, g: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Gradients of the kernel and, but for the first layer, of the input."""
        if self.convolution:
            kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=self.kernel.shape, out_backprop=g, strides=[1, 1, 1, 1], padding="SAME"
            )
            if self.first:
                return kernel, None
            return kernel, tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x.shape, filter=self.kernel, out_backprop=g, strides=[1, 1, 1, 1], padding="SAME"
            )
        x = tf.reshape(x, [x.shape[0], self.kernel.shape[0]])
        return tf.matmul(x, g, transpose_a=True), None if self.first else tf.matmul(
            g, self.kernel, transpose_b=True
        )


class Products(Session):
    def __init__(self, workload: Workload, *, xla: bool) -> None:
        begin = time.perf_counter()
        self.workload = workload
        self.layers = [Layer(tf.constant(kernel), i == 0) for i, kernel in enumerate(workload.kernels(0))]
        full, rest = divmod(len(workload.rows.x), workload.batch)
        self.batches = [(workload.batch, full)] + (
            [(rest, 1)] if rest else []
        )  # rows and how many steps an epoch
        # Every operand that does not come from a product: one array for each of a few steps, taken in turn.
        self.inputs = {
            rows: [tf.random.normal((TURNS, rows, *shape)) for shape in self._shapes()]
            for rows, _ in self.batches
        }
        self.program = tf.function(self._epochs, jit_compile=xla, autograph=False)
        self.program(tf.constant(1))
        self.compile_seconds = time.perf_counter() - begin

    def run(self, epochs: int, seed: int) -> Run:
        begin = time.perf_counter()
        for done in range(0, epochs, EPOCHS_A_CALL):
            float(self.program(tf.constant(min(EPOCHS_A_CALL, epochs - done))))
        return Run(time.perf_counter() - begin)

    def _shapes(self) -> list[tuple[int, ...]]:
        """Shapes of one row of the input, and of what each convolution hands on once it is pooled: pooling is no product."""
        network = self.workload.network
        side, shapes = self.workload.shape[0], [self.workload.shape]
        for filters in network.convolutions:
            side //= 2
            shapes.append((side, side, filters))
        return shapes

    def _epochs(self, epochs: Any) -> Any:
        total = tf.constant(0.0)
        for rows, steps in self.batches:
            inputs = self.inputs[rows]
            # What no other product uses is carried through the loop: written in each step, read after the last.
            kept = tf.while_loop(
                lambda i, *_, steps=steps: i < epochs * steps,
                lambda i, *_, inputs=inputs: (i + 1, *self._step([array[i % TURNS] for array in inputs])),
                (
                    tf.constant(0),
                    *(tf.zeros_like(result) for result in self._step([array[0] for array in inputs])),
                ),
                parallel_iterations=1,
            )[1:]
            total += tf.add_n([tf.reshape(result, [-1])[0] for result in kept])
        return total

    def _step(self, arrays: list[tf.Tensor]) -> list[tf.Tensor]:
        """All products of one step. What a layer gives also stands for the gradient of it: it has its shape, and so is needed."""
        passed, h, pooled = [], arrays[0], iter(arrays[1:])
        for layer in self.layers:
            out = layer.forward(h)
            passed.append((layer, h, out))
            h = next(pooled) if layer.convolution else out
        results, g = [], h
        for layer, x, out in reversed(passed):
            if layer.convolution:
                results += [g]
                g = out
            gradient, g = layer.backward(x, g)
            results.append(gradient)
        return results
