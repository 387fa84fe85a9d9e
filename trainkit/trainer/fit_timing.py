"""What is timed when a training is over, without changing anything of it: its bottleneck, and its
validation's share."""

from __future__ import annotations

import time

from trainkit.trainer.execution import undone
from trainkit.trainer.pacing import CALL_SECONDS
from trainkit.trainer.program_runner import ProgramRunner
from trainkit.trainer.timing import Bottleneck, timed

__all__ = ["finish"]


def finish(runner: ProgramRunner, seconds: float) -> None:
    """Note where the `seconds` of a loop went.

    Not on several workers, whose calls must all be the same.
    """
    setup, times = runner.setup, runner.times
    if not times.steps or setup.in_lockstep:
        return
    with undone(setup.state):
        if times.validated_inside:
            times.split(_validation_seconds(runner))
        empty = min(timed(lambda: runner.run_nothing(validate=False)) for _ in range(3))
    inside = times.train + times.validate - times.calls * empty
    times.bottleneck = Bottleneck.of(seconds, inside, times.waiting)


def _validation_seconds(runner: ProgramRunner) -> float:
    """Seconds of the validations inside of the training calls, measured alone.

    Many in a call: a single one would be lost in what its call costs.
    """

    def seconds(epochs: int, *, validate: bool) -> float:
        begin = time.perf_counter()
        done = len(runner.run_nothing(epochs, validate=validate))
        return (time.perf_counter() - begin) / max(1, done)

    epochs = min(runner.max_epochs, max(1, int(CALL_SECONDS / 10 / seconds(1, validate=True))))
    alone = min(seconds(epochs, validate=True) for _ in range(5))
    without = min(seconds(epochs, validate=False) for _ in range(5))
    return max(0.0, alone - without) * runner.times.validated_inside
