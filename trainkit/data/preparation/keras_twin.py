"""The preparation built again of Keras layers, so that an exported model takes the raw columns.

Only layers and operations that Keras itself ships are used: the model loads where trainkit is not installed.
Numbers are computed as float64, as on the host, and become float32 at the end. A raw column is one value per
row `[B]`:

- numbers: float64, NaN where missing;
- all others: text, "" where missing, without blanks around it; dates in the format of the training's file.

Keras's own `predict` casts NumPy's float64 to float32 before the model sees it; call the model, or export it,
where numbers have more than seven digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from trainkit.data.booleans import spellings
from trainkit.data.cells import DAY, FIRST_OF_1900, DateFormat
from trainkit.data.preparation.categories import FIRST_KNOWN, MISSING, OTHER, CategoryEncoder
from trainkit.data.preparation.dates import CYCLES, DateEncoder
from trainkit.data.preparation.encoder import ColumnEncoder
from trainkit.data.preparation.labels import ClassLabels, NumberTarget
from trainkit.data.preparation.numeric import NumericEncoder
from trainkit.data.preparation.preparation import NUMBERS, Preparation
from trainkit.data.preparation.scaling import Scaling
from trainkit.data.preparation.tokens import UNKNOWN, TokenEncoder

__all__ = ["keras_preprocessing", "readable_outputs", "with_preprocessing"]

# Texts that no cell of a file can be, since cells are trimmed.
UNSEEN = " unseen "
UNUSED = " unused "

Tensor = Any
DAYS_TO_EPOCH = 719_468  # from 1 March of year 0 to 1 January 1970
MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def keras_preprocessing(preparation: Preparation) -> keras.Model:
    """A Keras model of raw columns in, and in the same arrays out that `preparation.encode` gives.

    Args:
        preparation: Fitted.

    Returns:
        A model that takes a dict with one array `[B]` per feature, by `preparation.keys`.
    """

    inputs = {}
    outputs = {}
    numbers = []
    for key, encoder in zip(preparation.keys, preparation.encoders, strict=True):
        dtype = "float64" if isinstance(encoder, NumericEncoder) else "string"
        inputs[key] = keras.Input(shape=(), dtype=dtype, name=key)
        prepared = _prepared(encoder, inputs[key])
        if encoder.own_array:
            outputs[key] = ops.cast(prepared, "int32")
        else:
            numbers.append(prepared)
    if numbers:
        outputs[NUMBERS] = ops.cast(ops.concatenate(numbers, axis=1), "float32")
    return keras.Model(inputs, dict(sorted(outputs.items())), name="preprocessing")


def with_preprocessing(model: keras.Model, preparation: Preparation) -> keras.Model:
    """A trained model that takes raw columns and answers in class names, or in the target's unit.

    Args:
        model: Takes a dict of the arrays that `preparation.encode` gives; gives a score per class `[B, C]`,
            the probability of the second of two classes `[B, 1]`, or a scaled number `[B, 1]`.
        preparation: Fitted, with a target.

    Returns:
        A model of `{key: [B]}` in; out come `{"predicted": [B], "scores": [B, C]}` for classes (scores alone
        if a row may have several), else `{"predicted": [B]}` float64.
    """
    preprocessing = keras_preprocessing(preparation)
    scores = model(preprocessing.output, training=False)
    outputs = readable_outputs(scores, preparation.target)
    return keras.Model(preprocessing.input, outputs, name=f"{model.name}_on_raw_columns")


def readable_outputs(scores: Tensor, target: ClassLabels | NumberTarget | None) -> dict[str, Tensor]:
    """A model's outputs as people read them, by name: see `with_preprocessing`."""
    if isinstance(target, ClassLabels):
        outputs = {"scores": scores}
        if target.encoding != "multi_label":
            outputs["predicted"] = _class_names(target, scores)
        return outputs
    if target is not None:
        number = ops.cast(ops.reshape(scores, (-1,)), "float64")
        return {"predicted": _unscaled(target.scaling, number)}
    return {"scores": scores}


def _prepared(encoder: ColumnEncoder, raw: Tensor) -> Tensor:
    """Numbers `[B, W]` float64, or indices, of a raw column `[B]`."""
    builders: dict[type, Callable[..., Tensor]] = {
        NumericEncoder: _numbers,
        CategoryEncoder: _categories,
        DateEncoder: _dates,
        TokenEncoder: _tokens,
    }
    return builders[type(encoder)](encoder, raw)


def _numbers(encoder: NumericEncoder, raw: Tensor) -> Tensor:
    missing = ops.logical_not(ops.isfinite(raw))
    scaled = _scaled(encoder.scaling, ops.where(missing, np.float64(encoder.fill), raw))
    columns = [scaled, ops.cast(missing, "float64")] if encoder.indicator else [scaled]
    return ops.stack(columns, axis=1)


def _scaled(scaling: Scaling, x: Tensor) -> Tensor:
    if scaling.is_log:
        x = ops.log1p(ops.maximum(x - np.float64(scaling.low), np.float64(0)))
    return (x - np.float64(scaling.center)) / np.float64(scaling.scale)


def _unscaled(scaling: Scaling, y: Tensor) -> Tensor:
    x = y * np.float64(scaling.scale) + np.float64(scaling.center)
    return ops.expm1(x) + np.float64(scaling.low) if scaling.is_log else x


def _categories(encoder: CategoryEncoder, raw: Tensor) -> Tensor:
    """The index of each category, as the encoding says."""
    gaps = [marker for marker in encoder.missing if marker not in encoder.known]
    others = {text: word for word in encoder.booleans for text in spellings(word)}
    others = {text: word for text, word in others.items() if text not in (*encoder.known, *gaps)}
    vocabulary = [*encoder.known, *gaps, *others] or [UNUSED]
    lookup = keras.layers.StringLookup(vocabulary=vocabulary, mask_token="", oov_token=UNSEEN)
    # StringLookup gives 0 for "", 1 for what it does not know, then the vocabulary: ours but for the gaps.
    ours = [MISSING, OTHER, *range(FIRST_KNOWN, encoder.size), *([MISSING] * len(gaps))]
    ours += encoder.indices(np.array([*others.values()], dtype=object)).tolist()
    ours += [OTHER] * (FIRST_KNOWN + len(vocabulary) - len(ours))
    indices = ops.take(np.array(ours, np.int32), lookup(raw), axis=0)
    if encoder.encoding == "embedding":
        return indices
    if encoder.encoding == "integer":
        return ops.cast(ops.expand_dims(indices, 1), "float64")
    return ops.cast(ops.equal(ops.expand_dims(indices, 1), np.array([encoder.kept], np.int32)), "float64")


def _tokens(encoder: TokenEncoder, raw: Tensor) -> Tensor:

    vectorize = keras.layers.TextVectorization(
        standardize="lower_and_strip_punctuation",
        split="whitespace",
        output_mode="int",
        output_sequence_length=encoder.length,
        vocabulary=list(encoder.words) or [UNUSED],
    )
    words = vectorize(raw)
    first = ops.maximum(words[:, :1], UNKNOWN)  # of a text without words
    return ops.concatenate([first, words[:, 1:]], axis=1) if encoder.length > 1 else first


def _class_names(target: ClassLabels, scores: Tensor) -> Tensor:
    indices = ops.argmax(scores, axis=-1)
    if scores.shape[-1] == 1:
        indices = ops.cast(ops.reshape(scores, (-1,)) >= 0.5, "int64")
    lookup = keras.layers.StringLookup(
        vocabulary=list(target.classes), invert=True, num_oov_indices=0, oov_token=UNSEEN
    )
    return lookup(indices)


def _dates(encoder: DateEncoder, raw: Tensor) -> Tensor:
    """Days and cycles of dates, read character by character: Keras has no layer for dates."""
    part, valid = _date_parts(DateFormat(encoder.format), raw)
    local = part["H"] * 3600 + part["M"] * 60 + part["S"] - part["z"]
    seconds = local % DAY
    later = local // DAY  # days, -1 to 1, by the offset from UTC
    number = _day_number(part["Y"], part["m"], part["d"]) + later
    places = {"month": _month(part, later), "weekday": (number + 3) % 7, "hour": seconds}
    days = ops.cast(number, "float64") + ops.cast(seconds, "float64") / np.float64(DAY)
    columns = [_scaled(encoder.scaling, ops.where(valid, days, np.float64(encoder.fill)))]
    present = ops.cast(valid, "float64")
    for cycle in encoder.cycles:
        angle = ops.cast(places[cycle], "float64") * np.float64(2 * np.pi / CYCLES[cycle])
        columns += [ops.sin(angle) * present, ops.cos(angle) * present]
    if encoder.indicator:
        columns.append(1 - present)
    return ops.stack(columns, axis=1)


def _date_parts(written: DateFormat, raw: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The parts of each date `[B]` int64, and whether it is one `[B]`."""
    places = written.places
    end = max(last for _, last in places.values())
    literals = written.literals
    symbols = [*"0123456789", *sorted({*literals.values(), *("+-:" if "z" in places else "")})]
    read = keras.layers.TextVectorization(
        standardize=None,
        split="character",
        output_mode="int",
        output_sequence_length=end + 1,
        vocabulary=symbols,
    )
    characters = read(raw)  # [B, end + 1]: 0 past the end, 1 unknown, 2 to 11 digits, then the literals
    valid = ops.cast(ops.ones_like(characters[:, 0]), "bool")
    for at, literal in literals.items():
        if at <= end:
            valid = ops.logical_and(valid, ops.equal(characters[:, at], 2 + symbols.index(literal)))
    if end not in literals:
        valid = ops.logical_and(valid, ops.equal(characters[:, end], 0))
    parts = dict.fromkeys("HMSz", ops.zeros_like(characters[:, 0]))
    for name, (first, last) in places.items():
        if name == "z":
            codes = {symbol: 2 + symbols.index(symbol) for symbol in "+-:"}
            parts["z"], is_offset = _offset(characters[:, first:last], codes)
            valid = ops.logical_and(valid, is_offset)
            continue
        digits = characters[:, first:last] - 2
        in_range = ops.logical_and(ops.all(digits >= 0, axis=1), ops.all(digits <= 9, axis=1))
        valid = ops.logical_and(valid, in_range)
        parts[name] = _number(digits)
    if "y" in parts:
        parts["Y"] = parts["y"] + ops.where(parts["y"] >= FIRST_OF_1900, 1900, 2000)
    return parts, ops.logical_and(valid, _on_the_calendar(parts))


def _number(digits: Tensor) -> Tensor:
    tens = 10 ** np.arange(digits.shape[1] - 1, -1, -1, dtype=np.int64)
    return ops.sum(digits * tens, axis=1)


def _offset(characters: Tensor, codes: dict[str, int]) -> tuple[Tensor, Tensor]:
    """Offsets from UTC such as `+02:00` in seconds `[B]`, of their characters `[B, 6]`, and whether they are
    such."""
    sign, colon = characters[:, 0], characters[:, 3]
    digits = [characters[:, first : first + 2] - 2 for first in (1, 4)]
    hours, minutes = map(_number, digits)
    minus = ops.equal(sign, codes["-"])
    conditions = [ops.logical_or(minus, ops.equal(sign, codes["+"])), ops.equal(colon, codes[":"])]
    conditions += [ops.all(ops.logical_and(two >= 0, two <= 9), axis=1) for two in digits]
    seconds = hours * 3600 + minutes * 60
    return ops.where(minus, -seconds, seconds), _all([*conditions, hours <= 23, minutes <= 59])


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
