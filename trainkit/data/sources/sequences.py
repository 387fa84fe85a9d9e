"""Lists of word numbers as one array, as IMDB and Reuters give them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["word_numbers"]

START = 1  # begins each text; 0 fills up short ones
UNKNOWN = 2  # a word that is not among the most frequent
OFFSET = 3  # between a word's rank by frequency and its number


def word_numbers(texts: Iterable[np.ndarray], words: int, length: int) -> np.ndarray:
    """Texts as word numbers, numbered as Keras numbers them: rank plus 3, after a 1 that begins the text.

    Args:
        texts: Ranks by frequency, from 1, for each text.
        words: Numbers below which a word is told apart: the size of an embedding.
        length: Numbers per text. Longer texts lose their end, shorter ones are filled up with 0 at the end.

    Returns:
        int32 `[N, length]`.
    """
    rows = [np.concatenate([[START], np.asarray(text, np.int64) + OFFSET])[:length] for text in texts]
    numbers = np.zeros((len(rows), length), np.int32)
    for row, text in zip(numbers, rows, strict=True):
        row[: len(text)] = np.where(text < words, text, UNKNOWN)
    return numbers
