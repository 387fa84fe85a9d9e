"""Texts without the blanks around them, as the sources read a cell, by Keras's own layers.

Keras has no operation that gives a text, so that a text is told by the numbers of its characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["BLANKS", "UNSEEN", "characters", "indices_of"]

Tensor = Any
UNSEEN = " unseen "  # no cell of a file is this
# What Arrow trims, and Python's `strip`.
BLANKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
BLANKS += "".join(map(chr, range(0x2000, 0x200B)))


def characters(raw: Tensor, symbols: Sequence[str], length: int) -> Tensor:
    """The first characters of texts `[B]`, from the first that is no blank to the last.

    Args:
        raw: The texts.
        symbols: The characters that are told apart.
        length: How many characters.

    Returns:
        `[B, length]` int64: 0 past the end, 1 unknown, from 2 on the symbols, then other blanks.
    """
    known = [*symbols, *(blank for blank in BLANKS if blank not in symbols)]
    read = keras.layers.TextVectorization(
        standardize=None, split="character", output_mode="int", vocabulary=known
    )
    codes = read(raw)  # as long as the longest text
    is_shown = ops.take(np.array([0, 1, *(symbol not in BLANKS for symbol in known)], np.int32), codes)
    before = ops.sum(ops.cast(ops.equal(ops.cumsum(is_shown, axis=1), 0), "int64"), axis=1, keepdims=True)
    is_last_past = ops.equal(ops.flip(ops.cumsum(ops.flip(is_shown, axis=1), axis=1), axis=1), 0)
    codes = ops.where(is_last_past, ops.zeros_like(codes), codes)
    ends = ops.zeros_like(before) + np.zeros((1, length), np.int64)
    places = before + np.arange(length, dtype=np.int64)[None]
    return ops.take_along_axis(ops.concatenate([codes, ends], axis=1), places, axis=1)


def indices_of(raw: Tensor, vocabulary: Sequence[str]) -> Tensor:
    """The index of each text `[B]`: 0 of "", 1 of one that is not known, from 2 on the vocabulary.

    Args:
        raw: The texts.
        vocabulary: Texts without blanks around them. Where one has some, the table was not read from a file,
            and blanks count.
    """
    if any(text != text.strip() for text in vocabulary):
        lookup = keras.layers.StringLookup(vocabulary=list(vocabulary), mask_token="", oov_token=UNSEEN)
        return lookup(raw)
    symbols = sorted({letter for text in vocabulary for letter in text})
    length = max(map(len, vocabulary)) + 1  # one more: what is longer is not known
    # A text is the sum of its characters, each times a number of its place; the sum wraps around 64 bits.
    limits = np.iinfo(np.int64)
    weights = np.random.default_rng(0).integers(limits.min, limits.max, length) | 1
    code = {symbol: 2 + i for i, symbol in enumerate(symbols)}
    rows = np.zeros((len(vocabulary), length), np.int64)
    for row, text in zip(rows, vocabulary, strict=True):
        row[: len(text)] = [code[letter] for letter in text]
    lookup = keras.layers.IntegerLookup(vocabulary=(rows * weights).sum(axis=1).tolist(), mask_token=0)
    return lookup(ops.sum(characters(raw, symbols, length) * weights[None], axis=1))
