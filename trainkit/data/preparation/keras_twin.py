"""The preparation built again of Keras layers, so that an exported model takes the raw columns.

Only layers and operations that Keras itself ships are used: the model loads where trainkit is not installed.
Numbers are computed as float64, as on the host, and become float32 at the end. A raw column is one value per
row `[B]`:

- numbers: float64, NaN where missing;
- all others: text, "" where missing; dates in the format of the training's file. Blanks around it are no part
  of it, as in a file; but those beyond ASCII around a text that is split into words.

Keras's own `predict` casts NumPy's float64 to float32 before the model sees it; call the model, or export it,
where numbers have more than seven digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from trainkit.data.booleans import spellings
from trainkit.data.date_formats import DAY, DateFormat
from trainkit.data.preparation.categories import FIRST_KNOWN, MISSING, OTHER, CategoryEncoder
from trainkit.data.preparation.dates import CYCLES, DateEncoder
from trainkit.data.preparation.encoder import ColumnEncoder
from trainkit.data.preparation.keras_dates import read_dates
from trainkit.data.preparation.keras_texts import UNSEEN, indices_of
from trainkit.data.preparation.labels import ClassLabels, NumberTarget
from trainkit.data.preparation.numeric import NumericEncoder
from trainkit.data.preparation.preparation import NUMBERS, Preparation
from trainkit.data.preparation.scaling import Scaling
from trainkit.data.preparation.tokens import UNKNOWN, TokenEncoder

__all__ = ["keras_preprocessing", "readable_outputs", "with_preprocessing"]

UNUSED = " unused "  # no word of a text

Tensor = Any


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
    vocabulary = [*encoder.known, *gaps, *others] or [UNSEEN.strip()]
    # 0 is "", 1 what is not known, then comes the vocabulary: ours but for the gaps.
    ours = [MISSING, OTHER, *range(FIRST_KNOWN, encoder.size), *([MISSING] * len(gaps))]
    ours += encoder.indices(np.array([*others.values()], dtype=object)).tolist()
    ours += [OTHER] * (FIRST_KNOWN + len(vocabulary) - len(ours))
    indices = ops.take(np.array(ours, np.int32), indices_of(raw, vocabulary), axis=0)
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
    dates = read_dates(DateFormat(encoder.format), raw)
    places = {"month": dates.month, "weekday": (dates.day + 3) % 7, "hour": dates.second}
    days = ops.cast(dates.day, "float64") + ops.cast(dates.second, "float64") / np.float64(DAY)
    columns = [_scaled(encoder.scaling, ops.where(dates.is_one, days, np.float64(encoder.fill)))]
    present = ops.cast(dates.is_one, "float64")
    for cycle in encoder.cycles:
        angle = ops.cast(places[cycle], "float64") * np.float64(2 * np.pi / CYCLES[cycle])
        columns += [ops.sin(angle) * present, ops.cos(angle) * present]
    if encoder.indicator:
        columns.append(1 - present)
    return ops.stack(columns, axis=1)
