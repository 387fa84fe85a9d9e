"""Programs that XLA compiled, kept on disk for the next process.

TensorFlow reads the folder's name once, after it is imported. It trusts what it finds there, and a damaged
file makes XLA fail; so each file has its checksum, and one without a right checksum is dropped before
anything is compiled.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import platform
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

from trainkit.core import files
from trainkit.core.errors import UserError

__all__ = ["keep_no_more", "kept_in", "note", "using"]

FLAGS = "TF_XLA_FLAGS"
OPTION = "--tf_xla_persistent_cache_directory="
CHECKSUMS = "checksums.json"
MAX_BYTES = 500e6  # of all files; the oldest go first


@contextlib.contextmanager
def using() -> Iterator[None]:
    """Keep compiled programs, unless the user chose a folder. TensorFlow is imported in the block, and the
    programs that are there are checked meanwhile, in another thread.

    Raises:
        UserError: if a damaged program cannot be removed.
    """
    folder = _private_folder()
    chosen = kept_in()
    if folder is None or chosen not in (None, folder):
        yield
        return
    if chosen is None:  # else the process that started this one has named it
        os.environ[FLAGS] = f"{os.environ.get(FLAGS, '')} {OPTION}{folder}".strip()
    atexit.register(note)
    with ThreadPoolExecutor(1) as thread:
        checked = thread.submit(_drop_damaged, folder)
        yield
    try:
        checked.result()
    except OSError as error:
        raise UserError(
            f"Cannot check the compiled programs in {folder}: {error.strerror}. Remove the folder, or set "
            "compile_cache=false."
        ) from error


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
    words = [word for word in os.environ.get(FLAGS, "").split() if word.startswith(OPTION)]
    return Path(words[-1].removeprefix(OPTION)) if words else None


def keep_no_more() -> None:
    """Keep nothing of this process, and let those that it starts keep nothing, unless the user chose a
    folder."""
    folder = kept_in()
    if folder is not None and folder == _private_folder():
        words = [word for word in os.environ[FLAGS].split() if not word.startswith(OPTION)]
        os.environ[FLAGS] = " ".join(words)


def note() -> None:
    """Note what the files hold that this process may have written."""
    folder = kept_in()
    if folder is None or not folder.is_dir():
        return
    with contextlib.suppress(OSError, UserError):
        known = _noted(folder)
        found = {path.name: known.get(path.name) or _checksum(path) for path in _programs(folder)}
        if found != known:
            files.write_json(folder / CHECKSUMS, found)


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
