"""Models of an odd make are exported as they answer, or refused in one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainkit.backend import precision
from trainkit.cli.commands.export import _exit_code, _lines
from trainkit.core import files
from trainkit.core.errors import UserError
from trainkit.export import (
    ExportedFile,
    ExportReport,
    export_model,
    keras_format,
    load,
    processes,
    saved_model,
)
from trainkit.export.arguments import check_model
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


def test_a_model_of_a_fixed_number_of_rows_that_keeps_a_state_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    fixed = keras.Input(batch_shape=(3, 5, 2))
    stateful = keras.Sequential([fixed, layers.LSTM(2, stateful=True), layers.Dense(1)])
    with pytest.raises(UserError, match=r"batches of 3 rows.*lstm.* keeps a state.*keras.Input\(\(5, 2\)\)"):
        export_model(stateful, tmp_path / "out", rows(5, 2), formats="keras")
    assert not (tmp_path / "out").exists()
    check_model(keras.Sequential([fixed, layers.LSTM(2)]))  # takes any number all the same


@pytest.mark.parametrize("said", [errno.ENOSPC, errno.EFBIG])
def test_what_a_disk_does_not_take_is_told_and_the_other_formats_go_on(
    said: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow's own errors of a full disk; and a folder where a file is to be."""

    def full(*given: Any, **more: Any) -> None:
        raise tf.errors.OutOfRangeError(None, None, f"/a/part-0; {os.strerror(said)} [Op:SaveV2]")

    monkeypatch.setattr("tensorflow.saved_model.save", full)
    monkeypatch.setattr("trainkit.export.exporting.outputs_of", lambda path, given: {"output": answers})
    (tmp_path / "model.keras" / "mine").mkdir(parents=True)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"/model\.h5: Not a directory"):
        files.write_text(tmp_path / "file" / ".0123abcd-model.h5", "")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    x = rows(3)
    answers = np.asarray(model(x))
    report = export_model(model, tmp_path, x, formats=("keras", "saved_model", "litert", "onnx"))
    keras_file, served, litert, onnx = report.files
    assert [one.unwritten for one in report.files] == [True, True, True, False]
    assert keras_file.refused.startswith(f"Cannot write {tmp_path}/model.keras: Is a directory. Check")
    for one, name in ((served, "saved_model"), (litert, "model.tflite")):
        assert one.refused.startswith(f"Cannot write {tmp_path / name}: {os.strerror(said)}. Check the disk")
    assert onnx.refused == ""


def test_a_process_that_ends_at_a_full_disk_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(code: int, text: str) -> None:
        done = CompletedProcess([], code, stderr=text)
        monkeypatch.setattr("subprocess.run", lambda *given, **more: done)
        processes.run_alone("x.py", [])

    text = f"Traceback\nOSError: [Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}\n\n"
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as raised:
        ended(1, text)
    assert raised.value.errno == errno.ENOSPC
    ended(0, text)
    ended(1, f"{text}ValueError: of something else")


def test_a_file_that_cannot_be_written_fails_the_command_and_one_that_is_refused_does_not() -> None:
    full = ExportedFile("keras", refused="Cannot write it.", unwritten=True)
    refused, written = ExportedFile("onnx", refused="takes text"), ExportedFile("litert", "model.tflite")
    wrong = ExportedFile("saved_model", refused="differs", wrong=True)
    codes = {2: [full, wrong, written], 1: [wrong, refused, written], 0: [refused, written]}
    for code, found in codes.items():
        assert _exit_code(ExportReport(Path(), {}, {}, found)) == code
    assert _lines(full) == ["keras:          NOT WRITTEN: Cannot write it."]
    assert _lines(refused) == ["onnx:           refused: takes text"]


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_a_keras_file_in_half_precision_gives_what_the_model_gives(name: str, tmp_path: Path) -> None:
    """A graph rounds elsewhere than a model that is called outside of one."""
    with precision.policy(name):
        head = layers.Dense(1, "sigmoid", dtype="float32")
        model = keras.Sequential(
            [keras.Input((3,)), layers.Dense(16, "gelu"), layers.LayerNormalization(), head]
        )
    x = {"input": RANDOM.normal(size=(300, 3)).astype(np.float32)}
    keras_format.save(model, tmp_path / "model.keras")
    expected = Serving(model, x["input"]).outputs(x)["output"]
    assert np.abs(expected - np.asarray(model(x["input"]))).max() > 1e-5
    np.testing.assert_allclose(load(tmp_path / "model.keras")(x)["output"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("taken", "computed", "helps"),
    [
        (
            "float64",
            "float64",
            "dense computes in float64, which LiteRT does not; build the model in",
        ),
        ("float64", "float32", "export.preparation=false, or build the model with inputs of float32"),
        ("float32", "float32", ""),
    ],
    ids=["model", "preparation", "rows"],
)
def test_litert_refuses_float64_with_what_helps(
    taken: str, computed: str, helps: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preparation of columns may be left out; a model that computes so itself is to be built anew."""
    failed = CompletedProcess([], 1, stderr="Flex ops: AddV2, Mul")
    monkeypatch.setattr("trainkit.export.litert.run_alone", lambda *words: failed)
    last = layers.Dense(2, dtype=computed, name="dense")
    model = keras.Sequential([keras.Input((3,), dtype=taken), last])
    (one,) = export_model(model, tmp_path, rows(3).astype(np.float64), formats="litert").files
    assert helps in one.refused
    assert one.refused.endswith("LiteRT cannot hold it: it lacks AddV2, Mul")
    assert ("preparation" in one.refused) == ("preparation" in helps)
