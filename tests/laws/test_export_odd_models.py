"""Models of an odd make are exported as they answer, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from trainkit.export import keras_format, load, saved_model
from trainkit.export.runtimes import argument_names
from trainkit.export.serving import Serving

RANDOM = np.random.default_rng(0)


def rows(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=(9, *shape)).astype(np.float32)


def two(names: tuple[str, str], *, as_list: bool) -> keras.Model:
    """A model to which it matters which of its inputs is which."""
    first, second = keras.Input((None, 3), name=names[0]), keras.Input((4, 3), name=names[1])
    left, right = layers.GlobalMaxPooling1D()(first), layers.GlobalAveragePooling1D()(second)
    outputs = layers.Dense(2)(layers.Concatenate()([left, right]))
    return keras.Model([first, second] if as_list else {names[0]: first, names[1]: second}, outputs)


def test_rows_by_name_reach_the_inputs_of_a_list_by_their_names(tmp_path: Path) -> None:
    """Also where the names come in another order than the inputs."""
    model = two(("zeta", "alpha"), as_list=True)
    x = {"zeta": rows(4, 3), "alpha": rows(4, 3)}
    assert {name: tuple(spec.shape) for name, spec in Serving(model, x).specs.items()} == {
        "zeta": (None, None, 3),
        "alpha": (None, 4, 3),
    }
    keras_format.save(model, tmp_path / "model.keras")
    opened = load(tmp_path / "model.keras")
    assert opened.inputs == ["zeta", "alpha"]
    assert opened.takes(x)
    assert not opened.takes({"zeta": x["zeta"]})
    expected = np.asarray(model(x))
    for given in (x, dict(reversed(x.items()))):
        np.testing.assert_allclose(opened(given)["output"], expected, atol=1e-6)


def test_inputs_have_names_that_a_function_may_have(tmp_path: Path) -> None:
    assert argument_names(["a b/c", "größe", "x²"]) == ["a_b_c", "größe", "x_"]
    assert argument_names(["in", "1st", "", "self"]) == ["input_in", "input_1st", "input_", "input_self"]
    assert argument_names(["in", "input_in"]) == ["input_input_in", "input_in"]
    model = two(("in", "2nd"), as_list=False)
    x: dict[str, Any] = {"in": rows(4, 3), "2nd": rows(4, 3)}
    keras_format.save(model, tmp_path / "model.keras")
    saved_model.write(Serving(model, x), tmp_path / "saved_model")
    for name in ("model.keras", "saved_model"):
        opened = load(tmp_path / name)
        assert set(opened.inputs) == {"input_in", "input_2nd"}
        assert opened.takes(x)
        np.testing.assert_allclose(opened(x)["output"], np.asarray(model(x)), atol=1e-6)
