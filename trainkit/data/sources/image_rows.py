"""Decodes image files one after the other, all to one shape."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from trainkit.core.errors import UserError
from trainkit.core.files import shown
from trainkit.core.helpers import HelperThreads
from trainkit.data.sources.bad_files import refuse_bad

__all__ = ["ColorFound", "Decoder", "by_channels", "first_shape"]

BLOCK = 256  # files that are decoded ahead
TENSORFLOW_FRAME = re.compile(r"\{\{.*?\}\}|\[Op:\w+\]")  # what TensorFlow puts around a reason

SCALED = "the size is changed in {}"
TRANSPARENT = "transparency is dropped in {}"
DEEP = "16 bits per color become 8 in {}"
TURNED = "marks of the camera's orientation are not followed, as in Keras, in {}"
MOVING = "all frames but the first are dropped in {}"
HEAD_BYTES = 1 << 16  # in which a file says that it has them
PNG = b"\x89PNG\r\n\x1a\n"
GIF = b"GIF8"
GIF_FRAME, GIF_END = b",;"
ORIENTATION = 0x0112  # tag of Exif

Size = tuple[int, int] | None
Made = TypeVar("Made")


def first_shape(files: Sequence[Path], size: Size, channels: int) -> tuple[int, ...]:
    """Height, width and channels of the first file that is an image; of three channels unless `channels`
    says otherwise.

    Raises:
        UserError: if none is an image.
    """
    bad = []
    for file in files:
        image = _decode(file)
        if not isinstance(image, str):
            return (*(size or image.shape[:2]), channels or 3)
        bad.append((shown(file), image))
    refuse_bad(bad, len(files), "images", skip_bad=False)
    raise UserError("There are no images.")


class ColorFound(Exception):
    """An image has color, and those before it had none."""


def by_channels(asked: int, attempt: Callable[[int], Made]) -> Made:
    """What `attempt` gives for the number of channels that the images have.

    Args:
        asked: 1 for gray, 3 for RGB, 0: gray if all images are.
        attempt: Called with that number; of images with `asked=0` first as if all were gray.
    """
    try:
        return attempt(asked or 1)
    except ColorFound:
        return attempt(3)


class Decoder:
    """Decodes image files one after the other.

    Args:
        files: The files.
        size: Height and width that all are scaled to; None: all must have the same.
        asked: Channels that the user asked for; 0: gray if all are.
        skip_bad: Whether files that are no images are left out, and not refused.

    Attributes:
        kept: Numbers of the files that were decoded, once all are.
        notes: What people should know of them then, one sentence each.
    """

    def __init__(self, files: Sequence[Path], size: Size, asked: int, *, skip_bad: bool) -> None:
        self.files = files
        self.size = size
        self.asked = asked
        self.skip_bad = skip_bad
        self.kept: list[int] = []
        self.notes: tuple[str, ...] = ()

    def images(self, channels: int) -> Iterator[np.ndarray]:
        """The images uint8 `[H, W, channels]`, all of one size.

        Raises:
            ColorFound: for an image with color among gray ones, unless the user asked for gray.
            UserError: at the end, if files are no images, or sizes differ and none is asked for.
        """
        bad: list[tuple[str, str]] = []
        sizes: dict[tuple[int, ...], str] = {}
        lost: Counter[str] = Counter()
        self.kept = []
        for number, (image, lossy) in enumerate(self._decoded()):
            name = str(self.files[number])
            if isinstance(image, str):
                bad.append((shown(name), image))
                continue
            if self.asked == 0 and channels == 1 and image.shape[-1] > 2:
                raise ColorFound
            sizes.setdefault(image.shape[:2], name)
            lost.update([*lossy, *([TRANSPARENT] if image.shape[-1] in (2, 4) else [])])
            self.kept.append(number)
            if len(sizes) == 1 and (self.skip_bad or not bad):  # else nothing will come of it
                yield _with_channels(image, channels)
        self.notes = refuse_bad(bad, len(self.files), "images", skip_bad=self.skip_bad)
        _check_sizes(sizes)
        self.notes += tuple(note.format(_images(count)) for note, count in sorted(lost.items()))

    def _decoded(self) -> Iterator[tuple[np.ndarray | str, list[str]]]:
        """Each image, or why it cannot be read; and the notes for what is lost."""
        with HelperThreads() as pool:
            for begin in range(0, len(self.files), BLOCK):
                some = self.files[begin : begin + BLOCK]
                yield from pool.map(self._one, some)

    def _one(self, file: Path) -> tuple[np.ndarray | str, list[str]]:
        image = _decode(file)
        if isinstance(image, str):
            return image, []
        scaled = self.size is not None and image.shape[:2] != tuple(self.size)
        return _scaled(image, self.size) if scaled else image, [*_lossy(file), *([SCALED] if scaled else [])]


def _scaled(image: np.ndarray, size: Size) -> np.ndarray:
    """The image with another height and width."""
    import tensorflow as tf

    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    pixels: np.ndarray = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8).numpy()
    return pixels


def _decode(file: Path) -> np.ndarray | str:
    """The image uint8 `[H, W, C]`, or why it cannot be read."""
    import tensorflow as tf

    try:
        content = file.read_bytes()
        if _is_moving_webp(content):  # TensorFlow would end the process
            return "a WebP of several frames; save the first one alone"
        image = tf.io.decode_image(content, channels=0, expand_animations=False)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "message", None) or getattr(error, "strerror", None) or str(error)
        return TENSORFLOW_FRAME.sub("", str(reason)).strip()
    pixels: np.ndarray = image.numpy()
    return pixels


def _lossy(file: Path) -> list[str]:
    """What of a file 8 bits per color do not hold, as notes."""
    try:
        with file.open("rb") as content:
            head = content.read(HEAD_BYTES)
            deep = head.startswith(PNG) and head[24] == 16
            moving = _is_moving(head, content)
        found = {DEEP: deep, MOVING: moving, TURNED: _is_turned(head)}
        return [note for note, is_so in found.items() if is_so]
    except (OSError, IndexError, struct.error):  # `_decode` says why it cannot be read
        return []


def _images(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"


def _is_moving(head: bytes, content: BinaryIO) -> bool:
    """Whether an image has several frames.

    Args:
        head: What the file begins with.
        content: The file, read as far as `head` goes.
    """
    if head.startswith(GIF):
        return _has_frames(head + content.read())
    return head.startswith(PNG) and b"acTL" in head.partition(b"IDAT")[0]


def _is_moving_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)


def _has_frames(gif: bytes) -> bool:
    """Whether a GIF has more than one frame: its blocks, one after the other."""
    at = 13 + _colors(gif[10])
    frames = 0
    while gif[at] != GIF_END:
        if gif[at] == GIF_FRAME:
            frames += 1
            at += 11 + _colors(gif[at + 9])
        else:
            at += 2
        while gif[at]:  # parts of a block, each after its length
            at += 1 + gif[at]
        at += 1
    return frames > 1


def _colors(flags: int) -> int:
    """Bytes of the table of colors that a GIF has by these flags."""
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def _is_turned(head: bytes) -> bool:
    """Whether the Exif data of an image say that it is to be turned or mirrored."""
    begin = head.find(b"Exif\0\0") + 6
    if begin < 6:
        return False
    order = "<" if head[begin : begin + 2] == b"II" else ">"
    (place,) = struct.unpack_from(f"{order}I", head, begin + 4)
    (count,) = struct.unpack_from(f"{order}H", head, begin + place)
    entries = [begin + place + 2 + 12 * i for i in range(count)]
    tags = {struct.unpack_from(f"{order}H", head, entry)[0]: entry for entry in entries}
    found = ORIENTATION in tags
    return found and struct.unpack_from(f"{order}H", head, tags[ORIENTATION] + 8)[0] != 1


def _check_sizes(sizes: dict[tuple[int, ...], str]) -> None:
    if len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise UserError(
            f"The images have {len(sizes)} sizes, e.g. {one[0]}x{one[1]} ({first}) and {other[0]}x{other[1]} "
            f"({second}); set data.image_size=[height,width] to scale all to one."
        )


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """The image with 1 or 3 channels, transparency dropped."""
    colors = image[..., :1] if image.shape[-1] <= 2 else image[..., :3]
    if colors.shape[-1] == channels:
        return colors
    if channels == 3:
        return np.repeat(colors, 3, axis=-1)
    gray = colors @ np.array([0.299, 0.587, 0.114])  # as seen by people (ITU-R BT.601)
    return np.asarray(gray.round()[..., None], np.uint8)
