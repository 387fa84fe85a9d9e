"""`trainkit.fit`: a drop-in for `model.fit` of a compiled Keras model."""

from __future__ import annotations

import warnings
import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from trainkit.backend import compat
from trainkit.backend.compat.optimizer_variables import assigns_when_built, built_for_all
from trainkit.backend.patches import inner_optimizers, keep_with, kept_with
from trainkit.callbacks.callback_list import CallbackList
from trainkit.callbacks.monitor import Monitor
from trainkit.config import TrainerConfig
from trainkit.config.validation import validate_section
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.errors import UserError
from trainkit.trainer.compiled_model import AboutModel, assemble_compiled
from trainkit.trainer.first_trace import FirstTrace
from trainkit.trainer.fit_arguments import listed_callbacks, schedule, whole_number
from trainkit.trainer.fit_loop import FitLoop
from trainkit.trainer.given_rows import GivenRows, GivenValidation
from trainkit.trainer.program_cache import ProgramCache

__all__ = ["fit"]

MOST_SIZES = 64  # of rows, of which a model's steps are counted

_in_own_fit: list[keras.Model] = []  # models whose class has a `fit` of its own, which is running


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
        verbose: 0: silent, 1: a progress bar, 2: one line per epoch; "auto" is 1, or in a notebook a table.
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
        exact: Run each step by Keras's own train function: weights, history and the calls of callbacks equal
            those of `model.fit` bit for bit. It is as fast as `model.fit`, and no faster.
        execution: As `trainer.execution`; `auto` decides by rule.
        seed: Of the order of the rows; default: drawn from NumPy's generator, which
            `keras.utils.set_random_seed` seeds. Not with `exact`, which shuffles as Keras does.

    Returns:
        The history of the training, as that of `model.fit`.

    Raises:
        UserError: for what cannot be trained, before anything is.
        Exception: what Keras raises for a model and rows that do not fit each other.
    """
    if not getattr(model, "compiled", False):
        raise UserError(
            "trainkit.fit needs a compiled model; call model.compile(optimizer=..., loss=...) first."
        )
    exact = exact or compat.has_own(model, "make_train_function")  # which our program does not call
    if exact and seed is not None:
        raise UserError(
            f"seed={seed} does not go with exact=True or an own make_train_function, where Keras shuffles; "
            "call keras.utils.set_random_seed."
        )
    epochs = whole_number("epochs", epochs)
    initial_epoch = whole_number("initial_epoch", initial_epoch)
    batch_size = whole_number("batch_size", batch_size)
    steps_per_epoch = whole_number("steps_per_epoch", steps_per_epoch)
    validation_steps = whole_number("validation_steps", validation_steps)
    validation_batch_size = whole_number("validation_batch_size", validation_batch_size)
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
    if compat.has_own(model, "fit") and model not in _in_own_fit:
        _in_own_fit.append(model)  # it may call trainkit.fit
        try:
            return model.fit(x, y, verbose=verbose, callbacks=callbacks, **arguments)
        finally:
            _in_own_fit.remove(model)
    if not exact:
        if x is None:
            raise UserError(
                "x is None: give the rows to train on as arrays, a tf.data.Dataset, a keras.utils.PyDataset "
                "or a generator."
            )
        _check_optimizer(model.optimizer)
    limit = keras.config.max_epochs()
    if limit and limit < epochs:
        warnings.warn(f"Limiting epochs to {limit}, as keras.config.set_max_epochs asks.", stacklevel=2)
        epochs = limit
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = compat.train_validation_split(
            (x, y, sample_weight), validation_split=validation_split
        )
    weights = {"sample_weight": sample_weight, "class_weight": class_weight}
    batch = validation_batch_size or batch_size
    validation = GivenValidation(model, validation_data, batch, validation_steps, exact)
    others = [validation.arrays] if validation.arrays is not None else []
    given = {"x": x, "y": y, "shuffle": shuffle, **weights}
    rows = GivenRows(model, seed, steps_per_epoch, batch_size, exact, others, **given)
    config = _config(model, rows, epochs, exact, execution)
    splits = Splits(rows.source.arrays or Arrays(np.zeros([1])), validation.arrays)
    known, trained = ({}, Counter()) if exact else _Kept.about(model)
    setup = assemble_compiled(
        model, config, rows.source, splits, rows.steps, validation.batch_rows, untouched=exact, known=known
    )
    setup = replace(setup, steps_before=trained[setup.sizes])
    setup.state.seek({"epoch": initial_epoch, "step_in_epoch": 0, "step": 0})
    listed = listed_callbacks(callbacks, verbose)
    ours = [type(c).__name__ for c in keras.tree.flatten(callbacks or []) if isinstance(c, Monitor)]
    if exact and ours:
        raise UserError(f"exact=True works with Keras's callbacks; got trainkit's {', '.join(ours)}.")
    observed = CallbackList(listed, setup.state, setup.direction)
    observed.verbose = verbose
    validates = schedule(validation_data is not None, validation_freq)
    cache = ProgramCache(setup) if exact else _Kept.cache(setup)
    cache.first.about, cache.first.trained = known, trained
    loop = FitLoop(
        setup,
        cache,
        observed,
        lambda: None,
        feed=rows.feed(setup, direct=observed.needs_train_batches),
        validation=validation.by_host,
        validates=validates,
        steps_per_hook=model.steps_per_execution,
        finds_bottleneck=False,
    )
    try:
        with cache.used():
            return loop.run()
    except BaseException:
        observed.on_failure()
        raise
    finally:
        trained[setup.sizes] += setup.state.step
        cache.let_rows_go()  # the model keeps the cache
        validation.close()


class _Kept:
    """Of each model, the programs of its last `fit` for the next one, and what its compilation has read."""

    compiled: weakref.WeakKeyDictionary[keras.Model, tuple[Any, FirstTrace]] = weakref.WeakKeyDictionary()

    @classmethod
    def cache(cls, setup: Any) -> ProgramCache:
        """The cache for a set-up: that of the model's last fit, if compilation and settings are the same, and
        it is over: a callback may train its model, too."""
        first, signature = cls.first(setup.model), setup.signature()
        known, programs = kept_with(setup.model) or (None, None)
        if programs is None or programs.first is not first or known != signature or programs.in_use:
            programs = ProgramCache(setup, first)
            keep_with(setup.model, (signature, programs))
        else:
            programs.renew(setup)
        return programs

    @classmethod
    def about(cls, model: keras.Model) -> tuple[dict[str, AboutModel], Counter[Any]]:
        """What former fits found out about a model as it is compiled, by its rows; and their steps, by the
        sizes of these."""
        known, first = cls.compiled.get(model, (None, None))
        if first is None or known != _compilation(model) or model.train_function is None:
            return {}, Counter()  # without a train function, Keras traces anew
        first.versions()
        if len(first.trained) >= MOST_SIZES:
            first.trained.clear()
        return first.about, first.trained

    @classmethod
    def first(cls, model: keras.Model) -> FirstTrace:
        """What the compilation of a model has read.

        Raises:
            UserError: if Keras would go on with what it compiled before, and we cannot.
        """
        compilation = _compilation(model)
        known, first = cls.compiled.get(model, (None, None))
        if known is not None and known[0] != compilation[0] and known[1] == compilation[1]:
            raise UserError(
                "model.optimizer was replaced after a training, and Keras goes on with the former one; call "
                "model.compile(...) with the new one, or set exact=True."
            )
        if first is None or known != compilation:
            if getattr(model, "train_function", None) is not None and not _trains_all(model):
                raise UserError(
                    "Layers were frozen or unfrozen after model.fit had compiled this model, and Keras goes "
                    "on with what it compiled; call model.compile(...) again, or set exact=True."
                )
            model.make_train_function()  # as model.fit does; who makes it anew, asks for another trace
            first = FirstTrace(model)
            cls.compiled[model] = (compilation, first)
        model.make_train_function()  # model.quantize, for one, takes it away
        if first.lacks_weights():
            raise UserError(
                "The model was given more weights (by enable_lora, or by another layer) after a training had "
                "compiled it, and Keras goes on without them; call model.compile(...) again."
            )
        return first


def _compilation(model: keras.Model) -> list[Any]:
    parts = (model.optimizer, compat.loss_tracker(model))  # which each compile makes anew
    return [None if part is None else weakref.ref(part) for part in parts]


def _check_optimizer(optimizer: Any) -> None:
    for one in [] if optimizer is None else inner_optimizers(optimizer):
        if assigns_when_built(one):
            raise UserError(
                f"{type(one).__name__} is not built, and what its build() assigns, model.fit would assign "
                "anew in each step; call model.optimizer.build(model.trainable_variables) first, or set "
                "exact=True."
            )


def _trains_all(model: keras.Model) -> bool:
    """Whether the optimizer was built for the variables that can be trained now."""
    optimizers = [] if model.optimizer is None else inner_optimizers(model.optimizer)
    return built_for_all(optimizers, model.trainable_variables)


def _config(model: keras.Model, rows: GivenRows, epochs: int, exact: bool, execution: str) -> TrainerConfig:
    jit = model.jit_compile is True
    if exact:
        execution = "step_xla" if jit else "step"
    elif execution == "auto" and jit:
        execution = "epoch_xla"
    config = TrainerConfig(
        epochs=max(epochs, 1),
        batch_size=rows.batch_rows,
        execution=execution,
        on_nonfinite="ignore",  # as Keras does
    )
    validate_section(config, "trainer")
    return replace(config, epochs=epochs)
