"""What the machine can do: the matrix products and convolutions of the training alone, in the same shapes.

Both directions are computed, forward and backward. Each step reads other input rows, so that no product is
the same in every step and could be taken out of the loop. The result of each product is used by the next one
or handed to the next step, so that none can be left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from benchmarks.session import Run, Session
from benchmarks.workloads import Workload

LONG = True
EPOCHS_PER_CALL = 100
INPUTS = 4  # arrays of input rows, used in turn


def variants(workload: Workload) -> tuple[str, ...]:
    return ("tf.matmul",) if workload.network.convolutions else ("tf.matmul", "one XLA program")


def prepare(workload: Workload, variant: str) -> Session:
    return Products(workload, xla="XLA" in variant)


@dataclass(frozen=True)
class Layer:
    """One product.

    Args:
        kernel: `[in, out]`; for a convolution, whose result is pooled to half its size, `[3, 3, in, out]`.
        first: Whether its input is that of the network, which needs no gradient.
    """

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
        """Gradients of the kernel and of the input; None instead of the latter for the first layer."""
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
        of_kernel = tf.matmul(x, g, transpose_a=True)
        return of_kernel, None if self.first else tf.matmul(g, self.kernel, transpose_b=True)


class Products(Session):
    """Computes the products of a workload, and nothing else.

    Args:
        workload: Whose shapes to take.
        xla: Whether to compile all epochs of a call as one XLA program.
    """

    def __init__(self, workload: Workload, *, xla: bool) -> None:
        begin = time.perf_counter()
        self.workload = workload
        self.layers = [Layer(tf.constant(kernel), i == 0) for i, kernel in enumerate(workload.kernels(0))]
        full, rest = divmod(len(workload.rows.x), workload.batch)
        # The number of rows of a batch, and how many such batches an epoch has.
        self.batches = [(workload.batch, full), *([(rest, 1)] if rest else [])]
        # Every operand that does not come from a product: one array for each of a few steps, used in turn.
        self.inputs = {
            rows: [tf.random.normal((INPUTS, rows, *shape)) for shape in self._shapes()]
            for rows, _ in self.batches
        }
        self.program = tf.function(self._epochs, jit_compile=xla, autograph=False)
        self.program(tf.constant(1))
        self.compile_seconds = time.perf_counter() - begin

    def run(self, epochs: int, seed: int) -> Run:
        begin = time.perf_counter()
        for done in range(0, epochs, EPOCHS_PER_CALL):
            float(self.program(tf.constant(min(EPOCHS_PER_CALL, epochs - done))))
        return Run(time.perf_counter() - begin)

    def _shapes(self) -> list[tuple[int, ...]]:
        """Shapes of one row: of the input, and of what each convolution hands on once it is pooled."""
        network = self.workload.network
        side = self.workload.shape[0]
        shapes = [self.workload.shape]
        for filters in network.convolutions:
            side //= 2
            shapes.append((side, side, filters))
        return shapes

    def _epochs(self, epochs: Any) -> Any:
        total = tf.constant(0.0)
        for rows, steps in self.batches:
            inputs = self.inputs[rows]

            def remain(done: Any, *_: Any, steps: int = steps) -> Any:
                return done < epochs * steps

            def advance(done: Any, *_: Any, inputs: list[tf.Tensor] = inputs) -> tuple[Any, ...]:
                return done + 1, *self._step([array[done % INPUTS] for array in inputs])

            # What no other product uses is carried through the loop: written in each step, read at the end.
            nothing = [tf.zeros_like(result) for result in self._step([array[0] for array in inputs])]
            _, *kept = tf.while_loop(remain, advance, (tf.constant(0), *nothing), parallel_iterations=1)
            total += tf.add_n([tf.reshape(result, [-1])[0] for result in kept])
        return total

    def _step(self, arrays: list[tf.Tensor]) -> list[tf.Tensor]:
        """All products of one step.

        The output of a layer also stands for its own gradient, which has the same shape: so it is needed.
        """
        passed = []
        h = arrays[0]
        pooled = iter(arrays[1:])
        for layer in self.layers:
            out = layer.forward(h)
            passed.append((layer, h, out))
            h = next(pooled) if layer.convolution else out
        results = []
        g = h
        for layer, x, out in reversed(passed):
            if layer.convolution:
                results.append(g)
                g = out
            gradient, g = layer.backward(x, g)
            results.append(gradient)
        return results
