"""Programs that XLA compiled, kept on disk for the next process.

TensorFlow reads the folder's name once, after it is imported. It trusts what it finds there, and a damaged
file makes XLA fail; so each file has its checksum, and one without a right checksum is dropped before
anything is compiled. Where it cannot write a file, the program that it has compiled does not run; so nothing
is written where there is little room.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import platform
import resource
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.core.helpers import HelperThreads

__all__ = ["keep_no_more", "kept_in", "note", "unkept", "using"]

FLAGS = "TF_XLA_FLAGS"
OPTION = "--tf_xla_persistent_cache_directory="
READ_ONLY = "--tf_xla_persistent_cache_read_only=true"
CHECKSUMS = "checksums.json"
UNKEPT = "Cannot keep a compiled program"
FILE_PREFIX = "xla_compile_cache"
MAX_BYTES = 500e6  # of all files; the oldest go first
ROOM = 100e6  # bytes without which nothing is written: what a training compiles takes less
_as_noted: dict[Path, int] = {}  # when a folder was last changed that holds what is noted


@contextlib.contextmanager
def using() -> Iterator[None]:
    """Keep compiled programs, unless the user chose a folder. TensorFlow is imported in the block, and the
    programs that are there are checked meanwhile, in another thread; without it, and with a warning, where
    they cannot be.
    """
    folder = _private_folder()
    chosen = _named()
    if folder is None or chosen not in (None, folder):
        yield
        return
    narrow = chosen is None and not _has_room(folder)
    if chosen is None:  # else the process that started this one has named it
        words = [os.environ.get(FLAGS, ""), f"{OPTION}{folder}", READ_ONLY if narrow else ""]
        os.environ[FLAGS] = " ".join(words).strip()
    atexit.register(note)
    with HelperThreads(1) as thread:
        checked = thread.submit(_drop_damaged, folder)
        yield
    try:
        checked.result()
    except OSError as error:
        _forget()
        warnings.warn(
            f"Cannot check the compiled programs in {folder}: {error.strerror}. They are left alone; remove "
            "the folder, or set compile_cache=false.",
            stacklevel=2,
        )
        return
    if narrow:
        warnings.warn(
            f"There is little room in {folder}: what XLA compiles is not kept for the next run.",
            stacklevel=2,
        )


def _has_room(folder: Path) -> bool:
    """Whether programs can be written there, as far as the disk and the limits of this process tell."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    free = ROOM  # some file systems do not tell
    with contextlib.suppress(OSError):
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize if disk.f_blocks else ROOM
    return free >= ROOM and (limit == resource.RLIM_INFINITY or limit >= ROOM)


def _private_folder() -> Path | None:
    """The folder of this processor's programs; None where nothing can be kept: programs are compiled each
    time."""
    try:
        folder = files.cache_folder() / "xla" / _key()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(folder)
    except (OSError, UserError, metadata.PackageNotFoundError):  # the last: a build of another name
        return None
    return folder if os.access(folder, os.R_OK | os.W_OK) else None


def _make_private(folder: Path) -> None:
    """Let nobody else put programs there, which TensorFlow would run; drop them where somebody could.

    Raises:
        OSError: if the folder belongs to somebody else.
    """
    if folder.stat().st_mode & 0o022:
        os.chmod(folder, 0o700)
        for path in _programs(folder):
            path.unlink()
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")


def kept_in() -> Path | None:
    """The folder in which this process keeps compiled programs; None: it does not."""
    return None if READ_ONLY in _words() else _named()


def _named() -> Path | None:
    """The folder from which this process reads compiled programs; None: from none."""
    words = [word for word in _words() if word.startswith(OPTION)]
    return Path(words[-1].removeprefix(OPTION)) if words else None


def _words() -> list[str]:
    return os.environ.get(FLAGS, "").split()


def keep_no_more() -> None:
    """Keep nothing of this process, and let those that it starts keep nothing, unless the user chose a
    folder."""
    folder = _named()
    if folder is not None and folder == _private_folder():
        _forget()


def _forget() -> None:
    words = [word for word in _words() if word != READ_ONLY and not word.startswith(OPTION)]
    os.environ[FLAGS] = " ".join(words)


def unkept(error: BaseException) -> str:
    """What to say of an error that came since a compiled program could not be written; else empty."""
    lines = [line for line in str(error).splitlines() if FILE_PREFIX in line and ".tmp" in line]
    folder = _named()
    if folder is None or not lines:
        return ""
    why = lines[0].rpartition(";")[2].split("[Op")[0].strip()
    return f"{UNKEPT} in {folder}: {why}. Make room there, or set compile_cache=false."


def note() -> None:
    """Note what the files hold that this process may have written."""
    folder = kept_in()
    if folder is None or not folder.is_dir():
        return
    with contextlib.suppress(OSError, UserError):
        changed = folder.stat().st_mtime_ns
        if _as_noted.get(folder) == changed:
            return  # nothing was compiled: programs without XLA start sooner
        known = _noted(folder)
        found = {path.name: known.get(path.name) or _checksum(path) for path in _programs(folder)}
        if found != known:
            files.write_json(folder / CHECKSUMS, found)
        else:
            _as_noted[folder] = changed


def _key() -> str:
    """Versions, flags and processor: what a compiled program depends on beside its own code."""
    try:
        processor = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        processor = platform.processor()
    kept = [line for line in processor.splitlines() if line.startswith(("model name", "flags", "Features"))]
    versions = [metadata.version(name) for name in ("tensorflow", "keras")]
    parts = [versions, os.environ.get("XLA_FLAGS", ""), platform.machine(), kept or processor]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _drop_damaged(folder: Path) -> None:
    """Remove the files that are not what was noted of them, and the oldest beyond the limit. Another process
    may do the same at the same time."""
    _as_noted[folder] = folder.stat().st_mtime_ns
    noted = _noted(folder)
    good = []
    for path in _programs(folder):
        with contextlib.suppress(FileNotFoundError):
            if noted.get(path.name) == _checksum(path):
                state = path.stat()
                good.append((state.st_mtime, state.st_size, path))
            else:
                path.unlink()
    size = 0
    for _, nbytes, path in sorted(good, reverse=True):
        size += nbytes
        if size > MAX_BYTES:
            path.unlink(missing_ok=True)


def _noted(folder: Path) -> dict[str, Any]:
    try:
        return files.read_json(folder / CHECKSUMS)
    except UserError:  # damaged: no file can be trusted
        return {}


def _programs(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix == ".pb" and path.is_file()]


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
