"""The loop inside the graph: epochs of steps, with shuffled rows, metrics, validation and the best weights, as one compiled program.

Every execution mode runs this one program and differs in two things only: whether XLA compiles it, and how much of it a call runs.
`step` calls it for one step, `epoch` for an epoch or several. So the modes train the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trainkit.backend import patches
from trainkit.core.errors import UserError
from trainkit.engine.inputs import Feed
from trainkit.engine.train_step import Step


def scalar_results(model: Any) -> dict[str, tf.Tensor]:
    """The model's current metric values as float32 scalars.

    Raises:
        UserError: for a metric that gives several numbers.
    """
    results = {
        name: tf.cast(tf.convert_to_tensor(value), tf.float32)
        for name, value in model.get_metrics_result().items()
    }
    for name, value in results.items():
        if value.shape.rank != 0:
            raise UserError(
                f"Metric {name!r} gives values of shape {value.shape}; a logged metric must be one number, e.g. average='macro'."
            )
    return results


def evaluation_steps(
    step: Step, distribution: tf.distribute.Strategy, feed: Feed, arguments: Any, *, compiled: bool = False
) -> None:
    """Add all rows of a feed, in their own order, to the metrics: the full batches in a loop, the ragged last one apart.

    Args:
        compiled: Let XLA compile each step, where it does not compile all of this.
    """
    size = min(step.batch_size, feed.rows)
    full, rest = divmod(feed.rows, size)

    def run(rows: tf.Tensor, count: int) -> None:
        def one(fetched: Any) -> None:
            distribution.run(lambda f: step.evaluate(feed, f, count), args=(fetched,))

        fetched = feed.fetch(arguments, rows, count)
        tf.function(one, autograph=False, jit_compile=True)(fetched) if compiled else one(fetched)

    def body(i: tf.Tensor) -> tf.Tensor:
        run(tf.range(size) + i * size, size)
        return i + 1

    tf.while_loop(lambda i: i < full, body, [tf.constant(0)], parallel_iterations=1)
    if rest:
        run(tf.range(full * size, feed.rows), rest)


def evaluator(
    step: Step, distribution: tf.distribute.Strategy, feed: Feed, xla: bool
) -> Callable[[], dict[str, float]]:
    """A function that gives the metrics over all rows of a feed, compiled once."""
    names: list[str] = []

    @tf.function(autograph=False, jit_compile=xla or None)
    def run(arguments: Any) -> tf.Tensor:
        with patches.plain_losses():
            for metric in step.model.metrics:
                metric.reset_state()
            evaluation_steps(step, distribution, feed, arguments)
            results = scalar_results(step.model)
        names[:] = list(results)
        return tf.stack(list(results.values()))

    return lambda: dict(zip(names, map(float, run(feed.arguments()).numpy()), strict=True))
