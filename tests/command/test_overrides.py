"""Every wrong override, of any setting: one line that names it, exit code 2, and nothing on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from trainkit.backend import startup
from trainkit.cli import main
from trainkit.config import Config
from trainkit.config.fields import Setting, find, walk

SETTINGS = {key: setting for key, setting in walk(Config) if key != "task"}  # `task` is a group as well
RANGES = [key for key, setting in SETTINGS.items() if setting.range]
CHOICES = [key for key, setting in SETTINGS.items() if setting.choices]
CLOSED = [key for key in SETTINGS if "." in key and key != "optimizer.options"]
SOME = examples(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# Values as a command line writes them, none of which has the type.
WRONG_TYPES: dict[Any, tuple[str, ...]] = {
    int: ("many", "1.5", "[1]", "{a: 1}", "true", "nan", "''"),
    float: ("many", "[1]", "{a: 1}", "''"),
    bool: ("many", "1.5", "[true]", "{a: 1}", "''"),
    str: ("[a]", "{a: 1}"),
    list[int]: ("many", "3", "[many]", "[1.5]", "{a: 1}"),
    list[Any]: ("many", "3", "{a: 1}"),
    dict[str, Any]: ("many", "3", "[1]"),
    Any: ("true",),
}


@pytest.fixture
def refuse(empty_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the command one wrong word; returns its line of stderr."""
    monkeypatch.setattr(startup, "import_tensorflow", fail)  # wrong words must not come so far

    def run(word: str) -> str:
        assert main.main([word]) == 2, word
        captured = capsys.readouterr()
        assert captured.out == "", word
        assert captured.err.startswith("trainkit: "), word
        assert captured.err.count("\n") == 1, captured.err
        assert list(empty_folder.iterdir()) == [], word
        return captured.err

    return run


def fail() -> None:
    raise AssertionError("the word was taken")


def numbers_outside(setting: Setting) -> st.SearchStrategy[float]:
    """Numbers of the setting's type below or above its range."""
    below = setting.at_least if setting.at_least is not None else setting.above
    above = setting.at_most if setting.at_most is not None else setting.below
    sides = []
    if below is not None:
        nearest = 0 if setting.at_least is None else 1  # a bound that is exclusive is outside itself
        sides.append(st.integers(nearest, 10**6).map(lambda distance: below - distance))
    if above is not None:
        nearest = 0 if setting.at_most is None else 1
        sides.append(st.integers(nearest, 10**6).map(lambda distance: above + distance))
    return st.one_of(sides)


def misspelt(key: str) -> st.SearchStrategy[str]:
    """The key with one letter of its last part left out, doubled, or exchanged for another."""
    section, _, name = key.rpartition(".")
    positions = st.integers(0, len(name) - 1)
    words = st.one_of(
        positions.map(lambda i: name[:i] + name[i + 1 :]),
        positions.map(lambda i: name[: i + 1] + name[i:]),
        st.tuples(positions, st.sampled_from("aeqxz_")).map(lambda p: name[: p[0]] + p[1] + name[p[0] + 1 :]),
    )
    good = words.filter(lambda word: word.isidentifier() and find(Config, f"{section}.{word}") is None)
    return good.map(lambda word: f"{section}.{word}")


@pytest.mark.slow
@SOME
@given(data=st.data())
def test_a_value_of_another_type_is_refused_by_its_key(refuse: Any, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(SETTINGS)))
    value = data.draw(st.sampled_from(WRONG_TYPES[SETTINGS[key].kind]))
    text = refuse(f"{key}={value}")
    assert key in text
    assert "expected" in text


@pytest.mark.slow
@SOME
@given(data=st.data())
def test_a_number_outside_the_range_is_refused_with_the_range(refuse: Any, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(RANGES))
    setting = SETTINGS[key]
    number = data.draw(numbers_outside(setting))
    text = refuse(f"{key}=[{number}]" if setting.kind == list[int] else f"{key}={number}")
    assert key in text
    assert setting.range in text


@pytest.mark.slow
@SOME
@given(key=st.sampled_from(CHOICES), value=st.from_regex(r"[a-z]{3,8}_x", fullmatch=True))
def test_a_word_that_is_no_choice_is_refused_with_the_choices(refuse: Any, key: str, value: str) -> None:
    text = refuse(f"{key}={value}")
    assert f"{key}={value}: unknown" in text
    assert all(choice in text for choice in SETTINGS[key].choices)


@pytest.mark.slow
@SOME
@given(data=st.data())
def test_a_misspelt_key_is_refused_with_its_section(refuse: Any, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(CLOSED))
    wrong = data.draw(misspelt(key))
    text = refuse(f"{wrong}=3")
    assert f"{wrong}: unknown setting" in text
    assert "did you mean" in text or key.rpartition(".")[0] in text


@pytest.mark.slow
@SOME
@given(key=st.sampled_from([key for key, setting in SETTINGS.items() if not setting.optional]))
def test_null_is_refused_where_a_value_is_needed(refuse: Any, key: str) -> None:
    assert f"{key}: expected" in refuse(f"{key}=null")


@pytest.mark.in_parts(8)
@pytest.mark.slow
@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_refuses_a_wrong_type_and_no_value(refuse: Any, key: str) -> None:
    """The other wrong types are drawn by the property above: a command takes half a second."""
    setting = SETTINGS[key]
    missing = ["???"] if key != "name" else []  # which is the task's by default
    for value in (WRONG_TYPES[setting.kind][0], *missing):
        assert key in refuse(f"{key}={value}")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("trainer={epochs: many}", "trainer.epochs: expected a whole number"),
        ("trainer={epoch: 3}", "did you mean trainer.epochs?"),
        ("trainer=3", "a section takes no value"),
        ("trainer.epochs.x=3", "expected trainer.epochs=<value>"),
        ("trainer.devices.0=3", "expected trainer.devices=<value>"),
        ("trainer.epochs=${trainer.precision}", "trainer.epochs: expected a whole number"),
        ("trainer.epochs=${trainer.epoch}", "trainer.epochs=${trainer.epoch}: "),
        ("trainer=${trainre}", "trainer=${trainre}: "),
        ("data.dir=${nowhere}", "data.dir=${nowhere}: "),
        ("~trainer.epochs", "a setting cannot be removed"),
        ("~callbacks", "a setting cannot be removed"),
        ("=3", "expected key=value"),
        ("trainer.epochs=é", "expected key=value"),
        ("task=1.5", "expected the name of an option"),
        ("callbacks=null", "expected the name of an option"),
        ("debug=[1]", "expected the name of an option"),
        ("optimizer=${trainer.engine}", "expected the name of an option"),
        ("task=[", "expected key=value"),
        ("runs_dir=''", "runs_dir="),
        ("hydra.run.dir=out", "makes their directories itself"),
        ("~hydra", "makes their directories itself"),
    ],
)
def test_what_is_no_setting_at_all_is_refused_too(refuse: Any, word: str, expected: str) -> None:
    assert expected in refuse(word)
