"""What is searched: a range or choices for each key."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from trainkit.core.errors import UserError, did_you_mean

__all__ = ["Parameter", "Space"]

RANGE = ("low", "high", "log", "step")
VALUES = ("optimizer.learning_rate", "trainer.seed", "trainer.epochs")  # whatever they are, programs stay
EXPECTED = "expected {low: 1e-4, high: 1e-2, log: true}, {low: 1, high: 8, step: 1} or {choices: [16, 32]}"


@dataclass(frozen=True)
class Parameter:
    """What one key may be.

    Args:
        key: Dotted key of a setting: `optimizer.learning_rate`.
        choices: All values; empty for a range.
        low: Smallest value of a range.
        high: Largest value of a range, inclusive.
        log: Whether the range is searched by its logarithm.
        step: Distance of the values of a range; None: all numbers.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float | int = 0
    high: float | int = 0
    log: bool = False
    step: float | int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether a range has whole numbers only."""
        return all(isinstance(v, Integral) for v in (self.low, self.high, self.step or 1))

    @property
    def is_structural(self) -> bool:
        """Whether two values of it need programs of their own; numbers that are searched continuously change
        no shape."""
        steps = self.choices or (self.is_whole and not self.log)
        return bool(steps) and self.key not in VALUES

    @classmethod
    def of(cls, key: str, given: Any) -> Parameter:
        """The parameter that a space file or a command line describes.

        Raises:
            UserError: for what is no range and no choices.
        """
        if isinstance(given, (list, tuple)):
            given = {"choices": list(given)}
        if not isinstance(given, Mapping):
            raise UserError(f"tune.space.{key}={given}: {EXPECTED}.")
        unknown = sorted(set(given) - {*RANGE, "choices"})
        if unknown:
            hint = did_you_mean(unknown[0], [*RANGE, "choices"])
            raise UserError(f"tune.space.{key}: {unknown[0]} is unknown; {hint}")
        if "choices" in given:
            return cls._of_choices(key, given)
        return cls._of_range(key, given)

    @classmethod
    def _of_choices(cls, key: str, given: Mapping[str, Any]) -> Parameter:
        choices = given["choices"]
        if len(given) > 1:
            raise UserError(f"tune.space.{key}: choices go without {', '.join(set(given) - {'choices'})}.")
        if not isinstance(choices, (list, tuple)) or not choices:
            raise UserError(
                f"tune.space.{key}.choices={choices}: expected a list of values, such as [16, 32]."
            )
        texts = [_text(choice) for choice in choices]
        if len(set(texts)) < len(texts):
            twice = next(text for text in texts if texts.count(text) > 1)
            raise UserError(f"tune.space.{key}.choices: {twice} is there twice; expected different values.")
        return cls(key, choices=tuple(choices))

    @classmethod
    def _of_range(cls, key: str, given: Mapping[str, Any]) -> Parameter:
        low, high, step = given.get("low"), given.get("high"), given.get("step")
        log = given.get("log", False)
        for name, value in (("low", low), ("high", high), *([("step", step)] if step is not None else [])):
            if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
                raise UserError(f"tune.space.{key}: {name}={value} is no number; {EXPECTED}.")
        if not isinstance(log, bool):
            raise UserError(f"tune.space.{key}.log={log}: expected true or false.")
        if low >= high:  # type: ignore[operator]  # both are numbers by now
            raise UserError(f"tune.space.{key}: low={low} is not below high={high}.")
        if log and low <= 0:  # type: ignore[operator]
            raise UserError(f"tune.space.{key}: log=true needs low above 0; got low={low}.")
        if step is not None and (step <= 0 or log):
            problem = "log=true goes without step" if log else f"step={step} is not above 0"
            raise UserError(f"tune.space.{key}: {problem}.")
        return cls(key, low=low, high=high, log=log, step=step)  # type: ignore[arg-type]

    def encode(self, value: Any) -> Any:
        """A value as Optuna and `trials.csv` hold it: lists and sections as JSON."""
        return _text(value) if self.choices and isinstance(value, (list, tuple, Mapping)) else value

    def decode(self, value: Any) -> Any:
        """The inverse of `encode`."""
        for choice in self.choices:
            if self.encode(choice) == value and isinstance(self.encode(choice), type(value)):
                return choice
        return int(value) if not self.choices and self.is_whole else value

    def points(self) -> list[Any]:
        """All values, for a grid.

        Raises:
            UserError: for a range without a step, unless it has whole numbers.
        """
        if self.choices:
            return list(self.choices)
        step = self.step or (1 if self.is_whole and not self.log else None)
        if step is None:
            raise UserError(
                f"tune.space.{self.key}: tune=grid needs a step or choices; "
                "use tune=random for a continuous range."
            )
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return [self.low + i * step for i in range(count)]

    def samples(self) -> list[Any]:
        """Values to try a space out with: all choices, or the ends of the range and one between them."""
        if self.choices:
            return list(self.choices)
        distance = (self.step or 1) if self.step or self.is_whole else (self.high - self.low) / math.pi
        between = self.low + distance
        return [self.low, *([between] if between < self.high else []), self.high]


@dataclass(frozen=True)
class Space:
    """All parameters of a search.

    Args:
        parameters: In the order in which they were named.
    """

    parameters: tuple[Parameter, ...]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Space:
        """The space that nested or dotted keys describe.

        Example:
            >>> Space.of({"optimizer": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}})

        Raises:
            UserError: for what is no range and no choices.
        """
        return cls(tuple(Parameter.of(key, value) for key, value in _leaves(given, "")))

    @property
    def keys(self) -> list[str]:
        """The keys."""
        return [parameter.key for parameter in self.parameters]

    def decode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Settings for the values that Optuna chose."""
        return {p.key: p.decode(values[p.key]) for p in self.parameters}

    def grid_size(self) -> int:
        """Points of the grid.

        Raises:
            UserError: for a continuous range.
        """
        return math.prod(len(parameter.points()) for parameter in self.parameters)

    def grid_point(self, number: int) -> dict[str, Any]:
        """Point `number` of the grid, as Optuna holds it; the last key changes fastest."""
        point: dict[str, Any] = {}
        for parameter in reversed(self.parameters):
            values = parameter.points()
            number, place = divmod(number, len(values))
            point[parameter.key] = parameter.encode(values[place])
        return {parameter.key: point[parameter.key] for parameter in self.parameters}

    def structure(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Of values that Optuna chose, those that compiled programs depend on, as far as a space can tell."""
        return tuple(values.get(p.key) for p in self.parameters if p.is_structural)

    def structures(self) -> int:
        """How many programs all trials need, as far as a space can tell."""
        return math.prod(len(p.points()) for p in self.parameters if p.is_structural)

    def samples(self) -> Iterator[dict[str, Any]]:
        """Settings with one parameter changed, for some values of each: every mistake in a space shows in one
        of them."""
        for parameter in self.parameters:
            yield from ({parameter.key: value} for value in parameter.samples())

    def as_text(self) -> str:
        """The space as a text that two searches can be compared by."""
        return json.dumps([_fields(parameter) for parameter in self.parameters], sort_keys=True)


def _fields(parameter: Parameter) -> Mapping[str, Any]:
    if parameter.choices:
        return {"key": parameter.key, "choices": list(parameter.choices)}
    return {"key": parameter.key, **{name: getattr(parameter, name) for name in RANGE}}


def _leaves(given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        inner = isinstance(value, Mapping) and value and not set(value) & {*RANGE, "choices"}
        if inner:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    return json.dumps(value, default=str)
