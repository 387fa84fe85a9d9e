"""The settings that a run keeps are read whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainkit.cli import arguments, compose
from trainkit.cli.compose import Composed
from trainkit.cli.planning import checked
from trainkit.cli.resumed import merged_with_run
from trainkit.cli.settings import as_yaml, plain
from trainkit.core.errors import UserError


@pytest.fixture(scope="module")
def composed() -> Composed:
    (one,) = compose.compose(arguments.parse(["task=boston"]))
    return one


def test_settings_that_were_cut_are_refused_by_their_file(composed: Composed, tmp_path: Path) -> None:
    """The default values would count for what is lost: other data, another rate."""
    file = tmp_path / "config.yaml"
    whole = as_yaml(plain(composed.settings, resolve=True))
    settings = {name: value for name, value in plain(composed.settings).items() if name != "runs_dir"}
    for with_original in (False, True):
        if with_original:
            (tmp_path / ".hydra").mkdir()
            (tmp_path / ".hydra" / "config.yaml").write_text(as_yaml(plain(composed.settings)))
        for length in (0, 300, *range(700, whole.index("\nevaluate:"), 400)):
            file.write_text(whole[:length])
            with pytest.raises(UserError, match=r"config\.yaml is damaged: .*restore the file") as caught:
                merged_with_run(composed.settings, set(), tmp_path)
            assert ("such as" in str(caught.value)) is with_original
    file.write_text(whole)
    merged, changes = merged_with_run(composed.settings, set(), tmp_path)
    assert {name: plain(merged)[name] for name in settings} == settings
    assert not changes


def test_a_key_that_was_taken_out_of_an_option_by_hand_is_no_damage(tmp_path: Path) -> None:
    (one,) = compose.compose(arguments.parse(["task=boston", "optimizer.options={beta_1: 0.8}"]))
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(as_yaml(plain(one.settings)))
    edited = plain(one.settings, resolve=True)
    del edited["optimizer"]["options"]["beta_1"]
    (tmp_path / "config.yaml").write_text(as_yaml(edited))
    merged, _ = merged_with_run(one.settings, set(), tmp_path)
    assert plain(merged)["optimizer"]["options"] == {}


@pytest.mark.parametrize(
    ("words", "unread"),
    [
        (["data.folds=5", "data.fold=1", "data.test=0.3"], {"test": 0.2}),
        (["data.fold=1"], {"fold": 0}),
        (["data.split=column", "data.split_column=part", "data.test=0.3"], {"test": 0.2}),
        (["data.split_column=part", "data.test=0.3"], {"split_column": None}),
        (["data.split_column=part"], {}),
        (["data.folds=5", "data.fold=1"], {}),
    ],
)
def test_what_a_former_version_did_not_read_of_a_split_counts_as_not_set(
    words: list[str], unread: dict[str, object], tmp_path: Path
) -> None:
    (mine,) = compose.compose(arguments.parse(["task=tabular_regression"]))
    (former,) = compose.compose(arguments.parse(["task=tabular_regression", *words]))
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(as_yaml(plain(former.settings)))
    (tmp_path / "config.yaml").write_text(as_yaml(plain(former.settings, resolve=True)))
    merged, changes = merged_with_run(mine.settings, set(), tmp_path)
    assert plain(merged)["data"] == {**plain(former.settings)["data"], **unread}
    assert not changes
    checked(merged)
