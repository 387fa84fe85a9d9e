"""Whether a program is traced for a number of rows that it knows, or for any number."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from trainkit.backend import compat, recurrent
from trainkit.trainer.first_trace import FirstTrace
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.xla_limits import DRAWING, any_of

__all__ = ["hides_rows", "hides_validation_rows", "joins_unseen", "needs_no_number", "shares_traces"]


def hides_rows(setup: TrainSetup, first: FirstTrace, xla: bool) -> bool:
    """Whether steps are traced for an unknown number of rows: so that a ragged one shares the trace, and
    where code of the user's may ask for the number, which `model.fit` does not know.

    Args:
        setup: The task made ready.
        first: Knows the traces of Keras.
        xla: Whether XLA compiles the program.
    """
    if setup.rows_as_keras:
        return first.trace("train", setup.keras_batches).rows is None
    rest = setup.shape.rest if setup.source.kind == "resident" else 0
    return _hides(setup, xla, rest and setup.step.split.is_whole(setup.shape.step_rows))


def _hides(setup: TrainSetup, xla: bool, ragged: Any) -> bool:
    """The same of rows of which a last step is `ragged`, where code of the user's does not decide.

    It shares the trace of the full ones in a program without XLA: these do not know their number of rows
    then, as in `model.fit`.
    """
    own = setup.facts.own_train_step or compat.has_own(setup.model, "test_step")
    shares = ragged and setup.replicas == 1 and needs_no_number(setup)
    return own or (not xla and (setup.config.dynamic_rows or bool(shares)))


def hides_validation_rows(setup: TrainSetup, first: FirstTrace, xla: bool) -> bool:
    """The same for the steps of the validation, whose rows are arrays."""
    if setup.splits.validation is None:
        return hides_rows(setup, first, xla)
    if not setup.rows_as_keras:
        full, rest = divmod(len(setup.splits.validation), setup.validation_batch)
        return _hides(setup, xla, full and rest)
    return first.trace("test", setup.keras_evaluation_batches("validation")).rows is None


def joins_unseen(batch_spec: Any) -> bool:
    """Whether equal batches may be gathered from rows that lie one after the other, and nobody sees it: what
    Keras knows of their shapes is all but the number of rows, or all.

    Args:
        batch_spec: Structure of `tf.TypeSpec` of a batch.
    """
    specs = _specs(batch_spec)
    if not all(isinstance(spec, tf.TensorSpec) and spec.shape.rank for spec in specs):
        return False
    return len({spec.shape[0] for spec in specs}) == 1 and all(None not in spec.shape[1:] for spec in specs)


def shares_traces(setup: TrainSetup) -> bool:
    """Whether batches of any number of rows, as they came, share one trace without XLA."""
    specs = _specs(setup.batches)
    dense = bool(specs) and all(isinstance(spec, tf.TensorSpec) and spec.shape.rank for spec in specs)
    return dense and setup.replicas == 1 and needs_no_number(setup)


def _specs(batch_spec: Any) -> list[Any]:
    return [spec for spec in tf.nest.flatten(batch_spec) if spec is not None]


def needs_no_number(setup: TrainSetup) -> bool:
    """Whether a program of TensorFlow is as good where it does not know the rows of a batch:
    recurrent kernels have to, to divide them over cores, and so has dropout where it draws the masks that it
    draws under XLA."""
    known = setup.facts.operations and not setup.facts.own_train_step
    random = any(any_of(one, DRAWING) for one in setup.facts.operations)
    if not known or (random and not setup.draws_as_keras):
        return False
    return not setup.recurrent_kernels or not any(
        recurrent.takes(one) for one in compat.flat_layers(setup.model)
    )
