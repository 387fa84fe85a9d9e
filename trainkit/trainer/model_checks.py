"""What a symbolic pass tells about a model, and the mistakes that it shows before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import patched
from trainkit.core.blame import own_line
from trainkit.core.errors import UserError, did_you_mean, one_line
from trainkit.core.task import Task
from trainkit.core.tree import leaves, map_leaves, named_leaves
from trainkit.engine.inputs import batch_spec, keras_batch
from trainkit.engine.log_layout import LogLayout, flat_logs
from trainkit.engine.loss_parts import LossParts, loss_part_reduction
from trainkit.engine.objective import computed, own_objective
from trainkit.engine.train_step import task_steps
from trainkit.trainer.xla_limits import operation_names, own_names

__all__ = ["ModelFacts", "direction", "examine", "resets_on_host", "traced"]

NAMES = {"loss": "losses", "metric": "metrics"}  # where Keras has those of a kind
SHORT_NAMES = ("accuracy", "bce", "kld", "mae", "mape", "mse", "msle")


@dataclass(frozen=True)
class ModelFacts:
    """What a symbolic forward pass told about a model.

    Args:
        outputs: Symbolic outputs of the model; None if only its own `train_step` can call it.
        train_logs: What a training step logs.
        test_logs: What an evaluation step logs; of an own `test_step` that is for no rows, the metrics.
        dynamic_divisors: Losses whose divisor depends on the data: on masks, or on sums of weights.
        operations: Names of the operations in the forward pass, by `xla_limits.operation_names`.
        layer_operations: Those among them that are of the model itself, not of its loss and metrics.
        own_train_step: Whether the model has its own `train_step`.
    """

    outputs: Any
    train_logs: LogLayout
    test_logs: LogLayout
    dynamic_divisors: int
    operations: frozenset[str]
    layer_operations: frozenset[str]
    own_train_step: bool


def examine(
    task: Task,
    model: keras.Model,
    spec: Any,
    test_spec: Any,
    *,
    as_keras: bool = False,
    batches: tuple[Any, Any] = (None, None),
) -> ModelFacts:
    """Trace the model on symbolic rows: builds model, loss and metrics, and finds shapes that do not fit.

    Args:
        spec: Structure `(x[, y[, weight]])` of `tf.TensorSpec` of one row, or of the `tf.TypeSpec` of a
            whole ragged or sparse batch.
        test_spec: The same of the rows that the model's own `test_step` is for; None: it is for none.
        as_keras: Take what Keras takes, and raise what Keras raises.
        batches: Structures of `tf.TypeSpec` of the batches of both that own steps get; None: batches of any
            number of such rows.

    Raises:
        UserError: if model, loss, metrics and rows do not fit each other.
    """
    own_step = compat.has_own(model, "train_step")
    nothing: frozenset[str] = frozenset()
    seen: dict[str, Any] = {"operations": nothing, "of_layers": nothing, "divisors": 0, "outputs": None}
    seen["in"] = ""

    def forward(*batch: Any) -> Any:
        x, y, weight = (*batch, None, None)[:3]
        parts = LossParts(1, 2, counting=True)
        with parts.active():
            if own_objective(task):
                seen["in"] = "compute"
                loss, outputs = computed(task, model, batch, training=True)
                seen["in"] = ""
            else:
                seen["in"] = "call"
                outputs = model(x, training=True)
                seen["in"] = ""
                seen["of_layers"] = own_names(tf.compat.v1.get_default_graph())
                loss = tf.zeros(())  # of a model that only adds losses: symbolic layers add none
                if compat.compiled_losses(model) is not None or compat.has_own(model, "compute_loss"):
                    loss = compat.model_loss(model, x, y, outputs, weight, True)
        # Keras builds metrics first where a strategy trains; else the model's own step is to update them.
        updates = not own_step or tf.distribute.has_strategy() or compat.has_own(model, "compute_metrics")
        logs = model.compute_metrics(x, y, outputs, sample_weight=weight) if updates else None
        seen["divisors"] = len(parts.divisors)
        graph = tf.compat.v1.get_default_graph()
        if any(op.type == "Cast" and op.inputs[0].dtype == tf.string for op in graph.get_operations()):
            raise UserError(
                f"Task {task.name}: the model takes numbers, but rows or labels are text. Encode them as "
                "numbers, or begin the model with a TextVectorization or StringLookup layer."
            )
        seen["operations"] = operation_names(graph)
        return loss, outputs, logs

    logs: Any = None
    try:
        with patched(loss_part_reduction()):
            loss, seen["outputs"], logs = traced(forward, spec, _fixed_batch(model))
    except UserError:
        raise
    except Exception as error:  # whatever the user's model, loss or metric raises, it is theirs to mend
        if as_keras and not own_step:
            raise
        if not own_step:
            raise UserError(_mismatch(task, model, spec, error, seen["in"])) from error
        loss = None
    if loss is not None and not own_step and not as_keras and _has_no_loss(task, model, spec):
        raise UserError(
            f"Task {task.name}: loss() returned None, and the model adds no loss itself: return a loss, such "
            "as 'mse', or call add_loss() in a layer."
        )
    if loss is not None and not own_step and not as_keras and tuple(loss.shape) != ():
        raise UserError(
            f"Task {task.name}: the loss has shape {tuple(loss.shape)}; expected one number. "
            "A Keras loss needs reduction='sum_over_batch_size'."
        )
    size = _fixed_batch(model)
    own_batches = [
        keras_batch(batch_spec(rows, size)) if known is None and rows is not None else known
        for rows, known in zip((spec, test_spec), batches, strict=True)
    ]
    train_logs, test_logs = (
        _layout(task, model, name, batch, logs, as_keras)
        for name, batch in zip(("train_step", "test_step"), own_batches, strict=True)
    )
    return ModelFacts(
        outputs=seen["outputs"],
        train_logs=train_logs,
        test_logs=test_logs,
        dynamic_divisors=seen["divisors"],
        operations=seen["operations"],
        layer_operations=seen["of_layers"],
        own_train_step=own_step,
    )


def _fixed_batch(model: keras.Model) -> int | None:
    """The rows of each batch of a model whose inputs name their number; None: any number."""
    inputs = getattr(model, "inputs", None) or []
    return next((x.shape[0] for x in keras.tree.flatten(inputs) if x.shape), None)


def _has_no_loss(task: Task, model: keras.Model, spec: Any) -> bool:
    """Whether nothing gives the model a loss; symbolic layers add none, so this traces a graph."""
    if (
        own_objective(task)
        or compat.compiled_losses(model) is not None
        or compat.has_own(model, "compute_loss")
    ):
        return False
    found: list[Any] = []

    def forward(*batch: Any) -> Any:
        outputs = model(batch[0], training=True)
        found.extend(model.losses)
        return outputs

    compat.traced_outputs(forward, *batch_spec(spec, _fixed_batch(model)))
    return not found


def traced(function: Any, spec: Any, size: int | None) -> Any:
    """Shapes of `function(*batch)` for a symbolic batch of `size` rows; None: of any number."""
    if all(isinstance(s, tf.TensorSpec) and s.shape.rank is not None for s in leaves(spec)):
        batch = map_leaves(lambda s: keras.KerasTensor((size, *s.shape), s.dtype.name), spec)
        return compat.symbolic_call(function, *batch)
    # Ragged and sparse batches, and those of unknown rank, have no symbolic twin in Keras.
    return compat.traced_outputs(function, *batch_spec(spec, size))


def _layout(task: Task, model: keras.Model, name: str, batch: Any, logs: Any, as_keras: bool) -> LogLayout:
    """What training or evaluation steps log: the metrics, or what the model's own step returns."""
    own = compat.has_own(model, name)
    if (own and batch is None) or not (own or compat.has_own(model, "compute_metrics")):
        return LogLayout.of(_metrics(task, model))
    returned = _returned(task, model, name, batch, as_keras) if own else logs
    metrics = _metrics(task, model)
    if not isinstance(returned, dict) or not returned:
        what = "an empty dict" if isinstance(returned, dict) else type(returned).__name__
        raise UserError(
            f"Task {task.name}: {type(model).__name__}.{name} returned {what}; "
            "expected a dict of values to log."
        )
    if set(returned) == set(metrics):
        return LogLayout.of(metrics, batch_from_step=_shapes(returned) == _shapes(metrics))
    return LogLayout.of(returned, from_step=True)


def _metrics(task: Task, model: keras.Model) -> Any:
    """What the metrics of a model say, which Keras asks for after each epoch."""
    try:
        return compat.symbolic_call(model.get_metrics_result)
    except ValueError as error:
        if "not yet been built" not in str(error):  # raised by a metric of the user's
            raise
        raise UserError(
            f"Task {task.name}: {type(model).__name__}.train_step updates none of the metrics of compile(). "
            "There model.fit raises an error after the first epoch, unless something else builds them: call "
            "self.compute_metrics(x, y, y_pred) in it, or name no metrics; tk.fit(exact=True) is as in Keras."
        ) from error


def _shapes(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(getattr(value, "shape", ())) for name, value in flat_logs(values).items()}


def _returned(task: Task, model: keras.Model, name: str, batch: Any, as_keras: bool) -> Any:
    """What a step of the model's own returns, found by tracing it once."""
    step = getattr(model, name)
    try:
        with patched(task_steps(task, model)):
            return compat.traced_outputs(partial(_on_first_replica, step), batch)
    except Exception as error:
        if as_keras:
            raise
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"Task {task.name}: {type(model).__name__}.{name} cannot be traced into a graph: {first}. "
            "Use trainer.engine=keras with run_eagerly, or TensorFlow operations in the step."
        ) from error


def _on_first_replica(step: Any, batch: Any) -> Any:
    """What a step returns on the first replica: only on one may it change variables."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return step(batch)
    return strategy.experimental_local_results(strategy.run(step, args=(batch,)))[0]


def _mismatch(task: Task, model: keras.Model, spec: Any, error: Exception, where: str) -> str:
    labels = [tuple(s.shape) for s in leaves(spec[1])] if len(spec) > 1 else []
    outputs = [tuple(o.shape) for o in keras.tree.flatten(getattr(model, "outputs", None) or [])]
    said = one_line(str(error))[:400] or type(error).__name__
    unknown = re.fullmatch(r"Could not interpret (loss|metric) identifier: (\w+)", said)
    if unknown:  # Keras looks names up when the first batch comes
        known = [*dir(getattr(keras, NAMES[unknown[1]])), *SHORT_NAMES]
        hint = did_you_mean(unknown[2], [name for name in known if not name.startswith("_")])
        hint = hint.replace("see --help.", f"see dir(keras.{NAMES[unknown[1]]}).")
        return f"Task {task.name}: Keras has no {unknown[1]} {unknown[2]!r}; {hint}"
    if where == "call":
        rows = ", ".join(f"{path} {s.shape}" for path, s in named_leaves(spec[0], "x"))
        kind = (
            " It gets a list of arrays as a tuple, as in model.fit." if type(spec[0]) in (list, tuple) else ""
        )
        return f"Task {task.name}: the model cannot be called on {rows} (per row): {said.rstrip('.')}.{kind}"
    if where == "compute":
        line = own_line(error)
        at = f" at {line}" if line else ""
        batch = {1: "(x,)", 2: "(x, y)", 3: "(x, y, weight)"}[len(spec)]
        return (
            f"Task {task.name}: compute() raised {type(error).__name__}{at}: {said.rstrip('.')}. "
            f"Its batch is a tuple {batch} of the rows' tensors."
        )
    return (
        f"Task {task.name}: the model's output {outputs} does not fit its labels {labels} (per row) in loss "
        f"or metrics: {said}"
    )


def direction(model: keras.Model, name: str) -> str | None:
    """`min` or `max` for a value that a model logs, as its metric says; losses are minimised; else None."""
    for metric in _flat_metrics(model):
        if metric.name == name and compat.metric_direction(metric):
            return "max" if compat.metric_direction(metric) == "up" else "min"
    return "min" if name.endswith("loss") else None


def resets_on_host(model: keras.Model) -> bool:
    """Whether a metric begins anew by code of the user's, which in Keras runs between epochs and in no
    graph."""
    for metric in _flat_metrics(model):
        package = type(metric).reset_state.__module__.partition(".")[0]
        if package not in ("keras", "trainkit") or "reset_state" in vars(metric):
            return True
    return False


def _flat_metrics(model: keras.Model) -> Iterable[Any]:
    for metric in model.metrics:
        yield metric
        yield from getattr(metric, "metrics", [])
