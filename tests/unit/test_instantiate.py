"""What a `_target_` makes: a task gets what its annotations ask for, and errors are told once."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trainkit import Task, UserError
from trainkit.cli.instantiate import make_task
from trainkit.cli.task_arguments import typed_arguments


class Kind(enum.Enum):
    RELU = "relu"
    TANH = 2


@dataclass(frozen=True)
class Own(Task):
    kind: Kind = Kind.RELU
    widths: tuple[int, ...] = (1,)
    pair: tuple[float, Kind] = (0.1, Kind.RELU)
    kinds: dict[str, Kind] | None = None
    folder: Path = Path("a")
    place: Path | None = None
    anything: Any = None
    data = model = loss = None


Own.__abstractmethods__ = frozenset()


def make(name: str, **arguments: Any) -> Task:
    return make_task(typed_arguments({"_target_": f"{__name__}.{name}", **arguments}))


@pytest.mark.parametrize(
    ("name", "value", "held"),
    [
        ("kind", "TANH", Kind.TANH),
        ("kind", 2, Kind.TANH),
        ("kind", {"_target_": "hydra.utils.get_object", "path": f"{__name__}.Kind.TANH"}, Kind.TANH),
        ("widths", [3], (3,)),
        ("pair", ["1.5", "relu"], (1.5, Kind.RELU)),
        ("kinds", {"a": "relu"}, {"a": Kind.RELU}),
        ("kinds", None, None),
        ("folder", "there", Path("there")),
        ("folder", 2024, Path("2024")),
        ("place", None, None),
        ("anything", [3], [3]),
    ],
)
def test_a_class_gets_what_its_annotations_ask_for(name: str, value: Any, held: Any) -> None:
    got = getattr(make("Own", **{name: value}), name)
    assert got == held
    assert type(got) is type(held)


def test_a_name_that_is_not_there_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])  # as outside of pytest
    with pytest.raises(UserError, match=rf"{__name__} has no Onw; did you mean Own\? Known: .*make"):
        make("Onw")
    assert capsys.readouterr().err == ""
