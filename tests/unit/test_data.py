"""Laws of the data sources: the first that has the data wins, and a substitute says so."""

from __future__ import annotations

import hashlib
import http.server
import io
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.repository import ROOT
from trainkit.core.errors import UserError
from trainkit.data.sources import download, npz
from trainkit.data.sources.keras_datasets import BOSTON, MNIST, DataSet, DataWarning, load

NOWHERE = "http://127.0.0.1:1/"  # a port that refuses: a download that fails at once, without a network


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder given, an empty cache of Keras, and no proxy between the tests and their own server."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("TRAINKIT_DATA", raising=False)


def digits(rows: int = 4) -> dict[str, np.ndarray]:
    images = np.arange(rows * 784, dtype=np.uint8).reshape(rows, 28, 28)
    labels = (np.arange(rows) % 10).astype(np.uint8)
    return {"x_train": images, "y_train": labels, "x_test": images[:2], "y_test": labels[:2]}


def houses(rows: int = 6) -> dict[str, np.ndarray]:
    return {"x": np.arange(rows * 13.0).reshape(rows, 13), "y": np.arange(rows) + 10.0}


def packed(arrays: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def offline(wanted: DataSet) -> DataSet:
    return replace(wanted, url=NOWHERE + wanted.file)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """`serve(content)` gives an address that answers with it.

    `length` announces another size, `status` another code.
    """
    servers = []

    def start(content: bytes, length: int | None = None, status: int = 200) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content) if length is None else length))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                """Not into the tests' output."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/file.npz"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


# Sources


def test_folder_goes_before_cache_and_cache_before_download(
    tmp_path: Path, serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    online = packed(digits(5))
    wanted = replace(MNIST, url=serve(online), sha256=hashlib.sha256(online).hexdigest())
    cache = tmp_path / "keras" / "datasets" / "mnist.npz"

    rows, source = load(wanted)
    assert (len(rows["x_train"]), source.name, source.origin, cache.read_bytes()) == (
        5,
        "MNIST",
        str(cache),
        online,
    )

    cache.write_bytes(packed(digits(6)))
    assert len(load(wanted)[0]["x_train"]) == 6

    (tmp_path / "mnist.npz").write_bytes(packed(digits(7)))
    monkeypatch.setenv("TRAINKIT_DATA", str(tmp_path))
    rows, source = load(wanted, "mnist")
    assert (len(rows["x_train"]), source.origin, source.substitute_for) == (
        7,
        str(tmp_path / "mnist.npz"),
        "",
    )
    assert source.sha256 == hashlib.sha256((tmp_path / "mnist.npz").read_bytes()).hexdigest()


@pytest.mark.parametrize("wanted", [MNIST, BOSTON], ids=["mnist", "boston"])
def test_fallback_is_never_silent(wanted: DataSet) -> None:
    for _ in range(2):  # also the second time in one process, as in a sweep
        with pytest.warns(DataWarning, match=f"NOT {wanted.name} but scikit-learn") as told:
            _, source = load(offline(wanted))
        text = str(told[0].message)
        assert "data.dir or TRAINKIT_DATA" in text
        assert "download failed" in text
        assert text.count("\n") == 1
    assert source.substitute_for == wanted.name
    assert source.name.startswith("scikit-learn")
    assert len(source.sha256) == 64


def test_every_run_of_a_process_is_warned_and_tensorflow_not_needed() -> None:
    program = f"""
import sys
from dataclasses import replace
from trainkit.data.sources.keras_datasets import BOSTON, load
for _ in range(2):
    load(replace(BOSTON, url={NOWHERE!r}))
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("This is NOT Boston housing") == 2


@pytest.mark.parametrize("wanted", [MNIST, BOSTON], ids=["mnist", "boston"])
def test_demanded_data_are_never_substituted(wanted: DataSet) -> None:
    with pytest.raises(
        UserError, match=f"data.source={wanted.key} demands the real data, but {wanted.name} was not found"
    ):
        load(offline(wanted), wanted.key)


@pytest.mark.parametrize("wanted", [MNIST, BOSTON], ids=["mnist", "boston"])
def test_embedded_on_request_warns_of_nothing(wanted: DataSet) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows, source = load(wanted, "embedded")
    assert source.substitute_for == wanted.name
    assert list(rows) == list(wanted.arrays)


def test_embedded_digits_fill_the_range_of_pixels() -> None:
    rows, _ = load(MNIST, "embedded")
    assert (rows["x_train"].shape, rows["x_train"].dtype, rows["x_test"].shape) == (
        (1437, 28, 28),
        np.uint8,
        (360, 28, 28),
    )
    assert (rows["x_train"].min(), rows["x_train"].max()) == (0, 255)
    assert set(rows["y_test"]) == set(range(10))


@pytest.mark.parametrize(
    ("wanted", "source", "said"),
    [
        (MNIST, "minst", "did you mean mnist"),
        (MNIST, "boston", "auto, mnist, embedded"),
        (BOSTON, "x", "auto, boston, embedded"),
    ],
    ids=["misspelt", "of the other", "unlike any"],
)
def test_unknown_source_names_the_known(wanted: DataSet, source: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load(wanted, source)


def test_named_folder_must_have_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no mnist\.npz"):
        load(offline(MNIST), dir=str(tmp_path))
    with pytest.raises(UserError, match="is no folder"):
        load(offline(MNIST), dir=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("as_dir", [False, True])  # a config may hand the variable on as data.dir
def test_folder_of_the_environment_is_passed_over_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_dir: bool
) -> None:
    monkeypatch.setenv("TRAINKIT_DATA", str(tmp_path))
    with pytest.warns(DataWarning, match=r"TRAINKIT_DATA=.* has no mnist\.npz") as told:
        _, source = load(offline(MNIST), dir=str(tmp_path) if as_dir else None)
    assert (len(told), source.substitute_for) == (2, "MNIST")


# Downloads


def test_damaged_cache_is_downloaded_again(tmp_path: Path, serve: Callable[..., str]) -> None:
    content = packed(houses())
    cache = tmp_path / "keras" / "datasets" / BOSTON.file
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content[:100])
    rows, _ = load(replace(BOSTON, url=serve(content), sha256=hashlib.sha256(content).hexdigest()))
    np.testing.assert_array_equal(rows["x"], houses()["x"])
    assert cache.read_bytes() == content


@pytest.mark.parametrize("fault", ["other content", "cut off", "refused"])
def test_failed_download_leaves_the_folder_as_it_was(
    tmp_path: Path, serve: Callable[..., str], fault: str
) -> None:
    content = packed(houses())
    address = {
        "other content": lambda: serve(b"<html>log in first</html>"),
        "cut off": lambda: serve(content[:200], length=len(content)),
        "refused": lambda: serve(b"", status=403),
    }[fault]()
    (tmp_path / "file.npz").write_bytes(b"old")
    with pytest.raises(download.DownloadError):
        download.download(address, hashlib.sha256(content).hexdigest(), tmp_path / "file.npz")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file.npz", b"old")]


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


# Files


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.flat[0] = value
    return array


BAD_FILES: dict[str, tuple[DataSet, Callable[[], bytes], str]] = {
    "empty": (MNIST, lambda: b"", "damaged or no .npz"),
    "truncated": (MNIST, lambda: packed(digits())[:-40], "damaged or no .npz"),
    "damaged inside": (
        BOSTON,
        lambda: packed(houses(500)).replace(b"x.npy", b"x.npx", 1),
        "damaged or no .npz",
    ),
    "text": (MNIST, lambda: b"5,0,4,1,9\n" * 100, "damaged or no .npz"),
    "array missing": (MNIST, lambda: packed({"x": digits()["x_train"]}), "no array 'x_train'; it holds x;"),
    "small images": (
        MNIST,
        lambda: packed(digits() | {"x_test": np.zeros((2, 14, 14), np.uint8)}),
        "x_test has shape [2, 14, 14]; expected [M, 28, 28]",
    ),
    "float images": (
        MNIST,
        lambda: packed(digits() | {"x_train": digits()["x_train"] / 255}),
        "x_train has dtype float64",
    ),
    "label 10": (
        MNIST,
        lambda: packed(digits() | {"y_train": with_value(digits()["y_train"], 10)}),
        "y_train has values from 1 to 10",
    ),
    "fewer labels": (
        MNIST,
        lambda: packed(digits() | {"y_train": digits()["y_train"][:3]}),
        "y_train has shape [3] where N=4",
    ),
    "no rows": (BOSTON, lambda: packed(houses(0)), "x has shape [0, 13]"),
    "NaN": (
        BOSTON,
        lambda: packed(houses() | {"x": with_value(houses()["x"], np.nan)}),
        "x has NaN or infinite values in 1 rows, the first is row 0",
    ),
    "infinite": (
        BOSTON,
        lambda: packed(houses() | {"y": with_value(houses()["y"], np.inf)}),
        "y has NaN or infinite",
    ),
    "twelve features": (
        BOSTON,
        lambda: packed(houses() | {"x": houses()["x"][:, 1:]}),
        "x has shape [6, 12]",
    ),
    "text in an array": (BOSTON, lambda: packed(houses() | {"y": np.array(["a"] * 6)}), "y has dtype <U1"),
    "pickled objects": (BOSTON, lambda: packed(houses() | {"y": np.array([{}] * 6)}), "allow_pickle=False"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_gives_one_clear_line(tmp_path: Path, case: str) -> None:
    wanted, content, said = BAD_FILES[case]
    (tmp_path / wanted.file).write_bytes(content())
    with pytest.raises(UserError) as error:
        load(wanted, dir=str(tmp_path))
    text = str(error.value)
    assert said in text
    assert wanted.file in text
    assert "expected" in text
    assert "\n" not in text


def test_unreadable_file_gives_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "mnist.npz").mkdir()
    with pytest.raises(UserError, match="Cannot read"):
        npz.read(tmp_path / "mnist.npz", MNIST.arrays)


def test_real_files_are_as_described(real_data: Path) -> None:
    for wanted, name, rows in ((MNIST, "x_train", 60000), (BOSTON, "x", 506)):
        arrays, source = load(wanted, wanted.key, str(real_data))
        assert (len(arrays[name]), source.name) == (rows, wanted.name)
