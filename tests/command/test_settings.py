"""What the command makes of its words, without TensorFlow."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.commands import settings
from trainkit.cli import arguments
from trainkit.cli.commands import COMMANDS
from trainkit.cli.commands.readers import READERS
from trainkit.cli.hydra_app import CONF
from trainkit.config.optimizer import OPTIMIZERS
from trainkit.config.root import MODES

# Each of these, in one process: what it prints, then what it imported of the slow libraries.
LOOKING = """
import os, sys
import trainkit
from trainkit import Arrays, Source, Splits, Task, UserError
from trainkit.cli.main import main
os.environ["COMP_LINE"] = "trainkit trainer.ep"
for words in (["--help"], ["--cfg", "job"], ["--info", "defaults"], ["-sc", "query=bash"], ["--version"]):
    print("==", *words)
    assert main(words) == 0
for words in ("trainer.epoch=1", "task=minst", "mode=evaluate runs_dir=nowhere", "trainer.epochs=-1"):
    assert main(words.split()) == 2
slow = ("tensorflow", "keras", "sklearn", "matplotlib", "rich")
print([name for name in sys.modules if name.split(".")[0] in slow])
"""


@pytest.mark.slow
def test_looking_does_not_import_tensorflow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOKING],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(CONF.parent)},
    )
    assert done.stdout.endswith("[]\n")
    assert "mode=evaluate" in done.stdout
    assert "trainer.epochs" in done.stdout.partition("== -sc")[2]


@pytest.mark.slow
def test_every_group_option_is_valid() -> None:
    for group in ("task", "callbacks", "experiment", "debug"):
        for file in (CONF / group).glob("*.yaml"):
            settings(f"{group}={file.stem}")


def test_optimizer_options_are_those_of_keras() -> None:
    from trainkit.optim import factory

    files = {file.stem: yaml.safe_load(file.read_text()) for file in (CONF / "optimizer").glob("*.yaml")}
    assert set(files) == {"recipe", *factory.NAMES} == set(OPTIMIZERS)
    for name, cls in factory.NAMES.items():
        defaults = {key: p.default for key, p in inspect.signature(cls).parameters.items()}
        shown = {**defaults, **factory.PRESETS.get(name, {})}
        assert files[name]["name"] == name
        assert all(shown[key] == value for key, value in files[name]["options"].items())
        assert files[name].get("weight_decay") == defaults["weight_decay"]


@pytest.mark.slow
def test_recipe_then_group_then_experiment_then_command_line() -> None:
    assert settings().trainer.epochs == 20
    assert settings("task=boston").trainer.batch_size == 32
    assert settings("debug=smoke").trainer.epochs == 1
    assert settings("debug=smoke", "trainer.epochs=7").trainer.epochs == 7
    assert settings("experiment=boston_ema").name == "boston"
    assert settings("optimizer=momentum", "optimizer.options.momentum=0.5").optimizer.options == {
        "momentum": 0.5,
        "nesterov": False,
    }
    assert settings("optimizer=adam", "optimizer.options.beta_1=0.5").optimizer.name == "adam"


@pytest.mark.parametrize(
    "word",
    ["optimizer.options={beta_1: 0.5}", "optimizer.options.beta_1=0.5", "+optimizer.options.beta_1=0.5"],
)
def test_options_of_an_optimizer_are_written_in_any_form(word: str) -> None:
    assert settings(word).optimizer.options == {"beta_1": 0.5}
    assert settings("optimizer=adam", word).optimizer.options["beta_1"] == 0.5


def test_data_dir_comes_from_the_environment_and_reaches_the_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAINKIT_DATA", str(tmp_path))
    assert settings().task["dir"] == settings().data.dir == str(tmp_path)
    assert settings("data.dir=/elsewhere").task["dir"] == "/elsewhere"


def test_flags_and_settings_come_in_any_order() -> None:
    parsed = arguments.parse(["task=boston", "-m", "trainer.epochs=1,2", "--config-name", "main", "seed=3"])
    assert (parsed.overrides, parsed.multirun, parsed.config_name) == (
        ("task=boston", "trainer.epochs=1,2", "seed=3"),
        True,
        "main",
    )


def test_every_mode_of_the_schema_has_a_command() -> None:
    assert sorted([*COMMANDS, *READERS]) == sorted(MODES)
