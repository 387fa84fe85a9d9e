"""An exported file gives what the model gives, in its own runtime and in a process of its own."""

from __future__ import annotations

import zipfile
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.support.toys import Toy, TwoByTwo
from tests.support.training import fit
from trainkit.backend import precision
from trainkit.core.datasets import Arrays
from trainkit.core.errors import UserError
from trainkit.export import export_model, keras_format, load
from trainkit.export.comparison import Unusable, largest_difference
from trainkit.export.serving import Serving
from trainkit.export.twins import float32_twin, is_half_precision
from trainkit.metrics import F1

FORMATS = ("keras", "saved_model", "onnx", "litert")
RANDOM = np.random.default_rng(0)


def prices() -> tuple[keras.Model, Any]:
    """With statistics, which tf2onnx takes for inputs."""
    x = (RANDOM.normal(size=(9, 13)) * 5 + 3).astype(np.float32)
    scale = layers.Normalization(mean=x.mean(0), variance=x.var(0))
    return keras.Sequential([keras.Input((13,)), scale, layers.Dense(4, "relu"), layers.Dense(1)]), x


def sequences() -> tuple[keras.Model, Any]:
    """An LSTM, which LiteRT takes with a fixed number of rows only."""
    model = keras.Sequential([keras.Input((6, 3)), layers.LSTM(4), layers.Dropout(0.5), layers.Dense(2)])
    return model, RANDOM.normal(size=(9, 6, 3)).astype(np.float32)


def two_by_two() -> tuple[keras.Model, Any]:
    """Two inputs and two outputs by name."""
    task = TwoByTwo()
    rows = task.data().train.take(slice(0, 9))
    return task.model(rows), rows.x


def images_and_prices() -> tuple[keras.Model, Any]:
    """Two inputs and two outputs by name: bytes, with batch normalisation and dropout; numbers, with
    statistics."""
    pictures = keras.Input((8, 8), name="picture")
    x = layers.Reshape((8, 8, 1))(layers.Rescaling(1 / 255)(pictures))
    x = layers.Dropout(0.5)(layers.MaxPooling2D()(layers.BatchNormalization()(layers.Conv2D(2, 3)(x))))
    priced, rows = prices()
    numbers = keras.Input((13,), name="numbers")
    both = layers.Concatenate()([layers.Flatten()(x), priced(numbers)])
    outputs = {
        "kind": layers.Dense(3, "softmax", name="kind")(both),
        "size": layers.Dense(1, name="size")(both),
    }
    model = keras.Model({"picture": pictures, "numbers": numbers}, outputs)
    return model, {"picture": RANDOM.integers(0, 255, (9, 8, 8)).astype(np.uint8), "numbers": rows}


def half_precision() -> tuple[keras.Model, Any]:
    """Mixed precision, which ONNX and LiteRT get as float32."""
    with precision.policy("mixed_bfloat16"):
        return sequences()


def test_an_exact_gelu_is_exported_to_onnx(tmp_path: Path) -> None:
    """By `1 - erf(x)`, since ONNX has no `Erfc`."""
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, "gelu"), layers.Dense(3)])
    x = (RANDOM.normal(size=(9, 6)) * 5).astype(np.float32)
    report = export_model(model, tmp_path, Arrays(x), formats="onnx", tolerance=1e-5)
    assert [file.refused for file in report.files] == [""]


MODELS = [images_and_prices, half_precision]


@pytest.mark.slow
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_each_format_gives_what_the_model_gives(make: Any, tmp_path: Path) -> None:
    model, x = make()
    report = export_model(model, tmp_path, Arrays(x), formats=FORMATS, tolerance=1e-5)
    found = {one.format: one for one in report.files}
    assert [(one.format, one.refused) for one in report.files] == [(name, "") for name in FORMATS]
    for one in found.values():
        assert one.largest_difference is not None
        assert one.largest_difference <= 1e-5
        assert one.rows == 9
        assert (one.rounding is not None) == (make is half_precision and one.format in ("onnx", "litert"))
    assert {path.name for path in tmp_path.iterdir()} == {one.file for one in report.files}
    again = load(tmp_path / "model.onnx")(Serving(model, x).rows(x))
    assert set(again) == set(report.outputs)


@pytest.mark.slow
def test_a_model_is_exported_without_what_trained_it(tmp_path: Path) -> None:
    """Its optimizer is neither in the file nor in the way."""
    trainer, _ = fit(Toy(batch_norm=True, dropout=0.5), epochs=1)
    rows = trainer.splits.test
    assert rows is not None
    (tmp_path / ".0123abcd-saved_model").mkdir()
    (one,) = export_model(trainer.model, tmp_path, rows, formats=("saved_model",)).files
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]
    assert one.refused == ""
    assert one.largest_difference == 0
    variables = tmp_path / "saved_model" / "variables" / "variables"
    kept = [name for name, _ in tf.train.list_variables(str(variables))]
    assert kept
    assert not any("optimizer" in name or "momentum" in name for name in kept)


def test_a_model_inside_of_another_is_saved_without_what_trained_it(tmp_path: Path) -> None:
    """As a trained model is inside of the one that prepares raw rows for it; its metrics may be its own."""
    inputs = keras.Input((2,))
    trained = keras.Sequential([keras.Input((2,)), layers.Dense(2, "softmax")])
    trained.compile("adam", "categorical_crossentropy", metrics=[F1(name="f1")])
    optimizer = trained.optimizer
    assert keras_format.save(keras.Model(inputs, trained(inputs)), tmp_path / "model.keras") == []
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = archive.read("config.json").decode()
    assert "Adam" not in config
    assert "F1" not in config
    assert trained.compiled
    assert trained.optimizer is optimizer


def test_a_model_that_answers_in_class_names_is_refused_by_formats_without_text(tmp_path: Path) -> None:
    inputs = keras.Input((), dtype="int32")
    names = layers.StringLookup(vocabulary=["no", "yes"], invert=True, num_oov_indices=0)(inputs)
    rows = Arrays(np.array([0, 1, 1], np.int32))
    told: list[str] = []
    report = export_model(
        keras.Model(inputs, names),
        tmp_path,
        rows,
        formats=("onnx", "litert"),
        on_file=lambda f: told.append(f.format),
    )
    assert told == ["onnx", "litert"]
    assert all("answers in text" in one.refused and not one.wrong for one in report.files)


@pytest.mark.slow
def test_what_a_format_cannot_hold_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    lookup = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup, layers.Dense(2)])
    rows = Arrays(np.array([["a"], ["b"], ["z"]], dtype=object))
    report = export_model(model, tmp_path, rows, formats=("saved_model", "onnx", "litert"))
    served, onnx, litert = report.files
    assert served.largest_difference == 0
    assert "takes text" in onnx.refused
    assert "takes text" in litert.refused
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]
    exact = keras.Sequential([keras.Input((4,)), layers.Dense(2), layers.Lambda(np_like_erfinv)])
    (refused,) = export_model(exact, tmp_path, Arrays(np.ones((3, 4), np.float32)), formats=("onnx",)).files
    assert "tf2onnx cannot convert it" in refused.refused
    assert not (tmp_path / "model.onnx").exists()


def np_like_erfinv(x: Any) -> Any:
    return keras.ops.erfinv(keras.ops.tanh(x))


@pytest.mark.slow
def test_a_file_that_gives_something_else_is_wrong_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = prices()
    true = Serving.outputs
    monkeypatch.setattr(
        Serving, "outputs", lambda self, rows: {k: v + 2e-5 for k, v in true(self, rows).items()}
    )
    (one,) = export_model(model, tmp_path, Arrays(x), formats=("saved_model",)).files
    assert one.wrong
    assert "differ by 2" in one.refused
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_eight_bits_say_what_they_cost(tmp_path: Path) -> None:
    model, x = prices()
    model.compile("adam", "mse", metrics=["mae"])
    rows = Arrays(x, np.ones((9, 1), np.float32))
    report = export_model(model, tmp_path, rows, formats=("litert",), quantize=("int8",), training=rows)
    whole, small = report.files
    assert whole.metrics == {}
    assert small.file == "model-int8.tflite"
    true = model.evaluate(x, rows.y, verbose=0, return_dict=True)
    assert small.metrics["model"] == pytest.approx(true, rel=1e-5)
    assert small.metrics["file"] != small.metrics["model"]
    assert set(small.metrics["file"]) == {"loss", "mae"}


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_a_twin_in_float32_has_the_same_weights(name: str) -> None:
    with precision.policy(name):
        model, x = sequences()
    twin = float32_twin(model)
    assert is_half_precision(model)
    assert not is_half_precision(twin)
    for mine, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)
    gap = np.abs(np.asarray(model(x), np.float32) - np.asarray(twin(x))).max()
    assert 0 < gap < 2e-2


def test_inputs_and_outputs_have_names() -> None:
    model, x = two_by_two()
    serving = Serving(model, x)
    assert list(serving.specs) == ["left", "right"]
    assert set(serving.outputs(serving.rows(x))) == {"kind", "size"}
    plain, x = prices()
    assert list(Serving(plain, x).specs) == ["input"]
    assert list(Serving(plain, x).outputs({"input": x})) == ["output"]


def test_differences_are_relative_to_large_values_and_texts_must_be_equal() -> None:
    def gap(a: Any, b: Any) -> float:
        return largest_difference({"y": np.array(a)}, {"y": np.array(b)})

    assert gap([1000.0, 0.0], [1001.0, 0.0]) == pytest.approx(1e-3)
    assert gap([0.5], [0.75]) == 0.25
    assert gap([np.nan], [np.nan]) == 0
    assert gap([np.nan], [1.0]) == np.inf
    assert gap(["a", "b"], ["a", "b"]) == 0
    assert gap(["a", "b"], ["a", "c"]) == np.inf
    with pytest.raises(Unusable, match="shape"):
        gap([1.0], [1.0, 2.0])
    with pytest.raises(Unusable, match="outputs are z; expected y"):
        largest_difference({"y": np.ones(1)}, {"z": np.ones(1)})


def test_a_missing_package_is_named_with_its_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tf2onnx" else object())
    model, x = prices()
    with pytest.raises(UserError, match=r"needs tf2onnx.*pip install 'trainkit\[onnx\]'"):
        export_model(model, tmp_path, Arrays(x), formats=("onnx",))
    with pytest.raises(UserError, match="Unknown format 'tflite'"):
        export_model(model, tmp_path, Arrays(x), formats=("tflite",))


@pytest.mark.parametrize(
    "wrong",
    [
        {"formats": None},
        {"formats": 3},
        {"compare": 0},
        {"compare": 2.5},
        {"tolerance": float("nan")},
        {"tolerance": "x"},
        {"folder": None},
        {"rows": Arrays(np.ones((8, 4), np.float32), np.ones((8, 9))), "quantize": "dynamic"},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_in_one_line_before_anything_is_written(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    given = {"folder": tmp_path / "out", "rows": np.ones((8, 4), np.float32), "formats": "litert", **wrong}
    with pytest.raises(UserError) as refused:
        export_model(model, given.pop("folder"), given.pop("rows"), **given)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_preparation_that_litert_cannot_hold_is_left_out_by_a_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Columns of numbers are prepared in float64."""
    failed = CompletedProcess([], 1, stderr="Flex ops: AddV2, Mul")
    monkeypatch.setattr("trainkit.export.litert.run_alone", lambda *words: failed)
    column = keras.Input((1,), dtype="float64")
    model = keras.Model(column, layers.Dense(1)(layers.Rescaling(0.5)(column)))
    report = export_model(model, tmp_path, np.ones((4, 1)), formats="litert")
    assert "export.preparation=false" in report.files[0].refused
