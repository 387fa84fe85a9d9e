"""What lies at `data.path`: the files of a table, or folders of images or texts."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from trainkit.core.datasets import Source
from trainkit.core.errors import UserError, did_you_mean
from trainkit.core.files import shown

__all__ = [
    "ENDINGS",
    "FORMATS",
    "PACKED",
    "checksum",
    "conversion",
    "detect_format",
    "files_below",
    "files_of",
    "has_ending",
    "resolve",
    "source_name",
    "source_of",
    "stamp",
    "state_of",
]

FORMATS = ("csv", "parquet", "images", "text")
PACKED = (".gz", ".bz2", ".zst")  # that pyarrow unpacks
ENDINGS = {
    "csv": (".csv", ".tsv", *(f"{table}{packed}" for table in (".csv", ".tsv") for packed in PACKED)),
    "parquet": (".parquet", ".pq"),
    "images": (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"),
    "text": (".txt",),
}

SAVE_AS = "expected a table as CSV or Parquet"
UNPACK = "expected files that are not packed: unpack it, or pack a table as .csv.gz"
ARRAYS = "expected a table or images; arrays are trained on from Python, by tk.fit or tk.Arrays"
SHEET = f"{SAVE_AS}: save the sheet as CSV, or by pandas.read_excel(...).to_parquet(...)"
READERS = {  # of pandas
    **{
        ".json": "read_json(...)",
        ".jsonl": "read_json(..., lines=True)",
        ".ndjson": "read_json(..., lines=True)",
    },
    **{".feather": "read_feather(...)", ".arrow": "read_feather(...)", ".orc": "read_orc(...)"},
    **{".dta": "read_stata(...)", ".sav": "read_spss(...)", ".sas7bdat": "read_sas(...)"},
    **{".pkl": "read_pickle(...)", ".h5": "read_hdf(...)", ".xml": "read_xml(...)"},
}
CONVERTIBLE = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), SHEET),
    **{e: f"{SAVE_AS}: convert it, as by pandas.{r}.to_parquet(...)" for e, r in READERS.items()},
    **dict.fromkeys((".zip", ".xz", ".7z", ".rar", ".tar", ".tgz"), UNPACK),
    **dict.fromkeys((".npz", ".npy"), ARRAYS),
}

PathLike = str | Path


def resolve(path: PathLike | Sequence[PathLike]) -> list[Path]:
    """The existing files and folders that `data.path` names.

    Args:
        path: A file, a folder, a pattern such as `data/*.csv`, or several of them.

    Raises:
        UserError: if there is nothing of that name, or something that is read once, such as a pipe.
    """
    if not isinstance(path, str | Path):
        return [found for one in path for found in resolve(one)]
    expanded = os.path.expanduser(path)
    if Path(expanded).exists():
        return [_readable(Path(expanded))]
    matching = sorted(Path(found) for found in glob.glob(expanded))
    if matching:
        return [_readable(found) for found in matching]
    folder = Path(expanded).parent
    if not folder.is_dir():
        raise UserError(f"data.path={path} does not exist: there is no folder {folder}.")
    names = [found.name for found in folder.iterdir() if not found.name.startswith(".")]
    hint = did_you_mean(Path(expanded).name, sorted(names))
    for word in ("Known:", "known:"):
        hint = hint.replace(word, f"{folder} has")
    raise UserError(f"data.path={path} does not exist; {hint}")


def _readable(path: Path) -> Path:
    """The path of a file or folder; one that cannot be looked at is told where it is opened."""
    with suppress(OSError):
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind in (stat.S_IFREG, stat.S_IFDIR):
            return path
        raise UserError(
            f"{path} is no file but a pipe, a socket or a device, and files are read more than once. "
            "Write what it gives to a file, or remove it."
        )
    return path


def detect_format(path: PathLike | Sequence[PathLike]) -> str:
    """One of `FORMATS`, by the endings of the files.

    Raises:
        UserError: if there is nothing to read, or files of several formats.
    """
    counts: dict[str, int] = {}
    for found in resolve(path):
        candidates = files_below(found) if found.is_dir() else [found]
        for file in candidates:
            for name, endings in ENDINGS.items():
                if file.name.lower().endswith(endings):
                    counts[name] = counts.get(name, 0) + 1
    if len(counts) == 1:
        return next(iter(counts))
    if "images" in counts and {"csv", "parquet"} & set(counts):  # a table of the images' names and labels
        return "images"
    advice = conversion(path)
    if not counts and advice:
        raise UserError(f"data.path={path} is no file of a known format; {advice}.")
    found_files = ", ".join(f"{count} {name} files" for name, count in counts.items())
    raise UserError(
        f"data.path={path} has {found_files or 'no file of a known format'}; "
        f"set data.format to one of {', '.join(FORMATS)}."
    )


def conversion(path: PathLike | Sequence[PathLike]) -> str:
    """How to make a table of a file of another format, by its ending; "" if that is not known."""
    return next((advice for e, advice in CONVERTIBLE.items() if str(path).lower().endswith(e)), "")


def files_of(path: PathLike | Sequence[PathLike], name: str) -> list[Path]:
    """The files of a format, sorted by name within each folder.

    A file that is named itself may end as it likes.

    Args:
        path: As for `resolve`.
        name: One of `FORMATS`.

    Raises:
        UserError: if there are none.
    """
    files = []
    for found in resolve(path):
        if found.is_dir():
            inside = sorted(file for file in found.iterdir() if has_ending(file, name))
            files += [_readable(file) for file in inside if not file.is_dir()]
        else:
            files.append(found)
    if not files:
        raise UserError(
            f"data.path={path} has no {name} file; expected names that end in {', '.join(ENDINGS[name])}."
        )
    return files


def checksum(files: Sequence[Path]) -> str:
    """The sha256 of a file; of several, that of their checksums and their names below a common folder."""
    digests = []
    for file in files:
        with file.open("rb") as content:
            digests.append(hashlib.file_digest(content, "sha256").hexdigest())
    if len(files) == 1:
        return digests[0]
    common = os.path.commonpath([file.absolute().parent for file in files])
    names = [os.path.relpath(file.absolute(), common) for file in files]
    listing = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return hashlib.sha256(listing.encode()).hexdigest()


def source_of(path: PathLike | Sequence[PathLike], files: Sequence[Path], sha256: str = "") -> Source:
    """Where rows came from, for the run's manifest.

    Args:
        path: As the user gave it.
        files: That were read.
        sha256: Their checksum, where it is known already.
    """
    given = [path] if isinstance(path, str | Path) else list(path)
    return Source(source_name(path), ", ".join(map(shown, given)), sha256 or checksum(files))


def source_name(path: PathLike | Sequence[PathLike]) -> str:
    """The name of a data set, for people."""
    first, *others = [path] if isinstance(path, str | Path) else path
    return Path(first).name + (f" and {len(others)} more" if others else "")


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and the folders in it, sorted, through links too; hidden ones are left out, and
    folders that have been met before.

    Raises:
        UserError: for a folder that cannot be read, or a pipe that is called as a file of some format.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"Cannot read {error.filename}: {error.strerror}. Check its permissions.") from error

    found = []
    met = set()
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = [] if real in met else [name for name in folders if not name.startswith(".")]
        found += [Path(root, name) for name in names if real not in met and not name.startswith(".")]
        met.add(real)
    return [_readable(file) if _has_known_ending(file) else file for file in sorted(found)]


def _has_known_ending(file: Path) -> bool:
    return any(file.name.lower().endswith(endings) for endings in ENDINGS.values())


def has_ending(file: Path, name: str) -> bool:
    """Whether a file is of a format, by its name."""
    return file.name.lower().endswith(ENDINGS[name]) and not file.name.startswith(".")


def stamp(path: PathLike | Sequence[PathLike]) -> tuple[tuple[str, int, int], ...]:
    """Name, time of change and size of every file that `data.path` names: other content, other stamp."""
    files = [file for found in resolve(path) for file in (files_below(found) if found.is_dir() else [found])]
    states = [(file, state_of(file)) for file in files]
    return tuple((str(file), state.st_mtime_ns, state.st_size) for file, state in states)


def state_of(file: Path) -> os.stat_result:
    """Time of change and size of a file; of a link to nothing its own."""
    return file.stat() if file.exists() else file.lstat()
