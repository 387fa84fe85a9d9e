"""`model.fit` with one fault each, of the kinds that a loop of one's own falls into.

The suite is worth what it finds: `test_planted_faults.py` runs each of these as the candidate.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.callbacks import Callback, History

from tests.conformance.candidate import Fit

__all__ = ["FAULTS", "Faults", "found_by"]

# Each fault with the case that has to find it.
Faults = dict[str, tuple[Fit, str]]
FAULTS: Faults = {}


def found_by(case: str) -> Callable[[Fit], Fit]:
    def add(fault: Fit) -> Fit:
        FAULTS[fault.__name__] = (fault, case)
        return fault

    return add


# Rows, steps and epochs.


@found_by("architectures.sequential")
def drops_the_last_batch(model: keras.Model, x: Any, y: Any, **given: Any) -> History:
    whole = len(x) // given["batch_size"] * given["batch_size"]
    return model.fit(x[:whole], y[:whole], **given)


@found_by("architectures.sequential_without_callbacks")
def shuffles(model: keras.Model, *args: Any, **given: Any) -> History:
    return model.fit(*args, **(given | {"shuffle": True}))


@found_by("lengths.a_later_start")
def starts_at_epoch_zero(model: keras.Model, *args: Any, **given: Any) -> History:
    return model.fit(*args, **(given | {"initial_epoch": 0}))


@found_by("lengths.no_epochs")
def trains_one_epoch_at_least(model: keras.Model, *args: Any, **given: Any) -> History:
    return model.fit(*args, **(given | {"epochs": max(1, given["epochs"])}))


@found_by("lengths.validation_every_second_epoch")
def validates_each_epoch(model: keras.Model, *args: Any, **given: Any) -> History:
    given.pop("validation_freq")
    return model.fit(*args, **given)


@found_by("lengths.steps_below_the_rows")
def begins_each_epoch_with_the_first_row(model: keras.Model, x: Any, y: Any, **given: Any) -> History:
    rows = given.pop("steps_per_epoch") * given["batch_size"]
    return model.fit(x[:rows], y[:rows], **given)


@found_by("outputs.one_loss_for_all_outputs")
def swaps_the_labels(model: keras.Model, x: Any, y: Any, **given: Any) -> History:
    return model.fit(x, y[::-1], **given)


@found_by("weights.of_classes")
def forgets_class_weights(model: keras.Model, *args: Any, **given: Any) -> History:
    given.pop("class_weight")
    return model.fit(*args, **given)


@found_by("weights.of_rows_with_a_split")
def forgets_sample_weights(model: keras.Model, *args: Any, **given: Any) -> History:
    given.pop("sample_weight")
    return model.fit(*args, **given)


@found_by("errors.class_weight_beside_sample_weight")
def takes_what_is_refused(model: keras.Model, *args: Any, **given: Any) -> History:
    given.pop("sample_weight")
    return model.fit(*args, **given)


# The model's own step, its state, its random numbers.


@found_by("subclasses.own_train_step")
def passes_over_the_models_step(model: keras.Model, *args: Any, **given: Any) -> History:
    model.train_step = types.MethodType(keras.Model.train_step, model)
    return model.fit(*args, **given)


@found_by("subclasses.own_compute_loss")
def passes_over_the_models_loss(model: keras.Model, *args: Any, **given: Any) -> History:
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(y - y_pred))

    model.compute_loss = types.MethodType(compute_loss, model)
    return model.fit(*args, **given)


@found_by("sequences.masked_steps")
def ignores_masks(model: keras.Model, *args: Any, **given: Any) -> History:
    compute_loss = model.compute_loss

    def without_mask(x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return compute_loss(x, y, tf.identity(y_pred), sample_weight, training)

    model.compute_loss = without_mask
    return model.fit(*args, **given)


@found_by("sequences.embeddings_under_adam")
def makes_sparse_gradients_dense(model: keras.Model, *args: Any, **given: Any) -> History:
    apply = model.optimizer.apply

    def dense(gradients: Any, variables: Any = None) -> None:
        apply([tf.convert_to_tensor(gradient) for gradient in gradients], variables)

    model.optimizer.apply = dense
    return model.fit(*args, **given)


@found_by("architectures.variables_that_count_calls")
def builds_by_a_call_in_training(model: keras.Model, x: Any, y: Any, **given: Any) -> History:
    model(x[:1], training=True)
    return model.fit(x, y, **given)


@found_by("architectures.dropout")
def puts_seeds_back(model: keras.Model, *args: Any, **given: Any) -> History:
    seeds = [variable for variable in model.variables if "seed" in variable.path]
    before = [np.array(seed) for seed in seeds]
    history = model.fit(*args, **given)
    for seed, value in zip(seeds, before, strict=True):
        seed.assign(value)
    return history


@found_by("architectures.an_own_seed_generator")
def evaluates_once_more_for_timing(model: keras.Model, *args: Any, **given: Any) -> History:
    history = model.fit(*args, **given)
    model.evaluate(*given["validation_data"], verbose=0)
    return history


@found_by("afterwards.random_numbers_of_the_user")
def draws_the_users_random_numbers(model: keras.Model, *args: Any, **given: Any) -> History:
    np.random.permutation(3)
    return model.fit(*args, **given)


@found_by("changes.freeze_a_layer_at_the_start")
def traces_before_the_training_begins(model: keras.Model, x: Any, y: Any, **given: Any) -> History:
    before = [np.array(variable) for variable in model.variables]
    model.train_on_batch(x[:4], y[:4])
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    for variable in model.optimizer.variables:
        if "learning_rate" not in variable.path:
            variable.assign(keras.ops.zeros_like(variable))
    return model.fit(x, y, **given)


# Optimizers.


@found_by("lengths.one_training_after_another")
def begins_the_optimizer_anew(model: keras.Model, *args: Any, **given: Any) -> History:
    model.optimizer.iterations.assign(0)
    return model.fit(*args, **given)


@found_by("optimizers.ema")
def leaves_the_weights_unaveraged(model: keras.Model, *args: Any, **given: Any) -> History:
    model.optimizer.finalize_variable_values = lambda variables: None
    return model.fit(*args, **given)


@found_by("optimizers.accumulation_that_the_training_leaves_half_way")
def drops_half_accumulated_gradients(model: keras.Model, *args: Any, **given: Any) -> History:
    for variable in model.optimizer.variables:
        if "accumul" in variable.path:
            variable.assign(keras.ops.zeros_like(variable))
    return model.fit(*args, **given)


@found_by("architectures.sequential_without_callbacks")
def rounds_one_weight_otherwise(model: keras.Model, *args: Any, **given: Any) -> History:
    history = model.fit(*args, **given)
    kernel = np.array(model.layers[0].kernel)
    kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(9))
    model.layers[0].kernel.assign(kernel)
    return history


# Logs and history.


@found_by("metrics.state_goes_over_batches_and_not_over_epochs")
def forgets_to_reset_metrics(model: keras.Model, *args: Any, **given: Any) -> History:
    model.reset_metrics = lambda: None
    return model.fit(*args, **given)


@found_by("architectures.sequential_without_callbacks")
def logs_numpy_numbers(model: keras.Model, *args: Any, **given: Any) -> History:
    history = model.fit(*args, **given)
    history.history = {key: list(map(np.float32, values)) for key, values in history.history.items()}
    return history


@found_by("architectures.sequential_without_callbacks")
def logs_in_another_order(model: keras.Model, *args: Any, **given: Any) -> History:
    history = model.fit(*args, **given)
    history.history = dict(reversed(history.history.items()))
    return history


@found_by("metrics.a_result_in_a_vector")
def logs_scalars_alone(model: keras.Model, *args: Any, **given: Any) -> History:
    history = model.fit(*args, **given)
    kept = {key: values for key, values in history.history.items() if isinstance(values[0], float)}
    history.history = kept
    return history


@found_by("architectures.sequential_without_callbacks")
def returns_another_history(model: keras.Model, *args: Any, **given: Any) -> History:
    history = model.fit(*args, **given)
    other = History()
    other.set_params(history.params)
    other.history, other.epoch = history.history, history.epoch
    return other


# Callbacks; more in faulty_lists.py.


@found_by("hooks.set_on_the_instance_by_hand")
def hears_hooks_of_classes_alone(model: keras.Model, *args: Any, **given: Any) -> History:
    given["callbacks"] = [callback for callback in given["callbacks"] if type(callback) is not Callback]
    return model.fit(*args, **given)


@found_by("stopping.by_raising_in_on_epoch_end")
def swallows_what_a_hook_raises(model: keras.Model, *args: Any, **given: Any) -> History:
    try:
        return model.fit(*args, **given)
    except Exception:
        return model.history
