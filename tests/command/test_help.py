"""`--help`: it explains every setting of the schema, and lists nothing that does not exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.support.repository import ROOT
from trainkit.cli import arguments, help, main
from trainkit.cli.compose import compose
from trainkit.config import Config
from trainkit.config.fields import walk
from trainkit.config.root import MODES

FREE = "optimizer.options"  # shown by what it holds, if it holds something


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> str:
    assert main.main(["--help", "optimizer=adam"]) == 0
    return capsys.readouterr().out


def keys(text: str) -> list[str]:
    return re.findall(r"^  ([a-z_.0-9]+)=", text, re.MULTILINE)


def test_every_setting_stands_there_once_with_its_meaning_choices_and_range(shown: str) -> None:
    words = " ".join(shown.split())
    listed = keys(shown)
    for key, setting in walk(Config):
        if key in ("task", FREE):
            continue
        assert listed.count(key) == 1
        assert setting.meaning in words
        assert not setting.bounds or f"({setting.bounds})" in words
        for choice in setting.choices:
            assert choice in words


def test_every_key_that_is_listed_can_be_set(shown: str) -> None:
    listed = dict(re.findall(r"^  ([a-z_.0-9]+)=(\S+)", shown, re.MULTILINE))
    words = [f"{key}={value}" for key, value in listed.items() if "{" not in value and key != "mode"]
    assert len(words) > 60
    assert len(compose(arguments.parse(["optimizer=adam", *words]))) == 1


def test_modes_groups_and_flags_are_those_that_exist(shown: str) -> None:
    section = shown.partition("Modes (mode=...):")[2].partition("\n\n")[0]
    assert re.findall(r"^  (\w+) ", section, re.MULTILINE) == list(MODES)
    groups = compose(arguments.parse([]))[0].groups.options()
    assert set(groups) == set(help.GROUPS)
    assert all(", ".join(options) in " ".join(shown.split()) for options in groups.values())
    for flag in arguments.FLAGS:
        assert flag.usage in shown


def test_values_are_those_of_this_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--help", "task=boston", "trainer.devices=[0,1]", "debug=smoke"]) == 0
    text = capsys.readouterr().out
    assert "  trainer.devices=[0,1] " in text
    assert "  trainer.batch_size=32 " in text
    assert "  trainer.limit_train_batches=4 " in text
    assert re.search(r"  task\.units=\[64,64\] +hidden layers \(>= 1\)\n", text)


@pytest.mark.parametrize("width", [80, 108, 140])
def test_lines_fit_on_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINKIT_DATA", raising=False)
    text = help.help_text(compose(arguments.parse([]))[0], width)
    assert max(len(line) for line in text.splitlines()) <= min(width, help.WIDTH)
    assert "\N{NO-BREAK SPACE}" not in text


def test_help_of_a_wrong_command_line_is_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--help", "trainer.epoch=3"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean trainer.epochs?" in captured.err


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["workers=2", "--help"]], ids=" ".join)
def test_launch_explains_its_own_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["launch", *words]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for part in ("workers=N", "max_restarts=N", "python -m trainkit --help"):
        assert part in captured.out
    assert max(map(len, captured.out.splitlines())) <= help.WIDTH


@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job"]], ids=" ".join)
def test_a_reader_that_closes_the_pipe_is_no_error(words: list[str]) -> None:
    """As `head` does when it has its lines."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "trainkit", *words],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
