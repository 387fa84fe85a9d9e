"""Where the trials of a search are kept: a journal file that survives a killed process, or a database."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend

from trainkit.core.errors import UserError, one_line

__all__ = ["JOURNAL", "JournalFile", "locked", "open_storage", "shown_address"]

JOURNAL = "study.journal"
# What databases say to the second of two processes that make the tables of a new one; it finds them then.
AT_ONCE = ("already exists", "UNIQUE constraint", "duplicate key", "database is locked")
WAITS = (0.2, 0.5, 1.0, 2.0, 0.0)  # seconds between the attempts


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time is in the block; the lock of a killed process is free at once.

    Args:
        path: The lock's file, made if it is not there.
    """
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class JournalFile(BaseJournalBackend):
    """Optuna's journal in a file: one JSON object per line, in Optuna's own format.

    A process may be killed while it writes, and leaves a part of a line. The next writer cuts it off, and no
    reader looks behind the last whole line. Optuna's own backend cannot read such a file, and waits half a
    minute for the lock of a killed process.

    Args:
        path: The file; made if it is not there.

    Raises:
        UserError: if it cannot be written, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets = [0]  # where each line begins
        try:
            with path.open("ab"):
                pass
            self._mend()
            for _ in self.read_logs(0):
                pass
        except OSError as error:
            raise UserError(f"Cannot write {path}: {error.strerror}; choose another run_dir=.") from error
        except ValueError as error:
            raise UserError(
                f"{path} is damaged in line {len(self._offsets)}: {one_line(str(error))}; "
                "expected the journal of a search. Start another search with another run_dir=."
            ) from error

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The entries from a number on."""
        with self.path.open("rb") as file:
            known = min(log_number_from, len(self._offsets) - 1)
            file.seek(self._offsets[known])
            for number, line in enumerate(file, start=known):
                if not line.endswith(b"\n"):
                    return  # still being written, or torn
                entry = json.loads(line)
                if number + 1 == len(self._offsets):
                    self._offsets.append(self._offsets[number] + len(line))
                if number >= log_number_from:
                    yield entry

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries, all or none of them whole."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _cut_torn_line(file)
            file.write(text.encode("utf-8"))

    def _mend(self) -> None:
        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _cut_torn_line(file)


def _cut_torn_line(file: Any) -> None:
    """Cut a file off behind its last whole line, and stand there."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    file.truncate(whole)
    file.seek(whole)


def open_storage(folder: Path, address: str | None) -> BaseStorage:
    """The storage of the search in a folder.

    Args:
        folder: Of the search.
        address: Of a database; None: the journal in the folder.

    Raises:
        UserError: if it cannot be reached.
    """
    if address is None:
        return JournalStorage(JournalFile(folder / JOURNAL))
    for waited in WAITS:
        try:
            return RDBStorage(address, skip_compatibility_check=False)
        except ImportError as error:
            raise UserError(
                f"tune.storage={address}: {one_line(str(error))}; install that package."
            ) from error
        except Exception as error:  # whatever the driver of the database raises
            known = one_line(str(error))[:300]
            if waited and any(word in known for word in AT_ONCE):
                time.sleep(waited)
                continue
            raise UserError(
                f"tune.storage={shown_address(address)} cannot be reached: {known}; "
                "expected the address of an Optuna storage, such as sqlite:///search.db."
            ) from error
    raise AssertionError("The last attempt returns or raises.")


def shown_address(address: str) -> str:
    """The address of a storage without its password."""
    head, at, tail = address.rpartition("@")
    user, colon, _ = head.rpartition(":")
    return f"{user}:***@{tail}" if at and colon and "//" not in head[head.rfind(":") :] else address


optuna.logging.set_verbosity(optuna.logging.ERROR)  # what happens is told by our own lines
