"""Rows of a dataset that does not say how wide they are: each step gets its rows in the shape they have."""

from __future__ import annotations

from dataclasses import replace

import tensorflow as tf

from trainkit.core.tree import Structure
from trainkit.engine.inputs import EpochShape, has_unknown_sizes, resident
from trainkit.trainer.generated_rows import batches_of, unopened
from trainkit.trainer.joined_batches import direct_window
from trainkit.trainer.setup import TrainSetup
from trainkit.trainer.sources import RowSource
from trainkit.trainer.windows import ChunkFeed, Window

__all__ = ["ShapedFeed", "check_steps", "streamed_feed"]


class ShapedFeed(ChunkFeed):
    """Chunks of one step, whose rows have one shape, which may differ from step to step.

    Attributes:
        whole: Whether a step trains its rows in one piece. Then one trace serves all shapes.
    """

    whole = False

    def window(self, epoch: int, start: int) -> Window:
        found = super().window(epoch, start)
        if self.whole:
            return direct_window(found.rows, start)
        size = self.shape.step_rows
        count = min(size, self.shape.rows - start * size)
        return replace(found, orders=tf.range(count)[None], shape=EpochShape(count, 1), offset=start)

    def _steps_that_fit(self, chunk_bytes: int) -> int:
        return 1

    def _gather(self, key: tuple[int, int]) -> Structure:
        batches = self._batches(key)
        batch = next(batches)
        self._stream = (self._after(key), batches)
        return resident(batch, self.strategy)


def streamed_feed(setup: TrainSetup, shape: EpochShape) -> ChunkFeed:
    """The feed of training rows that do not stay on the device.

    Args:
        setup: The task made ready.
        shape: Sizes of an epoch.
    """
    given = (shape, setup.source, setup.strategy, setup.config.epochs)
    if not has_unknown_sizes(setup.source.spec):
        return ChunkFeed(*given)
    feed = ShapedFeed(*given)
    feed.whole = setup.replicas == 1 and setup.step.split.is_whole(shape.step_rows)
    return feed


def check_steps(source: RowSource, shape: EpochShape) -> None:
    """Read rows of unknown width once, to see that those of each step have one shape.

    Raises:
        UserError: if they have several.
    """
    if source.dataset is not None and has_unknown_sizes(source.spec):
        batches = batches_of(unopened(source.dataset), shape.step_rows, 0)
        for _, _ in zip(range(shape.steps), batches, strict=False):
            pass
