"""Dates read by Keras, which has no layer for them: character by character."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from trainkit.data.date_formats import DAY, FIRST_OF_1900, MONTHS, DateFormat
from trainkit.data.preparation.keras_texts import characters

__all__ = ["Dates", "read_dates"]

Tensor = Any
DAYS_TO_EPOCH = 719_468  # from 1 March of year 0 to 1 January 1970
MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
NO_CHARACTER = 0
DIGITS = "0123456789"
LETTERS = sorted({letter for name in (*MONTHS, "apm") for letter in name.lower() + name.upper()})
SHORT_NAME = 3  # characters


class Dates(NamedTuple):
    """Dates as numbers `[B]` int64.

    Args:
        day: Since 1970.
        second: Of the day.
        month: Of the year, from 0.
        is_one: Whether the text is a date `[B]`; the numbers of others mean nothing.
    """

    day: Tensor
    second: Tensor
    month: Tensor
    is_one: Tensor


def read_dates(written: DateFormat, raw: Tensor) -> Dates:
    """The dates that texts `[B]` are in a format, in UTC where that has an offset from it."""
    part, is_one = _parts(written, raw)
    local = part["H"] * 3600 + part["M"] * 60 + part["S"] - part["z"]
    later = local // DAY  # days, -1 to 1, by the offset from UTC
    day = _day_number(part["Y"], part["m"], part["d"]) + later
    return Dates(day, local % DAY, _month(part, later), is_one)


class _Characters:
    """The characters of texts as numbers `[B, N]`: 0 past the end, 1 unknown, 2 to 11 digits, then others."""

    def __init__(self, written: DateFormat, raw: Tensor, length: int) -> None:
        has_names = {"b", "p"} & set(written.places)
        others = {*written.literals.values(), *("+-:" if "z" in written.places else "")}
        others |= set(LETTERS) if has_names else set()
        self.symbols = [*DIGITS, *sorted(others - set(DIGITS))]
        self.codes = characters(raw, self.symbols, length)

    def code(self, symbol: str) -> int:
        """The number of a character."""
        return 2 + self.symbols.index(symbol)

    def digits(self, first: int, end: int) -> tuple[Tensor, Tensor]:
        """The digits in some places `[B, end - first]`, and whether they are such `[B]`."""
        found = self.codes[:, first:end] - 2
        return found, ops.all(ops.logical_and(found >= 0, found <= 9), axis=1)

    def have(self, name: str, at: int) -> Tensor:
        """Whether a name stands at a place `[B]`, in any case."""
        found = [
            ops.logical_or(
                ops.equal(self.codes[:, at + i], self.code(letter.lower())),
                ops.equal(self.codes[:, at + i], self.code(letter.upper())),
            )
            for i, letter in enumerate(name)
        ]
        return _all(found)

    def insert(self, rows: Tensor, at: int, code: int, count: int = 1) -> None:
        """Insert the same characters at a place of some rows `[B]`; as many are lost at the end."""
        more = ops.zeros_like(self.codes[:, :count]) + code
        longer = ops.concatenate([self.codes[:, :at], more, self.codes[:, at:-count]], axis=1)
        self.codes = ops.where(ops.expand_dims(rows, 1), longer, self.codes)


def _parts(written: DateFormat, raw: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The parts of each date `[B]` int64, and whether it is one `[B]`.

    What is shorter than its place is made longer, from left to right: `6/10/2020` becomes `06/10/2020`.
    """
    places = written.places
    end = max([last for _, last in places.values()] + [at + 1 for at in written.literals])
    text = _Characters(written, raw, end + 1)
    zero = ops.zeros_like(text.codes[:, 0])
    parts = dict.fromkeys("HMSz", zero)
    conditions = [ops.equal(zero, 0)]
    for name, (first, last) in places.items():
        if name == "b":
            parts["m"] = _month_by_name(text, first, last)
            continue
        if name == "p":
            parts["p"] = ops.cast(text.have("pm", first), "int64")
            conditions.append(ops.logical_or(text.have("am", first), text.have("pm", first)))
            continue
        if name == "z":
            parts["z"], is_offset = _offset(text, first)
            conditions.append(is_offset)
            continue
        if name in written.short:
            _, has_two = text.digits(first + 1, last)
            text.insert(ops.logical_not(has_two), first, text.code("0"))
        digits, are_digits = text.digits(first, last)
        conditions.append(are_digits)
        parts[name] = _number(digits)
    for at, literal in written.literals.items():
        conditions.append(ops.equal(text.codes[:, at], text.code(literal)))
    if "%f" not in written.text:  # of which any number of digits stands behind
        conditions.append(ops.equal(text.codes[:, end], NO_CHARACTER))
    if "y" in parts:
        parts["Y"] = parts["y"] + ops.where(parts["y"] >= FIRST_OF_1900, 1900, 2000)
    if "I" in parts:
        conditions += [parts["I"] >= 1, parts["I"] <= 12]
        parts["H"] = parts["I"] % 12 + 12 * parts["p"]
    return parts, _all([*conditions, _on_the_calendar(parts)])


def _month_by_name(text: _Characters, first: int, last: int) -> Tensor:
    """The months from 1 `[B]` of names at a place, 0 where there is none; the names get the same length."""
    month = ops.zeros_like(text.codes[:, 0])
    length = month + SHORT_NAME
    for number, name in enumerate(MONTHS, 1):
        month = ops.where(text.have(name[:SHORT_NAME], first), number, month)
        length = ops.where(text.have(name, first), len(name), length)
    for shorter in sorted({SHORT_NAME, *map(len, MONTHS)} - {last - first}):
        text.insert(ops.equal(length, shorter), first + shorter, NO_CHARACTER, last - first - shorter)
    return month


def _number(digits: Tensor) -> Tensor:
    tens = 10 ** np.arange(digits.shape[1] - 1, -1, -1, dtype=np.int64)
    return ops.sum(digits * tens, axis=1)


def _offset(text: _Characters, first: int) -> tuple[Tensor, Tensor]:
    """Offsets from UTC such as `+02:00` at a place in seconds `[B]`, and whether they are such."""
    minus = ops.equal(text.codes[:, first], text.code("-"))
    plus = ops.equal(text.codes[:, first], text.code("+"))
    hours, are_hours = text.digits(first + 1, first + 3)
    minutes, are_minutes = text.digits(first + 4, first + 6)
    hours, minutes = _number(hours), _number(minutes)
    conditions = [ops.logical_or(minus, plus), ops.equal(text.codes[:, first + 3], text.code(":"))]
    conditions += [are_hours, are_minutes, hours <= 23, minutes <= 59]
    seconds = hours * 3600 + minutes * 60
    return ops.where(minus, -seconds, seconds), _all(conditions)


def _month_length(part: dict[str, Tensor]) -> Tensor:
    month = ops.clip(part["m"], 1, 12)
    divides = [ops.equal(part["Y"] % n, 0) for n in (4, 100, 400)]
    leap = ops.logical_or(ops.logical_and(divides[0], ops.logical_not(divides[1])), divides[2])
    length = ops.take(np.array(MONTH_LENGTHS, np.int64), month - 1, axis=0)
    return length + ops.cast(ops.logical_and(leap, ops.equal(month, 2)), "int64")


def _month(part: dict[str, Tensor], later: Tensor) -> Tensor:
    """The month from 0 of the day that is some days, -1 to 1, later."""
    day = part["d"] + later
    after = ops.cast(day > _month_length(part), "int64") - ops.cast(day < 1, "int64")
    return (part["m"] - 1 + after) % 12


def _on_the_calendar(part: dict[str, Tensor]) -> Tensor:
    """Whether there is such a day and time."""
    limits = [(part["Y"], 1, 9999), (part["m"], 1, 12), (part["d"], 1, _month_length(part))]
    limits += [(part["H"], 0, 23), (part["M"], 0, 59), (part["S"], 0, 59)]
    return _all([ops.logical_and(value >= low, value <= high) for value, low, high in limits])


def _all(conditions: Sequence[Tensor]) -> Tensor:
    result = conditions[0]
    for condition in conditions[1:]:
        result = ops.logical_and(result, condition)
    return result


def _day_number(year: Tensor, month: Tensor, day: Tensor) -> Tensor:
    """Days since 1970 of dates of the Gregorian calendar, by years that begin in March."""
    early = ops.cast(month <= 2, "int64")
    year = year - early
    month = month - 3 + 12 * early
    day_of_year = (153 * month + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - DAYS_TO_EPOCH
