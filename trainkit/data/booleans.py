"""True and false, which programs spell in several ways.

In a column of them, with hardly any other value, all spellings of each are the same: the one that the table
has most often is read in place of the others.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

__all__ = ["known", "merged", "notes", "respelled", "spellings"]

WORDS = ("false", "true")
MAX_OTHERS = 1  # values beside them
MAX_VALUES = MAX_OTHERS + sum(2 ** len(word) for word in WORDS)


def spellings(word: str) -> list[str]:
    """A word in upper and lower case."""
    return ["".join(letters) for letters in itertools.product(*zip(word.lower(), word.upper(), strict=True))]


def known(values: Collection[str]) -> tuple[str, ...]:
    """True and false among all different values of a column, as they are spelled; none where they are not the
    same in every spelling."""
    words = _words(values)
    return () if len({word.lower() for word in words}) < len(words) else tuple(words)


def merged(values: dict[str, int]) -> dict[str, int]:
    """The rows of each different value, those of all spellings in one."""
    other = _others(values)
    if not other:
        return values
    counts: Counter[str] = Counter()
    for value, count in values.items():
        counts[other.get(value, value)] += count
    return dict(counts)


def notes(values: Mapping[str, int]) -> list[str]:
    """What to say of spellings that are read as another, by the rows of each different value."""
    found: dict[str, list[str]] = {}
    for value, word in _others(values).items():
        found.setdefault(word, []).append(repr(value))
    return [f"{', '.join(each)} and {word!r} are the same, read as {word!r}" for word, each in found.items()]


def respelled(values: Sequence[str], words: Collection[str]) -> list[str]:
    """Values in which each of these words stands in place of its other spellings."""
    own = {word.lower(): word for word in words}
    return [own.get(value.lower(), value) for value in values]


def _words(values: Collection[str]) -> list[str]:
    if len(values) > MAX_VALUES:
        return []
    words = [value for value in values if value.lower() in WORDS]
    return words if len(values) - len(words) <= MAX_OTHERS else []


def _others(values: Mapping[str, int]) -> dict[str, str]:
    """The spelling that is read in place of each that is not."""
    own: dict[str, str] = {}
    words = sorted(_words(values), key=lambda word: -values[word])
    for word in words:
        own.setdefault(word.lower(), word)
    return {word: own[word.lower()] for word in words if word != own[word.lower()]}
