"""The target: classes as numbers, or a number scaled, and back again."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from trainkit.core.cells import printed, quoted
from trainkit.core.errors import UserError
from trainkit.data import cells
from trainkit.data.cells import NUMBER
from trainkit.data.columns import setting_of
from trainkit.data.preparation.encoder import refuse_null
from trainkit.data.preparation.scaling import Scaling, check_range, fit_scaling
from trainkit.data.preparation.settings import PreparationSettings
from trainkit.data.targets import check_apart

__all__ = ["ClassLabels", "NumberTarget", "fit_class_labels", "fit_number_target"]

LOOKED_AT = 100_000  # numbers that are compared with each other once they are scaled
ADVISED = ("standard", "log")  # in place of another scaling


@dataclass(frozen=True)
class ClassLabels:
    """Class names as labels.

    Args:
        name: Of the target's column.
        classes: Their names; numbers in numeric order, others in alphabetical order.
        encoding: `integer`: the class's position; `one_hot`; or `multi_label`: several classes per row.
        separator: Between the labels of a row, for `multi_label`.
    """

    name: str
    classes: tuple[str, ...]
    encoding: str
    separator: str = "|"

    kind: ClassVar[str] = "classes"

    @functools.cached_property
    def _position(self) -> dict[str, int]:
        return {label: i for i, label in enumerate(self.classes)}

    def encode(self, values: np.ndarray, numbers: np.ndarray | None = None) -> np.ndarray:
        """Labels of class names `[N]`: int32 `[N]` for `integer`, else float32 `[N, C]`.

        Args:
            values: Class names.
            numbers: Which rows of the file these are `[N]`, from 0, for the message.

        Raises:
            UserError: for a class that the training rows did not have.
        """
        different, codes = cells.distinct(values)
        labels = [self._labels_of(value) for value in different]
        for i, each in enumerate(labels):
            unknown = [label for label in each if label not in self._position]
            if unknown:
                place = int(np.flatnonzero(codes == i)[0])
                self._refuse(unknown[0], None if numbers is None else int(numbers[place]) + 1)
        if self.encoding == "integer":
            positions = np.array([self._position[each[0]] for each in labels], np.int32)
            return np.asarray(positions[codes])
        rows = np.zeros((len(different), len(self.classes)), np.float32)
        for row, each in zip(rows, labels, strict=True):
            row[[self._position[label] for label in each]] = 1
        return np.asarray(rows[codes])

    def _refuse(self, label: str, row: int | None) -> None:
        known = ", ".join(map(printed, self.classes[:10])) + (", ..." if len(self.classes) > 10 else "")
        where = "" if row is None else f" in row {row}"
        raise UserError(
            f"data.target={self.name}: {quoted(label)}{where} is no class of the training rows; they had "
            f"{known}. Correct the cell, leave such rows out, or train anew with rows of this class."
        )

    def _labels_of(self, value: str) -> list[str]:
        return _split(value, self.separator) if self.encoding == "multi_label" else [value]

    def decode(self, outputs: np.ndarray, threshold: float = 0.5) -> list[str]:
        """The class names of a model's outputs.

        Args:
            outputs: A score per class `[N, C]`, or the probability of the second of two classes, `[N]` or
                `[N, 1]`.
            threshold: Least score of a class that is named, for `multi_label` and for a single probability.
        """
        scores = np.asarray(outputs).reshape(len(outputs), -1)
        if self.encoding == "multi_label":
            named = [np.flatnonzero(row >= threshold) for row in scores]
            return [self.separator.join(self.classes[i] for i in row) for row in named]
        if scores.shape[1] == 1:
            return [self.classes[int(score >= threshold)] for score in scores[:, 0]]
        return [self.classes[i] for i in scores.argmax(axis=1)]

    def confidence(self, outputs: np.ndarray) -> np.ndarray:
        """The score `[N]` of the class that `decode` names, for one class per row."""
        scores = np.asarray(outputs).reshape(len(outputs), -1)
        if scores.shape[1] == 1:
            return np.asarray(np.maximum(scores[:, 0], 1 - scores[:, 0]))
        return np.asarray(scores.max(axis=1))

    def to_dict(self) -> dict[str, Any]:
        """Its state as JSON can hold it."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> ClassLabels:
        """The inverse of `to_dict`."""
        return cls(state["name"], tuple(state["classes"]), state["encoding"], state["separator"])


@dataclass(frozen=True)
class NumberTarget:
    """A number to be predicted, scaled.

    Args:
        name: Of the target's column.
        scaling: Applied to it.
        unit: Of the number, for reports.
    """

    name: str
    scaling: Scaling
    unit: str = ""

    kind: ClassVar[str] = "number"

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Labels float32 `[N, 1]` of numbers `[N]`."""
        scaled = self.scaling.apply(values)
        check_range(self.name, scaled, values)
        return np.asarray(scaled[:, None], np.float32)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """The numbers `[N]` float64, in their own unit, of a model's outputs `[N]` or `[N, 1]`."""
        return self.scaling.invert(np.asarray(outputs).reshape(len(outputs)))

    def to_dict(self) -> dict[str, Any]:
        """Its state as JSON can hold it."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> NumberTarget:
        """The inverse of `to_dict`."""
        return cls(state["name"], Scaling(**state["scaling"]), state["unit"])


def fit_class_labels(name: str, values: np.ndarray, settings: PreparationSettings) -> ClassLabels:
    """Fit to the training rows of the target.

    Args:
        name: Of the column.
        values: Class names `[N]`.
        settings: How.

    Raises:
        UserError: for a class with the character NUL.
    """
    different, _ = cells.distinct(values)
    refuse_null(name, different)
    if settings.labels == "multi_label":
        different = list({label for value in different for label in _split(value, settings.separator)})
    are_numbers = all(NUMBER.fullmatch(value) for value in different)
    ordered = sorted(different, key=lambda value: (float(value) if are_numbers else 0.0, value))
    return ClassLabels(name, tuple(ordered), settings.labels, settings.separator)


def fit_number_target(
    name: str, values: np.ndarray, settings: PreparationSettings, unit: str = ""
) -> NumberTarget:
    """Fit to the training rows of the target.

    Args:
        name: Of the column.
        values: Numbers `[N]`, none of them missing.
        settings: How.
        unit: Of the numbers.

    Raises:
        UserError: for numbers that are the same once they are scaled.
    """
    own = settings.columns.get(name, {}).get("scaling")
    kind = own or settings.target_scaling
    scaling = fit_scaling(kind, values, name)
    different = np.unique(values[:LOOKED_AT])
    apart = _apart(scaling, different)
    if 2 * apart <= len(different):
        key = setting_of(name, kind, "scaling") if own else f"data.target_scaling={kind}"
        remedy = _remedy(name, kind, values, different)
        check_apart(name, apart, different.tolist(), f"as float32 with {key}", remedy)
    return NumberTarget(name, scaling, unit)


def _apart(scaling: Scaling, different: np.ndarray) -> int:
    """How many of these numbers remain different as what a model takes."""
    with np.errstate(over="ignore"):
        return len(np.unique(scaling.apply(different).astype(np.float32)))


def _remedy(name: str, kind: str, values: np.ndarray, different: np.ndarray) -> str:
    """What helps where a scaling does not leave most of the numbers different."""
    others = [fit_scaling(other, values, name) for other in ADVISED if other != kind]
    good = [other.kind for other in others if 2 * _apart(other, different) > len(different)]
    if good:
        return f"Choose {' or '.join(good)}"
    far = different[np.abs(different - np.median(different)).argmax()]
    return f"Mend those that are far from the others, such as {far:g}"


def _split(value: str, separator: str) -> list[str]:
    return [label.strip() for label in value.split(separator) if label.strip()]
