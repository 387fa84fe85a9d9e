"""Images that do not fit into memory: what their files hold is what memory would hold."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainkit.core.errors import UserError
from trainkit.data.sources import image_rows, row_cache
from trainkit.data.sources.images import ImageOptions, Images, read_images

SIDE = 4  # pixels of the images here


# Images that are decoded into a file


@pytest.fixture
def raw_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`shapes/`: twelve files of two classes, that hold gray pixels as they are: no TensorFlow is needed to
    decode them, so that processes can be forked."""

    def decoded(file: Path) -> np.ndarray | str:
        content = file.read_bytes()
        whole = len(content) == SIDE * SIDE
        return np.frombuffer(content, np.uint8).reshape(SIDE, SIDE, 1) if whole else "not whole"

    monkeypatch.setattr(image_rows, "_decode", decoded)
    for number in range(12):
        file = tmp_path / "shapes" / "ab"[number % 2] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(np.full(SIDE * SIDE, number, np.uint8).tobytes())
    return tmp_path / "shapes"


def cached(folder: Path, **settings: Any) -> Images:
    cache = str(folder.parent / "cache")
    return read_images(folder, replace(ImageOptions(**settings), memory=1, cache=cache))


def entries(folder: Path) -> list[Path]:
    return sorted(path.parent for path in (folder.parent / "cache").glob("*/rows"))


def in_child(work: Callable[[], Any]) -> int:
    """The id of a process of its own that does some work; it ends as killed ones do, without cleaning up."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return child


def assert_same(found: Images, expected: Images) -> None:
    assert isinstance(found.x, np.memmap)
    np.testing.assert_array_equal(found.x, expected.x)
    assert found.table.source == expected.table.source
    assert found.table.notes[:-1] == expected.table.notes
    for name, column in expected.table.columns.items():
        assert found.table.columns[name].tolist() == column.tolist()


def test_decoded_images_are_those_in_memory_and_are_decoded_once(
    raw_images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (raw_images / "a" / "03.png").write_bytes(b"no")
    with pytest.raises(UserError, match="1 of 13 images cannot be read"):
        cached(raw_images)
    assert not entries(raw_images)
    expected = read_images(raw_images, ImageOptions(skip_bad=True))
    assert_same(cached(raw_images, skip_bad=True), expected)
    assert "Converting 13 images" in capsys.readouterr().err
    decode = image_rows._decode
    seen: list[Path] = []
    monkeypatch.setattr(image_rows, "_decode", lambda file: (seen.append(file), decode(file))[1])
    assert_same(cached(raw_images, skip_bad=True), expected)
    assert len(seen) == 1  # for the size
    assert len(entries(raw_images)) == 1


def test_another_content_or_another_reading_is_another_entry(raw_images: Path) -> None:
    cached(raw_images)
    for file in raw_images.rglob("*.png"):
        os.utime(file, (1, 1))  # not the time counts, but what is in the files
    cached(raw_images)
    assert len(entries(raw_images)) == 1
    cached(raw_images, channels=3)
    assert len(entries(raw_images)) == 2
    (raw_images / "a" / "00.png").write_bytes(bytes(range(SIDE * SIDE)))
    found = cached(raw_images)
    assert len(entries(raw_images)) == 3
    assert found.x[0].reshape(-1).tolist() == list(range(SIDE * SIDE))


def test_a_conversion_that_was_killed_is_made_anew(raw_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_images(raw_images)
    decode = image_rows._decode
    seen: list[Path] = []

    def killed(file: Path) -> Any:
        seen.append(file)
        if len(seen) > 8:
            os._exit(9)
        return decode(file)

    with monkeypatch.context() as patch:
        patch.setattr(image_rows, "_decode", killed)
        patch.setattr(image_rows, "BLOCK", 4)
        assert os.waitstatus_to_exitcode(os.waitpid(in_child(lambda: cached(raw_images)), 0)[1]) == 9
    cache = raw_images.parent / "cache"
    assert len(list(cache.glob("*/.*-rows/x.npy"))) == 1
    assert not entries(raw_images)
    assert_same(cached(raw_images), expected)
    assert not list(cache.glob("*/.*-rows"))


def test_two_processes_at_once_convert_once(raw_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_images(raw_images)
    decode = image_rows._decode
    seen: list[Path] = []

    def slowly(file: Path) -> Any:
        seen.append(file)
        time.sleep(0.02)
        return decode(file)

    def work(name: str) -> None:
        found = cached(raw_images)
        content = {"decoded": len(seen), "x": found.x.tolist()}
        (raw_images.parent / name).write_text(json.dumps(content))

    monkeypatch.setattr(image_rows, "_decode", slowly)
    for child in [in_child(lambda name=name: work(name)) for name in ("one", "two")]:  # type: ignore[misc]
        os.waitpid(child, 0)
    results = [json.loads((raw_images.parent / name).read_text()) for name in ("one", "two")]
    assert all(result["x"] == expected.x.tolist() for result in results)
    assert sorted(result["decoded"] for result in results) == [1, 1 + 1 + 12]  # the size, the size, all


class Free:
    free = 10


def test_a_disk_without_room_is_refused_in_one_line(
    raw_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_cache.shutil, "disk_usage", lambda path: Free())
    with pytest.raises(UserError, match=r"has room for 10 bytes\. Set data\.cache"):
        cached(raw_images)
