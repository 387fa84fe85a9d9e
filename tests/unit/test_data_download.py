"""Laws of downloads: whole and verified, or not at all, and never waited for without an end."""

from __future__ import annotations

import hashlib
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.data_files import houses, packed, served, serving
from trainkit.data.sources import download
from trainkit.data.sources.keras_datasets import BOSTON, load


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder given, an empty cache of Keras, and no proxy between the tests and their own server."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("TRAINKIT_DATA", raising=False)


def test_damaged_cache_is_downloaded_again(tmp_path: Path) -> None:
    content = packed(houses())
    cache = tmp_path / "keras" / "datasets" / "boston_housing.npz"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content[:100])
    with serving(content) as url:
        rows, _ = load(served(BOSTON, url, content))
    np.testing.assert_array_equal(rows["x"], houses()["x"])
    assert cache.read_bytes() == content


FAULTS: dict[str, dict[str, Any]] = {
    "other content": {"content": b"<html>log in first</html>"},
    "cut off": {"content": packed(houses())[:200], "length": len(packed(houses()))},
    "refused": {"content": b"", "status": 403},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_failed_download_leaves_the_folder_as_it_was(tmp_path: Path, fault: str) -> None:
    (tmp_path / "file.npz").write_bytes(b"old")
    with serving(**FAULTS[fault]) as url, pytest.raises(download.DownloadError, match=url):
        download.download(url, hashlib.sha256(packed(houses())).hexdigest(), tmp_path / "file.npz")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file.npz", b"old")]


def test_progress_goes_to_the_given_function_and_not_to_the_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    with serving(b"x" * 3_000_000) as url:
        digest = hashlib.sha256(b"x" * 3_000_000).hexdigest()
        download.download(url, digest, tmp_path / "file.bin", write=said.append)
    assert said == ["Downloading file.bin (3.0 MB) ...\n"]
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_cannot_be_written_is_the_reason(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    with serving(b"x") as url, pytest.raises(download.DownloadError, match="Cannot write"):
        download.download(url, "", tmp_path / "taken" / "file.npz")


def test_silent_server_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(download.DownloadError):
            download.download(
                f"http://127.0.0.1:{listener.getsockname()[1]}/", "", tmp_path / "file", seconds=0.1
            )


def test_hanging_name_lookup_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: release.wait())
    with pytest.raises(download.DownloadError, match=r"no answer within 0\.1 s"):
        download.download("http://nowhere.invalid/", "", tmp_path / "file", seconds=0.1)
    release.set()
