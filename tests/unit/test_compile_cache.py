"""Compiled programs are kept for the next process; a damaged one is never used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from trainkit.backend import compile_cache
from trainkit.experiment import ceiling
from trainkit.experiment.failure import reason
from trainkit.trainer.execution import why_without_xla

PROGRAM = """
import gc
from trainkit.backend import compile_cache, startup
startup.import_tensorflow()
import tensorflow as tf
assert gc.isenabled() and gc.get_freeze_count()

@tf.function(jit_compile=True)
def program(x):
    return tf.linalg.matmul(x, x) + 1

print(program(tf.ones([8, 8]))[0, 0].numpy(), compile_cache.kept_in())
"""


NO_ROOM = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))  # as on a full disk: no file grows
"""


def run(home: Path, before: str = "", **environment: str) -> tuple[str, dict[str, bytes]]:
    """What the program prints, and the files that are kept after it."""
    given = {k: v for k, v in os.environ.items() if k not in ("TF_XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL")}
    given |= {"XDG_CACHE_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-c", before + PROGRAM], capture_output=True, text=True, check=False, env=given
    )
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert "features" not in done.stderr
    kept = {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*.pb")}
    return done.stdout, kept


Kept = tuple[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Kept]:
    """The home of a process that has kept its program, and what that printed and kept."""
    home = tmp_path_factory.mktemp("first")
    return home, run(home)


@pytest.mark.slow
def test_a_damaged_program_is_dropped_and_compiled_anew(tmp_path: Path, first: tuple[Path, Kept]) -> None:
    home, (printed, kept) = first
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    printed = printed.replace(str(home), str(tmp_path))
    assert printed.startswith("9.0")
    assert len(kept) == 1
    assert run(tmp_path) == (printed, kept)
    (name,) = kept
    (tmp_path / name).write_bytes(kept[name][:100])
    again, renewed = run(tmp_path)
    assert again == printed
    assert len(renewed[name]) == len(kept[name])
    (tmp_path / name).with_name("checksums.json").write_text("{")
    assert run(tmp_path)[0] == printed


@pytest.mark.slow
def test_where_nothing_can_be_kept_programs_are_compiled(tmp_path: Path) -> None:
    (tmp_path / "trainkit").write_text("a file where the folder would be")
    printed, kept = run(tmp_path)
    assert printed == "9.0 None\n"
    assert not kept


@pytest.mark.slow
def test_where_there_is_no_room_programs_are_read_and_none_is_written(
    tmp_path: Path, first: tuple[Path, Kept]
) -> None:
    assert run(tmp_path, NO_ROOM) == ("9.0 None\n", {})
    home, (_, kept) = first
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    assert run(tmp_path, NO_ROOM) == ("9.0 None\n", kept)


def test_little_room_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(compile_cache.FLAGS, "")
    monkeypatch.setattr(compile_cache.atexit, "register", lambda function: function)
    monkeypatch.setattr(compile_cache, "ROOM", float("inf"))
    using = compile_cache.using()
    using.__enter__()
    assert compile_cache.kept_in() is None
    assert compile_cache.READ_ONLY in os.environ[compile_cache.FLAGS]
    with pytest.warns(UserWarning, match="^There is little room in .*$"):
        using.__exit__(None, None, None)
    compile_cache.keep_no_more()
    assert os.environ[compile_cache.FLAGS] == ""


def test_a_disk_that_does_not_tell_its_room_has_some(tmp_path: Path) -> None:
    assert compile_cache._has_room(tmp_path / "gone")


def full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> RuntimeError:
    """What TensorFlow raises when the disk is full."""
    monkeypatch.setenv(compile_cache.FLAGS, f"{compile_cache.OPTION}{folder}")
    file = f"{folder}/xla_compile_cache__1__2__XLA_CPU_JIT.pbhost-1.tmp"
    return RuntimeError(f"Graph execution error:\n{file}; No space left on device [Op:__inference_f_1]")


def test_a_disk_that_is_full_before_the_training_costs_the_ceiling_or_xla_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = full(tmp_path, monkeypatch)

    def fail(*given: Any, **settings: Any) -> None:
        raise error

    monkeypatch.setattr(ceiling.roofline, "measure", fail)
    with pytest.warns(UserWarning, match="^Cannot keep .*No space left.* Speeds are told without a ceiling"):
        assert ceiling.step_cost(None).matmul_seconds == 0  # type: ignore[arg-type]
    assert why_without_xla(error).startswith(f"Cannot keep a compiled program in {tmp_path}: No space")
    error = RuntimeError("of another kind")
    with pytest.raises(RuntimeError, match="of another kind"):
        ceiling.step_cost(None)  # type: ignore[arg-type]
    assert why_without_xla(error) == "XLA cannot compile this model (of another kind)"


def test_a_disk_that_is_full_in_the_middle_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reason(full(tmp_path, monkeypatch), lost=False) == (
        f"Cannot keep a compiled program in {tmp_path}: No space left on device. Make room there, or set "
        "compile_cache=false."
    )


def test_processes_that_drop_the_same_programs_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(4):
        (tmp_path / f"{i}.pb").write_bytes(bytes(100 + i))
    checksum = compile_cache._checksum
    noted = {f"{i}.pb": checksum(tmp_path / f"{i}.pb") for i in (0, 2, 3)}
    (tmp_path / "checksums.json").write_text(json.dumps(noted))

    def while_another_drops(path: Path) -> str:
        if path.name in ("1.pb", "2.pb"):
            path.unlink()
        return checksum(path)

    monkeypatch.setattr(compile_cache, "_checksum", while_another_drops)
    monkeypatch.setattr(compile_cache, "MAX_BYTES", 150)
    os.utime(tmp_path / "0.pb", (1, 1))
    compile_cache._drop_damaged(tmp_path)
    assert [path.name for path in tmp_path.glob("*.pb")] == ["3.pb"]
