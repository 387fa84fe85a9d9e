"""The rows that `trainkit.fit` is given, for training and validation, as the loop reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.compat import pipelines
from trainkit.backend.devices import has_gpu
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.core.tree import leaves
from trainkit.trainer.batch_feed import BatchFeed, DirectFeed
from trainkit.trainer.batches_source import batches_source
from trainkit.trainer.joined_batches import JoinedBatches
from trainkit.trainer.keras_batches import KerasBatches
from trainkit.trainer.keras_steps import KerasFeed
from trainkit.trainer.known_rows import joins_unseen, shares_traces
from trainkit.trainer.loop import HostValidation
from trainkit.trainer.row_feed import RowFeed
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.sources import arrays_source
from trainkit.trainer.windows import Feed

__all__ = ["GivenRows", "GivenValidation"]

DEFAULT_BATCH = 32
SHORT_STEPS = 128  # of which each costs the host less than a millisecond more
SHORT_STEPS_OF_ARRAYS = 64  # and less than two, where whole epochs run without the host


class GivenRows:
    """The training rows as the loop reads them."""

    def __init__(
        self,
        model: keras.Model,
        seed: int | None,
        steps_per_epoch: int | None,
        batch_size: int | None,
        exact: bool,
        others: Sequence[Arrays] = (),
        **given: Any,
    ) -> None:
        shuffle = given["shuffle"]
        iterator = compat.epoch_iterator(
            model, distributed=exact, batch_size=batch_size, steps_per_epoch=steps_per_epoch, **given
        )
        self.exact = exact
        self.batches: KerasBatches | None = None
        self.split = int(model.distribute_strategy.num_replicas_in_sync) > 1
        whole = steps_per_epoch is None and not keras.config.max_steps_per_epoch()
        arrays = compat.adapter_arrays(iterator)
        if arrays is not None:
            _check_types(arrays)
        if arrays is not None and whole and not exact:
            if shuffle not in (True, False, "batch"):
                raise UserError(f"shuffle={shuffle!r}: expected True, False or 'batch'.")
            if seed is None and shuffle:
                seed = int(np.random.randint(2**31))
            self.batch_rows = batch_size or DEFAULT_BATCH
            self.source = arrays_source(
                Arrays(*arrays),
                model.distribute_strategy,
                seed if shuffle else None,
                self.batch_rows if shuffle == "batch" else None,
                others,
            )
            self.steps: int | None = math.ceil(self.source.rows / self.batch_rows)
            return
        self.source = batches_source(compat.batch_spec(iterator))
        if self.split and not exact:
            _check_divisible(self.source.batch_spec)
        self.batch_rows = 1
        self.steps = steps_per_epoch or iterator.num_batches
        if exact:
            compat.build_by_batch(model, iterator)
        iterator.reset()  # as fit does: a PyDataset is told of an epoch's end before the first
        self.batches = KerasBatches(iterator)
        trained = [*model.variables, *getattr(model.optimizer, "variables", ())]
        self._reads_model = isinstance(given["x"], tf.data.Dataset) and pipelines.reads(given["x"], trained)

    def feed(self, setup: TrainSetup, *, direct: bool) -> Feed | None:
        """Where the loop reads the rows; None: they stay on the device.

        Args:
            setup: The model made ready.
            direct: Read no batch ahead.
        """
        if self.batches is None:
            return RowFeed(setup) if self._is_short(setup) else None
        if self.exact:
            return KerasFeed(self.batches, setup.state)
        joins = not setup.rows_as_keras or self.split or joins_unseen(self.source.batch_spec)
        alone = self._alone(setup)
        read = partial(JoinedBatches, self.batches, split=self.split, alone=alone)
        if direct or self._reads_model:
            size = setup.model.steps_per_execution
            joins = joins and size > 1 and not self._reads_model
            return DirectFeed(self.batches, read(joins=joins, most=size, crosses=False))
        return BatchFeed(self.batches, read(joins=joins))

    def _is_short(self, setup: TrainSetup) -> bool:
        """Whether arrays are trained batch by batch, by one trace for all."""
        if setup.source.kind != "resident" or self.split or setup.config.execution != "auto" or has_gpu():
            return False
        short = setup.steps_expected(setup.shape.steps) <= SHORT_STEPS_OF_ARRAYS
        return short and (not setup.shape.rest or setup.rows_as_keras or shares_traces(setup))

    def _alone(self, setup: TrainSetup) -> int | None:
        """The first batches that are trained as they come; None: all. One trace for them all costs less than
        a faster program of joined ones, which leaves a ragged last batch to a trace of its own."""
        one_trace = setup.rows_as_keras or shares_traces(setup)
        if self.split or setup.config.execution != "auto" or not one_trace:
            return 0
        if self.steps is None:
            return max(0, SHORT_STEPS - setup.steps_before)
        return None if setup.steps_expected(self.steps) <= SHORT_STEPS else 0


class GivenValidation:
    """The validation rows: arrays go through the compiled program, all else through `model.evaluate`."""

    def __init__(
        self, model: keras.Model, data: Any, batch_size: int | None, steps: int | None, exact: bool
    ) -> None:
        self.model = model
        self.arrays: Arrays | None = None
        self.by_host: HostValidation | None = None
        self.batch_rows = batch_size or DEFAULT_BATCH
        if data is None:
            return
        x, y, weight = compat.unpack_batch(data)
        self._iterator = compat.epoch_iterator(
            model,
            distributed=True,
            x=x,
            y=y,
            sample_weight=weight,
            batch_size=batch_size,
            steps_per_epoch=steps,
            shuffle=False,
        )
        named = ["evaluate", "make_test_function"]
        if model.distribute_strategy.num_replicas_in_sync > 1:
            named.append("test_step")  # which takes the batch of a replica as a whole
        own = any(compat.has_own(model, name) for name in named)
        arrays = compat.adapter_arrays(self._iterator) if steps is None and not exact and not own else None
        if arrays is not None and len(leaves(arrays)[0]):  # of no rows, Keras says something, too
            self.arrays = Arrays(*arrays)
            return
        self._arguments = {"x": x, "y": y, "sample_weight": weight, "batch_size": batch_size, "steps": steps}
        self.by_host = self._evaluate

    def _evaluate(self, callbacks: keras.callbacks.CallbackList) -> dict[str, Any]:
        compat.cache_evaluation(self.model, self._iterator)
        return compat.evaluate_cached(self.model, callbacks, **self._arguments)

    def close(self) -> None:
        """Let Keras forget the iterator."""
        if self.by_host is not None:
            compat.cache_evaluation(self.model, None)


def _check_divisible(batch_spec: Any) -> None:
    """Refuse batches whose structure of `tf.TypeSpec` shows that replicas cannot divide them.

    Raises:
        UserError: naming what it shows of the numbers of rows.
    """
    shapes = [spec.shape for spec in tf.nest.flatten(batch_spec) if hasattr(spec, "shape")]
    counts = [tuple(shape[:1]) for shape in shapes if shape.rank is not None]
    if () in counts:
        raise UserError(
            f"A batch has tensors with {counts} rows: a number of rank 0 has none, and cannot be divided "
            "over replicas; train on one device, or repeat the number for each row."
        )
    if len(set(counts) - {(None,)}) > 1:
        raise UserError(
            f"A batch has tensors with different numbers of rows, {counts}, which cannot be divided over "
            "replicas; train on one device, or set exact=True."
        )


def _check_types(arrays: Any) -> None:
    """Refuse arrays that Keras has no type for. It takes an array `[N]` of `str` objects for text; other text
    comes as bytes, since Keras has converted it.

    Raises:
        UserError: naming the type.
    """
    for array in leaves(arrays):
        of_objects = array.dtype == object and array.size and not isinstance(array.flat[0], bytes)
        is_text = of_objects and all(isinstance(value, str) for value in array)
        if (of_objects and not is_text) or array.dtype.kind in "SU":
            raise UserError(
                f"An array of type {array.dtype} is no input of a Keras model: convert numbers by "
                "array.astype('float32'), text by tf.constant(array)."
            )
