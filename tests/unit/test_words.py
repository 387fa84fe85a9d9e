"""Laws of words that can be copied: Hydra and the shell give back the text that was put in."""

from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from trainkit.core.words import in_shell, override


@pytest.mark.parametrize(
    "text",
    [
        *(
            "runs/a",
            "naïve größe.csv",
            "price (EUR)",
            'a "b" \\',
            "it's",
            "a,b",
            "${x",
            "null",
            "nan",
            "#N/A",
        ),
        *("1_000", "007", "-inf"),
    ],
)
def test_a_text_survives_the_shell_and_hydra(text: str) -> None:
    (word,) = shlex.split(in_shell(override("data.target", text)))
    assert OverridesParser.create().parse_override(word).value() == text


def test_a_plain_word_is_not_quoted() -> None:
    assert in_shell(override("resume", "runs/mnist/latest")) == "resume=runs/mnist/latest"
