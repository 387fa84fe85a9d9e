"""Files that somebody else made to do harm: nothing runs, nothing outside is touched, no memory is taken."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainkit.backend import compile_cache
from trainkit.callbacks.checkpoints import Checkpoints
from trainkit.checkpoint.members import META
from trainkit.cli import arguments
from trainkit.cli.compose import compose
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.data.sources import npz

RAN: list[str] = []


class Harm:
    """Tells when it is made, by a config or by a pickle."""

    def __init__(self, where: str = "config") -> None:
        RAN.append(where)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Harm, ("pickle",))


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    RAN.clear()


@pytest.mark.parametrize("group", ["hydra.callbacks.x", "hydra.launcher", "hydra.sweeper"])
@pytest.mark.parametrize("several", [False, True])
def test_objects_of_hydra_itself_are_never_made(group: str, several: bool, tmp_path: Path) -> None:
    """Hydra would make them before any setting is checked."""
    (tmp_path / "task").mkdir()
    nested = "{_target_: tests.faults.test_files_of_strangers.Harm}"
    for name in reversed(group.split(".")):
        nested = f"{{{name}: {nested}}}"
    (tmp_path / "task" / "odd.yaml").write_text(f"# @package _global_\ndefaults: [boston]\n{nested[1:-1]}\n")
    words = ["--config-dir", str(tmp_path), "task=odd"]
    words += ["-m", "trainer.seed=1,2"] if several else []
    if several or group == "hydra.callbacks.x":
        with pytest.raises(UserError, match=r"callbacks of Hydra|Harm"):
            compose(arguments.parse(words))
    else:
        compose(arguments.parse(words))  # one job needs neither
    assert RAN == []


def test_a_checkpoint_that_names_folders_elsewhere_removes_none(tmp_path: Path) -> None:
    """The checkpoints that are too many are removed, by the names that the resumed one tells."""
    folder = tmp_path / "checkpoints"
    for place in (folder / "epoch-0001", tmp_path / "precious", folder / "notes"):
        place.mkdir(parents=True)
        if place.name != "notes":
            (place / META).touch()
    saver = Checkpoints(folder, "val_loss", every_epochs=1, keep=1)
    names = ["../precious", str(tmp_path / "precious"), "..", ".", "notes", "epoch-0001"]
    saver.load_state_dict({**saver.state_dict(), "kept": names, "count": 6})
    assert saver.kept == ["epoch-0001"]


def test_a_json_file_of_any_size_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    with path.open("wb") as file:
        file.truncate(files.MAX_JSON_BYTES + 1)  # holes take no room on the disk
    with pytest.raises(UserError, match="is damaged: it has"):
        files.read_json(path)


def test_a_zip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = io.BytesIO()
    np.savez_compressed(bomb, x=np.zeros(100_000, np.uint8))
    memory = {"SC_PAGE_SIZE": 1000, "SC_PHYS_PAGES": 50}
    monkeypatch.setattr(npz.os, "sysconf", memory.__getitem__)
    assert len(bomb.getvalue()) < 1000
    for unpack in (npz.unpack, npz.ragged):
        with pytest.raises(ValueError, match=r"unpacks to .* bytes; this machine has 50000"):
            unpack(bomb.getvalue(), ("x",))


def test_a_pickle_in_an_archive_runs_nothing() -> None:
    file = io.BytesIO()
    np.savez(file, x=np.array([Harm("making it")], dtype=object))
    RAN.clear()
    for unpack in (npz.unpack, npz.ragged):
        with pytest.raises(Exception, match=r"allow_pickle|is no array"):
            unpack(file.getvalue(), ("x",))
    assert RAN == []


def test_programs_that_others_could_write_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow runs what it finds among the kept programs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compile_cache.atexit, "register", lambda function: function)
    monkeypatch.setenv(compile_cache.FLAGS, "")
    with compile_cache.using():
        pass
    folder = compile_cache.kept_in()
    assert folder is not None
    assert folder.stat().st_mode & 0o077 == 0, "private"
    planted = folder / "planted.pb"
    planted.touch()
    compile_cache.note()
    os.chmod(folder, 0o777)
    monkeypatch.setenv(compile_cache.FLAGS, "")
    with compile_cache.using():
        pass
    assert folder.stat().st_mode & 0o077 == 0, "private again"
    assert not planted.exists()
