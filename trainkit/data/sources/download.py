"""Downloads into Keras's cache, as Keras makes them, but with a deadline and never leaving half a file."""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from trainkit.core.errors import UserError
from trainkit.core.files import replacing_file
from trainkit.data.sources.progress import Progress, Write

__all__ = ["CONNECT_SECONDS", "DownloadError", "download", "keras_cache"]

CONNECT_SECONDS = 10.0
CHUNK_BYTES = 1 << 16


class DownloadError(Exception):
    """A file could not be fetched; the message is the reason."""


def keras_cache() -> Path:
    """The folder of Keras's data files: `$KERAS_HOME/datasets`, else `~/.keras/datasets`.

    Where that is not writable it lies in the temporary folder, as in Keras.
    """
    home = Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras"))
    existing = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        home = Path(tempfile.gettempdir(), ".keras")
    return home / "datasets"


def download(
    url: str, sha256: str, path: Path, seconds: float = CONNECT_SECONDS, write: Write | None = None
) -> None:
    """Fetch `url` as the file `path`, which appears only once its checksum is verified.

    Args:
        url: Address.
        sha256: Checksum that the content must have.
        path: File to write; its folder is made.
        seconds: Deadline for the first answer, and for every further piece.
        write: Called with the progress as text; `sys.stderr.write` by default.

    Raises:
        DownloadError: with the reason; `path` is then as it was.
    """
    try:
        with replacing_file(path) as part:
            digest = _fetch(url, seconds, part, path.name, write or sys.stderr.write)
            if digest != sha256:
                raise DownloadError(f"what came from {url} has sha256 {digest}, expected {sha256}")
    except UserError as error:  # the disk, not the network
        raise DownloadError(str(error).rstrip(".")) from error


def _fetch(url: str, seconds: float, part: Path, name: str, write: Write) -> str:
    """Write the content of `url` to `part`; returns its sha256."""
    try:
        answer = _open(url, seconds)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error
        raise DownloadError(f"{reason} ({url})") from error
    with answer, part.open("wb") as file:
        return _receive(_pieces(answer, url), file, Progress("Downloading", name, _length(answer), write))


def _open(url: str, seconds: float) -> Any:
    """`urlopen` with one deadline for all of it.

    A socket's own timeout covers neither the name lookup nor several addresses tried in turn.
    """
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


def _length(answer: Any) -> int:
    """Bytes that the server announces, 0 if it does not say."""
    text = str(answer.headers.get("Content-Length") or "")
    return int(text) if text.isdecimal() else 0


def _pieces(answer: Any, url: str) -> Iterator[bytes]:
    """The content of an answer; what the network raises becomes a `DownloadError`.

    So the only `OSError` that leaves the writing of the file comes from the disk.
    """
    while True:
        try:
            piece = answer.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DownloadError(f"{error} ({url})") from error
        if not piece:
            return
        yield piece


def _receive(pieces: Iterator[bytes], file: BinaryIO, progress: Progress) -> str:
    """Write all pieces; returns their sha256."""
    digest = hashlib.sha256()
    with progress:
        for piece in pieces:
            file.write(piece)
            digest.update(piece)
            progress.add(len(piece))
    return digest.hexdigest()
