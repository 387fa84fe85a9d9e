"""Settings of the `data` group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trainkit.config.fields import setting
from trainkit.config.trainer import MAX_SEED
from trainkit.core.errors import UserError

__all__ = ["ENCODINGS", "FILLS", "LABELS", "SCALINGS", "THOUSANDS", "DataConfig", "PreparationConfig"]

FORMATS = ("auto", "csv", "parquet", "images", "text")
SPLITS = ("auto", "shuffled", "stratified", "group", "time", "column", "file")
BY_COLUMN = ("group", "time", "column")  # splits that need `split_column`
NAMED = ("column", "file")  # splits that name the rows of each part
# Settings that only some splits look at.
READ_BY = {
    "split_column": BY_COLUMN,
    "split_file": ("file",),
    "folds": ("auto", "shuffled", "stratified", "group"),
    "test": ("auto", "shuffled", "stratified", "group", "time"),
}
SCALINGS = ("none", "standard", "min_max", "robust", "log", "pixels")
FILLS = ("median", "mean", "zero")
ENCODINGS = ("auto", "integer", "one_hot", "embedding")
# Between thousands: a comma, a point, a blank of any width (a no-break one, too), an apostrophe of any form.
THOUSANDS = (",", ".", " \u00a0\u2009\u202f", "'\u2019")
LABELS = ("integer", "one_hot", "multi_label")


def path_problem(path: Any) -> str | None:
    """What `data.path` must be, if `path` is not it."""
    several = path if isinstance(path, (list, tuple)) else [path]
    good = len(several) > 0 and all(isinstance(one, str) and one for one in several)
    return None if good else "a file, a folder, a pattern such as data/*.csv, or a list of them"


def fill_problem(fill: Any) -> str | None:
    """What a missing number may be taken for, if `fill` is not it."""
    is_number = isinstance(fill, (int, float)) and not isinstance(fill, bool)
    return None if is_number or fill in FILLS else f"a number, or one of {', '.join(FILLS)}"


def thousands_problem(mark: str) -> str | None:
    """What may stand between thousands, if `mark` is not it."""
    return None if len(mark) == 1 and mark in "".join(THOUSANDS) else """null, ",", ".", " " or "'\""""


@dataclass
class PreparationConfig:
    """How the columns of a table are prepared, unless data.columns.<name>.<key> says otherwise."""

    scaling: str = setting("standard", "scaling of numbers", choices=SCALINGS)
    fill: Any = setting(
        "median", "what a missing number is taken for: median, mean, zero or a number", problem=fill_problem
    )
    indicator: bool = setting(True, "a second number says that a value was missing")
    encoding: str = setting("auto", "categories; auto: one_hot up to max_one_hot", choices=ENCODINGS)
    max_one_hot: int = setting(16, "most categories of a column for one_hot", at_least=0)
    min_rows: int = setting(2, "a category in fewer training rows counts as unseen", at_least=1)
    max_categories: int = setting(1000, "most categories of a column that are told apart", at_least=1)
    tokens: int = setting(20_000, "most words of a text column that are told apart", at_least=3)
    length: int = setting(0, "words per text; 0: by the training rows, at most 256", at_least=0)


@dataclass
class DataConfig:
    """Where the rows come from, how they are split and prepared."""

    source: str = setting("auto", "auto, embedded, or the data set's name, which demands the real data")
    dir: str | None = setting(None, "folder of known data sets such as mnist.npz; TRAINKIT_DATA sets it")
    path: Any = setting(
        None, "your own table, or folder of images or texts: file, folder or pattern", problem=path_problem
    )
    target: str | None = setting(None, "column to be predicted")
    format: str = setting("auto", "of data.path; auto: by the names of the files", choices=FORMATS)
    columns: dict[str, Any] = setting(
        {}, "by column: its kind, or its kind, missing, format, unit and keys of data.preparation"
    )
    missing: list[Any] | None = setting(None, "texts that are gaps; null: the usual ones, where sensible")
    delimiter: str | None = setting(None, "between the cells of a CSV file; null: by its header")
    decimal: str = setting(".", "decimal mark of a CSV file", choices=(".", ","))
    thousands: str | None = setting(
        None,
        "mark between thousands in a CSV file, as in 1,500.25, also a blank or '; null: none",
        problem=thousands_problem,
    )
    encoding: str = setting("utf-8", "of a CSV or text file")
    header: bool = setting(True, "a CSV file begins with the names of its columns")
    skip_bad: bool = setting(False, "leave out what cannot be read: rows, images, rows without a target")
    split: str = setting(
        "auto", "auto: by split_column or split_file if set, else by class where that can be", choices=SPLITS
    )
    split_column: str | None = setting(None, "column of the groups, the time or the split's name")
    split_file: str | None = setting(
        None, 'JSON file of row numbers, from 0: {"train": [...], "test": [...]}'
    )
    folds: int | None = setting(
        None, "k folds in place of data.test: fold number data.fold is the test", at_least=2
    )
    fold: int = setting(0, "the fold that is held out, from 0", at_least=0)
    validation: float = setting(
        0.2, "fraction of the training rows held out for validation", at_least=0, below=1
    )
    test: float = setting(0.2, "fraction of the rows of data.path held out for the test", at_least=0, below=1)
    seed: int = setting(0, "seed of the splits", at_least=0, below=MAX_SEED)
    train_rows: int | None = setting(None, "train on the first rows only; null: on all", at_least=1)
    labels: str = setting("integer", "encoding of the classes", choices=LABELS)
    separator: str = setting("|", "between the labels of a row, for labels=multi_label")
    target_scaling: str = setting("standard", "scaling of a target that is a number", choices=SCALINGS)
    weight: str | None = setting(None, "column with a weight for each row")
    image_size: list[int] | None = setting(
        None,
        "height and width that images are scaled to; null: all have one size",
        at_least=1,
        example="[24,24] ([height,width])",
    )
    channels: int = setting(0, "of images: 1 gray, 3 RGB, 0: gray if all are", at_least=0, at_most=3)
    path_column: str | None = setting(None, "column with the paths of images; null: path, file or image")
    augment: Any = setting(
        "none", "of images: none, light, standard, strong, or a list: [flip,{name: rotate, degrees: 20}]"
    )
    memory: int | None = setting(
        None,
        "bytes that data.path may take in memory, else it goes to files; null: by what is free",
        at_least=1,
    )
    cache: str | None = setting(None, "folder of these files; null: in the user's cache folder")
    preparation: PreparationConfig = field(default_factory=PreparationConfig)

    @property
    def split_kind(self) -> str:
        """How rows are split: as `split` says, and for `auto` as the column or the file that is set."""
        if self.split != "auto":
            return self.split
        if self.split_column is not None:
            return "column"
        return "auto" if self.split_file is None else "file"

    def check(self, prefix: str) -> None:
        """Refuse settings that contradict each other.

        Raises:
            UserError: naming the first.
        """
        self._check_split(prefix)
        if self.thousands == self.decimal:
            raise UserError(
                f"{prefix}thousands={self.thousands} is the decimal mark too; set {prefix}decimal to another."
            )
        if self.image_size is not None and len(self.image_size) != 2:
            raise UserError(f"{prefix}image_size={self.image_size}: expected [height,width].")
        if self.channels == 2:
            raise UserError(f"{prefix}channels=2: expected 0 (by the images), 1 (gray) or 3 (RGB).")

    def unread_before(self) -> dict[str, Any]:
        """Settings of the split that are refused together now, and that a former version did not read, with
        their defaults: where a run keeps them, these count."""
        try:
            self._check_split("data.")
        except UserError:
            unread = {
                "split_column": self.split not in BY_COLUMN,
                "split_file": self.split != "file",
                "test": self.folds is not None or self.split in NAMED,
                "fold": self.folds is None,
            }
            return {name: getattr(DataConfig, name) for name, is_unread in unread.items() if is_unread}
        return {}

    def _check_split(self, prefix: str) -> None:
        """Refuse settings of the split that contradict each other, or that it would not look at."""
        if self.split in BY_COLUMN and self.split_column is None:
            raise UserError(
                f"{prefix}split={self.split} needs the name of a column; set {prefix}split_column."
            )
        if self.split == "file" and self.split_file is None:
            raise UserError(f"{prefix}split=file needs a file with row numbers; set {prefix}split_file.")
        kind = self.split_kind
        for name, kinds in READ_BY.items():
            value = getattr(self, name)
            if kind not in kinds and value != getattr(DataConfig, name):
                given = f"{prefix}split={kind}"
                if kind != self.split:
                    given = f"{prefix}split_{kind}={getattr(self, f'split_{kind}')}"
                raise UserError(
                    f"{prefix}{name}={value} is not read with {given}: leave one of both out. "
                    f"{prefix}{name} belongs to {prefix}split={', '.join(kinds)}."
                )
        if self.folds is None and self.fold:
            raise UserError(f"{prefix}fold={self.fold} is not read without {prefix}folds: set how many.")
        if self.folds is not None and self.test != DataConfig.test:
            raise UserError(
                f"{prefix}test={self.test} is not read with {prefix}folds={self.folds}: a fold is the test; "
                "leave one of both out."
            )
        if self.folds is not None and self.fold >= self.folds:
            raise UserError(
                f"{prefix}fold={self.fold}: expected 0 to {self.folds - 1}, one of {self.folds} folds."
            )
        for name, path in (("target", self.target), ("weight", self.weight)):
            if path is not None and path == self.split_column:
                raise UserError(f"{prefix}{name}={path} is also {prefix}split_column; expected two columns.")
