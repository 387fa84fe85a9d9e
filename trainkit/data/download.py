"""Downloading a data set as Keras does: its address, its checksum, its cache."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

CONNECT_SECONDS = 10.0
BLOCK = 1 << 16


class DownloadError(Exception):
    """The file could not be had; the message says why."""


def keras_cache() -> Path:
    """The folder where Keras keeps data sets: `$KERAS_HOME/datasets`, by default `~/.keras/datasets`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"


def fetch(address: str, sha256: str, target: Path) -> Path:
    """Download a file, check it, and only then give it its name; nothing is left behind on failure.

    Args:
        address: URL.
        sha256: Expected checksum.
        target: File to write.

    Raises:
        DownloadError: if it cannot be reached within 10 s, breaks off, or is another file than expected.
    """
    beside = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(address, timeout=CONNECT_SECONDS) as response:
            total = int(response.headers.get("Content-Length") or 0)
            target.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                while block := response.read(BLOCK):
                    file.write(block)
                    digest.update(block)
                    _show(target.name, file.tell(), total)
        if digest.hexdigest() != sha256:
            raise DownloadError(f"the file at {address} has checksum {digest.hexdigest()[:12]}…, expected {sha256[:12]}…")
        os.replace(beside, target)
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{address} answered {error.code} {error.reason}") from error
    except (OSError, socket.timeout) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(f"{address.split('/')[2]} cannot be reached ({reason})") from error
    finally:
        beside.unlink(missing_ok=True)
    return target


def _show(name: str, done: int, total: int) -> None:
    """A progress bar on a terminal, nothing elsewhere."""
    if sys.stderr.isatty():
        share = done / total if total else 0.0
        end = "\n" if total and done >= total else ""
        sys.stderr.write(f"\rDownloading {name} [{'#' * int(30 * share):<30}] {done / 1e6:.1f} MB{end}")
        sys.stderr.flush()
