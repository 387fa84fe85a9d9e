"""The file formats of known data sets, read from bytes: idx, CIFAR's pickles, and `.npz`."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Collection

import numpy as np

from trainkit.data.sources import npz

__all__ = ["cifar_archive", "idx_files", "npz_file", "ragged_npz_file"]

UNSIGNED_BYTES = 0x08  # the only element type of the idx files that are read here


def npz_file(contents: list[bytes], names: Collection[str]) -> dict[str, np.ndarray]:
    """The named arrays of one `.npz` file."""
    return npz.unpack(contents[0], names)


def ragged_npz_file(contents: list[bytes], lists: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of one `.npz` file; those named in `lists` hold lists of whole numbers."""
    return npz.ragged(contents[0], lists)


def idx_files(contents: list[bytes], names: Collection[str]) -> dict[str, np.ndarray]:
    """One array per compressed idx file, by name, in the order of the files.

    Raises:
        ValueError: if a file is no idx file of bytes.
    """
    return {name: _idx(gzip.decompress(content)) for name, content in zip(names, contents, strict=True)}


def _idx(content: bytes) -> np.ndarray:
    """The array of an idx file: two zero bytes, element type, number of axes, their sizes, elements."""
    zeros, kind, axes = content[:2], content[2], content[3]
    if zeros != b"\0\0" or kind != UNSIGNED_BYTES:
        raise ValueError(f"no idx file of bytes: it begins with {content[:4].hex()}")
    shape = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape.tolist())


def cifar_archive(contents: list[bytes], batches: tuple[str, ...], test: str) -> dict[str, np.ndarray]:
    """Images `[N, 32, 32, 3]` and labels `[N]` of CIFAR's archive.

    Args:
        contents: The archive's.
        batches: Names of the files with training images.
        test: Name of the file with test images.

    Raises:
        KeyError: if the archive lacks a file.
    """
    with tarfile.open(fileobj=io.BytesIO(contents[0])) as archive:
        parts = [_cifar_batch(archive, name) for name in (*batches, test)]
    train = parts[:-1]
    return {
        "x_train": np.concatenate([images for images, _ in train]),
        "y_train": np.concatenate([labels for _, labels in train]),
        "x_test": parts[-1][0],
        "y_test": parts[-1][1],
    }


def _cifar_batch(archive: tarfile.TarFile, name: str) -> tuple[np.ndarray, np.ndarray]:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    batch = npz.RestrictedUnpickler(file, encoding="bytes").load()
    images = batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.asarray(batch[b"labels"], np.uint8)
