"""The files of a checkpoint: arrays as raw bytes, each with its checksum, and a manifest that comes last.

Reading needs neither TensorFlow nor trust: sizes, types and checksums are compared before anything is used,
and nothing that is read can run code.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from trainkit.core import files
from trainkit.core.errors import UserError, one_line

__all__ = [
    "FORMAT",
    "META",
    "Damaged",
    "Record",
    "check",
    "check_replaceable",
    "newest_good",
    "read_arrays",
    "read_meta",
    "whole",
]

FORMAT = 3  # 2 and 1 kept the variables as TensorFlow writes them
META = "checkpoint.json"
MAX_META_BYTES = 2**28  # of a manifest: far more than the names of any model need
CHECKSUM = "checksum"

# Name of a member -> key of the manifest that lists its arrays as [name, shape, type, checksum].
MEMBERS = {"variables.bin": "variables", "callbacks.bin": "arrays"}
PLAIN_TYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
ML_TYPES = ("bfloat16", "float8_e4m3fn", "float8_e5m2")

# The files of a checkpoint, in all formats.
NAMES = re.compile(
    r"checkpoint\.json|variables\.bin|callbacks\.(bin|npz)|(state|held)\.(index|data-\d+-of-\d+)"
)

Named = tuple[str, np.ndarray]


class Damaged(UserError):
    """A checkpoint that is not whole: truncated, half written, or with a byte that was changed."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a checkpoint holds, as copies that later training does not change.

    Args:
        content: JSON values: position, states of the callbacks without their arrays, and so on.
        variables: The variables by name, in order.
        arrays: The arrays of the callbacks' states by key.
    """

    content: Mapping[str, Any]
    variables: Sequence[Named]
    arrays: Sequence[Named] = field(default_factory=tuple)

    def write(self, folder: Path | str) -> Path:
        """Write the folder, which appears whole or not at all; one that is there is replaced.

        Raises:
            UserError: if it cannot be written, or a variable is of a type that has no bytes of its own.
        """
        content = {"format": FORMAT, **self.content}
        with files.replacing_folder(folder) as beside:
            for member, arrays in zip(MEMBERS, (self.variables, self.arrays), strict=True):
                raw = [(name, array, _bytes(name, array)) for name, array in arrays]
                content[MEMBERS[member]] = [
                    [name, list(array.shape), array.dtype.name, zlib.crc32(view)] for name, array, view in raw
                ]
                files.write_bytes(beside / member, [view for _, _, view in raw])
            content = json.loads(json.dumps(content))
            content[CHECKSUM] = _checksum(content)
            files.write_bytes(beside / META, [json.dumps(content).encode()])
        return Path(folder)


def read_meta(folder: Path | str) -> dict[str, Any]:
    """What a checkpoint says of itself: `format`, `position`, `variables`, `callbacks`.

    Raises:
        UserError: if the folder is no checkpoint, is damaged, or was written by a later version.
    """
    path = Path(folder) / META
    try:
        _check_file(path)
        if path.stat().st_size > MAX_META_BYTES:
            raise Damaged(f"{path} has {path.stat().st_size} bytes; expected at most {MAX_META_BYTES}.")
        meta = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(meta, dict):
            raise ValueError("it holds no object")
        number = int(meta.setdefault("format", 1))
        if number <= FORMAT and not (isinstance(meta.get("position"), dict) and "variables" in meta):
            raise ValueError("it tells no position, or no variables")
        checksum = meta.pop(CHECKSUM, None)
    except OSError as error:
        raise Damaged(_lacking(Path(folder))) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"{path} is damaged: {one_line(str(error))}. Use another checkpoint.") from error
    if number > FORMAT:
        raise UserError(
            f"{path} has format {number}; this version reads up to {FORMAT}. Use a newer trainkit."
        )
    if number >= 3 and checksum != _checksum(meta):
        raise Damaged(f"{path} is damaged: its checksum is wrong. Use another checkpoint.")
    if number == 1:
        meta["execution"] = meta.get("memory", {}).get("execution", "")
    return meta


def _lacking(folder: Path) -> str:
    """What is told of a folder that is no checkpoint."""
    expected = "Expected a checkpoint, a folder such as <run>/checkpoints/last."
    if not folder.is_dir():
        return f"{folder} does not exist. {expected}"
    known = sorted(path.parent.name for path in (folder / "checkpoints").glob(f"*/{META}"))
    if known:
        return f"{folder} is a run directory: give one of its checkpoints, {folder}/checkpoints/{known[-1]}."
    if (folder / "checkpoints").is_dir() or (folder / "status.json").is_file():
        saved = "its training has saved none, and may begin anew there"
        return f"{folder} is a run directory without a checkpoint: {saved}. {expected}"
    return f"{folder} is no checkpoint: it has no {META}. {expected}"


def read_arrays(folder: Path | str, meta: Mapping[str, Any], member: str) -> list[Named]:
    """The arrays of a member by name, all of them verified.

    Args:
        folder: The checkpoint.
        meta: What `read_meta` returned.
        member: `variables.bin` or `callbacks.bin`.

    Raises:
        Damaged: if they are not what was written.
    """
    return list(_arrays(Path(folder) / member, meta[MEMBERS[member]]))


def check(folder: Path | str) -> dict[str, Any]:
    """Verify a checkpoint byte for byte; returns what it says of itself.

    Of the former formats only the manifest is looked at: TensorFlow verifies the rest when it reads.

    Raises:
        UserError: if it is damaged, or was written by a later version.
    """
    meta = read_meta(folder)
    if meta["format"] >= 3:
        for member, key in MEMBERS.items():
            for _ in _arrays(Path(folder) / member, meta[key]):
                pass
    return meta


def newest_good(folder: Path | str) -> Path | None:
    """The whole checkpoint in a folder of them that stands furthest in its training; None: there is none.

    What a killed writer has left may be whole, and the only one.
    """
    found = []
    for path in (path.parent for path in Path(folder).glob("*/" + META)):
        try:
            position = check(path)["position"]
            found.append((int(position["step"]), not path.name.startswith("."), path.name == "last", path))
        except (UserError, KeyError, TypeError, ValueError):
            continue
    return max(found)[-1] if found else None


def whole(checkpoint: Path, folder: Path | None, *, must_be_it: bool = False) -> Path:
    """The checkpoint; in place of a damaged one, the newest whole one of its folder, with a warning.

    Args:
        checkpoint: What was asked for.
        folder: The checkpoints of its run; None: it belongs to none.
        must_be_it: Whether no other will do.

    Raises:
        UserError: if it is damaged, and no other will do or there is none.
    """
    try:
        check(checkpoint)
        return checkpoint
    except Damaged as error:
        other = newest_good(folder) if folder is not None else None
        if must_be_it or other is None:
            hint = f" A whole one is {files.shown(other)}." if other is not None else ""
            raise UserError(f"{error}{hint}") from error
        warnings.warn(f"{error} The newest whole one is used: {files.shown(other)}.", stacklevel=2)
        return other


def check_replaceable(folder: Path) -> None:
    """Refuse to put a checkpoint in the place of anything but nothing, an empty folder, or a checkpoint.

    Raises:
        UserError: for a file, or a folder that holds something else.
    """
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    other = [path.name for path in inside if not (path.is_file() and NAMES.fullmatch(path.name))]
    if folder.name in ("", "..") or (folder.exists() and not folder.is_dir()) or other:
        what = f"which holds {other[0]}" if other else "which is no folder that can be replaced"
        raise UserError(f"Checkpoint {folder}, {what}: expected a new folder, or one of a checkpoint.")


def _arrays(path: Path, listed: Sequence[Sequence[Any]]) -> Iterator[Named]:
    """Read one array after the other. The file's size is compared first, so that no manifest can ask for more
    memory than the file has bytes."""
    try:
        _check_file(path)
        entries = [
            (str(n), tuple(int(d) for d in shape), _type(kind), int(crc)) for n, shape, kind, crc in listed
        ]
        if any(d < 0 for _, shape, _, _ in entries for d in shape):
            raise ValueError("a negative size")
        sizes = [_product(shape) * kind.itemsize for _, shape, kind, _ in entries]
        if path.stat().st_size != sum(sizes):
            raise ValueError(f"it has {path.stat().st_size} bytes, expected {sum(sizes)}")
        with path.open("rb") as file:
            for (name, shape, kind, crc), size in zip(entries, sizes, strict=True):
                raw = file.read(size)
                if len(raw) != size or zlib.crc32(raw) != crc:
                    raise ValueError(f"the checksum of {name} is wrong")
                yield name, np.frombuffer(raw, kind).reshape(shape)
    except (OSError, ValueError, TypeError) as error:
        raise Damaged(f"{path} is damaged: {one_line(str(error))}. Use another checkpoint.") from error


def _check_file(path: Path) -> None:
    """A member must be a file in the folder itself: a link could lead anywhere.

    Raises:
        OSError: if it is not there.
        ValueError: if it is something else.
    """
    path.lstat()
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is no plain file")


def _type(name: Any) -> np.dtype[Any]:
    if name in PLAIN_TYPES or name in ML_TYPES:
        found: np.dtype[Any] = np.dtype(name if name in PLAIN_TYPES else getattr(ml_dtypes, name))
        return found
    raise ValueError(f"{name!r} is no type of numbers")


def _bytes(name: str, array: np.ndarray) -> memoryview:
    if array.dtype.name not in (*PLAIN_TYPES, *ML_TYPES):
        raise UserError(f"Variable {name} is of type {array.dtype.name}; a checkpoint holds numbers only.")
    raw: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return memoryview(raw)


def _product(shape: Sequence[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
