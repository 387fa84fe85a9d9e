"""Compiled programs that trainings of several tasks share, where the tasks differ in numbers alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from trainkit.backend import compat
from trainkit.backend.compat.names import kept_names
from trainkit.backend.generators import GeneratorStates
from trainkit.backend.patches import inner_optimizers
from trainkit.backend.starting_values import StartingValues, keeping_kernels
from trainkit.backend.traced_values import TracedValues
from trainkit.config import OptimizerConfig, TrainerConfig
from trainkit.core.datasets import Splits
from trainkit.core.task import Task
from trainkit.trainer import structure, task_values
from trainkit.trainer.assembly import (
    ONE_AT_A_TIME,
    Layout,
    check_rows,
    compiled_model,
    completed,
    lay_out,
)
from trainkit.trainer.optimizers import make_optimizer
from trainkit.trainer.program_cache import ProgramCache
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.structure import NotComparable
from trainkit.trainer.training_start import TrainingStart

__all__ = ["ProgramPool"]


class _Alone(Exception):
    """A training shares no programs; its model, if one was built."""

    def __init__(self, model: keras.Model | None) -> None:
        super().__init__()
        self.model = model


class ProgramPool:
    """Makes tasks ready, with the programs of an earlier task of the same structure.

    Building and compiling a model takes seconds, a small training a tenth of one. Two trainings share their
    programs if they differ only in what changes no shape: the learning rate, dropout rates, L2 factors, the
    statistics of a normalisation, seeds, the rows themselves, the number of epochs, and the optimizer's
    `optimizer_values`. What is lent is valid until the next call of `setup`.

    Args:
        optimizer_values: Attributes of the optimizer that differ between trainings, such as `weight_decay`.
        size: Structures to keep; the one that was not used for longest goes first.
        constants: Whether values stay constants of the program, so that it computes to the bit what the
            training alone would: then only trainings of equal values share one.
        loads_once: Whether equal tasks share the rows that the first of them loads.
    """

    def __init__(
        self,
        optimizer_values: Collection[str] = (),
        size: int = 64,
        *,
        constants: bool = False,
        loads_once: bool = True,
    ) -> None:
        self.optimizer_values = frozenset(optimizer_values)
        self.size = size
        self.constants = constants
        self.loads_once = loads_once
        self._made: OrderedDict[Any, tuple[TrainSetup, ProgramCache]] = OrderedDict()
        self._starts: OrderedDict[Any, TrainingStart] = OrderedDict()
        self._tasks: OrderedDict[Any, tuple[Task, Splits]] = OrderedDict()
        self._starting: StartingValues | None = StartingValues()

    def setup(
        self,
        task: Task,
        config: TrainerConfig,
        optimizer: OptimizerConfig | None = None,
        data: Splits | None = None,
    ) -> tuple[TrainSetup, ProgramCache]:
        """A task made ready as `assemble` makes it, and its programs.

        Args:
            task: What to train.
            config: Settings.
            optimizer: Settings in place of the task's own optimizer.
            data: Rows to use in place of `task.data()`.

        Raises:
            UserError: for data, settings or a model that cannot be trained.
        """
        with ONE_AT_A_TIME:
            return self._setup(task, config, optimizer, data)

    def _setup(
        self, task: Task, config: TrainerConfig, optimizer: OptimizerConfig | None, data: Splits | None
    ) -> tuple[TrainSetup, ProgramCache]:
        task, splits = self._known_task(task, data, config.seed)
        layout = self._loaded(partial(lay_out, task, config, splits))
        try:
            key, start, own, made = self._key(task, config, optimizer, layout)
        except _Alone as alone:
            model = alone.model or compiled_model(task, config, optimizer, layout)
            setup = completed(task, config, optimizer, layout, model)
            return setup, ProgramCache(setup)
        if self._is_as_made(key, task):
            self._made.move_to_end(key)
            return self._lent(key, task, config, layout, start, own)
        model = made or compiled_model(task, config, optimizer, layout)
        setup = completed(task, config, optimizer, layout, model)
        if not self.constants:
            setup = replace(setup, traced=TracedValues(model, self.optimizer_values))
        self._made[key] = setup, ProgramCache(setup)
        if len(self._made) > self.size:
            self._made.popitem(last=False)
        return self._made[key]

    def _loaded(self, load: Callable[[], Any]) -> Any:
        """What `load` gives, which sets a seed; programs that are made ready stay so."""
        if self._made:
            with keeping_kernels() as draws:
                found = load()
            if not draws.any:
                return found
        return load()

    def check(
        self,
        task: Task,
        config: TrainerConfig,
        optimizer: OptimizerConfig | None = None,
        data: Splits | None = None,
    ) -> None:
        """Build the model of a task once, and keep how it starts; nothing is compiled.

        Raises:
            UserError: for data, settings or a model that cannot be trained.
        """
        with ONE_AT_A_TIME, suppress(_Alone):
            task, splits = self._known_task(task, data, config.seed)
            self._key(task, config, optimizer, self._loaded(partial(lay_out, task, config, splits)))

    def _known_task(self, task: Task, data: Splits | None, seed: int) -> tuple[Task, Splits | None]:
        """The task with the given rows, or an equal one whose rows are loaded."""
        if data is not None or not self.loads_once:
            return task, data
        identity = structure.task_identity(task)
        if identity not in self._tasks:
            self._tasks[identity] = task, self._loaded(partial(_rows, task, seed))
            if len(self._tasks) > self.size:
                self._tasks.popitem(last=False)
        return self._tasks[identity]

    def _key(
        self, task: Task, config: TrainerConfig, optimizer: OptimizerConfig | None, layout: Layout
    ) -> tuple[Any, TrainingStart, keras.optimizers.Optimizer, keras.Model | None]:
        """What programs depend on, the start of the training, its optimizer, and the model if one was built
        that can be trained.

        Raises:
            _Alone: if nobody can tell what they depend on.
        """
        known = (id(task), id(layout.splits), config.seed, config.precision)
        made = None
        try:
            if known not in self._starts:
                model, made = self._built(task, config, optimizer, layout)
                self._starts[known] = TrainingStart.of(task, layout.splits, model)
                own = model.optimizer
                if len(self._starts) > self.size:
                    self._starts.popitem(last=False)
            else:
                own = make_optimizer(task, config, optimizer, layout.shape.steps)
            start = self._starts[known]
            by_optimizer = structure.optimizer_structure(own, self.optimizer_values)
        except NotComparable:
            raise _Alone(made) from None
        held, validation = layout.splits.validation, None
        if held is not None:
            validation = (len(held), _spec(held.batch()), "validation" in layout.streamed)
        key = (
            start.structure,
            by_optimizer,
            structure.trainer_structure(config),
            "" if optimizer is None else optimizer.clip.scope,
            (layout.source.rows, layout.source.kind, repr(layout.source.spec)),
            validation,
            tuple(np.asarray(value).tobytes() for value in start.values) if self.constants else (),
        )
        return key, start, own, made

    def _built(
        self, task: Task, config: TrainerConfig, optimizer: OptimizerConfig | None, layout: Layout
    ) -> tuple[keras.Model, keras.Model | None]:
        """A model to look at, and the same one if it can be trained too: from the second on, models share
        variables, since most of them turn out to have a structure that is known."""
        sharing = self._starting
        if sharing is not None and self._made and layout.strategy.num_replicas_in_sync == 1:
            with kept_names(), sharing.shared():
                model = compiled_model(task, config, optimizer, layout)
            if sharing.are_unchanged():
                return model, None
            self._starting = None  # the task's models change their variables
        model = compiled_model(task, config, optimizer, layout)
        return model, model

    def _is_as_made(self, key: Any, task: Task) -> bool:
        """Whether there is a set-up of a structure, and no callback has made its model or optimizer another:
        then it is forgotten."""
        if key not in self._made:
            return False
        known, cache = self._made[key]
        try:
            same = tuple(key[:2]) == (
                structure.model_structure(task, known.model),
                structure.optimizer_structure(known.model.optimizer, self.optimizer_values),
            )
        except NotComparable:
            same = False
        if not same or cache.first.versions() != (0, 0):
            del self._made[key]
        return key in self._made

    def _lent(
        self,
        key: Any,
        task: Task,
        config: TrainerConfig,
        layout: Layout,
        start: TrainingStart,
        own: keras.optimizers.Optimizer,
    ) -> tuple[TrainSetup, ProgramCache]:
        """The set-up of the same structure, with this task's rows, start and values."""
        known, cache = self._made[key]
        check_rows(task, config, layout, known.model, known.facts)
        count = len(known.state.groups["model"])
        initial = [*start.weights, *known.initial[count:]]
        if compat.own_schedule(inner_optimizers(own)[0]) is None:
            place = next(i for i, name in enumerate(known.state.names) if name.endswith("learning_rate"))
            rate = keras.ops.convert_to_numpy(inner_optimizers(own)[0].learning_rate)
            initial[place] = np.asarray(rate, known.initial[place].dtype)
        setup = replace(
            known,
            task=task,
            config=replace(config),
            splits=layout.splits,
            source=layout.source,
            shape=layout.shape,
            streamed=layout.streamed,
            initial=tuple(initial),
            generators=GeneratorStates(),
        )
        same_rows = cache.setup.splits is layout.splits and cache.setup.task is task
        cache.renew(setup, keep_rows=same_rows)
        if setup.traced is not None:
            values = TracedValues.values_of(known.model, own, self.optimizer_values)
            setup.traced.assign([*start.values, *values[len(start.values) :]])
        setup.rewind()
        return setup, cache

    def let_rows_go(self) -> None:
        """Keep programs alone: no task, and no rows."""
        self._starts.clear()
        self._tasks.clear()
        for key, (_, cache) in self._made.items():
            self._made[key] = cache.let_rows_go(), cache


def _rows(task: Task, seed: int) -> Splits:
    """The rows of a task, as where it alone loads them."""
    keras.utils.set_random_seed(seed)
    return task_values.splits(task)


def _spec(batch: Any) -> str:
    return repr(keras.tree.map_structure(lambda a: (a.shape[1:], a.dtype.name), batch))
