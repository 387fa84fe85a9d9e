"""A search in a database: PostgreSQL, started by the test, and SQLite."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.commands import table

SEARCH = (
    "mode=tune",
    "tune=random",
    "tune.trials=3",
    "tune.space.optimizer.learning_rate={low: 1e-3, high: 1e-1, log: true}",
    "trainer.epochs=1",
)


@pytest.mark.slow
def test_a_search_in_sqlite_equals_one_in_a_journal(train: Callable[..., int], tmp_path: Path) -> None:
    address = f"tune.storage='sqlite:///{tmp_path / 'search.db'}'"
    assert train(*SEARCH, address, "run_dir=database") == 0
    assert train(*SEARCH, "run_dir=journal") == 0
    assert values("database") == values("journal")


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
