"""`task.*` is checked as the other settings are, by the fields of the task's class; nothing is left aside."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.support.commands import QUIET, settings, table
from trainkit.cli import main
from trainkit.cli.task_arguments import typed_arguments
from trainkit.core.errors import UserError
from trainkit.tasks.mnist import MNIST
from trainkit.tasks.tabular import TabularClassification

OWN = """
from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trainkit import Task

if TYPE_CHECKING:
    from nowhere import Nothing


class Kind(enum.Enum):
    RELU = "relu"
    TANH = 2


@dataclass(frozen=True)
class Own(Task):
    flag: bool = False
    count: int = 1
    rate: float | None = None
    name: str = "x"
    sizes: tuple[int, ...] = (1,)
    kind: Literal["a", "b"] = "a"
    level: Literal[1, 2] = 1
    either: int | str = 1
    sloppy: int = None
    wrong: int = 0.5
    folder: Path = Path("a")
    place: Path | None = None
    act: Kind = Kind.RELU
    pair: tuple[float, str] = (0.1, "a")
    table: dict[str, float] = field(default_factory=dict)
    unknown: Nothing = None
    layer: str = ""
    anything: Any = None
    data = model = loss = None


class Custom(Own):
    def __init__(self, flag: str) -> None:
        pass


Own.__abstractmethods__ = frozenset()
"""
TASKS = "trainkit.tasks.tabular.TabularClassification", "own.Own"


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "own", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own.py").write_text(OWN)


def test_a_field_that_the_yaml_does_not_list_is_said_to_need_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "own.yaml").write_text("_target_: own.Own\ncount: 2\n")
    assert main.main(["--config-dir", str(tmp_path), "task=own", "task.flag=true"]) == 2
    said = capsys.readouterr().err
    assert "task.flag: unknown setting; task has" in said
    assert "count" in said
    assert "a line in its YAML: `flag: <value>`" in said
    assert main.main(["--config-dir", str(tmp_path), "task=own", "task.cuont=3"]) == 2
    assert "did you mean task.count?" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["task.table.a=1.5", "task.table={a: 1.5}", "+task.table.a=1.5"])
@pytest.mark.parametrize("empty", ["null", "{}"])
def test_a_field_that_is_a_section_takes_any_key(tmp_path: Path, word: str, empty: str) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "own.yaml").write_text(f"_target_: own.Own\ntable: {empty}\n")
    composed = settings("--config-dir", str(tmp_path), "task=own", word)
    assert typed_arguments(composed.task)["table"] == {"a": 1.5}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *[(word, True) for word in (True, "yes", "on", "On", "true", "y", 1)],
        *[(word, False) for word in (False, "no", "off", "OFF", "false", "n", 0)],
    ],
)
@pytest.mark.parametrize(("target", "name"), [(TASKS[0], "linear"), (TASKS[1], "flag")])
def test_a_word_for_a_bool_means_what_it_means_elsewhere(
    target: str, name: str, word: Any, meant: bool
) -> None:
    assert typed_arguments({"_target_": target, name: word})[name] is meant


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("count", "3", 3),
        ("rate", "1e-3", 0.001),
        ("rate", 2, 2),
        ("rate", None, None),
        ("rate", float("inf"), float("inf")),
        ("name", 5, "5"),
        ("name", "", ""),
        ("sizes", [1, "2"], [1, 2]),
        ("sizes", [], []),
        ("kind", "b", "b"),
        ("level", 2, 2),
        ("either", "no", "no"),
        ("sloppy", None, None),
        ("wrong", 0.7, 0.7),
        ("folder", "there", "there"),
        ("folder", 2024, "2024"),
        ("place", None, None),
        ("act", "TANH", "TANH"),
        ("act", "relu", "RELU"),
        ("act", 2, "TANH"),
        ("pair", ["1", 2], [1.0, "2"]),
        ("table", {"a": "1e-3"}, {"a": 0.001}),
        ("unknown", [1], [1]),
        ("layer", {"_target_": "keras.layers.ReLU"}, {"_target_": "keras.layers.ReLU"}),
        ("anything", {"a": 1}, {"a": 1}),
        ("no_field", 3, 3),
    ],
)
def test_what_fits_an_annotation_or_cannot_be_judged_by_it_is_taken(
    name: str, value: Any, taken: Any
) -> None:
    assert typed_arguments({"_target_": "own.Own", name: value})[name] == taken


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("flag", "maybe", "task.flag='maybe': expected true or false, got str."),
        ("flag", None, "task.flag: expected true or false, not null."),
        ("count", 1.5, "task.count=1.5: expected a whole number, got float."),
        ("count", True, "task.count=True: expected a whole number, got bool."),
        ("rate", "fast", "task.rate='fast': expected a number, got str."),
        ("name", [1], "task.name=[1]: expected text."),
        ("sizes", 3, "task.sizes=3: expected a list of whole numbers, got int."),
        ("sizes", [1.5], "task.sizes=[1.5]: expected a list of whole numbers."),
        ("kind", "c", "task.kind='c': expected one of a, b, got str."),
        ("level", 3, "task.level=3: expected one of 1, 2, got int."),
        ("level", True, "task.level=True: expected one of 1, 2, got bool."),
        ("either", 1.5, "task.either=1.5: expected a whole number or text"),
        ("folder", None, "task.folder: expected a path, not null."),
        ("act", None, "task.act: expected one of RELU, TANH, not null."),
        ("act", "Relu", "task.act='Relu': expected one of RELU, TANH, got str."),
        ("pair", [1], "task.pair=[1]: expected a list of 2: a number, text."),
        ("pair", ["x", "a"], "task.pair=['x', 'a']: expected a list of 2: a number, text."),
        ("table", {"a": "x"}, "task.table={'a': 'x'}: expected a section of key=a number."),
        ("sloppy", "a", "task.sloppy='a': expected a whole number"),
    ],
)
def test_what_an_annotation_does_not_allow_is_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        typed_arguments({"_target_": "own.Own", name: value})
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("target", ["own.Custom", "own.Nothing", "nowhere.Own"])
def test_what_is_no_dataclass_is_left_alone(target: str) -> None:
    spec = {"_target_": target, "flag": "maybe"}
    assert typed_arguments(spec) == spec


@pytest.mark.parametrize("units", [[4, 4], (4, 4), range(4, 6), np.array([4, 4])])
def test_widths_may_come_in_any_sequence(units: Any) -> None:
    assert list(MNIST(units=units).units) == list(units)


TABLE = ("task=tabular_classification", "data.path=none.csv", "data.target=y")
IMAGES = ("task=image_classification", "data.path=none")
TEXTS = ("task=text_classification", "data.path=none")
KNOWN = [(f"task={name}", "data.source=embedded") for name in ("mnist", "mnist_cnn", "boston")]
ALL = [TABLE, ("task=tabular_regression", *TABLE[1:]), TEXTS, *KNOWN]
LIST = "expected a list of whole numbers of at least 1, such as ["
SHARE = "expected a number of at least 0 and less than 1"
REFUSED = [
    *[((*task, "task.units=[0]"), LIST) for task in ALL],
    *[((*task, "task.dropout=-1"), SHARE) for task in (*ALL, IMAGES)],
    *[((*TABLE, f"task.units={value}"), LIST) for value in ("64", "null", "[64.5]", "abc", "[64,x]")],
    *[((*TABLE, f"task.dropout={value}"), SHARE) for value in ("abc", "null", "1", "nan")],
    ((*TABLE, "task.l2=-1"), "expected a number of at least 0"),
    ((*TABLE, "task.embedding=-1"), "expected a whole number of at least 1"),
    ((*TABLE, "task.linear=maybe"), "task.linear='maybe': expected true or false"),
    ((*TABLE, "task.linear=null"), "expected true or false, not null"),
    ((*TABLE, "task.scores=accuracy"), "expected a list, such as [accuracy,f1]"),
    ((*TABLE, "task.units=[]", "task.dropout=0.5"), "task.dropout=0.5: only hidden layers have this"),
    ((*TEXTS, "task.embedding=0"), "task.embedding=0: expected a whole number of at least 1"),
    ((*TEXTS, "task.width=0"), "task.width=0: expected a whole number of at least 1"),
    (
        (*TEXTS, "task.width=64"),
        "task.body=recurrent have this; leave it out",
    ),
    ((*TEXTS, "task.body=pooed"), "task.body=pooed: unknown; did you mean pooled?"),
    ((*IMAGES, "task.filters=32"), LIST),
    ((*IMAGES, "task.weights=none.h5"), "only the networks of keras.applications have this; leave it out"),
    ((*IMAGES, "task.network=VGG16", "task.filters=[8]"), "task.filters=[8]: only task.network=cnn has this"),
    ((*IMAGES, "task.network=foo"), "expected cnn, or a network of keras.applications, such as MobileNetV2"),
    ((*IMAGES, "task.network=vgg16"), "task.network=vgg16: unknown; did you mean VGG16?"),
    ((*IMAGES, "data.image_size=24"), "such as [24,24] ([height,width])"),
    ((*KNOWN[0], "task.seed=-1"), "task.seed=-1: expected a whole number of at least 0"),
    ((*KNOWN[1], "task.filters=[2,2,2,2,2]"), "expected at most 4 convolutions"),
    ((*TABLE, "mode=tune", "tune.space.task.units=[[64],64]"), f"tune.space.task.units=64: {LIST}"),
    ((*TABLE, "mode=tune", "tune.space.task.linear=[yes,maybe]"), "tune.space.task.linear='maybe': expected"),
    ((*TABLE, "mode=tune", "tune.space.task.linear=[yes,on]"), "yes and on are the same; leave one out"),
    ((*TABLE, "mode=tune", "tune.space.task.dropout={low: 0.5, high: 2}"), f"task.dropout=2: {SHARE}"),
    ((*TEXTS, "mode=tune", "tune.space.task.width=[8,16]"), "tune.space.task.width: only task.body="),
    ((*IMAGES, "mode=tune", "tune.space.task.network=[cnn,cmn]"), "cmn cannot be trained: task.network=cmn"),
]


@pytest.mark.in_parts(3)
@pytest.mark.slow_but_first
@pytest.mark.parametrize(("words", "expected"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_an_impossible_or_ignored_argument_is_one_line_and_leaves_nothing(
    words: tuple[str, ...], expected: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main([*words, *QUIET]) == 2
    text = capsys.readouterr().err
    assert expected in text
    assert "Error" not in text
    assert text.count("\n") == 1
    assert list(empty_folder.iterdir()) == []


@pytest.mark.slow
def test_the_settings_of_a_run_hold_what_a_word_means(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("task.nan=no", "task.rows=32", "trainer.epochs=1") == 0
    kept = yaml.safe_load(Path("runs/tiny/latest/config.yaml").read_text())
    assert kept["task"]["nan"] is False
    capsys.readouterr()
    assert train("resume=last", "task.nan=off", "task.rows='32'", "trainer.epochs=2") == 0
    assert "task." not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("l2", "said"), [(None, "task.l2=0.0417 times"), (0.5, "task.l2=0.5 times"), (0.0, "")]
)
def test_the_opening_lines_say_which_penalty_the_loss_includes(
    l2: float | None, said: str, empty_folder: Path
) -> None:
    Path("t.csv").write_text("\n".join(["x,y", *(f"{i % 5}.5,{'ab'[i % 2]}" for i in range(94))]))
    text = TabularClassification(settings={"path": "t.csv", "target": "y"}, l2=l2).description()
    assert said in text
    assert ("Each loss below includes" in text) is bool(said)


@pytest.mark.slow
def test_a_search_over_words_searches_what_they_mean(
    empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{i % 5},{'ab'[i % 2]}" for i in range(60)]
    Path("t.csv").write_text("\n".join(["x,y", *rows]))
    words = ("task=tabular_classification", "data.path=t.csv", "data.target=y", "task.units=[2]")
    space = ("mode=tune", "tune=grid", "tune.space.task.linear=[yes,no]", "run_dir=search")
    assert main.main([*words, *space, "trainer.epochs=1", *QUIET]) == 0
    assert len({row["value"] for row in table("trials.csv", "search")}) == 2
