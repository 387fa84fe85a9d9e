"""Laws of image and text folders: what a file holds arrives, and bad files are counted and named."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from trainkit.config import DataConfig
from trainkit.core.errors import UserError
from trainkit.data.image_data import new_images
from trainkit.data.inference import infer_schema
from trainkit.data.preparation import Preparation, PreparationSettings
from trainkit.data.preparation.labels import fit_class_labels
from trainkit.data.schema import Schema
from trainkit.data.sources import paths
from trainkit.data.sources.images import ImageOptions, read_images
from trainkit.data.sources.texts import read_texts


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def png(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tf.io.encode_png(image).numpy())
    return path


def folders(root: Path, *shape: int) -> dict[str, np.ndarray]:
    """Two images in each of two classes; returns them by their path below the root."""
    names = ("a/1.png", "a/2.png", "b/1.png", "b/2.png")
    images = {name: pixels(seed, *shape) for seed, name in enumerate(names)}
    for name, image in images.items():
        png(root / name, image)
    return images


# Images


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_class_folders_arrive_as_they_are(tmp_path: Path, channels: int) -> None:
    images = folders(tmp_path, 5, 4, channels)
    (tmp_path / "a" / ".hidden.png").write_bytes(b"")
    read = read_images(tmp_path)
    np.testing.assert_array_equal(read.x, np.stack(list(images.values())))
    assert (read.x.dtype, read.x.shape) == (np.uint8, (4, 5, 4, channels))
    assert read.table.columns["label"].tolist() == ["a", "a", "b", "b"]
    assert read.table.columns["path"].tolist() == [str(tmp_path / name) for name in images]
    assert read.table.notes == ()
    assert paths.detect_format(tmp_path) == "images"


def test_images_of_a_table_keep_the_tables_columns_and_order(tmp_path: Path) -> None:
    images = folders(tmp_path, 3, 3, 1)
    (tmp_path / "list.csv").write_text("File,kind,patient\nb/1.png,x,7\na/2.png,y,8\n")
    for path in (tmp_path, tmp_path / "list.csv"):
        read = read_images(path)
        np.testing.assert_array_equal(read.x, np.stack([images["b/1.png"], images["a/2.png"]]))
        assert {name: column.tolist() for name, column in read.table.columns.items()} == {
            "File": ["b/1.png", "a/2.png"],
            "kind": ["x", "y"],
            "patient": ["7", "8"],
        }
    assert paths.detect_format(tmp_path) == "images"


def test_images_without_labels(tmp_path: Path) -> None:
    images = folders(tmp_path, 3, 3, 1)
    read = read_images(tmp_path, ImageOptions(labelled=False))
    assert (len(read.x), list(read.table.columns)) == (4, ["path"])
    one = read_images(tmp_path / "b" / "2.png", ImageOptions(labelled=False))
    np.testing.assert_array_equal(one.x[0], images["b/2.png"])


def test_channels_are_those_of_the_images_or_as_asked(tmp_path: Path) -> None:
    gray = pixels(0, 3, 3, 1)
    color = np.repeat(gray, 3, axis=-1)
    clear = np.concatenate([color, pixels(1, 3, 3, 1)], axis=-1)
    for label, image in (("a", gray), ("b", color), ("c", clear), ("d", clear[..., 2:])):
        png(tmp_path / label / "1.png", image)
    read = read_images(tmp_path)
    np.testing.assert_array_equal(read.x, np.stack([color] * 4))
    assert read.table.notes == ("transparency is dropped in 2 images",)
    read = read_images(tmp_path, ImageOptions(channels=1))
    np.testing.assert_array_equal(read.x, np.stack([gray] * 4))


def test_images_of_several_sizes_are_scaled_to_one(tmp_path: Path) -> None:
    png(tmp_path / "a" / "1.png", np.full((6, 4, 1), 9, np.uint8))
    png(tmp_path / "b" / "1.png", pixels(0, 3, 5, 1))
    with pytest.raises(UserError, match=r"2 sizes, e\.g\. 6x4 .*a/1\.png.* 3x5 .*data\.image_size"):
        read_images(tmp_path)
    read = read_images(tmp_path, ImageOptions(size=(3, 5)))
    np.testing.assert_array_equal(read.x[0], np.full((3, 5, 1), 9))
    np.testing.assert_array_equal(read.x[1], pixels(0, 3, 5, 1))
    assert read.table.notes == ("the size is changed in 1 image",)


def test_jpeg_is_read(tmp_path: Path) -> None:
    image = np.full((8, 8, 3), 77, np.uint8)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(tf.io.encode_jpeg(image, quality=100).numpy())
    png(tmp_path / "b" / "2.png", image)
    np.testing.assert_allclose(read_images(tmp_path).x, 77, atol=1)


@pytest.mark.parametrize("ending", ["gif", "png"])
@pytest.mark.parametrize("palette", [False, True])
def test_frames_after_the_first_are_told(ending: str, palette: bool, tmp_path: Path) -> None:
    pictures = pytest.importorskip("PIL.Image")
    frames = [pictures.fromarray(pixels(seed, 9, 9, 3)) for seed in range(3)]
    frames = [frame.quantize(16) for frame in frames] if palette else frames
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    frames[0].save(tmp_path / "a" / f"one.{ending}")
    for name in ("two", "three"):
        frames[0].save(tmp_path / "b" / f"{name}.{ending}", save_all=True, append_images=frames[1:])
    read = read_images(tmp_path)
    assert read.x.shape[:3] == (3, 9, 9)
    assert "all frames but the first are dropped in 2 images" in read.table.notes


def test_a_webp_of_several_frames_is_refused_by_name(tmp_path: Path) -> None:
    """TensorFlow ends the process that decodes one."""
    pictures = pytest.importorskip("PIL.Image")
    frames = [pictures.fromarray(pixels(seed, 9, 9, 3)) for seed in range(3)]
    for label in "ab":
        (tmp_path / label).mkdir()
        frames[0].save(tmp_path / label / "one.webp", lossless=True)
    frames[0].save(tmp_path / "b" / "moving.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match=r"1 of 3 images .*b/moving\.webp \(a WebP of several frames; save"):
        read_images(tmp_path)
    read = read_images(tmp_path, ImageOptions(skip_bad=True))
    assert len(read.x) == 2


def test_what_8_bits_upright_do_not_hold_is_told(tmp_path: Path) -> None:
    png(tmp_path / "a" / "1.png", np.full((4, 4, 1), 40_000, np.uint16))
    image = tf.io.encode_jpeg(np.full((4, 4, 1), 77, np.uint8)).numpy()
    for number, order in enumerate((b"II", b"MM")):
        sign = "<" if order == b"II" else ">"
        tiff = order + struct.pack(f"{sign}HIHHHIHH", 42, 8, 1, 0x0112, 3, 1, 6, 0)
        marked = b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff
        png(tmp_path / "b" / f"{number}.jpg", np.zeros((1, 1, 1), np.uint8)).write_bytes(
            image[:2] + marked + image[2:]
        )
    read = read_images(tmp_path)
    assert read.table.notes == (
        "16 bits per color become 8 in 1 image",
        "marks of the camera's orientation are not followed, as in Keras, in 2 images",
    )
    assert (read.x[0] == 40_000 >> 8).all()


def test_bad_images_are_counted_and_named_and_left_out_on_request(tmp_path: Path) -> None:
    folders(tmp_path, 3, 3, 1)
    (tmp_path / "a" / "3.png").write_bytes(b"no image")
    (tmp_path / "b" / "0.png").write_bytes((tmp_path / "b" / "1.png").read_bytes()[:-20])
    with pytest.raises(UserError, match=r"2 of 6 images cannot be read: .*a/3\.png \(Unknown image") as error:
        read_images(tmp_path)
    assert "data.skip_bad=true" in str(error.value)
    assert "function_node" not in str(error.value)
    read = read_images(tmp_path, ImageOptions(skip_bad=True))
    assert read.table.columns["label"].tolist() == ["a", "a", "b", "b"]
    assert len(read.table.notes) == 1
    assert read.table.notes[0].startswith("2 of 6 images cannot be read and are left out")


def test_an_image_that_changes_its_class_changes_the_checksum(tmp_path: Path) -> None:
    folders(tmp_path, 3, 3, 1)
    first = read_images(tmp_path).table.source.sha256
    (tmp_path / "a" / "2.png").rename(tmp_path / "b" / "0.png")
    assert read_images(tmp_path).table.source.sha256 != first


def rewritten(name: str, content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder

    return write


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no folder": (lambda folder: folder / "a" / "1.png", "is no folder; expected one with a folder per"),
    "one class": (lambda folder: folder / "a", "files outside of its class folders"),
    "no class": (lambda folder: (folder / "empty").mkdir() or folder / "empty", "has 0 folders with files"),
    "no paths": (rewritten("t.csv", "x,y\n1,2\n"), "has none of the columns path, file, filename, image"),
    "two tables": (lambda f: rewritten("t.csv", "path\n")(rewritten("u.csv", "")(f)), "has 2 tables"),
    "missing image": (rewritten("t.csv", "path\na/1.png\nc/1.png\n"), r"1 of 2 images .*: .*c/1\.png"),
    "none": (rewritten("t.csv", "path\nc/1.png\n"), "None of 1 images can be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_folders_that_hold_something_else_are_refused(tmp_path: Path, case: str) -> None:
    folders(tmp_path, 3, 3, 1)
    given_path, said = BAD[case]
    with pytest.raises(UserError, match=said) as error:
        read_images(given_path(tmp_path))
    assert "\n" not in str(error.value)


def test_impossible_channels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.channels=2"):
        read_images(tmp_path, ImageOptions(channels=2))


# Texts


def text_folders(root: Path) -> None:
    for name, text in {"neg/1.txt": " bad film\n", "neg/2.txt": "worse", "pos/1.txt": "süß,\ngood"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def test_texts_of_class_folders_are_a_table(tmp_path: Path) -> None:
    text_folders(tmp_path)
    table = read_texts(tmp_path)
    assert table.columns["text"].tolist() == ["bad film", "worse", "süß,\ngood"]
    assert table.columns["label"].tolist() == ["neg", "neg", "pos"]
    assert paths.detect_format(tmp_path) == "text"
    overrides = {"text": "text", "path": "ignore"}
    schema = infer_schema(
        table.columns, roles={"label": "target"}, problem="classification", overrides=overrides
    )
    assert [column.name for column in schema.features] == ["text"]


def test_texts_without_labels(tmp_path: Path) -> None:
    text_folders(tmp_path)
    table = read_texts([tmp_path / "pos" / "1.txt", tmp_path / "neg"], labelled=False)
    assert table.columns["text"].tolist() == ["süß,\ngood", "bad film", "worse"]
    assert list(table.columns) == ["path", "text"]


def test_bad_texts_are_counted_and_named_and_left_out_on_request(tmp_path: Path) -> None:
    text_folders(tmp_path)
    (tmp_path / "pos" / "2.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match=r"1 of 4 texts cannot be read: .*pos/2\.txt .*data\.skip_bad=true"):
        read_texts(tmp_path)
    table = read_texts(tmp_path, skip_bad=True)
    assert (len(table), len(table.notes)) == (3, 1)
    with pytest.raises(UserError, match=r"data\.encoding=utf-9 is no encoding"):
        read_texts(tmp_path, encoding="utf-9")


def test_new_images_of_other_endings_are_told_as_those_of_a_training(tmp_path: Path) -> None:
    png(tmp_path / "new" / "1.png", pixels(0, 3, 3, 1))
    (tmp_path / "new" / "2.tif").write_bytes(b"")
    target = fit_class_labels("label", np.array(["a", "b"], object), PreparationSettings())
    new = new_images(tmp_path / "new", DataConfig(), Schema(()), Preparation((), (), target), (3, 3, 1))
    (note,) = new.notes
    assert note.startswith("1 file does not end in .png")
    assert note.endswith("and is left out: 2.tif")
