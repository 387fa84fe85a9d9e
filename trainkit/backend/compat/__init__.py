"""Every private name of Keras and TensorFlow that trainkit relies on, imported or read in this file alone.

An upgrade of either library breaks this file, and the test that lists it, and nothing else. Verified with
Keras 3.14 and 3.15 on TensorFlow 2.20 and 2.21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow import numpy as numpy_ops
from keras.src.backend.tensorflow import random as random_ops
from keras.src.losses import loss as losses
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.compiler.xla import xla_data_pb2
from tensorflow.python import pywrap_tfe as runtime
from tensorflow.python.client import device_lib
from tensorflow.python.distribute import distribute_lib
from tensorflow.python.eager import context
from tensorflow.python.framework import func_graph
from tensorflow.python.framework import random_seed as seeds

from trainkit.backend.compat.iterator import LaterIterator
from trainkit.backend.compat.traced import TracedFunction, without_tracing_warning

__all__ = [
    "FORGET_KERNELS",
    "INITIALIZE",
    "UPDATE_ALL",
    "TracedFunction",
    "adam_slots",
    "adapter_arrays",
    "all_layers",
    "batch_spec",
    "build_by_batch",
    "cache_evaluation",
    "cast_seed",
    "class_weight_to_sample_weight",
    "compiled_losses",
    "compiled_metrics",
    "epoch_iterator",
    "evaluate_cached",
    "flat_layers",
    "given_metrics",
    "has_computed",
    "has_own",
    "layer_statistics",
    "local_devices",
    "loss_tracker",
    "losses",
    "metric_direction",
    "model_loss",
    "numpy_ops",
    "overwrite_with_average",
    "own_schedule",
    "random_ops",
    "raw_variable",
    "resource_handle",
    "runtime",
    "seeds",
    "set_raw_variable",
    "stored_dtype",
    "supports_xla",
    "symbolic_call",
    "traced_outputs",
    "train_validation_split",
    "unpack_batch",
    "without_tracing_warning",
    "xla_dot",
]

unpack_batch: Callable[[Any], tuple[Any, Any, Any]] = data_adapter_utils.unpack_x_y_sample_weight
class_weight_to_sample_weight: Callable[[Any, Any], Any] = data_adapter_utils.class_weight_to_sample_weights
train_validation_split: Callable[..., Any] = array_slicing.train_validation_split
UPDATE_ALL = "_backend_update_step"  # of a Keras optimizer: updates all variables, one after the other
FORGET_KERNELS = "TFE_ContextClearCaches"  # of the runtime: a new seed calls it
INITIALIZE = "_initialize_with_initializer"  # of a Keras variable: makes its `tf.Variable`


# Models and layers.


def flat_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers of a model, nested ones included."""
    return list(model._flatten_layers(include_self=False, recursive=True))


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """A model and all its layers, nested ones included."""
    return list(model._flatten_layers())


def layer_statistics(model: keras.Model) -> list[Any]:
    """The non-trainable variables of each layer, such as the moving averages of BatchNormalization; not seed
    states."""
    found = {id(v): v for layer in model._flatten_layers() for v in layer._non_trainable_variables}
    return list(found.values())


def symbolic_call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Shapes of `function(*arguments)` on symbolic tensors; builds what is not built, and changes nothing."""
    return keras.src.backend.compute_output_spec(function, *arguments)


def traced_outputs(function: Callable[..., Any], *specs: Any) -> Any:
    """What `function` returns for a batch of these `tf.TypeSpec`s, as symbolic tensors of a graph that is
    traced once and never run."""
    return func_graph.func_graph_from_py_func("traced", function, specs, {}).structured_outputs


def supports_xla(model: keras.Model) -> bool:
    """Whether all layers of a model say that XLA can compile them."""
    return all(layer.supports_jit for layer in model._flatten_layers())


def has_own(model: keras.Model, method: str) -> bool:
    """Whether a model has its own version of a method of `keras.Model`, of its class or set on the
    instance."""
    return method in vars(model) or getattr(type(model), method) is not getattr(keras.Model, method)


# Rows as Keras reads them.


def epoch_iterator(model: keras.Model, *, distributed: bool = False, **arguments: Any) -> Any:
    """Keras's own iterator over batches, for whatever `model.fit` takes as rows; whole batches, unless
    `distributed` over the replicas of the model."""
    strategy = model.distribute_strategy if distributed else distribute_lib._get_default_strategy()
    return LaterIterator(strategy, steps_per_execution=model.steps_per_execution, **arguments)


def adapter_arrays(iterator: Any) -> tuple[Any, ...] | None:
    """The arrays `(x[, y[, weight]])` behind an iterator, as Keras converted them; None if the rows are no
    arrays, or an input is left out."""
    adapter = iterator.data_adapter
    if not isinstance(adapter, ArrayDataAdapter):
        return None
    arrays = unpack_batch(adapter._inputs)
    given = [a for part in arrays if part is not None for a in keras.tree.flatten(part)]
    if not all(isinstance(a, (np.ndarray, tf.Tensor)) for a in given):
        return None
    lists = keras.tree.lists_to_tuples(arrays)
    return tuple(None if part is None else keras.tree.map_structure(np.asarray, part) for part in lists)


def batch_spec(iterator: Any) -> Any:
    """The structure of `tf.TypeSpec` of the batches of an iterator: `(x[, y[, weight]])`, or a lone `x`."""
    return iterator._distributed_dataset.element_spec


def build_by_batch(model: keras.Model, iterator: Any) -> None:
    """Build a model on replicas from a first batch, as `model.fit` does."""
    model._maybe_symbolic_build(iterator=iterator)


def cache_evaluation(model: keras.Model, iterator: Any) -> None:
    """Let `evaluate_cached` read this iterator; None: forget it."""
    model._eval_epoch_iterator = iterator


def evaluate_cached(model: keras.Model, callbacks: Any, **arguments: Any) -> dict[str, Any]:
    """`model.evaluate` inside of a fit: over the cached iterator, with the callbacks of the fit."""
    return dict(
        model.evaluate(callbacks=callbacks, return_dict=True, _use_cached_eval_dataset=True, **arguments)
    )


# Losses and metrics.


def model_loss(model: keras.Model, x: Any, y: Any, outputs: Any, weight: Any, training: bool) -> Any:
    """The loss of one batch, also for a `compute_loss` without the argument `training`."""
    return model._compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weight, training=training)


def loss_tracker(model: keras.Model) -> keras.metrics.Mean:
    """The metric that averages the loss of the batches of an epoch."""
    return model._loss_tracker


def metric_direction(metric: Any) -> str | None:
    """`up` or `down`: whether a metric is better when higher or lower; None where Keras does not say."""
    return getattr(metric, "_direction", None)


def compiled_losses(model: keras.Model) -> Any:
    """The compiled loss of a model, or None for a model that only adds losses itself."""
    return getattr(model, "_compile_loss", None)


def given_metrics(model: keras.Model) -> Any:
    """The metrics that a model was compiled with, as they were given; None if there are none."""
    compiled = model._compile_metrics
    return None if compiled is None else compiled._user_metrics


def compiled_metrics(model: keras.Model) -> list[keras.metrics.Metric]:
    """The metrics that a model was compiled with, as the objects that were given, built or not."""
    given = keras.tree.flatten(given_metrics(model))
    return [metric for metric in given if isinstance(metric, keras.metrics.Metric)]


# Optimizers.


def adam_slots(optimizer: keras.optimizers.Adam, variable: Any) -> tuple[Any, Any]:
    """First and second moment of a variable."""
    index = optimizer._get_variable_index(variable)
    return optimizer._momentums[index], optimizer._velocities[index]


def overwrite_with_average(optimizer: keras.optimizers.Optimizer) -> None:
    """Assign the moving averages of the weights to the weights."""
    optimizer._overwrite_model_variables_with_average_value(optimizer._trainable_variables)


def is_multi_optimizer(optimizer: Any) -> bool:
    """Whether an optimizer is a `MultiOptimizer`, which Keras has from 3.15 on."""
    kind = getattr(keras.optimizers, "MultiOptimizer", None)
    return kind is not None and isinstance(optimizer, kind)


def own_schedule(optimizer: keras.optimizers.Optimizer) -> Callable[..., Any] | None:
    """The schedule or function that gives an optimizer its learning rate; None for a plain number."""
    rate = optimizer._learning_rate
    return None if isinstance(rate, keras.Variable) else rate


# Variables and random numbers.


def raw_variable(variable: Any) -> Any:
    """The `tf.Variable` of a Keras variable, unrounded by any autocast; other values as they are."""
    return variable._value if isinstance(variable, keras.Variable) else variable


def set_raw_variable(variable: keras.Variable, raw: tf.Variable) -> None:
    """Give a Keras variable that has no value yet the `tf.Variable` that holds it."""
    variable._value = raw


def stored_dtype(variable: keras.Variable) -> str:
    """The type of a Keras variable's values, whatever autocast makes of them."""
    return str(vars(variable)["_dtype"])


def resource_handle(variable: Any) -> tf.Tensor:
    """The resource that a fused update operation writes to."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


def cast_seed(seed: Any) -> tf.Tensor:
    """A seed as two int32 numbers."""
    return random_ops._cast_seed(random_ops.draw_seed(seed))


# Devices and XLA.


def has_computed() -> bool:
    """Whether TensorFlow has computed in this process: it has threads then, which a copy of it has not."""
    return bool(context.context()._initialized)


def has_server() -> bool:
    """Whether TensorFlow has the server by which this worker hears of others."""
    return context.context()._collective_ops_server_def is not None


def local_devices() -> Any:
    """TensorFlow's devices with the limit of their memory in bytes."""
    return device_lib.list_local_devices()


def xla_dot(a: tf.Tensor, b: tf.Tensor, a_axes: Sequence[int], b_axes: Iterable[int]) -> tf.Tensor:
    """A product under XLA whose operands keep their type and whose sums are float32."""
    axes = xla_data_pb2.DotDimensionNumbers(
        lhs_contracting_dimensions=list(a_axes), rhs_contracting_dimensions=list(b_axes)
    )
    return gen_xla_ops.xla_dot_v2(
        a, b, axes.SerializeToString(), precision_config="", preferred_element_type=tf.float32
    )
