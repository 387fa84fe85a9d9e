"""`trainkit.fit`: a drop-in for `model.fit` of a compiled Keras model."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from trainkit.backend import compat
from trainkit.callbacks.callback_list import CallbackList
from trainkit.callbacks.progress_bar import ProgressBar
from trainkit.config import TrainerConfig
from trainkit.config.validation import validate_section
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.core.tree import Structure
from trainkit.trainer.batch_feed import BatchFeed
from trainkit.trainer.compiled_model import assemble_compiled
from trainkit.trainer.fit_loop import FitLoop
from trainkit.trainer.loop import HostValidation
from trainkit.trainer.program_cache import ProgramCache
from trainkit.trainer.sources import arrays_source, batches_source
from trainkit.trainer.windows import Feed

__all__ = ["fit"]

DEFAULT_BATCH = 32


def fit(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | Sequence[int] = 1,
    *,
    exact: bool = False,
    execution: str = "auto",
    seed: int | None = None,
) -> keras.callbacks.History:
    """Train a compiled model as `model.fit` does, by trainkit's compiled loop.

    The model is trained in place, with its own optimizer, losses and metrics, and goes on where it stands
    when called again. All arguments but the last three are those of `keras.Model.fit`.

    Args:
        model: A compiled model.
        x: Rows: arrays, lists or dicts of them, a `tf.data.Dataset`, a `keras.utils.PyDataset` or a
            generator.
        y: Labels, unless `x` yields them.
        batch_size: Rows per step; default 32. Not for rows that come in batches.
        epochs: Number of the last epoch.
        verbose: 0: silent, 1: a progress bar, 2: one line per epoch; "auto" is 1.
        callbacks: Keras callbacks. Without batch hooks among them, many steps run in one call.
        validation_split: Share of the last rows to validate on, if `x` is made of arrays.
        validation_data: Rows to validate on: `(x, y)`, `(x, y, weight)`, or whatever `x` may be.
        shuffle: Whether to draw a new order of the rows for each epoch, if they are arrays.
        class_weight: Weight of each class in the loss.
        sample_weight: Weight of each row, or of each of its steps, in the loss.
        initial_epoch: Epochs that are already done.
        steps_per_epoch: Steps per epoch; default: until the rows end.
        validation_steps: Batches per validation; default: until the rows end.
        validation_batch_size: Rows per batch of the validation; default: `batch_size`.
        validation_freq: Epochs between validations, or the numbers of the epochs to validate after.
        exact: Use Keras's kernels, and no XLA unless the model was compiled with `jit_compile=True`: weights,
            history and the calls of callbacks equal those of `model.fit` bit for bit, given `shuffle=False`.
        execution: As `trainer.execution`; `auto` decides by rule.
        seed: Of the order of the rows; default: drawn from NumPy's generator, which
            `keras.utils.set_random_seed` seeds.

    Returns:
        The history of the training, as that of `model.fit`.

    Raises:
        UserError: for what cannot be trained, before anything is.
    """
    if not getattr(model, "compiled", False):
        raise UserError(
            "trainkit.fit needs a compiled model; call model.compile(optimizer=..., loss=...) first."
        )
    arguments = {
        "batch_size": batch_size,
        "epochs": epochs,
        "validation_split": validation_split,
        "shuffle": shuffle,
        "class_weight": class_weight,
        "sample_weight": sample_weight,
        "initial_epoch": initial_epoch,
        "steps_per_epoch": steps_per_epoch,
        "validation_data": validation_data,
        "validation_steps": validation_steps,
        "validation_batch_size": validation_batch_size,
        "validation_freq": validation_freq,
    }
    # Nothing to train, or asked to run eagerly to look into each step, which a compiled loop cannot offer.
    if epochs <= initial_epoch or model.run_eagerly:
        return model.fit(x, y, verbose=verbose, callbacks=callbacks, **arguments)
    limit = keras.config.max_epochs()
    if limit and limit < epochs:
        warnings.warn(f"Limiting epochs to {limit}, as keras.config.set_max_epochs asks.", stacklevel=2)
        epochs = limit
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = compat.train_validation_split(
            (x, y, sample_weight), validation_split=validation_split
        )
    weights = {"sample_weight": sample_weight, "class_weight": class_weight}
    rows = _Rows(model, seed, steps_per_epoch, batch_size, x=x, y=y, shuffle=shuffle, **weights)
    config = _config(model, rows, epochs, exact, execution)
    validation = _Validation(model, validation_data, validation_batch_size or batch_size, validation_steps)
    splits = Splits(rows.source.arrays or Arrays(np.zeros([1])), validation.arrays)
    setup = assemble_compiled(model, config, rows.source, splits, rows.steps, validation.batch_rows)
    setup.state.seek({"epoch": initial_epoch, "step_in_epoch": 0, "step": 0})
    observed = CallbackList(_callbacks(callbacks, verbose), setup.state, setup.direction)
    observed.verbose = _verbosity(verbose)
    validates = _schedule(validation_data is not None, validation_freq)
    loop = FitLoop(
        setup,
        _Kept.cache(setup),
        observed,
        lambda: None,
        feed=rows.feed,
        validation=validation.by_host,
        validates=validates,
        steps_per_hook=model.steps_per_execution,
        finds_bottleneck=False,
    )
    try:
        return loop.run()
    finally:
        validation.close()
        _Kept.release()


class _Rows:
    """The training rows as the loop reads them."""

    def __init__(
        self,
        model: keras.Model,
        seed: int | None,
        steps_per_epoch: int | None,
        batch_size: int | None,
        **given: Any,
    ) -> None:
        shuffle = given["shuffle"]
        iterator = compat.epoch_iterator(
            model, batch_size=batch_size, steps_per_epoch=steps_per_epoch, **given
        )
        self.feed: Feed | None = None
        whole = steps_per_epoch is None and not keras.config.max_steps_per_epoch()
        arrays = compat.adapter_arrays(iterator) if whole else None
        if arrays is not None:
            if shuffle not in (True, False):
                raise UserError(f"shuffle={shuffle!r}: expected True or False.")
            number = int(np.random.randint(2**31)) if seed is None else seed
            self.batch_rows = batch_size or DEFAULT_BATCH
            self.source = arrays_source(
                Arrays(*arrays), model.distribute_strategy, number if shuffle else None
            )
            self.steps: int | None = math.ceil(self.source.rows / self.batch_rows)
            return
        self.source = batches_source(compat.batch_spec(iterator))
        self.batch_rows = 1
        self.steps = steps_per_epoch or iterator.num_batches
        iterator.reset()  # as fit does: a PyDataset is told of an epoch's end before the first
        self.feed = BatchFeed(lambda: _batches(iterator), lambda: iterator.num_batches is not None)


def _batches(iterator: Any) -> Iterator[Structure]:
    """The batches of one epoch, by Keras's own iterator."""
    with iterator.catch_stop_iteration():
        for _, _, data in iterator:
            yield next(data)  # the iterator learns from the end of the rows how many there are


class _Validation:
    """The validation rows: arrays go through the compiled program, all else through `model.evaluate`."""

    def __init__(self, model: keras.Model, data: Any, batch_size: int | None, steps: int | None) -> None:
        self.model = model
        self.arrays: Arrays | None = None
        self.by_host: HostValidation | None = None
        self.batch_rows = batch_size or DEFAULT_BATCH
        if data is None:
            return
        x, y, weight = compat.unpack_batch(data)
        self._iterator = compat.epoch_iterator(
            model, x=x, y=y, sample_weight=weight, batch_size=batch_size, steps_per_epoch=steps, shuffle=False
        )
        arrays = compat.adapter_arrays(self._iterator) if steps is None else None
        if arrays is not None:
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


class _Kept:
    """The programs of the last model that was trained, for its next `fit`; the rows are let go."""

    key: Any = None
    programs: ProgramCache | None = None

    @classmethod
    def cache(cls, setup: Any) -> ProgramCache:
        """The cache for a set-up: that of the last fit, if model, compilation and settings are the same."""
        model = setup.model
        compiled = (id(model), id(model.optimizer), id(compat.compiled_losses(model)), setup.signature())
        if cls.programs is None or cls.key != compiled:
            cls.key, cls.programs = compiled, ProgramCache(setup)
        else:
            cls.programs.renew(setup)
        return cls.programs

    @classmethod
    def release(cls) -> None:
        """Let the rows go."""
        if cls.programs is not None:
            cls.programs.forget_rows()


def _config(model: keras.Model, rows: _Rows, epochs: int, exact: bool, execution: str) -> TrainerConfig:
    jit = model.jit_compile is True
    if exact:
        execution = "step_xla" if jit else "epoch"
    elif execution == "auto" and jit:
        execution = "epoch_xla"
    config = TrainerConfig(
        epochs=max(epochs, 1),
        batch_size=rows.batch_rows,
        execution=execution,
        fast_kernels=False if exact else None,
        dynamic_rows=exact and not jit,
        on_nonfinite="ignore",  # as Keras does
    )
    validate_section(config, "trainer")
    return replace(config, epochs=epochs)


def _schedule(validated: bool, every: int | Sequence[int]) -> Callable[[int], bool]:
    """Whether to validate after an epoch (0-based), as Keras reads `validation_freq`."""
    if not validated:
        return lambda epoch: False
    if isinstance(every, int):
        if every < 1:
            raise UserError(f"validation_freq={every}: expected a whole number of at least 1.")
        return lambda epoch: (epoch + 1) % every == 0
    if not isinstance(every, (list, tuple, set, range)):
        raise UserError(
            f"validation_freq={every!r}: expected a whole number, or a list of numbers of epochs."
        )
    wanted = set(every)
    return lambda epoch: epoch + 1 in wanted


def _callbacks(callbacks: Any, verbose: str | int) -> list[keras.callbacks.Callback]:
    """The user's callbacks, then the history, then the progress bar: Keras's order."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    found = list(keras.tree.flatten(callbacks)) if callbacks else []
    for callback in found:
        if not isinstance(callback, keras.callbacks.Callback):
            raise UserError(f"callbacks: got {type(callback).__name__}; expected Keras callbacks.")
    if not any(isinstance(c, keras.callbacks.History) for c in found):
        found.append(keras.callbacks.History())
    shown = any(isinstance(c, keras.callbacks.ProgbarLogger) for c in found)
    return found if shown or not _verbosity(verbose) else [*found, ProgressBar()]


def _verbosity(verbose: str | int) -> int:
    return 1 if verbose == "auto" else int(verbose)
