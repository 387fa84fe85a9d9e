"""Compiled programs that the trainings of one command share: folds, seeds, and the jobs of a multirun."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from trainkit.config import Config
from trainkit.distributed import cluster
from trainkit.trainer.program_cache import made_ready
from trainkit.trainer.program_pool import ProgramPool

__all__ = ["maker", "shared_programs"]

SIZE = 4  # structures whose programs are kept

_shared: dict[bool, ProgramPool] | None = None  # by whether they are of folds


@contextmanager
def shared_programs() -> Iterator[None]:
    """In the block, a training goes on with the programs of an earlier one that differs in numbers alone."""
    global _shared
    before = _shared
    _shared = {} if before is None else before
    try:
        yield
    finally:
        _shared = before


def maker(config: Config, extra: Sequence[keras.callbacks.Callback]) -> Callable[..., Any]:
    """What makes a training ready, for `Trainer.prepare`.

    Each training computes what it would by itself, to the bit: that of another seed has the same program. The
    statistics of a fold are its own, so its program reads them from variables, also where it trains alone.

    Args:
        config: All settings of the training.
        extra: Callbacks that are not trainkit's: what they do to a model, the next training must not find.
    """
    folded = config.fit.cv is not None
    # `model.fit` keeps what it compiled, and several workers check their rows together.
    if config.trainer.engine == "keras" or cluster.workers() > 1:
        return made_ready
    if _shared is None or extra:
        return ProgramPool(loads_once=False).setup if folded else made_ready
    if folded not in _shared:
        _shared[folded] = ProgramPool(size=SIZE, constants=not folded, loads_once=False)
    _shared[folded].let_rows_go()  # of the training before
    return _shared[folded].setup
