"""mode=export: the files of a run, and what is refused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from tests.support.commands import QUIET, compared_here, read, table
from tests.support.tables import LABELLED, NEW, write_tables
from trainkit.cli import main


@pytest.mark.slow
def test_a_run_is_exported_and_the_report_names_its_files(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("trainer.epochs=1") == 0
    assert train("mode=export", "export.format=onnx") == 0
    shown = capsys.readouterr().out
    assert "onnx:           model.onnx" in shown
    written = read("export/export.json")
    assert written["files"]["onnx"]["largest_difference"] <= 1e-5
    assert written["files"]["onnx"]["rows"] == 16
    assert written["inputs"] == {"input": "float32 [B, 2]"}
    assert (written["checkpoint"], written["compared_on"]) == ("best", "test")
    monkeypatch.setattr("trainkit.export.comparison.run_alone", compared_here)
    assert train("mode=export", "export.format=keras") == 0
    both = read("export/export.json")["files"]
    assert set(both) == {"onnx", "keras"}
    assert both["onnx"]["inputs"] == {"input": "float32 [B, 2]"}  # each file says of what it is
    assert both["onnx"] == written["files"]["onnx"]
    assert train("mode=report") == 0
    assert "model.onnx" in Path("runs/tiny/latest/report.html").read_text()


@pytest.mark.slow
def test_a_table_is_exported_from_raw_columns_and_its_file_predicts(
    empty_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tables(empty_folder)
    words = ["task=tabular_classification", f"data.path={LABELLED}", "data.target=outcome", "run_dir=run"]
    assert main.main([*words, "data.columns.price=ignore", "trainer.epochs=2", *QUIET]) == 0
    export = ["mode=export", "resume=run"]
    assert main.main([*export, "export.format=saved_model"]) == 0
    written = read("export/export.json", "run")
    assert written["inputs"]["town"] == "text [B]"
    assert written["outputs"]["predicted"] == "text [B]"
    assert written["files"]["saved_model"]["largest_difference"] <= 1e-5
    assert main.main([*export, "export.format=onnx"]) == 2
    assert "export.preparation=false" in capsys.readouterr().err
    assert main.main([*export, "export.format=onnx", "export.preparation=false"]) == 0

    assert main.main(["mode=predict", "resume=run"]) == 0
    true = Path("run/predictions.csv").read_text()
    for name in ("saved_model", "model.onnx"):
        assert main.main(["mode=predict", f"predict.model=run/export/{name}"]) == 0
        found = table("predictions.csv", "run")
        assert [row["predicted"] for row in found] == [
            row["predicted"] for row in csv.DictReader(true.splitlines())
        ]
    assert main.main(["mode=predict", "resume=run", f"predict.path={NEW}"]) == 0
    of_run = [row["predicted"] for row in table("predictions.csv", "run")]
    for name in ("saved_model", "model.onnx"):  # with preparation, and without
        capsys.readouterr()
        assert main.main(["mode=predict", f"predict.path={NEW}", f"predict.model=run/export/{name}"]) == 0
        assert "Note: new.csv has columns that the training did not have" in capsys.readouterr().out
        assert [row["predicted"] for row in table("predictions.csv", "run")] == of_run
    monkeypatch.setattr("trainkit.export.comparison.run_alone", compared_here)  # see test_exported_columns.py
    assert main.main(["mode=export", "resume=run", "export.format=keras"]) == 0
    Path("few.csv").write_text("age,town\n1,Bern\n")
    for rows in (NEW, "few.csv"):
        code = main.main(["mode=predict", f"predict.path={rows}", "predict.model=run/export/model.keras"])
        assert code == (0 if rows == NEW else 2)
    assert "The rows have no column 'joined', 'zip'" in capsys.readouterr().err
    keras.Sequential([keras.Input((99,)), keras.layers.Dense(2)]).save("other.keras")
    assert main.main(["mode=predict", "resume=run", "predict.model=other.keras"]) == 2
    assert "predict.model=other.keras does not take these rows: " in capsys.readouterr().err
    Path("text.keras").write_text("weights\n")
    assert main.main(["mode=predict", "resume=run", "predict.model=text.keras"]) == 2
    assert "predict.model=text.keras cannot be loaded: text.keras: its content is no Keras model" in (
        capsys.readouterr().err
    )
    assert main.main(["mode=predict", "predict.model=run/export/model.tflite"]) == 2
    assert main.main(["mode=predict", "resume=run", "predict.model=run/config.yaml"]) == 2
    assert main.main(["mode=predict", "resume=run", "predict.model=run/export/mine.onnx"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "no such file" in errors[-3]
    assert "expected a file .keras, .onnx or .tflite" in errors[-2]
    assert "mine.onnx does not exist; expected a file that mode=export resume=<run> has written" in errors[-1]


def test_an_export_that_makes_no_sense_is_refused(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("mode=export") == 2
    assert train("trainer.epochs=1") == 0
    assert train("mode=export", "export.format=tflite") == 2
    assert train("mode=export", "export.format=onnx", "export.quantize=int8") == 2
    errors = capsys.readouterr().err.splitlines()
    assert "There is no run in runs/tiny yet" in errors[0]
    assert "export.format=tflite: unknown" in errors[1]
    assert "export.quantize=int8 is for LiteRT" in errors[2]
    assert not Path("runs/tiny/latest/export").exists()
