"""Small files of data sets as the sources expect them, and a server of the tests' own."""

from __future__ import annotations

import hashlib
import http.server
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from trainkit.data.sources.keras_datasets import DataSet

__all__ = ["NOWHERE", "digits", "houses", "offline", "packed", "served", "serving", "with_value"]

NOWHERE = "http://127.0.0.1:1/"  # a port that refuses: a download that fails at once, without a network


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
    """The data set with addresses that nothing answers at."""
    files = tuple(replace(file, url=NOWHERE + file.name) for file in wanted.files)
    return replace(wanted, files=files)


def served(wanted: DataSet, url: str, content: bytes) -> DataSet:
    """The data set with one file of this content, at this address."""
    digest = hashlib.sha256(content).hexdigest()
    return replace(wanted, files=(replace(wanted.files[0], url=url, sha256=digest),))


@contextmanager
def serving(content: bytes, length: int | None = None, status: int = 200) -> Iterator[str]:
    """An address that answers with `content` during the block.

    `length` announces another size, `status` another code.
    """

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
    yield f"http://127.0.0.1:{server.server_address[1]}/file.npz"
    server.shutdown()
    server.server_close()


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    """A copy with its first number replaced."""
    array = array.copy()
    array.flat[0] = value
    return array
