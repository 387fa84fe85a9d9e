"""The schema: each setting explains itself, its default is valid, an impossible value is refused by key."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from trainkit.cli.settings import as_yaml
from trainkit.config import (
    ClipConfig,
    Config,
    OptimizerConfig,
    TrainerConfig,
    TrainerSettings,
    validate,
    validate_section,
)
from trainkit.config.fields import Setting, find, group_meaning, group_of, settings_of, walk
from trainkit.config.kinds import has_kind, kind_of
from trainkit.core.errors import UserError, did_you_mean

SETTINGS = dict(walk(Config))


def groups(group: type[Any] = Config) -> list[type[Any]]:
    inner = [one for one in settings_of(group).values() if isinstance(one, type)]
    return [group, *(found for one in inner for found in groups(one))]


def refusal(section: Any, prefix: str = "trainer") -> str:
    with pytest.raises(UserError) as caught:
        validate_section(section, prefix)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_says_in_a_line_what_it_means(key: str) -> None:
    setting = SETTINGS[key]
    assert setting.meaning
    assert "\n" not in setting.meaning
    assert len(setting.meaning) < 100
    assert find(Config, key) == setting


def test_every_group_says_in_a_line_what_it_is() -> None:
    assert len(groups()) > 13
    assert all(group_meaning(group).endswith(".") for group in groups())
    assert group_of(Config, "optimizer.clip") is ClipConfig
    assert group_of(Config, "trainer.epochs") is None
    assert find(Config, "optimizer.clip") is None
    assert find(Config, "trainer.epoch") is None


def test_the_defaults_are_valid() -> None:
    validate(Config(name="mnist", task={"_target_": "trainkit.tasks.mnist.MNIST"}))


def test_each_config_has_defaults_of_its_own() -> None:
    one = Config()
    one.callbacks.extra.append(1)
    one.optimizer.options["beta_1"] = 0.5
    assert Config().callbacks.extra == []
    assert Config().optimizer.options == {}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"execution": "epcoh"}, "trainer.execution=epcoh: unknown; did you mean epoch?"),
        ({"execution": None}, "trainer.execution: expected one of auto"),
        ({"batch_size": 0}, "trainer.batch_size=0: expected a whole number of at least 1."),
        ({"limit_train_batches": 0}, "trainer.limit_train_batches=0: expected a whole number of at least 1."),
        ({"epochs": "3"}, "trainer.epochs='3': expected a whole number of at least 1, got str."),
        ({"epochs": True}, "trainer.epochs=True: expected a whole number of at least 1, got bool."),
        ({"epochs": 1.5}, "trainer.epochs=1.5: expected a whole number of at least 1, got float."),
        ({"epochs": None}, "trainer.epochs: expected a whole number of at least 1, not null."),
        ({"deterministic": 1}, "trainer.deterministic=1: expected true or false, got int."),
        ({"devices": 0}, "trainer.devices=0: expected a list of whole numbers"),
        ({"devices": [-1]}, "trainer.devices=[-1]: expected a list of whole numbers of at least 0"),
        (
            {"heartbeat_seconds": float("nan")},
            "trainer.heartbeat_seconds=nan: expected a number greater than 0.",
        ),
        ({"seed": 2**32}, "trainer.seed=4294967296: expected a whole number"),
    ],
    ids=str,
)
def test_a_section_from_python_is_checked_as_the_command_checks_it(
    values: dict[str, Any], expected: str
) -> None:
    assert refusal(TrainerConfig(**values)).startswith(expected)


@pytest.mark.parametrize("values", [{"epochs": np.int64(3)}, {"heartbeat_seconds": 3}, {"devices": (0, 1)}])
def test_what_counts_as_a_number_or_a_list_is_taken(values: dict[str, Any]) -> None:
    validate_section(TrainerConfig(**values), "trainer")


def test_groups_inside_a_section_are_checked_under_their_own_keys() -> None:
    clipped = OptimizerConfig(clip=ClipConfig(value=-1.0))
    assert refusal(clipped, "optimizer").startswith("optimizer.clip.value=-1.0: expected")
    twice = OptimizerConfig(clip=ClipConfig(norm=1.0, value=1.0))
    assert "optimizer.clip.norm and optimizer.clip.value" in refusal(twice, "optimizer")
    no_group: Any = 0.99
    assert refusal(OptimizerConfig(ema=no_group), "optimizer").startswith("optimizer.ema=0.99: expected")
    assert refusal("adam", "optimizer").startswith("optimizer='adam': expected")


@pytest.mark.parametrize("key", [key for key, setting in SETTINGS.items() if setting.range])
def test_the_ends_of_a_range_are_in_it_or_not(key: str) -> None:
    setting: Setting = SETTINGS[key]
    for bound, inside in (
        (setting.at_least, True),
        (setting.at_most, True),
        (setting.above, False),
        (setting.below, False),
    ):
        assert bound is None or setting.in_range(bound) is inside
    low = setting.at_least if setting.at_least is not None else setting.above
    assert low is None or not setting.in_range(low - 1)
    assert not setting.in_range(float("inf"))


@pytest.mark.parametrize("key", [key for key, setting in SETTINGS.items() if setting.example])
def test_an_example_keeps_the_rule_that_it_explains(key: str) -> None:
    setting = SETTINGS[key]
    example = yaml.safe_load(setting.example.partition(" ")[0])
    assert has_kind(example, setting.kind)
    assert all(setting.in_range(number) for number in example)
    assert setting.expected.endswith(setting.example)


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("hint", "kind", "optional"),
    [
        (int, int, False),
        (float | None, float, True),
        (Optional[bool], bool, True),  # noqa: UP045
        (tuple[int, ...] | list[int], tuple[int, ...] | list[int], False),
        (Sequence[int] | None, list[int], True),
        (tuple[int, int], tuple[int, int], False),
        (tuple[int | None, str], tuple[Any, str], False),
        (tuple[int, *tuple[str, ...]], tuple[Any, ...], False),
        (tuple, tuple[Any, ...], False),
        (list, list[Any], False),
        (list[int | None], list[Any], False),
        (Mapping[str, float], dict[str, float], False),
        (Mapping[int, float], Any, True),
        (typing.Dict, Any, True),  # noqa: UP006
        (Literal["a", None], Literal["a", None], True),
        (int | str, int | str, False),
        (int | Path, int | Path, False),
        (Path, Path, False),
        (Colour, Colour, False),
        (enum.Flag, Any, True),
        (Any, Any, True),
        (np.dtype("bool"), Any, True),
    ],
    ids=str,
)
def test_an_annotation_says_what_kind_of_value_it_allows(hint: Any, kind: Any, optional: bool) -> None:
    assert kind_of(hint) == (kind, optional)


def test_a_dataclass_field_without_a_meaning_cannot_be_a_setting() -> None:
    @dataclasses.dataclass
    class Bare:
        width: int = 1

    with pytest.raises(KeyError):
        settings_of(Bare)


def test_the_keywords_of_a_trainer_are_the_fields_of_its_settings() -> None:
    fields = {field.name: field.type for field in dataclasses.fields(TrainerConfig)}
    keywords = TrainerSettings.__annotations__
    assert list(keywords) == list(fields)
    assert {name: kind.__forward_arg__ for name, kind in keywords.items()} == fields


WORDS = st.sampled_from(
    ["1e-3", "yes", "on", "null", "~", "0x1f", "1_000", "-.inf", "1:30", "2020-01-01", "# c"]
)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), WORDS
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("ab", min_size=1), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), VALUES, max_size=4))
def test_settings_are_written_so_that_omegaconf_reads_them(values: dict[str, Any]) -> None:
    text = as_yaml(values)
    assert OmegaConf.to_container(OmegaConf.create(text)) == values


def test_names_that_are_far_apart_are_not_suggested_for_each_other() -> None:
    assert did_you_mean("age", ["name", "town"]) == "known: name, town."
    assert did_you_mean("test", ["evaluate", "tune"]).startswith("did you mean evaluate?")
    assert did_you_mean("test", ["train", "tests"]).startswith("did you mean tests?")


def test_replicas_without_a_row_are_refused_beyond_the_cores_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    TrainerConfig(batch_size=1, replicas=2).check("trainer.")
    TrainerConfig(batch_size=8, replicas=8).check("trainer.")
    with pytest.raises(UserError, match="a batch has 1 rows, and this machine 2 cores"):
        TrainerConfig(batch_size=1, replicas=3).check("trainer.")
