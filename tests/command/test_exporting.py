"""mode=export: the files of a run, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import read


@pytest.mark.slow
def test_a_run_is_exported_and_the_report_names_its_files(
    train: Callable[..., int], capsys: pytest.CaptureFixture[str]
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
    assert train("mode=export", "export.format=keras") == 0
    assert set(read("export/export.json")["files"]) == {"onnx", "keras"}
    assert train("mode=report") == 0
    assert "model.onnx" in Path("runs/tiny/latest/report.html").read_text()


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
