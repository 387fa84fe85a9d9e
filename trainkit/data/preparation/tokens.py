"""Columns of free text as numbered words, exactly as Keras's `TextVectorization` numbers them."""

from __future__ import annotations

import functools
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trainkit.core.errors import UserError
from trainkit.data.columns import setting_of
from trainkit.data.preparation.encoder import ColumnEncoder, refuse_null
from trainkit.data.preparation.settings import ColumnSettings

__all__ = ["FIRST_WORD", "MAX_LENGTH", "UNKNOWN", "TokenEncoder", "fit_tokens"]

UNKNOWN = 1  # index of a word that is not known; 0 fills up short texts
FIRST_WORD = 2
MAX_LENGTH = 256  # words per text, unless the user sets another number
LONG_TEXTS = 0.95  # share of the training texts that are kept whole

# What TextVectorization does before it splits; it knows the letters, punctuation and blanks of ASCII.
PLAIN = {
    **{ord(letter): letter.lower() for letter in string.ascii_uppercase},
    **dict.fromkeys(map(ord, string.punctuation)),
    **{ord(blank): " " for blank in string.whitespace},
}


@dataclass(frozen=True)
class TokenEncoder(ColumnEncoder):
    """Texts as word numbers: 0 fills up, 1 is an unknown word, from 2 on those that are known. A text without
    words is one unknown word, since nothing has no mean.

    Punctuation is dropped, words are what stands between blanks, and capitals count as small letters; of
    letters beyond ASCII they do not, since Keras's layer leaves those as they are.

    Args:
        name: Of the column.
        words: The known words, the most frequent first.
        length: Words per text; longer ones are cut.
    """

    words: tuple[str, ...]
    length: int

    kind: ClassVar[str] = "text"

    @property
    def own_array(self) -> bool:
        return True

    @property
    def size(self) -> int:
        """Number of indices: the input size of an embedding."""
        return FIRST_WORD + len(self.words)

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {word: FIRST_WORD + i for i, word in enumerate(self.words)}

    def encode(self, values: np.ndarray) -> np.ndarray:
        encoded = np.zeros((len(values), self.length), np.int32)
        for row, text in enumerate(values):
            words = _words(text)[: self.length]
            numbers = [self._index.get(word, UNKNOWN) for word in words] or [UNKNOWN]
            encoded[row, : len(numbers)] = numbers
        return encoded

    def names(self) -> tuple[str, ...]:
        return ()

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> TokenEncoder:
        """The inverse of `to_dict`."""
        return cls(state["name"], tuple(state["words"]), state["length"])


def fit_tokens(name: str, parts: Iterable[np.ndarray], settings: ColumnSettings) -> TokenEncoder:
    """Fit to the training rows of a column.

    Args:
        name: Of the column.
        parts: Its texts, some at a time.
        settings: How.

    Raises:
        UserError: if no text has a word, or a word has the character NUL.
    """
    counts: Counter[str] = Counter()
    lengths = []
    for text in (text for part in parts for text in part):
        words = _words(text)
        counts.update(words)
        lengths.append(len(words))
    if not counts:
        raise UserError(
            f"data.columns.{name}: no text of a training row has a word. Expected words between blanks; "
            f"{setting_of(name, 'ignore')} leaves the column out."
        )
    refuse_null(name, counts)
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    length = settings.length
    if length == 0:
        long = np.quantile(lengths, LONG_TEXTS, method="higher")
        length = int(np.clip(long, 1, MAX_LENGTH))
    return TokenEncoder(name, tuple(ordered[: settings.tokens - FIRST_WORD]), length)


def _words(text: str) -> list[str]:
    return [word for word in text.translate(PLAIN).split(" ") if word]
