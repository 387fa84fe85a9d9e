"""TRAINKIT_SAFE=1 makes objects of known packages only."""

from __future__ import annotations

from typing import Any

import pytest

from trainkit.cli import safe
from trainkit.cli.instantiate import make_callbacks, make_task
from trainkit.core.errors import UserError

REFUSED: list[Any] = [
    "os.system",
    "subprocess.Popen",
    "builtins.eval",
    "trainkit.runs.manifest.subprocess.Popen",
    "keras.saving.load_model",
    "keras.layers.TFSMLayer",
    "trainkit.verification.attempts.Launched",
    "trainkitten.Task",
    7,
]


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINKIT_SAFE", "1")


@pytest.mark.parametrize("target", REFUSED)
def test_what_is_no_class_of_a_known_package_is_refused(target: Any) -> None:
    with pytest.raises(UserError, match="TRAINKIT_SAFE=1 allows classes of trainkit, keras only"):
        safe.check_targets({"_target_": "keras.callbacks.History", "inner": [{"_target_": target}]}, "task")


def test_tasks_and_callbacks_of_known_packages_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    (callback,) = make_callbacks([{"_target_": "keras.callbacks.TerminateOnNaN"}])
    assert type(callback).__name__ == "TerminateOnNaN"
    with pytest.raises(UserError, match=r"task\._target_=tests\.support\.toys\.Toy"):
        make_task({"_target_": "tests.support.toys.Toy"})
    monkeypatch.setenv("TRAINKIT_SAFE_TARGETS", "another, tests.support.toys")
    assert make_task({"_target_": "tests.support.toys.Toy"}).name


def test_without_the_variable_all_classes_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINKIT_SAFE")
    assert make_task({"_target_": "tests.support.toys.Toy"}).name
