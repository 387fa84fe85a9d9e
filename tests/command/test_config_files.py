"""A config file that the settings do not take: one line that names it, in the words of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainkit.cli import arguments, compose
from trainkit.core.errors import UserError

HEADER = b"# @package _global_\n"
FORM = "lines such as `trainer: {epochs: 3}`"
WHOLE = "expected a whole number of at least 1"
WRONG: dict[str, tuple[bytes, str]] = {
    "a dotted key": (
        b"trainer.epochs: 3",
        "trainer.epochs: a file nests keys; expected `trainer:` and below it `  epochs: <value>`.",
    ),
    "an unknown key": (
        b"trainer: {epoch: 3}",
        "trainer.epoch: unknown setting; did you mean trainer.epochs?",
    ),
    "a text for a number": (b"trainer: {epochs: three}", f"trainer.epochs=three: {WHOLE}."),
    "no whole number": (b"trainer: {epochs: 3.0}", f"trainer.epochs=3.0: {WHOLE}."),
    "a list for a number": (b"trainer: {epochs: [1]}", f"trainer.epochs=[1]: {WHOLE}."),
    "null": (b"trainer: {epochs: null}", f"trainer.epochs: {WHOLE}, not null."),
    "no truth": (
        b"trainer: {deterministic: perhaps}",
        "trainer.deterministic=perhaps: expected true or false.",
    ),
    "a list for a word": (b"mode: [fit]", "mode=['fit']: expected one of fit, evaluate, predict"),
    "one of a list": (b"trainer: {devices: [0, many]}", "trainer.devices[1]=many: expected a list of whole"),
    "a number for a section": (b"trainer: 5", "trainer: a section takes no value; trainer has epochs"),
    "a list as the whole": (
        b"- a",
        f"has a list in place of keys, or keys in place of a list; expected {FORM}.",
    ),
}


def refused(folder: Path, content: bytes) -> str:
    """What is said of `experiment/mine.yaml` with this content."""
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment" / "mine.yaml").write_bytes(content)
    words = ["--config-dir", str(folder), "experiment=mine"]
    with pytest.raises(UserError) as caught:
        compose.compose(arguments.parse(words))
    return str(caught.value)


@pytest.mark.parametrize("case", WRONG)
def test_what_a_config_file_must_not_hold_is_told_in_the_words_of_the_command_line(
    case: str, tmp_path: Path
) -> None:
    content, expected = WRONG[case]
    assert refused(tmp_path, HEADER + content).startswith(f"experiment/mine.yaml: {expected}")


@pytest.mark.parametrize("content", [b"", b"trainer: {epochs: 3}"], ids=["empty", "of keys"])
def test_a_config_file_without_its_header_is_told_the_header(content: bytes, tmp_path: Path) -> None:
    said = refused(tmp_path, content)
    assert said == (
        "experiment/mine.yaml: its keys would go below experiment, which is no setting; "
        f"expected `# @package _global_` as the first line, with no byte-order mark before it, then {FORM}."
    )


def test_nothing_in_a_config_file_ends_in_an_empty_line(tmp_path: Path) -> None:
    for content in (b"trainer: {epochs: '${trainer.'}", b"name: !!set {a, b}"):
        assert len(refused(tmp_path, HEADER + content)) > 10


def test_a_config_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    said = refused(tmp_path, HEADER + b"mode: \xff")
    assert "experiment/mine.yaml: byte 0xff is no UTF-8; expected YAML. Save the file as UTF-8." in said
