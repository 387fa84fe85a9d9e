"""What a command says before its first result."""

from __future__ import annotations

import sys
import warnings

import pytest

from trainkit.cli.stage import stage


def test_a_warning_comes_after_the_line_of_a_stage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", lambda message, *where: sys.stdout.write(str(message)))
    with stage("Looking", shown=True):
        warnings.warn("little room", stacklevel=1)
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Looking ... ")
    assert last == "little room"
