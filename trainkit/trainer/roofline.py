"""How fast a training could be here: its matrix products and convolutions, counted from the graph of a step,
and timed alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.machine_cache import MachineCache
from trainkit.core import files
from trainkit.trainer.loop import StepCost
from trainkit.trainer.setup import TrainSetup

__all__ = ["Product", "measure", "products"]

SECONDS = 0.07  # of each of three timings


ATTRIBUTES = (
    "transpose_a",
    "transpose_b",
    "adj_x",
    "adj_y",
    "strides",
    "padding",
    "explicit_paddings",
    "data_format",
    "dilations",
    "equation",
)


LOOPS = ("While", "StatelessWhile", "If", "StatelessIf")


@dataclass(frozen=True)
class Product:
    """One operation of the graph: its inputs are tensors, or whole numbers where it takes sizes."""

    kind: str
    inputs: tuple[
        tuple[str, tuple[int, ...], tuple[int, ...] | None], ...
    ]  # dtype, shape, value of a constant
    attributes: tuple[tuple[str, Any], ...]
    flops: float


def measure(setup: TrainSetup, cache: Path | None = None, *, again: bool = False) -> StepCost:
    """Count a step's products, and time them alone: for less than a second, once for each machine and list of
    products.

    Args:
        cache: File that keeps the timings; default: `trainkit/ceiling.json` in the user's cache folder.
        again: Time them once more and keep the faster timing: a busy moment makes a ceiling that trainings
            then exceed.
    """
    replicas = setup.replicas
    found, reason = products(setup, max(1, setup.config.batch_size // replicas))
    flops = sum(p.flops for p in found) * replicas * setup.shape.step_rows / setup.config.batch_size
    if reason or not found:
        return StepCost(0.0, 0.0, reason or "the step has no matrix product and no convolution")
    if setup.workers > 1:
        return StepCost(flops, 0.0, "the ceiling of several workers is not measured")
    gpu = bool(tf.config.list_logical_devices("GPU"))
    device = "GPU" if gpu else "CPU"
    seconds = _cached(found, MachineCache(cache or files.cache_folder() / "ceiling.json"), device, again)
    # Logical CPU devices share the same cores; GPUs work side by side.
    return StepCost(
        flops, seconds * (1 if gpu else replicas) * setup.shape.step_rows / setup.config.batch_size
    )


def products(setup: TrainSetup, rows: int) -> tuple[list[Product], str]:
    """The products of the forward and backward pass over so many rows, and a reason if they cannot be
    counted."""
    task, model = setup.task, setup.model
    if setup.facts.own_train_step:
        return [], "the model has its own train_step"

    def step(batch: Any) -> Any:
        with tf.GradientTape() as tape:
            loss, _ = task.compute(model, batch, training=True)
        return [g for g in tape.gradient(loss, model.trainable_weights) if g is not None]

    batch = tf.nest.map_structure(lambda s: tf.TensorSpec([rows, *s.shape], s.dtype), setup.source.spec)
    graph = tf.function(step, autograph=False).get_concrete_function(batch).graph
    operations = _needed(graph)
    if any(op.type in LOOPS for op in operations):
        return [], "the model has loops, whose turns are known only when they run"
    found = [_product(op) for op in operations if op.type in FLOPS]
    if any(p is None for p in found):
        return [], "the model has products of unknown shape"
    return [p for p in found if p is not None], ""


def _needed(graph: Any) -> list[Any]:
    """The operations that the results depend on: TensorFlow's gradients leave some behind that nobody asked
    for, and that never run."""
    needed: dict[str, Any] = {}
    todo = [tensor.op for tensor in graph.outputs]
    while todo:
        op = todo.pop()
        if op.name not in needed:
            needed[op.name] = op
            todo += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    return [op for op in graph.get_operations() if op.name in needed]


def _product(op: Any) -> Product | None:
    inputs: list[tuple[str, tuple[int, ...], tuple[int, ...] | None]] = []
    for tensor in op.inputs:
        # The only whole numbers are the sizes of a convolution's gradient, which are those of its result.
        sizes = op.outputs[0].shape if tensor.dtype == tf.int32 else tensor.shape
        if not sizes.is_fully_defined() or not tensor.shape.is_fully_defined():
            return None
        inputs.append(
            (tensor.dtype.name, tuple(tensor.shape), tuple(sizes) if tensor.dtype == tf.int32 else None)
        )
    attributes = tuple((name, _plain(op.get_attr(name))) for name in ATTRIBUTES if name in op.node_def.attr)
    out = op.outputs[0].shape
    shapes = [shape for _, shape, _ in inputs]
    return (
        Product(op.type, tuple(inputs), attributes, FLOPS[op.type](op, shapes, tuple(out)))
        if out.is_fully_defined()
        else None
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return tuple(value) if isinstance(value, list) else value


def _matmul(op: Any, shapes: Sequence[tuple[int, ...]], out: tuple[int, ...]) -> float:
    transposed = "adj_x" if "adj_x" in op.node_def.attr else "transpose_a"
    return 2.0 * math.prod(out) * shapes[0][-2 if op.get_attr(transposed) else -1]


def _einsum(op: Any, shapes: Sequence[tuple[int, ...]], out: tuple[int, ...]) -> float:
    sides = op.get_attr("equation").decode().partition("->")[0].split(",")
    sizes = {
        label: size
        for side, shape in zip(sides, shapes, strict=True)
        for label, size in zip(side[::-1], shape[::-1], strict=False)
    }
    return (2.0 if len(sides) > 1 else 0.0) * math.prod(sizes.values())


# A convolution multiplies each element of its output with a patch of the kernel `[height, width, channels in,
# channels out]`.
FLOPS: dict[str, Callable[[Any, Sequence[tuple[int, ...]], tuple[int, ...]], float]] = {
    "MatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "Einsum": _einsum,
    "Conv2D": lambda op, shapes, out: 2.0 * math.prod(out) * math.prod(shapes[1][:-1]),
    "Conv2DBackpropInput": lambda op, shapes, out: 2.0 * math.prod(shapes[2]) * math.prod(shapes[1][:-1]),
    "Conv2DBackpropFilter": lambda op, shapes, out: 2.0 * math.prod(shapes[2]) * math.prod(out[:-1]),
    "DepthwiseConv2dNative": lambda op, shapes, out: 2.0 * math.prod(out) * math.prod(shapes[1][:2]),
}


def _time(found: Sequence[Product]) -> float:
    """Seconds that all products take together: the best of three, as TensorFlow runs them or, but for
    convolutions, as XLA does."""
    ways = [_turns] if any("Conv" in p.kind for p in found) else [_turns, _turns_xla]
    best = math.inf
    for way in ways:
        run = way(found)

        def seconds(count: int, run: Callable[[tf.Tensor], tf.Tensor] = run) -> float:
            begin = time.perf_counter()
            float(run(tf.constant(count)))
            return time.perf_counter() - begin

        seconds(1)
        count = max(3, int(SECONDS / max(seconds(3) / 3, 1e-7)))
        best = min([best, *(seconds(count) / count for _ in range(3))])
    return best


def _turns(found: Sequence[Product]) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function that runs all products so many times."""
    arrays = [_operands(p, ()) for p in found]

    @compat.without_tracing_warning
    @tf.function(autograph=False)
    def turns(count: tf.Tensor, arrays: Any) -> tf.Tensor:
        def body(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # An element of each result is used, so that no product can be left out; without XLA none is taken
            # out of the loop either.
            return i + 1, total + _firsts(_run(p, inputs) for p, inputs in zip(found, arrays, strict=True))

        return tf.while_loop(
            lambda i, _: i < count, body, (tf.constant(0), tf.constant(0.0)), parallel_iterations=1
        )[1]

    return lambda count: turns(count, arrays)


def _turns_xla(found: Sequence[Product]) -> Callable[[tf.Tensor], tf.Tensor]:
    """The same in one XLA program, which would leave out what nobody reads and do once what is the same in
    each turn.

    So each turn takes other operands than the turn before, and hands its results on whole.
    """
    arrays = [_operands(p, (2,)) for p in found]

    @compat.without_tracing_warning
    @tf.function(autograph=False, jit_compile=True)
    def turns(count: tf.Tensor, arrays: Any) -> tf.Tensor:
        def turn(i: tf.Tensor) -> list[tf.Tensor]:
            return [
                _run(p, [operand[i % 2] for operand in operands])
                for p, operands in zip(found, arrays, strict=True)
            ]

        results = [tf.zeros_like(result) for result in turn(tf.constant(0))]
        return _firsts(
            tf.while_loop(
                lambda i, *_: i < count,
                lambda i, *_: (i + 1, *turn(i)),
                (tf.constant(0), *results),
                parallel_iterations=1,
            )[1:]
        )

    return lambda count: turns(count, arrays)


def _operands(product: Product, more: tuple[int, ...]) -> list[tf.Tensor]:
    generator = np.random.default_rng(0)
    return [
        tf.constant(v or generator.normal(size=more + shape).astype(np.float32), tf.as_dtype(d))
        for d, shape, v in product.inputs
    ]


def _firsts(results: Iterable[tf.Tensor]) -> tf.Tensor:
    return tf.add_n([tf.cast(tf.reshape(result, [-1])[0], tf.float32) for result in results])


def _run(product: Product, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """The operation on these inputs."""
    arguments = {
        name: list(value) if isinstance(value, tuple) else value for name, value in product.attributes
    }
    if product.kind == "Einsum":
        return tf.raw_ops.Einsum(inputs=list(inputs), **arguments)
    return getattr(tf.raw_ops, product.kind)(
        **dict(zip(INPUTS[product.kind], inputs, strict=True)), **arguments
    )


INPUTS = {
    "MatMul": ("a", "b"),
    "BatchMatMulV2": ("x", "y"),
    "Conv2D": ("input", "filter"),
    "Conv2DBackpropInput": ("input_sizes", "filter", "out_backprop"),
    "Conv2DBackpropFilter": ("input", "filter_sizes", "out_backprop"),
    "DepthwiseConv2dNative": ("input", "filter"),
}


def _cached(found: Sequence[Product], cache: MachineCache, device: str, again: bool) -> float:
    """The timing of this list of products on this machine, from the file if it is there."""
    what = [device, [(p.kind, p.inputs, p.attributes) for p in found]]
    known = cache.get(what)
    seconds = known if isinstance(known, float) else math.inf
    if again or seconds == math.inf:
        seconds = min(_time(found), seconds)
        cache.set(what, seconds)
    return seconds
