"""Compiled programs and tensors of rows, kept by a trainer for its next fit of the same task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from trainkit.backend import compat
from trainkit.backend.patches import Replacement, patched
from trainkit.config import TrainerConfig
from trainkit.core.datasets import Arrays, Splits
from trainkit.core.row_view import RowView
from trainkit.core.task import Task
from trainkit.core.tree import Structure, leaves, map_leaves
from trainkit.engine.batch_program import BatchProgram
from trainkit.engine.evaluation import EvaluationProgram, EvaluationShape
from trainkit.engine.inputs import EpochShape, resident
from trainkit.engine.loss_parts import loss_part_metrics
from trainkit.engine.program_spec import ProgramSpec
from trainkit.engine.train_loop import TrainProgram
from trainkit.optim.factory import GivenOptimizer
from trainkit.trainer.assembly import assemble
from trainkit.trainer.first_trace import FirstTrace, KerasTrace
from trainkit.trainer.index_checks import IndexCheck, index_check
from trainkit.trainer.known_rows import shares_traces
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.sources import arrays_source
from trainkit.trainer.windows import ChunkFeed

__all__ = ["BY_RULE", "ProgramCache", "made_ready"]

BY_RULE = ("auto", "measure")  # modes of execution of which a rule decides about XLA
MOST = 16  # programs of a kind that the next fit finds: the newest


class ProgramCache:
    """What a second fit of the same task uses again.

    Compiling takes seconds, and XLA never gives the memory of its programs back. Programs are kept by what
    they run. As in Keras, a layer that is frozen after the first step goes on as it was compiled.

    Args:
        setup: The task made ready.
        first: What its compilation reads; default: what its own first trace reads.

    Attributes:
        step_seconds: What a step took at the end of the last fit; 0: there was none.
        in_use: Whether a loop goes on that uses it.
    """

    def __init__(self, setup: TrainSetup, first: FirstTrace | None = None) -> None:
        self.setup = setup
        self.first = first or FirstTrace(setup.model)
        self.step_seconds = 0.0
        self.in_use = False
        self._trace: KerasTrace | None = None  # that `model.fit` would run
        self._programs: dict[tuple[ProgramSpec, tuple[int, int], KerasTrace, bool, bool], TrainProgram] = {}
        self._evaluators: dict[Any, EvaluationProgram] = {}
        self._rows: dict[str, Structure] = {}
        self._feeds: dict[str, ChunkFeed] = {}
        self._predict: dict[bool, compat.TracedFunction] = {}
        self._indexes: tuple[TrainSetup, str, IndexCheck | None] | None = None

    def program(self, spec: ProgramSpec) -> TrainProgram:
        """The training program of a spec; compiled when it is called."""
        if self._trace is None:
            self._trace = self.first.trace("train", self.setup.keras_batches)
        key = (spec, self.first.versions(), self._trace, *self._kernels)
        if key not in self._programs:
            # What Keras knows of the batches, where that matters; else each shape by itself.
            unknown = spec.hidden_rows or self.setup.rows_as_keras
            known = spec.direct and (unknown or (not spec.xla and shares_traces(self.setup)))
            batch_spec = self.setup.batches if known else None
            kind = BatchProgram if spec.direct and not spec.xla else TrainProgram
            self._programs[key] = kind(
                spec,
                self.setup.step,
                self.setup.state,
                self.setup.strategy,
                partial(self._replacements, spec),
                partial(self._evaluating, "validation") if spec.validation is not None else None,
                batch_spec,
            )
        return self._programs[key]

    @property
    def why_not_xla(self) -> str:
        """Why XLA might train where TensorFlow would raise; empty: the rows in memory give no reason."""
        return self._checked()[0]

    def why_rows_not_in_xla(self, batch: Structure, count: int | None = None) -> str:
        """The same of the first `count` rows of a batch, or all; empty, too, where XLA was asked for."""
        by_rule = self.setup.config.execution in BY_RULE and self.setup.config.engine != "keras"
        check = self._checked()[1] if by_rule else None
        return check([array[:count] for array in leaves(batch)]) if check else ""

    @property
    def _kernels(self) -> tuple[bool, bool]:
        """What the length of a training says of the kernels of a program."""
        return self.setup.recurrent_kernels, self.setup.draws_as_keras

    def _checked(self) -> tuple[str, IndexCheck | None]:
        if self._indexes is None or self._indexes[0] is not self.setup:
            self._indexes = (self.setup, *index_check(self.setup))
        return self._indexes[1:]

    def _replacements(self, spec: ProgramSpec) -> list[Replacement]:
        """The changes of Keras that hold while a training program is traced."""
        batches = self.setup.keras_batches
        rows = self.first.trace("train", batches).rows if self.first.is_of_fit else None
        return [
            *self.first.replacements(batches),
            *self.setup.replacements(xla=spec.xla, fast=spec.fast, rows=rows),
        ]

    def _evaluating(self, split: str) -> Callable[[], list[Replacement]]:
        """What sets the values back to those of the first evaluation of such rows."""
        batches = self.setup.keras_evaluation_batches(split)
        first = self.first.evaluating(batches)
        rows = None if split in self.setup.streamed else self.first.trace("test", batches).rows
        return lambda: [*first(), *loss_part_metrics(self.setup.model, rows)]

    def _evaluation_replacements(self, split: str, xla: bool, fast: bool) -> list[Replacement]:
        return [*self.setup.replacements(xla=xla, fast=fast, rows=None), *self._evaluating(split)()]

    @property
    def programs(self) -> list[TrainProgram]:
        """All training programs so far."""
        return list(self._programs.values())

    def rows(self, split: str) -> Structure:
        """The rows of a split as tensors on the devices."""
        if split not in self._rows:
            self._rows[split] = resident(self._arrays(split).batch(), self.setup.strategy)
        return self._rows[split]

    def evaluate(
        self, split: str, start: int = 0, stop: int | None = None, **modes: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values of a split over its batches up to `stop`, and what the last of these logs; the metrics
        begin anew with batch 0.

        Args:
            split: The split; rows that do not stay on the device come one chunk after the other.
            start: First batch to add.
            stop: Batch after the last one; default: all.
            **modes: As for `evaluator`.
        """
        program = self.evaluator(split, **modes)
        if not self._is_streamed(split):
            return program(self.rows(split), start=start, stop=stop)
        feed = self._chunks(split)
        end = program.shape.steps if stop is None else stop
        values: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        while start < end:
            window = feed.window(0, start)
            stop = min(end, window.stop)
            values = program(window.rows, base=window.base, start=start, stop=stop)
            start = stop
        return values

    def _arrays(self, split: str) -> Arrays:
        """The rows of a split; of the training rows as they are trained on, with their weights."""
        trained = self.setup.source.arrays if split == "train" else None
        return trained if trained is not None else self.setup.arrays(split)

    def _is_streamed(self, split: str) -> bool:
        return self.setup.source.kind == "stream" if split == "train" else split in self.setup.streamed

    def _chunks(self, split: str) -> ChunkFeed:
        """The rows of a split in their own order, one chunk after the other."""
        if split not in self._feeds:
            source = arrays_source(self._arrays(split), self.setup.strategy, None)
            sizes = self.evaluation_shape(split)
            shape = EpochShape.of(sizes.rows, sizes.batch_rows)
            self._feeds[split] = ChunkFeed(shape, source, self.setup.strategy, epochs=1)
        return self._feeds[split]

    def renew(self, setup: TrainSetup, *, keep_rows: bool = False) -> None:
        """Go on with another set-up of the same model, compiled in the same way.

        Args:
            setup: The set-up.
            keep_rows: Whether its rows are those of the last one.
        """
        self.setup = setup
        self._trace = None
        versions = self.first.versions()
        programs = [(key, one) for key, one in self._programs.items() if key[1] == versions]
        evaluators = [(key, one) for key, one in self._evaluators.items() if key[-1] == versions[1]]
        self._programs = dict(programs[-MOST:])
        self._evaluators = dict(evaluators[-MOST:])
        if not keep_rows:
            self.forget_rows()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let nobody else have it in the block; the rows are let go at its end."""
        self.in_use = True
        try:
            yield
        finally:
            self.in_use = False
            self.forget_rows()

    def let_rows_go(self) -> TrainSetup:
        """Keep the programs alone, until it is renewed; returns the set-up without rows."""
        self.forget_rows()
        source = replace(self.setup.source, arrays=None, dataset=None, augmented=None)
        self.setup = replace(self.setup, splits=Splits(None), source=source)
        return self.setup

    def forget_rows(self) -> None:
        """Let the rows go; the programs stay."""
        self._rows.clear()
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()

    def evaluation_shape(self, split: str) -> EvaluationShape:
        """Sizes of the evaluation of a split, in batches of the training's size."""
        rows = len(self.setup.arrays(split))
        size = self.setup.validation_batch if split == "validation" else self.setup.config.batch_size
        return EvaluationShape(rows, min(size, rows))

    def evaluator(
        self,
        split: str,
        *,
        xla: bool = False,
        by_step: bool = False,
        fast: bool = False,
        hidden_rows: bool = False,
    ) -> EvaluationProgram:
        """The evaluation program of a split."""
        shape = self.evaluation_shape(split)
        key = (shape, xla, by_step, fast and self._kernels, hidden_rows, self.first.versions()[1])
        if key not in self._evaluators:
            self._evaluators[key] = EvaluationProgram(
                self.setup.step,
                self.setup.strategy,
                shape,
                partial(self._evaluation_replacements, split, xla, fast),
                xla=xla,
                by_step=by_step,
                hidden_rows=hidden_rows,
            )
        return self._evaluators[key]

    def predicted_batches(self, x: Structure, size: int, *, xla: bool = False) -> Iterator[Structure]:
        """Outputs for rows `x`, batch by batch; as in `model.predict`, one trace for any number of rows."""
        rows = len(leaves(x)[0])
        if xla not in self._predict:

            def outputs(batch: Structure) -> Any:
                with patched(self.setup.value_replacements() if self.setup.traced else []):
                    return self.setup.model.predict_step((batch,))

            self._predict[xla] = compat.TracedFunction(
                tf.function(outputs, autograph=False, jit_compile=xla or None)
            )
        for begin in range(0, rows, size):
            batch = map_leaves(partial(_rows_of, begin, min(begin + size, rows)), x)
            if not begin:
                self._predict[xla].trace(map_leaves(_of_any_rows, batch))
            yield tf.nest.map_structure(np.asarray, self._predict[xla](batch))


def _rows_of(begin: int, end: int, array: Any) -> tf.Tensor:
    rows = array if isinstance(array, (np.ndarray, RowView)) else np.asarray(array)
    return tf.constant(rows[begin:end])


def _of_any_rows(batch: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec([None, *batch.shape[1:]], batch.dtype)


def made_ready(
    task: Task, config: TrainerConfig, optimizer: GivenOptimizer, data: Splits | None
) -> tuple[TrainSetup, ProgramCache]:
    """A task made ready by itself, with programs of its own; see `assemble`."""
    setup = assemble(task, config, optimizer, data)
    return setup, ProgramCache(setup)
