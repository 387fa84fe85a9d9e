"""How columns are prepared: the settings that a user may give for all columns, or for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from trainkit.config.data import ENCODINGS as CATEGORY_ENCODINGS
from trainkit.config.data import FILLS, SCALINGS
from trainkit.config.data import LABELS as LABEL_ENCODINGS
from trainkit.core.errors import UserError, did_you_mean
from trainkit.data.inference import ColumnOverride

__all__ = [
    "CATEGORY_ENCODINGS",
    "LABEL_ENCODINGS",
    "SCALINGS",
    "ColumnSettings",
    "PreparationSettings",
    "separate_settings",
]


@dataclass(frozen=True)
class ColumnSettings:
    """How one column is prepared.

    Args:
        scaling: Of numbers, one of `SCALINGS`: `standard` to mean 0 and deviation 1, `min_max` to 0..1,
            `robust` by median and quartiles, `log` by `log(1 + x - min)`, then `standard`, `pixels` by 255.
        fill: What a missing number is taken for: `median`, `mean` (of the training rows), `zero` or a number.
        indicator: Whether a second number says that the value was missing, if it ever was in training.
        encoding: Of categories, one of `CATEGORY_ENCODINGS`. `integer` is one number per row, `embedding` an
            index for an embedding layer. `auto`: `one_hot` up to `max_one_hot` categories, else `embedding`.
        max_one_hot: See `encoding`.
        min_rows: A category in fewer training rows is rare: it is prepared as one that was never seen.
        max_categories: The most categories that are told apart; the rarest are dropped.
        tokens: Of texts: the most words that are told apart.
        length: Of texts: words per text; longer ones are cut. 0: by the training rows, at most 256.
    """

    scaling: str = "standard"
    fill: str | float = "median"
    indicator: bool = True
    encoding: str = "auto"
    max_one_hot: int = 16
    min_rows: int = 2
    max_categories: int = 1000
    tokens: int = 20_000
    length: int = 0

    def check(self, key: str) -> None:
        """Refuse impossible values.

        Raises:
            UserError: naming the setting below `key`, e.g. `data.columns.age`.
        """
        choices = {"scaling": SCALINGS, "encoding": CATEGORY_ENCODINGS}
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                raise UserError(f"{key}.{name}={value} is unknown; {did_you_mean(str(value), known)}")
        if isinstance(self.fill, str) and self.fill not in FILLS:
            raise UserError(f"{key}.fill={self.fill} is no number; {did_you_mean(self.fill, FILLS)}")
        least = {"max_one_hot": 0, "min_rows": 1, "max_categories": 1, "tokens": 3, "length": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise UserError(f"{key}.{name}={getattr(self, name)} is too small; expected at least {low}.")


@dataclass(frozen=True)
class PreparationSettings:
    """How a table is prepared.

    Args:
        defaults: For columns without settings of their own.
        columns: Settings of single columns that differ from the defaults, by column and name.
        labels: How classes are encoded, one of `LABEL_ENCODINGS`.
        separator: Between the labels of a row, for `multi_label`.
        target_scaling: Of a target that is a number, one of `SCALINGS`.
    """

    defaults: ColumnSettings = field(default_factory=ColumnSettings)
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labels: str = "integer"
    separator: str = "|"
    target_scaling: str = "standard"

    def __post_init__(self) -> None:
        self.defaults.check("data.preparation")
        for name in self.columns:
            self.of(name)
        for key, value, known in (
            ("data.labels", self.labels, LABEL_ENCODINGS),
            ("data.target_scaling", self.target_scaling, SCALINGS),
        ):
            if value not in known:
                raise UserError(f"{key}={value} is unknown; {did_you_mean(str(value), known)}")

    def of(self, name: str) -> ColumnSettings:
        """The settings of a column.

        Raises:
            UserError: for an unknown or impossible one.
        """
        known = [setting.name for setting in fields(ColumnSettings)]
        for setting in self.columns.get(name, {}):
            if setting not in known:
                raise UserError(
                    f"data.columns.{name}.{setting} is no setting; {did_you_mean(setting, known)}"
                )
        settings = replace(self.defaults, **self.columns.get(name, {}))
        settings.check(f"data.columns.{name}")
        return settings


def separate_settings(columns: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Tell the settings of `data.columns` apart: those of the schema, and those of the preparation.

    Args:
        columns: By column: a kind, or a mapping with the fields of `ColumnOverride` and `ColumnSettings`.

    Returns:
        What `infer_schema(overrides=...)` takes, and what `PreparationSettings(columns=...)` takes.

    Raises:
        UserError: for a setting that neither knows.
    """
    of_schema = [setting.name for setting in fields(ColumnOverride)]
    of_preparation = [setting.name for setting in fields(ColumnSettings)]
    overrides: dict[str, Any] = {}
    settings: dict[str, dict[str, Any]] = {}
    for name, value in columns.items():
        if not isinstance(value, Mapping):
            overrides[name] = value
            continue
        for key in value:
            if key not in (*of_schema, *of_preparation):
                hint = did_you_mean(str(key), [*of_schema, *of_preparation])
                raise UserError(f"data.columns.{name}.{key} is no setting; {hint}")
        overrides[name] = {key: setting for key, setting in value.items() if key in of_schema}
        settings[name] = {key: setting for key, setting in value.items() if key in of_preparation}
    return overrides, {name: own for name, own in settings.items() if own}
