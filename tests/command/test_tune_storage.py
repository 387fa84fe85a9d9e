"""A search in a database: PostgreSQL, started by the test, and SQLite."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import table
from trainkit.cli.commands import search_jobs
from trainkit.core.errors import UserError
from trainkit.tuning import storage

SEARCH = (
    "mode=tune",
    "tune=random",
    "tune.trials=3",
    "tune.space.optimizer.learning_rate={low: 1e-3, high: 1e-1, log: true}",
    "trainer.epochs=1",
)


@pytest.mark.slow
def test_a_search_in_sqlite_equals_one_in_a_journal(
    train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"tune.storage='sqlite:///{tmp_path / 'search.db'}'"
    assert train(*SEARCH, address, "run_dir=database") == 0
    assert train(*SEARCH, "run_dir=journal") == 0
    assert values("database") == values("journal")

    # Its trials are not begun anew by who forgets where they are kept.
    for other in (f"tune.storage='sqlite:///{tmp_path / 'other.db'}'", "tune.storage=null"):
        assert train(*SEARCH, other, "run_dir=database") == 2
        assert "database holds trials that" in capsys.readouterr().err
    assert not Path("database", "study.journal").exists()


def test_two_that_make_the_tables_of_a_new_database_at_once_both_find_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = ["UNIQUE constraint failed: alembic_version.version_num", "database is locked"]
    made: list[str] = []

    def make(address: str, **settings: bool) -> Any:
        if said:
            raise RuntimeError(said.pop())
        made.append(address)

    monkeypatch.setattr(storage, "RDBStorage", make)
    monkeypatch.setattr(storage, "WAITS", (0.001, 0.001, 0.0))
    storage.open_storage(tmp_path, "sqlite:///new.db")
    assert made == ["sqlite:///new.db"]
    said[:] = 3 * ["UNIQUE constraint failed"]
    with pytest.raises(UserError, match="cannot be reached: UNIQUE"):
        storage.open_storage(tmp_path, "sqlite:///new.db")


@pytest.mark.parametrize(
    ("does", "says"), [("exit 0", ""), ("kill -9 $$", "was killed"), ("exec sleep 60", "no longer answered")]
)
def test_only_a_process_of_a_search_that_did_not_end_by_itself_is_told(
    does: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "python"
    stops_with_the_first = 'test "$TRAINKIT_PARENT" = $PPID || exit 1'
    program.write_text(f"#!/bin/sh\n{stops_with_the_first}\nsleep 0.3\n{does}\n")
    program.chmod(0o700)
    monkeypatch.setattr(search_jobs.sys, "executable", str(program))
    monkeypatch.setattr(search_jobs, "END_SECONDS", 1.5)
    search_jobs.SearchJobs([], tmp_path, 2).end(0.1, stopped=False)
    assert capsys.readouterr().out == (
        says and f"trainkit: a job of the search {says}; its trials were taken up.\n"
    )


@pytest.mark.slow
def test_a_search_in_postgresql_is_continued(train: Callable[..., int], postgresql: str) -> None:
    address = f"tune.storage='{postgresql}'"
    assert train(*SEARCH, address, "run_dir=database") == 0
    assert train(*SEARCH, address, "run_dir=database", "tune.trials=5") == 0
    assert train(*SEARCH, "run_dir=journal", "tune.trials=5") == 0
    assert values("database") == values("journal")


def values(folder: str) -> list[tuple[str, str, str]]:
    return [(row["number"], row["state"], row["value"]) for row in table("trials.csv", folder)]


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[str]:
    """The address of a server that this test starts, and ends."""
    pytest.importorskip("psycopg")
    tools = {name: shutil.which(name) for name in ("initdb", "pg_ctl")}
    if None in tools.values():
        pytest.skip("PostgreSQL is not installed: initdb and pg_ctl are needed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "postgresql"
    folder.mkdir()
    user = () if os.geteuid() else as_another_user(tmp_path, folder)

    def run(*words: str) -> None:
        subprocess.run([*user, *words], check=True, capture_output=True, cwd=folder)

    data = str(folder / "data")
    run(str(tools["initdb"]), "-D", data, "-U", "tester", "-A", "trust")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    run(str(tools["pg_ctl"]), "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
    finally:
        run(str(tools["pg_ctl"]), "-D", data, "-m", "immediate", "stop")


def as_another_user(outside: Path, folder: Path) -> tuple[str, ...]:
    """PostgreSQL refuses to run as root: words that run a command as the user `postgres`."""
    if shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL refuses root, and setpriv is not installed")
    try:
        shutil.chown(folder, "postgres", "postgres")
    except LookupError:
        pytest.skip("PostgreSQL refuses root, and there is no user postgres")
    for path in [outside, *outside.parents]:
        if path.stat().st_uid == os.geteuid() and str(path) != "/":
            path.chmod(path.stat().st_mode | 0o011)
    return ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
