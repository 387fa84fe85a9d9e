"""LLVM's level of optimization is ours on a CPU alone, and the user's where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainkit.backend import xla_flags

OURS = "--xla_backend_optimization_level=2"


def chosen(monkeypatch: pytest.MonkeyPatch, given: str | None, drivers: tuple[Path, ...] = ()) -> str | None:
    monkeypatch.setattr(xla_flags, "GPU_DRIVERS", drivers)
    monkeypatch.setenv("XLA_FLAGS", given or "")  # so that it is put back at the end
    if given is None:
        monkeypatch.delenv("XLA_FLAGS")
    xla_flags.choose()
    once = os.environ.get("XLA_FLAGS")
    xla_flags.choose()
    assert os.environ.get("XLA_FLAGS") == once
    return once


def test_a_level_is_added_to_what_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, None) == OURS
    assert chosen(monkeypatch, "--xla_dump_to=/x") == f"--xla_dump_to=/x {OURS}"


@pytest.mark.parametrize("given", ["--xla_backend_optimization_level=3", "/etc/xla.flags"])
def test_a_level_or_a_file_of_the_user_stays(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, given) == given


def test_a_machine_with_a_gpu_keeps_the_level_of_xla(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, None, (tmp_path / "missing", tmp_path)) is None
