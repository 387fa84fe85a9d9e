"""Laws of the exported preparation: on every row it gives what the host gives, and it needs Keras alone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.columns import objects
from trainkit.data.date_formats import COMMON_DATE_FORMATS, TIMES, DateFormat
from trainkit.data.inference import infer_schema
from trainkit.data.preparation import (
    ColumnSettings,
    Preparation,
    PreparationSettings,
    fit_preparation,
    keras_preprocessing,
    with_preprocessing,
)
from trainkit.data.preparation.settings import SCALINGS

ROWS = 80
TRAINING = np.arange(40)
Columns = dict[str, np.ndarray]


def raw(preparation: Preparation, columns: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    """Columns as the exported model takes them."""
    return {
        key: tf.constant(
            columns[encoder.name].tolist(), tf.float64 if encoder.kind == "numeric" else tf.string
        )
        for key, encoder in zip(preparation.keys, preparation.encoders, strict=True)
    }


def fitted(
    columns: Columns, choices: PreparationSettings | None = None, **how: Any
) -> tuple[Preparation, Columns]:
    schema = infer_schema(columns, **how)
    read = schema.read(columns)
    return fit_preparation(schema, read, TRAINING, choices), read


def check_agreement(preparation: Preparation, read: Columns, model: Any = None) -> None:
    """All rows at once, and each row alone."""
    model = model or keras_preprocessing(preparation)
    expected = preparation.encode(read)
    feed = raw(preparation, read)
    got = model(feed)
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert (got[name].dtype.name, tuple(got[name].shape)) == (array.dtype.name, array.shape)
        np.testing.assert_allclose(got[name], array, rtol=1e-6, atol=1e-6, err_msg=name)
    for row in (0, len(read[preparation.encoders[0].name]) - 1):
        single = model({key: values[row : row + 1] for key, values in feed.items()})
        for name, array in expected.items():
            np.testing.assert_allclose(single[name], array[row : row + 1], rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_numbers_agree_with_gaps_and_far_from_zero(scaling: str) -> None:
    random = np.random.default_rng(0)
    columns = {
        "gaps": np.where(random.random(ROWS) < 0.3, np.nan, random.normal(5, 2, ROWS)),
        "seconds": 1.7e9 + random.integers(0, 10_000, ROWS) * 0.37,
        "tiny": random.normal(0, 1e-9, ROWS),
        "late gaps": np.where(np.arange(ROWS) < 40, 0.5 + np.arange(ROWS), np.nan),
        "flat": np.where(np.arange(ROWS) < 40, 7.5, random.normal(0, 1, ROWS)),
    }
    check_agreement(*fitted(columns, PreparationSettings(ColumnSettings(scaling=scaling))))


CITIES = ("x", "Zürich", "[UNK]", "東京", "a b", "NA", "")


@pytest.mark.parametrize("encoding", ["integer", "one_hot", "embedding"])
def test_categories_agree_with_rare_unseen_and_gaps(encoding: str) -> None:
    random = np.random.default_rng(1)
    cities = random.choice(objects(*CITIES), ROWS)
    cities[0] = "rare"
    cities[50:55] = objects("never seen", "rare", "", "X", "NA")
    columns = {
        "city": cities,
        "with a gap marker": cities,
        "nothing known": objects(*(f"{i}" for i in range(ROWS))),
    }
    overrides = {"with a gap marker": {"missing": ["NA"]}, "nothing known": "category"}
    choices = PreparationSettings(ColumnSettings(encoding=encoding))
    preparation, read = fitted(columns, choices, overrides=overrides)
    check_agreement(preparation, read)
    # Raw cells in which the marker still stands are prepared as what the schema makes of them.
    check_agreement(preparation, {**read, "with a gap marker": cities})


@pytest.mark.parametrize("encoding", ["integer", "embedding"])
def test_true_and_false_agree_in_every_spelling(encoding: str) -> None:
    columns = {"flag": np.resize(objects("True", "TRUE", "false", "NA", "tRUE", "FALSE", "False"), ROWS)}
    overrides = {"flag": {"kind": "category", "missing": ["NA"]}}
    preparation, read = fitted(
        columns, PreparationSettings(ColumnSettings(encoding=encoding)), overrides=overrides
    )
    preparation = Preparation.from_dict(preparation.to_dict())
    (expected,) = preparation.encode(read).values()
    (got,) = keras_preprocessing(preparation)(raw(preparation, columns)).values()
    assert len(np.unique(expected)) == 3
    np.testing.assert_array_equal(got, expected)


def dates_in(text: str) -> np.ndarray:
    random = np.random.default_rng(2)
    moments = [datetime(1000, 1, 1) + timedelta(seconds=int(s)) for s in random.integers(0, 2.8e11, ROWS - 7)]
    moments += [datetime(2000, 2, 29), datetime(1900, 2, 28, 23, 59, 59), datetime(2024, 12, 31)]
    moments += [
        datetime(1970, 1, 1),
        datetime(1969, 12, 31, 12),
        datetime(9999, 12, 31),
        datetime(2100, 3, 1),
    ]
    cells = [moment.strftime(text) for moment in moments]
    if "%z" in text:  # also over the ends of months and years
        minutes = random.integers(-1439, 1440, ROWS).tolist()
        offsets = [f"{'-' if m < 0 else '+'}{abs(m) // 60:02d}:{abs(m) % 60:02d}" for m in minutes]
        cells = [cell + offset for cell, offset in zip(cells, offsets, strict=True)]
    written = DateFormat(text)
    short = [
        re.sub(r"(?<!\d)0(?=\d(?!\d))", "", cell).upper() if i % 2 else cell for i, cell in enumerate(cells)
    ]
    cells = [few if written.fits([few]) else cell for few, cell in zip(short, cells, strict=True)]
    return np.where(np.arange(ROWS) % 9 == 4, "", objects(*cells))


@pytest.mark.parametrize(
    "text",
    [
        *(*COMMON_DATE_FORMATS[: len(TIMES)], "%d.%m.%y", "%d.%m.%Y", "%m/%d/%Y %H:%M", "%Y%m%d"),
        *("%m/%d/%Y %I:%M:%S %p", "%d %b %Y", "%B %d, %Y %I%p", "%b-%d-%y"),
    ],
)
def test_dates_agree_with_gaps(text: str) -> None:
    columns = {"day": dates_in(text).astype(object)}
    preparation, read = fitted(columns, overrides={"day": {"format": text}})
    check_agreement(preparation, read)


def test_what_is_no_date_is_a_gap_to_the_exported_model() -> None:
    columns = {"day": np.resize(objects("2024-01-31", "2023-06-01", ""), ROWS)}
    preparation, _ = fitted(columns)
    model = keras_preprocessing(preparation)
    bad = [
        "2023-02-29",
        "2024-13-01",
        "2024-00-01",
        "2024-01-00",
        "31.01.2024",
        "2024/01/31",
        "x",
        "2024-1-31x",
    ]
    bad += ["2024-01-3 1", "0000-01-01", "2024-04-31", "1900-02-29", "２０２４-01-31"]
    gap = preparation.encode({"day": objects("")})["numbers"]
    got = model({"day": tf.constant(bad)})["numbers"]
    np.testing.assert_allclose(got, np.repeat(gap, len(bad), axis=0), atol=1e-6)


def test_what_is_no_date_with_a_name_and_half_a_day_is_a_gap_to_the_exported_model() -> None:
    text = "%d %b %Y %I:%M %p"
    columns = {"day": np.resize(objects("27 Jun 2020 1:00 PM", "1 May 2021 11:00 am", ""), ROWS)}
    preparation, _ = fitted(columns, overrides={"day": {"format": text}})
    bad = ["27 Juni 2020 1:00 PM", "27 Jux 2020 1:00 PM", "27  2020 1:00 PM", "27 Jun 2020 0:00 PM"]
    bad += ["27 Jun 2020 13:00 PM", "27 Jun 2020 1:00 XM", "31 June 2020 1:00 PM", "27  Jun 2020 1:00 PM"]
    bad += ["27 Jun 2020 1:00", "7 September 2020 1:00 PMX", "027 Jun 2020 1:00 PM", "2 7 Jun 2020 1:00 PM"]
    assert np.isnan(DateFormat(text).seconds(objects(*bad))[0]).all()
    gap = preparation.encode({"day": objects("")})["numbers"]
    got = keras_preprocessing(preparation)({"day": tf.constant(bad)})["numbers"]
    np.testing.assert_allclose(got, np.repeat(gap, len(bad), axis=0), atol=1e-6)


def test_texts_agree() -> None:
    notes = ["It's GOOD, good!", "", "ÄRGER\u00a0ärger", "one\ttwo\n three", "İstanbul ΑΣ", "a-b c_d"]
    notes += ["!!!", "x " * 40, "😀 smile", "don't 'quote'", "new words here"]
    notes += [f"a{chr(code)}B" for code in [*range(1, 0x300), 0x1680, 0x2003, 0x2028, 0x3000, 0x2C2F]]
    columns = {"note": objects(*notes)}
    columns["note"][70:80] = "Unseen, unknown; ÜBER-raschung."
    choices = PreparationSettings(columns={"note": {"length": 6}})
    preparation, read = fitted(columns, choices, overrides={"note": "text"})
    assert preparation.inputs["note"].shape == (6,)
    check_agreement(preparation, read)


def whole_table() -> Columns:
    random = np.random.default_rng(3)
    days = np.datetime64("2023-01-01") + random.integers(0, 900, ROWS)
    return {
        "age in years": np.where(random.random(ROWS) < 0.2, np.nan, random.normal(40, 9, ROWS).round(1)),
        "income": random.lognormal(10, 1, ROWS).round(2),
        "city": random.choice(objects("x", "y", "z", ""), ROWS),
        "street": objects(*(f"street {i}" for i in random.integers(0, 20, ROWS))),
        "since": days.astype(str).astype(object),
        "note": objects(*(f"word{i} and word{i % 7}" for i in random.integers(0, 30, ROWS))),
        "price": random.normal(100, 20, ROWS).round(2),
        "class": random.choice(objects("yes", "no", "[UNK]"), ROWS),
    }


OVERRIDES = {"note": "text", "street": "category"}
CHOICES = PreparationSettings(
    columns={"street": {"encoding": "embedding"}, "income": {"scaling": "log"}}, target_scaling="log"
)


def trained(preparation: Preparation, outputs: int, activation: str | None) -> keras.Model:
    """A model of some weights on the arrays of a preparation."""
    keras.utils.set_random_seed(0)
    inputs = {n: keras.Input(i.shape, dtype=i.dtype, name=n) for n, i in preparation.inputs.items()}
    flat = []
    for name, info in preparation.inputs.items():
        x = inputs[name]
        flat.append(keras.layers.Flatten()(keras.layers.Embedding(info.size, 3)(x)) if info.size else x)
    outputs = keras.layers.Dense(outputs, activation)(keras.layers.Concatenate()(flat))
    return keras.Model(inputs, outputs, name="model")


TARGETS = {
    "classes": ("class", 3, "softmax"),
    "two classes by one probability": ("class", 1, "sigmoid"),
    "a number in its unit": ("price", 1, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", TARGETS)
def test_a_model_on_raw_rows_answers_as_the_trained_one_on_prepared_rows(tmp_path: Path, case: str) -> None:
    target, outputs, activation = TARGETS[case]
    columns = whole_table()
    if outputs == 1 and target == "class":
        columns["class"] = np.where(columns["class"] == "[UNK]", "no", columns["class"])
    preparation, read = fitted(columns, CHOICES, roles={target: "target"}, overrides=OVERRIDES)
    model = trained(preparation, outputs, activation)
    scores = model(preparation.encode(read)).numpy()
    expected = preparation.target.decode(scores)

    exported = with_preprocessing(model, preparation)
    feed = raw(preparation, read)
    exported.save(tmp_path / "model.keras")
    exported.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    served = tf.saved_model.load(tmp_path / "saved")
    for answer in (exported(feed), loaded(feed), served.serve(feed)):
        predicted = answer["predicted"].numpy()
        if target == "price":
            np.testing.assert_allclose(predicted, expected, rtol=1e-6)
        else:
            np.testing.assert_allclose(answer["scores"], scores, rtol=1e-6, atol=1e-6)
            assert [name.decode() for name in predicted.tolist()] == expected


@pytest.mark.slow
def test_an_exported_preparation_loads_without_trainkit(tmp_path: Path) -> None:
    preparation, read = fitted(whole_table(), CHOICES, roles={"class": "target"}, overrides=OVERRIDES)
    keras_preprocessing(preparation).save(tmp_path / "preparation.keras")
    expected = preparation.encode(read)["numbers"]
    np.save(tmp_path / "expected.npy", expected)
    feed = {key: values.numpy().tolist() for key, values in raw(preparation, read).items()}
    feed = {k: [v.decode() if isinstance(v, bytes) else v for v in values] for k, values in feed.items()}
    program = f"""
import sys
sys.modules["trainkit"] = None
import keras, numpy as np, tensorflow as tf
nan = float("nan")
feed = {feed!r}
model = keras.saving.load_model({str(tmp_path / "preparation.keras")!r})
types = {{i.name: i.dtype for i in model.inputs}}
got = model({{k: tf.constant(v, types[k]) for k, v in feed.items()}})["numbers"]
np.testing.assert_allclose(got, np.load({str(tmp_path / "expected.npy")!r}), rtol=1e-6, atol=1e-6)
print("agrees")
"""
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert "agrees" in done.stdout, done.stderr[-2000:]
