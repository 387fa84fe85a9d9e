"""What stands behind a date makes it none to exported models, too."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.columns import objects
from tests.unit.test_data_keras_twin import fitted
from trainkit.data.date_formats import DateFormat
from trainkit.data.preparation import keras_preprocessing

tf = pytest.importorskip("tensorflow")


def test_what_stands_behind_the_last_character_of_a_format_makes_a_gap() -> None:
    text = "%d.%m.%YT%H:%M:%S UTC"
    columns = {"day": np.resize(objects("31.1.2024T5:07:46 UTC", "01.06.2023T15:07:46 UTC", ""), 60)}
    preparation, _ = fitted(columns, overrides={"day": {"format": text}})
    model = keras_preprocessing(preparation)
    bad = [f"12.12.2024T5:07:46 {end}" for end in ("UTCé", "UT C", "UTx", "U", "")]
    assert np.isnan(DateFormat(text).seconds(objects(*bad))[0]).all()
    gap = preparation.encode({"day": objects("")})["numbers"]
    got = model({"day": tf.constant(bad)})["numbers"]
    np.testing.assert_allclose(got, np.repeat(gap, len(bad), axis=0), atol=1e-6)
    good = objects("1.6.2024T5:07:46 UTC", "12.12.2024T15:07:46 UTC")
    expected = preparation.encode({"day": good})["numbers"]
    np.testing.assert_allclose(model({"day": tf.constant(list(good))})["numbers"], expected, atol=1e-5)
