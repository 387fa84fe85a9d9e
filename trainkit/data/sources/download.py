"""Fetching a data file into Keras's cache, as Keras does, but with a deadline and never leaving half a file."""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CONNECT_SECONDS = 10.0


CHUNK_BYTES = 1 << 16


class DownloadError(Exception):
    """A file could not be fetched; the message is the reason."""


def keras_cache() -> Path:
    """The folder of Keras's data files: `$KERAS_HOME/datasets`, else `~/.keras/datasets`, in the temporary folder if that is not writable."""
    home = Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras"))
    existing = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    return (home if os.access(existing, os.W_OK) else Path(tempfile.gettempdir(), ".keras")) / "datasets"


def download(url: str, sha256: str, path: Path, seconds: float = CONNECT_SECONDS) -> None:
    """Fetch `url` as the file `path`: written beside it, its checksum verified, then renamed. Progress goes to stderr.

    Args:
        url: Address.
        sha256: Checksum that the content must have.
        path: File to write; its folder is made.
        seconds: Deadline for the first answer, and for every further piece.

    Raises:
        DownloadError: with the reason; `path` is then as it was.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with _open(url, seconds) as answer:
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = _receive(answer, part, path.name)
        if digest != sha256:
            raise DownloadError(f"what came from {url} has sha256 {digest}, expected {sha256}")
        os.replace(part, path)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error
        raise DownloadError(f"{reason} ({url})") from error
    finally:
        part.unlink(missing_ok=True)


def _open(url: str, seconds: float) -> Any:
    """`urlopen` with one deadline for all of it: a socket's own time-out covers neither the name lookup nor several addresses in turn."""
    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(urllib.request.urlopen(url, timeout=seconds))
        except Exception as error:  # raised again below, in the caller's thread
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        got = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if isinstance(got, Exception):
        raise got
    return got


def _receive(answer: Any, part: Path, name: str) -> str:
    """Write the content to `part`; returns its sha256."""
    total, done, shown = int(answer.headers.get("Content-Length") or 0), 0, 0.0
    digest, live = hashlib.sha256(), sys.stderr.isatty()
    print(
        f"Downloading {name}{f' ({total / 1e6:.1f} MB)' if total else ''} ...",
        end="" if live else "\n",
        file=sys.stderr,
        flush=True,
    )
    try:
        with part.open("wb") as file:
            while chunk := answer.read(CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if live and (time.monotonic() - shown > 0.1 or done == total):
                    shown = time.monotonic()
                    print(f"\r{_bar(name, done, total)}", end="", file=sys.stderr, flush=True)
            file.flush()
            os.fsync(file.fileno())
    finally:
        if live:
            print(file=sys.stderr)  # what comes next, an error too, starts a new line
    return digest.hexdigest()


def _bar(name: str, done: int, total: int) -> str:
    filled = round(30 * done / total) if total else 0
    return f"Downloading {name} [{'=' * filled}{' ' * (30 - filled)}] {done / 1e6:.1f}{f' of {total / 1e6:.1f}' if total else ''} MB"
