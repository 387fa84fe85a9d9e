"""Laws of the other data sets of Keras: as honest as MNIST, and no pickle runs code."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.data_files import NOWHERE, offline, packed, serving
from trainkit.core.errors import UserError
from trainkit.data.sources.keras_datasets import (
    CALIFORNIA_HOUSING,
    CIFAR10,
    FASHION_MNIST,
    IMDB,
    KNOWN_SETS,
    REUTERS,
    DataSet,
    load,
)
from trainkit.data.sources.sequences import word_numbers

WITHOUT_SUBSTITUTE = [CALIFORNIA_HOUSING, CIFAR10, FASHION_MNIST, IMDB, REUTERS]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder given, an empty cache of Keras, and no proxy between the tests and their own server."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("TRAINKIT_DATA", raising=False)


def pixels(rows: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(rows).integers(0, 256, (rows, *shape), np.uint8)


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.tobytes())


def cifar(images: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> bytes:
    """An archive like CIFAR's, in which every file holds the same images."""
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    batch = pickle.dumps({b"data": rows, b"labels": labels.tolist()})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(batch)
            archive.addfile(member, io.BytesIO(batch))
    return buffer.getvalue()


CIFAR_NAMES = tuple(
    f"cifar-10-batches-py/{n}" for n in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
)


def lists(*rows: list[int]) -> np.ndarray:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


LABELS = np.array([3, 0, 9], np.uint8)
GRAY = pixels(3, 28, 28)
COLOR = pixels(3, 32, 32, 3)
WORDS = lists([1, 5, 2], [7])
HOUSES = {"x": np.arange(16.0).reshape(2, 8), "y": np.array([1.0, 2.0])}
CONTENTS: dict[str, list[bytes]] = {
    "fashion_mnist": [idx(GRAY), idx(LABELS), idx(GRAY[:2]), idx(LABELS[:2])],
    "cifar10": [cifar(COLOR, LABELS, CIFAR_NAMES)],
    "california_housing": [packed(HOUSES)],
    "imdb": [
        packed({"x_train": WORDS, "y_train": np.array([0, 1]), "x_test": WORDS, "y_test": np.array([1, 0])})
    ],
    "reuters": [packed({"x": WORDS, "y": np.array([45, 0])})],
}


def placed(wanted: DataSet, folder: Path, contents: list[bytes] | None = None) -> Path:
    """A folder with the files of a data set."""
    for file, content in zip(wanted.files, contents or CONTENTS[wanted.key], strict=True):
        (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(content)
    return folder


def test_every_known_set_has_a_name_of_its_own() -> None:
    assert list(KNOWN_SETS) == [
        "mnist",
        "fashion_mnist",
        "cifar10",
        "boston",
        "california_housing",
        "imdb",
        "reuters",
    ]
    files = [file for known in KNOWN_SETS.values() for file in known.files]
    assert len({file.name for file in files}) == len({file.sha256 for file in files}) == len(files)
    assert all(len(file.sha256) == 64 for file in files)


def test_images_of_fashion_mnist_are_those_of_its_files(tmp_path: Path) -> None:
    arrays, source = load(FASHION_MNIST, dir=str(placed(FASHION_MNIST, tmp_path)))
    np.testing.assert_array_equal(arrays["x_train"], GRAY)
    np.testing.assert_array_equal(arrays["y_test"], LABELS[:2])
    assert (source.name, source.substitute_for, len(source.sha256)) == ("Fashion-MNIST", "", 64)


def test_images_of_cifar_have_their_channels_last(tmp_path: Path) -> None:
    arrays, _ = load(CIFAR10, dir=str(placed(CIFAR10, tmp_path)))
    np.testing.assert_array_equal(arrays["x_train"], np.concatenate([COLOR] * 5))
    np.testing.assert_array_equal(arrays["x_test"], COLOR)
    np.testing.assert_array_equal(arrays["y_train"], np.concatenate([LABELS] * 5))


@pytest.mark.parametrize("wanted", [IMDB, REUTERS], ids=lambda known: known.key)
def test_texts_are_lists_of_word_numbers(tmp_path: Path, wanted: DataSet) -> None:
    arrays, _ = load(wanted, dir=str(placed(wanted, tmp_path)))
    texts = arrays["x_train" if wanted is IMDB else "x"]
    assert [text.tolist() for text in texts] == WORDS.tolist()
    assert {text.dtype for text in texts} == {np.dtype(np.int32)}
    assert word_numbers(texts, words=8, length=3).tolist() == [[1, 4, 2], [1, 2, 0]]


def test_word_numbers_are_those_of_keras() -> None:
    import keras

    random = np.random.default_rng(0)
    texts = [random.integers(1, 60, random.integers(1, 12)) for _ in range(20)]
    # What keras.datasets.imdb.load_data(num_words=40) does to the lists of its file.
    known = [[1] + [w + 3 if w + 3 < 40 else 2 for w in text] for text in texts]
    expected = keras.utils.pad_sequences(known, maxlen=8, padding="post", truncating="post")
    np.testing.assert_array_equal(word_numbers(texts, words=40, length=8), expected)


@pytest.mark.parametrize("wanted", WITHOUT_SUBSTITUTE, ids=lambda known: known.key)
@pytest.mark.parametrize("source", ["auto", "own"])
def test_without_internet_one_line_says_what_to_do(wanted: DataSet, source: str) -> None:
    with pytest.raises(UserError, match=f"{wanted.name} was not found .*no substitute") as error:
        load(offline(wanted), wanted.key if source == "own" else source)
    text = str(error.value)
    assert "download failed" in text
    assert wanted.files[-1].name in text
    assert "data.dir or TRAINKIT_DATA" in text
    assert "\n" not in text


def test_a_set_without_a_substitute_has_no_embedded_source() -> None:
    with pytest.raises(
        UserError, match=r"data\.source=embedded is no source of CIFAR-10; known: auto, cifar10"
    ):
        load(CIFAR10, "embedded")


@pytest.mark.parametrize("wanted", WITHOUT_SUBSTITUTE, ids=lambda known: known.key)
def test_files_are_downloaded_once_into_kerass_cache(tmp_path: Path, wanted: DataSet) -> None:
    contents = CONTENTS[wanted.key]
    with ExitStack() as servers:
        files = [
            replace(
                file,
                url=servers.enter_context(serving(content)),
                sha256=hashlib.sha256(content).hexdigest(),
            )
            for file, content in zip(wanted.files, contents, strict=True)
        ]
        local = replace(wanted, files=tuple(files))
        first, _ = load(local)
    cached = [file.path_in_cache() for file in local.files]
    assert [path.read_bytes() for path in cached] == contents
    again, _ = load(local)  # the servers are gone
    assert all(np.array_equal(first[name], again[name]) for name in first if first[name].dtype != object)


def test_what_is_in_the_cache_is_not_downloaded_again(tmp_path: Path) -> None:
    contents = CONTENTS["fashion_mnist"]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    files = [replace(f, sha256=d, url=NOWHERE) for f, d in zip(FASHION_MNIST.files, digests, strict=True)]
    for file, content in zip(files[:3], contents, strict=False):
        file.path_in_cache().parent.mkdir(parents=True, exist_ok=True)
        file.path_in_cache().write_bytes(content)
    with serving(contents[3]) as url:
        arrays, _ = load(replace(FASHION_MNIST, files=(*files[:3], replace(files[3], url=url))))
    np.testing.assert_array_equal(arrays["x_train"], GRAY)


class Intruder:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("intruded"),))


def intruding_npz() -> bytes:
    array = np.empty(1, dtype=object)
    array[0] = Intruder()
    return packed({"x": array, "y": np.array([0])})


def damaged_npz() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x09\x00")
    return buffer.getvalue()


BAD: dict[str, tuple[DataSet, Callable[[], list[bytes]], str]] = {
    "pickled code": (REUTERS, lambda: [intruding_npz()], "which is no array"),
    "pickled code in an archive": (
        CIFAR10,
        lambda: [cifar(COLOR, LABELS, CIFAR_NAMES[:-1])],
        "no CIFAR-10 file .*test_batch",
    ),
    "no numbers": (
        REUTERS,
        lambda: [packed({"x": lists(["a"]), "y": np.array([0])})],
        "no Reuters newswires file",
    ),
    "unknown version": (REUTERS, lambda: [damaged_npz()], "no Reuters newswires file"),
    "negative word": (
        REUTERS,
        lambda: [packed({"x": lists([-1]), "y": np.array([0])})],
        r"x has values from -1 to -1; expected \[N\] lists of whole numbers",
    ),
    "no idx": (
        FASHION_MNIST,
        lambda: [gzip.compress(b"\1\2\3\4")] * 4,
        "no idx file of bytes: it begins with 01020304",
    ),
    "no gzip": (FASHION_MNIST, lambda: [b"x"] * 4, "no Fashion-MNIST file"),
    "images cut off": (
        FASHION_MNIST,
        lambda: [gzip.compress(gzip.decompress(idx(GRAY))[:-1])] * 4,
        "no Fashion-MNIST",
    ),
    "fewer labels": (
        FASHION_MNIST,
        lambda: [idx(GRAY), idx(LABELS[:2]), idx(GRAY), idx(LABELS)],
        r"y_train has shape \[2\] where N=3",
    ),
    "no archive": (CIFAR10, lambda: [b"x" * 600], "no CIFAR-10 file"),
    "seven features": (
        CALIFORNIA_HOUSING,
        lambda: [packed(HOUSES | {"x": HOUSES["x"][:, 1:]})],
        r"x has shape \[2, 7\]",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_give_one_clear_line_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted, contents, said = BAD[case]
    with pytest.raises(UserError, match=said) as error:
        load(wanted, dir=str(placed(wanted, tmp_path, contents())))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "intruded").exists()
