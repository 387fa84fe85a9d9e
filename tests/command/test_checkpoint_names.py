"""Names of checkpoints hold what is logged when they are due, which the config alone may tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def test_a_name_may_hold_a_learning_rate_that_a_callback_of_the_config_logs(
    train: Callable[..., int],
) -> None:
    rate = ("checkpoint.every_epochs=1", 'checkpoint.pattern="{epoch}-{learning_rate:.3f}"', "run_dir=a")
    assert train(*rate, "trainer.epochs=1", "callbacks.reduce_lr.enabled=true") == 0
    assert len(list(Path("a/checkpoints").glob("1-0.*"))) == 1


def test_a_name_of_checkpoints_that_are_never_due_is_no_reason_to_refuse(train: Callable[..., int]) -> None:
    never = ("checkpoint.every_epochs=3", 'checkpoint.pattern="{epoch}-{val_loss:.3f}"', "trainer.epochs=2")
    assert train(*never, "trainer.validate_every=2") == 0
    assert train(*never[:2], "trainer.epochs=3", "trainer.validate_every=2") == 2
